//! Resources of the host that a domain may use itself: I/O ports, interrupts, I/O memory.

use xen_abi::domctl::*;
use xen_abi::errno::Errno;
use xen_abi::physdev::{MAP_PIRQ_TYPE_GSI, PHYSDEVOP_MAP_PIRQ, PhysdevMapPirq};
use xen_abi::xen::HYPERVISOR_PHYSDEV_OP;

use super::Xen;
use crate::sys::Arg;
use crate::{DomId, Error, Result, call};

pub(super) fn permit_ports(xen: &Xen, domain: DomId, first: u32, count: u32) -> Result<()> {
    let payload = DomctlIoportPermission {
        first_port: first,
        nr_ports: count,
        allow_access: 1,
        ..DomctlIoportPermission::default()
    };
    xen.set(
        call::IOPORT_PERMISSION,
        XEN_DOMCTL_IOPORT_PERMISSION,
        domain,
        payload,
    )
}

pub(super) fn map_irq(xen: &Xen, domain: DomId, irq: i32) -> Result<i32> {
    let call = call::MAP_PIRQ;
    let request = PhysdevMapPirq {
        domid: domain.0,
        kind: MAP_PIRQ_TYPE_GSI,
        index: irq,
        pirq: irq,
        ..PhysdevMapPirq::default()
    };
    let buffer = xen.list(call, &[request])?;
    let args = [Arg::Value(PHYSDEVOP_MAP_PIRQ.into()), Arg::Buffer(&buffer)];
    xen.hypercall(call, HYPERVISOR_PHYSDEV_OP, &args)?;
    Ok(buffer.get::<PhysdevMapPirq>(0).pirq)
}

pub(super) fn permit_irq(xen: &Xen, domain: DomId, pirq: i32) -> Result<()> {
    let payload = DomctlIrqPermission {
        pirq: pirq.cast_unsigned(),
        allow_access: 1,
        ..DomctlIrqPermission::default()
    };
    xen.set(
        call::IRQ_PERMISSION,
        XEN_DOMCTL_IRQ_PERMISSION,
        domain,
        payload,
    )
}

pub(super) fn permit_memory(xen: &Xen, domain: DomId, first: u64, count: u64) -> Result<()> {
    let payload = DomctlIomemPermission {
        first_mfn: first,
        nr_mfns: count,
        allow_access: 1,
        ..DomctlIomemPermission::default()
    };
    xen.set(
        call::IOMEM_PERMISSION,
        XEN_DOMCTL_IOMEM_PERMISSION,
        domain,
        payload,
    )
}

pub(super) fn map_memory(xen: &Xen, domain: DomId, gfn: u64, mfn: u64, count: u64) -> Result<()> {
    in_pieces(count, |done, piece| {
        let mut payload = DomctlMemoryMapping {
            first_gfn: gfn.wrapping_add(done),
            first_mfn: mfn.wrapping_add(done),
            nr_mfns: piece,
            add_mapping: DPCI_ADD_MAPPING,
            ..DomctlMemoryMapping::default()
        };
        let cmd = XEN_DOMCTL_MEMORY_MAPPING;
        let mapped = xen.counting_domctl(call::MEMORY_MAPPING, cmd, domain, &mut payload)?;
        Ok(u64::try_from(mapped.0).unwrap_or(0))
    })
}

/// Asks for pieces of `count`, as large as the hypervisor takes them: it may say `E2BIG`, or how much of a piece it did (0: all).
fn in_pieces(count: u64, mut ask: impl FnMut(u64, u64) -> Result<u64>) -> Result<()> {
    let (mut done, mut largest) = (0, count);
    while done < count {
        let piece = largest.min(count - done);
        match ask(done, piece) {
            Err(Error { errno, .. }) if errno == Errno::E2BIG && largest > 1 => largest /= 2,
            Err(error) => return Err(error),
            Ok(0) => done += piece,
            Ok(part) => done += part.min(piece),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_as_large_as_the_hypervisor_takes_them() {
        let mut asked = Vec::new();
        let answer = |done, piece| {
            asked.push((done, piece));
            match piece {
                65.. => Err(Error::new(call::MEMORY_MAPPING, Errno::E2BIG)),
                40.. => Ok(32),
                _ => Ok(0),
            }
        };
        in_pieces(100, answer).unwrap();
        assert_eq!(asked, [(0, 100), (0, 50), (32, 50), (64, 36)]);
    }

    #[test]
    fn a_refused_piece_ends_it() {
        let refused = |errno| in_pieces(4, |_, _| Err(Error::new(call::MEMORY_MAPPING, errno)));
        assert_eq!(refused(Errno::EPERM).unwrap_err().errno, Errno::EPERM);
        assert_eq!(refused(Errno::E2BIG).unwrap_err().errno, Errno::E2BIG);
    }
}
