//! Requests about domains.

use super::{Answer, Call, arguments, ok};
use crate::Errno;
use crate::engine::host::Ring;
use crate::engine::server::Server;
use crate::path::Path;
use crate::wire::terminated;

/// A domain's own number for itself.
const DOMID_SELF: i64 = 0x7ff0;

/// `INTRODUCE`: domain, page, port.
pub fn introduce(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let [domain, gfn, port] = arguments::first(call.payload)?;
    let port = u32::try_from(arguments::number(port))
        .ok()
        .filter(|&port| port > 0);
    let ring = Ring {
        domain: arguments::domain(domain).map_err(|_| Errno::EINVAL)?,
        gfn: u64::try_from(arguments::number(gfn)).unwrap_or(0),
        port: port.ok_or(Errno::EINVAL)?,
    };
    server.introduce(ring, call.host)?;
    ok()
}

/// `RELEASE`: the domain is treated as if it were gone.
pub fn release(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let domain = other_domain(server, call)?;
    server.destroy(domain, call.host);
    ok()
}

/// `RESUME`
pub fn resume(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let domain = other_domain(server, call)?;
    server.resume(domain);
    ok()
}

/// `SET_TARGET`: domain, and whose device model it is.
pub fn set_target(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let [domain, target] = arguments::first(call.payload)?;
    let [domain, target] = [connected(server, domain)?, connected(server, target)?];
    if let Some(known) = server.store.domains.get_mut(domain) {
        known.target = Some(target);
    }
    server.record_domain(domain);
    ok()
}

/// `GET_DOMAIN_PATH`: whether there is such a domain or not.
pub fn path(_: &mut Server, call: &mut Call<'_>) -> Answer {
    let domain = arguments::number(arguments::only(call.payload)?);
    let home = match u16::try_from(domain) {
        Ok(domain) => Path::home(domain).to_string(),
        // As xenstored has it: whatever the number is as 32 bits.
        Err(_) => format!("/local/domain/{}", domain as u32),
    };
    Ok(terminated(&[home]))
}

/// `IS_DOMAIN_INTRODUCED`
pub fn is_introduced(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let number = arguments::number(arguments::only(call.payload)?);
    let introduced = |domain| server.ring(domain).is_some();
    let answer = number == DOMID_SELF || u16::try_from(number).is_ok_and(introduced);
    Ok(terminated(&[if answer { "T" } else { "F" }]))
}

/// The only argument: a domain that is introduced, and not domain 0.
fn other_domain(server: &Server, call: &Call<'_>) -> Result<u16, Errno> {
    let text = arguments::only(call.payload)?;
    if arguments::number(text) == 0 {
        return Err(Errno::EINVAL);
    }
    connected(server, text)
}

fn connected(server: &Server, text: &[u8]) -> Result<u16, Errno> {
    let domain = arguments::domain(text)?;
    server.ring(domain).map(|_| domain).ok_or(Errno::ENOENT)
}
