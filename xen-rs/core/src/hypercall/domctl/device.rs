//! Devices for other domains: `XEN_DOMCTL_assign_device` and its relatives, `memory_mapping`, `ioport_mapping`.

use xen_abi::domctl::*;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use super::permission::{MAX_PORTS, change_ports};
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::p2m::GFN_LIMIT;

/// Assigning, testing and taking back a device, and its group: needs an I/O MMU.
///
/// # Errors
/// `EOPNOTSUPP`, as Xen says without one.
pub fn without_iommu(_call: &mut Call<'_>, _frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// Maps I/O memory into a domain, for which it needs a right that is never given (see `iomem_permission`). Unmapping finds nothing to do.
///
/// # Errors
/// `EINVAL` for a range that is empty, wraps or lies beyond physical memory, `EPERM` for mapping.
pub fn memory_mapping(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlMemoryMapping = frame.payload.get();
    let last = |first: u64| {
        asked
            .nr_mfns
            .checked_sub(1)
            .and_then(|more| first.checked_add(more))
            .ok_or(Errno::EINVAL)
    };
    if last(asked.first_mfn)? >= GFN_LIMIT {
        return Err(Errno::EINVAL);
    }
    last(asked.first_gfn)?;
    if asked.add_mapping == DPCI_REMOVE_MAPPING {
        Ok(Copyback::Nothing)
    } else {
        Err(Errno::EPERM)
    }
}

/// Lets a domain use machine ports under the same numbers.
///
/// # Errors
/// `EINVAL` for ports that do not exist, `EOPNOTSUPP` for other numbers, else those of [`change_ports`].
pub fn ioport_mapping(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlIoportMapping = frame.payload.get();
    let beyond = |first: u32| {
        first
            .checked_add(asked.nr_ports)
            .is_none_or(|end| end > MAX_PORTS)
    };
    if asked.nr_ports == 0 || beyond(asked.first_gport) || beyond(asked.first_mport) {
        return Err(Errno::EINVAL);
    }
    if asked.first_gport != asked.first_mport {
        return Err(Errno::EOPNOTSUPP);
    }
    let allow = asked.add_mapping != DPCI_REMOVE_MAPPING;
    change_ports(call, frame, asked.first_mport, asked.nr_ports, allow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;

    #[test]
    fn registers_cannot_be_mapped_and_ranges_are_checked() {
        let (fake, dom0, _) = machine();
        let map = |first_gfn, first_mfn, nr_mfns, add_mapping| {
            let op = DomctlMemoryMapping {
                first_gfn,
                first_mfn,
                nr_mfns,
                add_mapping,
                padding: 0,
            };
            try_on(&fake, &dom0, XEN_DOMCTL_MEMORY_MAPPING, 1, &op)
                .0
                .err()
        };
        assert_eq!(
            [map(0xa0, 0xa0, 32, 1), map(0xa0, 0xa0, 32, 0)],
            [Some(Errno::EPERM), None]
        );
        let wrong = [
            map(0, 0, 0, 0),
            map(u64::MAX, 0, 2, 0),
            map(0, u64::MAX, 2, 0),
            map(0, 1 << 36, 1, 0),
            map(0, 0, u64::MAX, 1),
        ];
        assert_eq!(wrong, [Some(Errno::EINVAL); 5]);
    }

    #[test]
    fn ports_keep_their_numbers() {
        let (fake, dom0, _) = machine();
        let map = |first_gport, first_mport, nr_ports| {
            let op = DomctlIoportMapping {
                first_gport,
                first_mport,
                nr_ports,
                add_mapping: 1,
            };
            try_on(&fake, &dom0, XEN_DOMCTL_IOPORT_MAPPING, 1, &op)
                .0
                .err()
        };
        assert_eq!(
            [map(0x3f8, 0x3f8, 8), map(0x2f8, 0x3f8, 8)],
            [None, Some(Errno::EOPNOTSUPP)]
        );
        assert_eq!(
            [map(0, 0, 0), map(0xffff, 0, 2), map(0, u32::MAX, u32::MAX)],
            [Some(Errno::EINVAL); 3]
        );
    }
}
