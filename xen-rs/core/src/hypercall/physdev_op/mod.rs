//! `HYPERVISOR_physdev_op` (xen/include/public/physdev.h): interrupts and PCI devices, for PVH guests.
//!
//! What exists follows Xen's filter for translated guests (`hvm_physdev_op` in xen/arch/x86/hvm/hypercall.c): everything about emulated
//! interrupts delivered as event channels is absent, because no domain has them, and everything about the machine's devices exists for the
//! domain that owns them only.

mod dbgp_op;
mod map_pirq;
mod pci_device_add;
mod pci_device_remove;
mod pci_device_reset;
mod pci_mmcfg_reserved;
mod setup_gsi;
mod unmap_pirq;

use xen_abi::physdev::{
    PHYSDEVOP_DBGP_OP, PHYSDEVOP_MAP_PIRQ, PHYSDEVOP_PCI_DEVICE_ADD, PHYSDEVOP_PCI_DEVICE_REMOVE,
    PHYSDEVOP_PCI_DEVICE_RESET, PHYSDEVOP_PCI_MMCFG_RESERVED, PHYSDEVOP_SETUP_GSI,
    PHYSDEVOP_UNMAP_PIRQ, PhysdevPciDevice,
};

use super::{Call, Handler, Needs, Row};

/// The whole first argument selects the row.
pub const MASK: u32 = u32::MAX;

const fn row(op: u32, name: &'static str, needs: Needs, run: Handler) -> Row {
    Row {
        op,
        name,
        needs,
        run,
    }
}

/// The operations that exist.
pub static ROWS: &[Row] = &[
    row(
        PHYSDEVOP_MAP_PIRQ,
        "PHYSDEVOP_map_pirq",
        Needs::Nothing,
        map_pirq::run,
    ),
    row(
        PHYSDEVOP_UNMAP_PIRQ,
        "PHYSDEVOP_unmap_pirq",
        Needs::Nothing,
        unmap_pirq::run,
    ),
    row(
        PHYSDEVOP_SETUP_GSI,
        "PHYSDEVOP_setup_gsi",
        Needs::HardwareOrAbsent,
        setup_gsi::run,
    ),
    row(
        PHYSDEVOP_PCI_MMCFG_RESERVED,
        "PHYSDEVOP_pci_mmcfg_reserved",
        Needs::HardwareOrAbsent,
        pci_mmcfg_reserved::run,
    ),
    row(
        PHYSDEVOP_PCI_DEVICE_ADD,
        "PHYSDEVOP_pci_device_add",
        Needs::HardwareOrAbsent,
        pci_device_add::run,
    ),
    row(
        PHYSDEVOP_PCI_DEVICE_REMOVE,
        "PHYSDEVOP_pci_device_remove",
        Needs::HardwareOrAbsent,
        pci_device_remove::run,
    ),
    row(
        PHYSDEVOP_DBGP_OP,
        "PHYSDEVOP_dbgp_op",
        Needs::HardwareOrAbsent,
        dbgp_op::run,
    ),
    row(
        PHYSDEVOP_PCI_DEVICE_RESET,
        "PHYSDEVOP_pci_device_reset",
        Needs::HardwareOrAbsent,
        pci_device_reset::run,
    ),
];

/// Whether the caller's PCI model knows the function.
fn exists(call: &Call<'_>, device: &PhysdevPciDevice) -> bool {
    call.domain
        .arch
        .pci_device_exists(device.seg, device.bus, device.devfn)
}

/// A PCI function as log lines name it.
struct Name(PhysdevPciDevice);

impl core::fmt::Display for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let PhysdevPciDevice { seg, bus, devfn } = self.0;
        write!(f, "{seg:04x}:{bus:02x}:{:02x}.{}", devfn >> 3, devfn & 7)
    }
}

#[cfg(test)]
mod testing {
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    use xen_abi::errno::Errno;
    use zerocopy::{Immutable, IntoBytes};

    use crate::domain::Domain;
    use crate::fake_hv::{Fake, FakeDomainArch};
    use crate::hal::PciNews;
    use crate::hypercall::Outcome;

    /// `__HYPERVISOR_physdev_op`.
    pub const PHYSDEV_OP: u32 = 33;

    /// What the domain's PCI model was told.
    pub fn news(domain: &Domain) -> Vec<(PciNews, u8)> {
        let arch = domain.arch.as_any().downcast_ref::<FakeDomainArch>();
        arch.expect("every domain of a fake machine is fake")
            .pci_news()
    }

    /// An operation with an argument at guest address 0x1000.
    pub fn run<T: IntoBytes + Immutable>(
        fake: &Fake,
        caller: &Arc<Domain>,
        op: u32,
        argument: &T,
    ) -> Result<Outcome, Errno> {
        fake.put(caller, 0x1000, argument);
        fake.call(caller, PHYSDEV_OP, &[op.into(), 0x1000])
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use xen_abi::errno::Errno;
    use xen_abi::physdev::{
        PHYSDEVOP_EOI, PHYSDEVOP_GET_FREE_PIRQ, PHYSDEVOP_MANAGE_PCI_ADD, PHYSDEVOP_PREPARE_MSIX,
    };

    use super::testing::{PHYSDEV_OP, run};
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hypercall::Width;

    #[test]
    fn device_names_are_in_hexadecimal() {
        assert_eq!(
            Name(PhysdevPciDevice {
                seg: 0,
                bus: 0xa,
                devfn: 0xff
            })
            .to_string(),
            "0000:0a:1f.7"
        );
    }

    #[test]
    fn operations_of_the_machine_do_not_exist_for_a_guest_and_others_for_nobody() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        for row in ROWS
            .iter()
            .filter(|row| row.needs == Needs::HardwareOrAbsent)
        {
            assert_eq!(
                run(&fake, &guest, row.op, &[0u64; 5]),
                Err(Errno::ENOSYS),
                "{}",
                row.name
            );
        }
        for op in [
            PHYSDEVOP_EOI,
            PHYSDEVOP_GET_FREE_PIRQ,
            PHYSDEVOP_MANAGE_PCI_ADD,
            PHYSDEVOP_PREPARE_MSIX,
            0xffff_ffff,
        ] {
            assert_eq!(run(&fake, &dom0, op, &[0u64; 5]), Err(Errno::ENOSYS));
        }
    }

    #[test]
    fn pointer_outside_guest_memory_is_efault() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        for row in ROWS.iter().filter(|row| row.op != PHYSDEVOP_DBGP_OP) {
            for at in [1 << 40, u64::MAX, u64::MAX - 3] {
                assert_eq!(
                    fake.call(&dom0, PHYSDEV_OP, &[row.op.into(), at]),
                    Err(Errno::EFAULT),
                    "{}",
                    row.name
                );
            }
        }
    }

    #[test]
    fn no_argument_whatsoever_harms_the_hypervisor() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        for row in ROWS {
            for word in [
                0,
                1,
                0x7ff0,
                1 << 31,
                u64::from(u32::MAX),
                1 << 63,
                u64::MAX,
            ] {
                fake.put(&dom0, 0x1000, &[word; 5]);
                for width in [Width::Bits32, Width::Bits64] {
                    let _ = fake.call_by(&dom0, 0, width, PHYSDEV_OP, &[row.op.into(), 0x1000]);
                }
            }
        }
    }
}
