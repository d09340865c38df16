//! `PHYSDEVOP_pci_device_add`: dom0 found a PCI function.

use xen_abi::errno::Errno;
use xen_abi::physdev::{
    PhysdevPciDevice, PhysdevPciDeviceAdd, XEN_PCI_DEV_EXTFN, XEN_PCI_DEV_VIRTFN,
};

use super::{Name, exists};
use crate::hal::PciNews;
use crate::hypercall::{Call, Outcome};

/// The optional proximity domain that may follow the structure is not looked at: all memory is one node.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let add: PhysdevPciDeviceAdd = call.fetch(call.pointer(1))?;
    let device = PhysdevPciDevice {
        seg: add.seg,
        bus: add.bus,
        devfn: add.devfn,
    };
    let kind = if add.flags & XEN_PCI_DEV_VIRTFN != 0 {
        let physical = PhysdevPciDevice {
            seg: add.seg,
            bus: add.physfn_bus,
            devfn: add.physfn_devfn,
        };
        if !exists(call, &physical) {
            return Err(Errno::ENODEV);
        }
        "virtual function"
    } else if add.flags & XEN_PCI_DEV_EXTFN != 0 {
        "extended function"
    } else {
        "device"
    };
    if !exists(call, &device) {
        call.domain
            .arch
            .pci_news(call.domain, PciNews::Appeared, device)?;
    }
    crate::debug!("PCI add {kind} {}", Name(device));
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use xen_abi::physdev::PHYSDEVOP_PCI_DEVICE_ADD as OP;

    use super::super::testing::{news, run};
    use super::*;
    use crate::fake_hv::Fake;

    fn add(devfn: u8, flags: u32, physfn_devfn: u8) -> PhysdevPciDeviceAdd {
        PhysdevPciDeviceAdd {
            devfn,
            flags,
            physfn_devfn,
            ..PhysdevPciDeviceAdd::default()
        }
    }

    #[test]
    fn the_model_hears_of_functions_it_does_not_know() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        assert_eq!(run(&fake, &dom0, OP, &add(8, 0, 0)), Ok(Outcome::OK));
        assert_eq!(news(&dom0), []);
        assert_eq!(run(&fake, &dom0, OP, &add(16, 0, 0)), Ok(Outcome::OK));
        assert_eq!(news(&dom0), [(PciNews::Appeared, 16)]);
    }

    #[test]
    fn virtual_function_needs_its_physical_one() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        assert_eq!(
            run(&fake, &dom0, OP, &add(17, XEN_PCI_DEV_VIRTFN, 0x77)),
            Err(Errno::ENODEV)
        );
        assert_eq!(
            run(&fake, &dom0, OP, &add(17, XEN_PCI_DEV_VIRTFN, 8)),
            Ok(Outcome::OK)
        );
        assert_eq!(news(&dom0), [(PciNews::Appeared, 17)]);
    }
}
