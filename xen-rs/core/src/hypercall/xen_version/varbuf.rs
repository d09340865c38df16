//! `XENVER_*2` and `XENVER_build_id`: bytes of any number, in a buffer that says how long it is.

use alloc::borrow::ToOwned;

use xen_abi::errno::Errno;
use xen_abi::version::Varbuf;

use super::facts;
use crate::hypercall::{Call, Outcome};
use crate::ids::GuestAddr;

/// Longest text that is handed out (Xen's limit).
const LONGEST: usize = 64 << 10;

/// Kinds of guests.
///
/// # Errors
/// `EFAULT`, `ENOBUFS` if the buffer is too small.
pub fn capabilities(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    answer(call, facts::CAPABILITIES.as_bytes())
}

/// What follows the minor version.
///
/// # Errors
/// Those of [`capabilities`].
pub fn extraversion(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    answer(call, facts::EXTRAVERSION.as_bytes())
}

/// Source revision.
///
/// # Errors
/// Those of [`capabilities`].
pub fn changeset(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    answer(call, call.hv.host.build.changeset.as_bytes())
}

/// The hypervisor's command line.
///
/// # Errors
/// Those of [`capabilities`], and `E2BIG` for one of more than 64 KiB.
pub fn command_line(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let text = call.hv.host.command_line.to_owned();
    answer(call, text.as_bytes())
}

/// The image's build id, which the linker made.
///
/// # Errors
/// Those of [`capabilities`], and `ENODATA` for an image without one.
pub fn build_id(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    match call.hv.host.build.id {
        [] => Err(Errno::ENODATA),
        id => answer(call, id),
    }
}

/// The length is the result; a null buffer asks for nothing else.
fn answer(call: &mut Call<'_>, text: &[u8]) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    if text.len() > LONGEST {
        return Err(Errno::E2BIG);
    }
    if at.0 != 0 {
        let header: Varbuf = call.fetch(at)?;
        if text.len() > header.len as usize {
            return Err(Errno::ENOBUFS);
        }
        let start =
            at.0.checked_add(size_of::<Varbuf>() as u64)
                .ok_or(Errno::EFAULT)?;
        call.guest.write(GuestAddr(start), text)?;
    }
    Ok(Outcome::Done(text.len() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::version as abi;
    use xen_abi::xen::HYPERVISOR_XEN_VERSION;

    #[test]
    fn length_is_told_before_the_text() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let ask = |op: u32, at| fake.call(&guest, HYPERVISOR_XEN_VERSION, &[op.into(), at]);
        assert_eq!(ask(abi::XENVER_EXTRAVERSION2, 0), Ok(Outcome::Done(5)));
        fake.put(&guest, 16, &[4u32, u32::MAX, u32::MAX]);
        assert_eq!(ask(abi::XENVER_EXTRAVERSION2, 16), Err(Errno::ENOBUFS));
        fake.put(&guest, 16, &5u32);
        assert_eq!(ask(abi::XENVER_EXTRAVERSION2, 16), Ok(Outcome::Done(5)));
        assert_eq!(&fake.get::<[u8; 6]>(&guest, 20), b".0-rs\xff");
        assert_eq!(ask(abi::XENVER_CHANGESET2, 1 << 50), Err(Errno::EFAULT));
        let capabilities = facts::CAPABILITIES.len() as i64;
        assert_eq!(
            ask(abi::XENVER_CAPABILITIES2, 0),
            Ok(Outcome::Done(capabilities))
        );
    }

    #[test]
    fn command_line_and_build_id_are_for_the_privileged() {
        let fake = Fake::with_options("dom0=pvh");
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        let ask = |domain, op: u32| fake.call(domain, HYPERVISOR_XEN_VERSION, &[op.into(), 0]);
        assert_eq!(ask(&dom0, abi::XENVER_COMMANDLINE2), Ok(Outcome::Done(8)));
        assert_eq!(ask(&dom0, abi::XENVER_BUILD_ID), Ok(Outcome::Done(3)));
        assert_eq!(ask(&guest, abi::XENVER_COMMANDLINE2), Err(Errno::EPERM));
        assert_eq!(ask(&guest, abi::XENVER_BUILD_ID), Err(Errno::EPERM));
    }
}
