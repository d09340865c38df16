//! `PHYSDEVOP_pci_device_reset`: dom0 reset a PCI function, so that its model is out of date.

use xen_abi::errno::Errno;
use xen_abi::physdev::{PCI_DEVICE_RESET_MASK, PciDeviceReset};

use super::exists;
use crate::hal::PciNews;
use crate::hypercall::{Call, Outcome};

/// All kinds of reset leave the function in the same state.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let request: PciDeviceReset = call.fetch(call.pointer(1))?;
    if request.flags & !PCI_DEVICE_RESET_MASK != 0 {
        return Err(Errno::EINVAL);
    }
    if !exists(call, &request.dev) {
        return Err(Errno::ENODEV);
    }
    call.domain
        .arch
        .pci_news(call.domain, PciNews::Reset, request.dev)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use xen_abi::physdev::{PHYSDEVOP_PCI_DEVICE_RESET, PhysdevPciDevice};

    use super::super::testing::{news, run};
    use super::*;
    use crate::fake_hv::Fake;

    #[test]
    fn the_model_hears_of_resets_of_functions_that_exist() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let reset = |devfn, flags| PciDeviceReset {
            dev: PhysdevPciDevice {
                seg: 0,
                bus: 0,
                devfn,
            },
            flags,
        };
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_PCI_DEVICE_RESET, &reset(8, 4)),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_PCI_DEVICE_RESET, &reset(9, 3)),
            Err(Errno::ENODEV)
        );
        assert_eq!(news(&dom0), []);
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_PCI_DEVICE_RESET, &reset(8, 3)),
            Ok(Outcome::OK)
        );
        assert_eq!(news(&dom0), [(PciNews::Reset, 8)]);
    }
}
