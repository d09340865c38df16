//! `PHYSDEVOP_pci_mmcfg_reserved`: dom0 says whether firmware reserves a configuration window.

use xen_abi::errno::Errno;
use xen_abi::physdev::PhysdevPciMmcfgReserved;

use crate::hypercall::{Call, Outcome};

/// The hypervisor uses the windows of the MCFG table whatever dom0 thinks of them, so this is no news.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let _window: PhysdevPciMmcfgReserved = call.fetch(call.pointer(1))?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use xen_abi::physdev::PHYSDEVOP_PCI_MMCFG_RESERVED;

    use super::super::testing::run;
    use super::*;
    use crate::fake_hv::Fake;

    #[test]
    fn any_window_is_fine() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let window = PhysdevPciMmcfgReserved {
            address: 0xe000_0000,
            end_bus: 255,
            flags: 1,
            ..Default::default()
        };
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_PCI_MMCFG_RESERVED, &window),
            Ok(Outcome::OK)
        );
    }
}
