//! Resources of the host that a guest may use itself: `ioports=`, `irqs=` and `iomem=` (`domcreate_launch_dm` of Xen 4.20).
//!
//! A hypervisor that does not give one says so, and the domain is not made: a guest that relies on a device must not run without it.

use xen_abi::errno::Errno;
use xenctl::{DomId, Error, Hypervisor, call};

use super::error::{Result, Step};
use super::plan::Resources;

/// Gives a domain all of them.
///
/// # Errors
/// The hypervisor's, with what was asked for.
pub fn give(hypervisor: &dyn Hypervisor, domain: DomId, resources: &Resources) -> Result<()> {
    for &(first, count) in &resources.ports {
        let last = u64::from(first) + u64::from(count).saturating_sub(1);
        hypervisor
            .permit_ports(domain, first, count)
            .map_err(|error| error.about(format!("{first:x}-{last:x}")))
            .step("give the domain access to I/O ports (ioports=)")?;
    }
    for &irq in &resources.irqs {
        give_irq(hypervisor, domain, irq)
            .map_err(|error| error.about(format!("interrupt {irq}")))
            .step("give the domain access to an interrupt (irqs=)")?;
    }
    for memory in &resources.memory {
        let last = memory.first.saturating_add(memory.count.saturating_sub(1));
        hypervisor
            .permit_memory(domain, memory.first, memory.count)
            .and_then(|()| hypervisor.map_memory(domain, memory.gfn, memory.first, memory.count))
            .map_err(|error| error.about(format!("frames {:x}-{last:x}", memory.first)))
            .step("give the domain access to I/O memory (iomem=)")?;
    }
    Ok(())
}

fn give_irq(hypervisor: &dyn Hypervisor, domain: DomId, irq: u32) -> xenctl::Result<()> {
    let irq = i32::try_from(irq).map_err(|_| Error::new(call::MAP_PIRQ, Errno::EOVERFLOW))?;
    let pirq = hypervisor.map_irq(domain, irq)?;
    hypervisor.permit_irq(domain, pirq)
}

#[cfg(test)]
mod tests {
    use super::super::plan::IoMemory;
    use super::*;
    use xenctl::fake::FakeXen;

    fn domain(xen: &FakeXen) -> DomId {
        let how = xen_abi::domctl::DomctlCreatedomain {
            flags: xen_abi::domctl::XEN_DOMCTL_CDF_HVM | xen_abi::domctl::XEN_DOMCTL_CDF_HAP,
            max_vcpus: 1,
            ..Default::default()
        };
        xen.create_domain(DomId(0), &how).unwrap()
    }

    fn resources() -> Resources {
        Resources {
            ports: vec![(0x3f8, 8)],
            irqs: vec![4],
            memory: vec![IoMemory {
                first: 0xfed42,
                count: 2,
                gfn: 0x100,
            }],
        }
    }

    #[test]
    fn domain_gets_ports_interrupts_and_memory() {
        let xen = FakeXen::new();
        let domain = domain(&xen);
        give(&xen, domain, &resources()).unwrap();
        let built = xen.built(domain).unwrap();
        assert_eq!(built.ports, [(0x3f8, 8)]);
        assert_eq!(built.irqs, [4]);
        assert_eq!(built.io_memory, [(0xfed42, 2)]);
        assert_eq!(built.mapped, [(0x100, 0xfed42, 2)]);
    }

    #[test]
    fn what_the_hypervisor_does_not_give_is_named() {
        let refusals = [
            (
                call::IOPORT_PERMISSION,
                "cannot give the domain access to I/O ports (ioports=): domctl ioport_permission: 3f8-3ff: ENOSYS",
            ),
            (
                call::MAP_PIRQ,
                "cannot give the domain access to an interrupt (irqs=): physdev_op map_pirq: interrupt 4: ENOSYS",
            ),
            (
                call::IRQ_PERMISSION,
                "cannot give the domain access to an interrupt (irqs=): domctl irq_permission: interrupt 4: ENOSYS",
            ),
            (
                call::IOMEM_PERMISSION,
                "cannot give the domain access to I/O memory (iomem=): domctl iomem_permission: frames fed42-fed43: ENOSYS",
            ),
            (
                call::MEMORY_MAPPING,
                "cannot give the domain access to I/O memory (iomem=): domctl memory_mapping: frames fed42-fed43: ENOSYS",
            ),
        ];
        for (call, message) in refusals {
            let xen = FakeXen::new();
            let domain = domain(&xen);
            xen.fail_next(call, Errno::ENOSYS);
            let error = give(&xen, domain, &resources()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn number_that_no_interrupt_has_is_refused() {
        let xen = FakeXen::new();
        let domain = domain(&xen);
        let wrong = Resources {
            irqs: vec![u32::MAX],
            ..Resources::default()
        };
        assert!(give(&xen, domain, &wrong).is_err());
    }
}
