//! `PHYSDEVOP_pci_device_remove`: a PCI function is gone.

use xen_abi::errno::Errno;
use xen_abi::physdev::PhysdevPciDevice;

use super::{Name, exists};
use crate::hal::PciNews;
use crate::hypercall::{Call, Outcome};

/// `ENODEV` for one that was never there.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let device: PhysdevPciDevice = call.fetch(call.pointer(1))?;
    if !exists(call, &device) {
        return Err(Errno::ENODEV);
    }
    call.domain
        .arch
        .pci_news(call.domain, PciNews::Vanished, device)?;
    crate::debug!("PCI remove device {}", Name(device));
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use xen_abi::physdev::PHYSDEVOP_PCI_DEVICE_REMOVE;

    use super::super::testing::{news, run};
    use super::*;
    use crate::fake_hv::Fake;

    #[test]
    fn the_model_hears_of_a_function_that_is_gone() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let device = PhysdevPciDevice {
            seg: 0,
            bus: 0,
            devfn: 8,
        };
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_PCI_DEVICE_REMOVE, &device),
            Ok(Outcome::OK)
        );
        assert_eq!(news(&dom0), [(PciNews::Vanished, 8)]);
    }

    #[test]
    fn unknown_function_is_enodev() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let device = PhysdevPciDevice {
            seg: 3,
            bus: 1,
            devfn: 9,
        };
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_PCI_DEVICE_REMOVE, &device),
            Err(Errno::ENODEV)
        );
    }
}
