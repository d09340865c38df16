//! What firmware told at boot, and calls into it.
//!
//! The hypervisor calls no BIOS and keeps no EFI runtime services, so it has nothing to tell: `ESRCH` for what only a BIOS has, `ENOSYS` for
//! EFI, as Xen answers on a machine without them.

use xen_abi::errno::Errno;
use xen_abi::platform::{
    FirmwareInfo, XEN_FW_DISK_INFO, XEN_FW_DISK_MBR_SIGNATURE, XEN_FW_EFI_INFO,
    XEN_FW_KBD_SHIFT_FLAGS, XEN_FW_VBEDDC_INFO,
};

use super::Payload;
use crate::hypercall::{Call, Outcome};

/// `XENPF_firmware_info`.
pub fn info(_call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let asked: FirmwareInfo = payload.get();
    Err(match asked.kind {
        XEN_FW_DISK_INFO
        | XEN_FW_DISK_MBR_SIGNATURE
        | XEN_FW_VBEDDC_INFO
        | XEN_FW_KBD_SHIFT_FLAGS => Errno::ESRCH,
        XEN_FW_EFI_INFO => Errno::ENOSYS,
        _ => Errno::EINVAL,
    })
}

/// `XENPF_efi_runtime_call`.
pub fn efi_runtime_call(_call: &mut Call<'_>, _payload: &Payload) -> Result<Outcome, Errno> {
    Err(Errno::ENOSYS)
}

#[cfg(test)]
mod tests {
    use xen_abi::platform::{XENPF_EFI_RUNTIME_CALL, XENPF_FIRMWARE_INFO};

    use super::super::testing::run;
    use super::*;
    use crate::fake_hv::Fake;

    #[test]
    fn firmware_has_nothing_to_tell() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        for (kind, errno) in [
            (XEN_FW_DISK_INFO, Errno::ESRCH),
            (XEN_FW_DISK_MBR_SIGNATURE, Errno::ESRCH),
            (XEN_FW_EFI_INFO, Errno::ENOSYS),
            (99, Errno::EINVAL),
        ] {
            let asked = FirmwareInfo {
                kind,
                ..FirmwareInfo::default()
            };
            assert_eq!(run(&fake, &dom0, XENPF_FIRMWARE_INFO, &asked), Err(errno));
        }
        assert_eq!(
            run(&fake, &dom0, XENPF_EFI_RUNTIME_CALL, &0u64),
            Err(Errno::ENOSYS)
        );
    }
}
