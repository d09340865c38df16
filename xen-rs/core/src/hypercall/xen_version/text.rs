//! `XENVER_extraversion`, `XENVER_compile_info`, `XENVER_capabilities`, `XENVER_changeset` and `XENVER_commandline`: text in fields of
//! fixed size.

use xen_abi::errno::Errno;
use xen_abi::version::{
    CompileInfo, XEN_CAPABILITIES_INFO_LEN, XEN_CHANGESET_INFO_LEN, XEN_COMMANDLINE_LEN,
    XEN_EXTRAVERSION_LEN,
};

use super::facts::{self, field};
use crate::hypercall::{Call, Outcome};

/// What follows the minor version.
///
/// # Errors
/// `EFAULT`.
pub fn extraversion(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    call.store(
        call.pointer(1),
        &field::<XEN_EXTRAVERSION_LEN>(facts::EXTRAVERSION),
    )?;
    Ok(Outcome::OK)
}

/// How the hypervisor was built.
///
/// # Errors
/// `EFAULT`.
pub fn compile_info(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let build = call.hv.host.build;
    let info = CompileInfo {
        compiler: field(build.compiler),
        compile_by: field(build.by),
        compile_domain: field(build.domain),
        compile_date: field(build.date),
    };
    call.store(call.pointer(1), &info)?;
    Ok(Outcome::OK)
}

/// Kinds of guests.
///
/// # Errors
/// `EFAULT`.
pub fn capabilities(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    call.store(
        call.pointer(1),
        &field::<XEN_CAPABILITIES_INFO_LEN>(facts::CAPABILITIES),
    )?;
    Ok(Outcome::OK)
}

/// Source revision.
///
/// # Errors
/// `EFAULT`.
pub fn changeset(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    call.store(
        call.pointer(1),
        &field::<XEN_CHANGESET_INFO_LEN>(call.hv.host.build.changeset),
    )?;
    Ok(Outcome::OK)
}

/// The hypervisor's command line, for privileged domains.
///
/// # Errors
/// `EFAULT`.
pub fn command_line(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    if call.domain.privileged {
        let text = field::<XEN_COMMANDLINE_LEN>(&call.hv.host.command_line);
        call.store(at, &text)?;
    } else {
        // No more than the text itself, as Xen does.
        call.store(at, &field::<{ facts::DENIED.len() + 1 }>(facts::DENIED))?;
    }
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::fake_hv::Fake;
    use alloc::string::String;
    use alloc::sync::Arc;
    use xen_abi::version as abi;
    use xen_abi::xen::HYPERVISOR_XEN_VERSION;

    fn ask<const N: usize>(fake: &Fake, domain: &Arc<Domain>, op: u32) -> String {
        fake.put(domain, 0, &[0xffu8; 2048]);
        fake.call(domain, HYPERVISOR_XEN_VERSION, &[op.into(), 0])
            .unwrap();
        assert_eq!(fake.get::<u8>(domain, N as u64), 0xff);
        let bytes: [u8; N] = fake.get(domain, 0);
        let len = bytes.iter().position(|byte| *byte == 0).unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    }

    #[test]
    fn texts_fill_their_fields_and_no_more() {
        let fake = Fake::with_options("loglvl=all");
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        assert_eq!(ask::<16>(&fake, &guest, abi::XENVER_EXTRAVERSION), ".0-rs");
        assert_eq!(
            ask::<1024>(&fake, &guest, abi::XENVER_CAPABILITIES),
            facts::CAPABILITIES
        );
        assert_eq!(
            ask::<64>(&fake, &guest, abi::XENVER_CHANGESET),
            fake.hv.host.build.changeset
        );
        assert_eq!(
            ask::<144>(&fake, &guest, abi::XENVER_COMPILE_INFO),
            fake.hv.host.build.compiler
        );
        assert_eq!(
            ask::<1024>(&fake, &dom0, abi::XENVER_COMMANDLINE),
            "loglvl=all"
        );
        assert_eq!(ask::<9>(&fake, &guest, abi::XENVER_COMMANDLINE), "<denied>");
    }
}
