//! `XENPF_get_symbol`: walks through the hypervisor's symbols. The image carries none, so the walk ends where it starts.

use xen_abi::errno::Errno;
use xen_abi::platform::Symdata;

use super::{Payload, reply};
use crate::hypercall::{Call, Outcome};
use crate::ids::GuestAddr;

/// An empty name is the end; `ERANGE` beyond it.
pub fn get_symbol(call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let mut symbol: Symdata = payload.get();
    if symbol.symnum != 0 {
        return Err(Errno::ERANGE);
    }
    let end = [0u8];
    let room = end.len().min(symbol.namelen as usize);
    call.guest.write(GuestAddr(symbol.name), &end[..room])?;
    symbol.namelen = end.len() as u32;
    symbol.address = 0;
    reply(call, &symbol)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use xen_abi::platform::XENPF_GET_SYMBOL;

    use super::super::testing::{reply, run};
    use super::*;
    use crate::fake_hv::Fake;

    #[test]
    fn the_first_symbol_is_the_end_of_the_list() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        fake.put(&dom0, 0x3000, &[7u8; 2]);
        let asked = Symdata {
            name: 0x3000,
            namelen: 128,
            ..Symdata::default()
        };
        assert_eq!(run(&fake, &dom0, XENPF_GET_SYMBOL, &asked), Ok(Outcome::OK));
        assert_eq!(reply::<Symdata>(&fake, &dom0).namelen, 1);
        assert_eq!(fake.get::<[u8; 2]>(&dom0, 0x3000), [0, 7]);
        let wild = Symdata {
            name: u64::MAX,
            ..asked
        };
        assert_eq!(
            run(&fake, &dom0, XENPF_GET_SYMBOL, &wild),
            Err(Errno::EFAULT)
        );
        let beyond = Symdata { symnum: 1, ..asked };
        assert_eq!(
            run(&fake, &dom0, XENPF_GET_SYMBOL, &beyond),
            Err(Errno::ERANGE)
        );
    }
}
