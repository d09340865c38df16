//! `XENMEM_reserved_device_memory_map`: memory that a device needs mapped one to one. Without an IOMMU there is none.

use core::mem::offset_of;

use xen_abi::errno::Errno;
use xen_abi::memory::{ReservedDeviceMemoryMap, XENMEM_RDM_ALL};

use super::fresh;
use crate::hypercall::{Call, Outcome};
use crate::ids::GuestAddr;

/// Flags and the number of entries lead the structure in both widths.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    fresh(call, Errno::EINVAL)?;
    let at = call.pointer(1);
    let [flags, _]: [u32; 2] = call.fetch(at)?;
    if flags & !XENMEM_RDM_ALL != 0 {
        return Err(Errno::EINVAL);
    }
    let count_at =
        at.0.wrapping_add(offset_of!(ReservedDeviceMemoryMap, nr_entries) as u64);
    call.store(GuestAddr(count_at), &0u32)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use xen_abi::memory::XENMEM_RESERVED_DEVICE_MEMORY_MAP as OP;

    use super::super::testing::{ARGUMENT, Bench};
    use super::*;

    #[test]
    fn map_is_empty() {
        let bench = Bench::new();
        let request = ReservedDeviceMemoryMap {
            flags: XENMEM_RDM_ALL,
            nr_entries: 9,
            ..ReservedDeviceMemoryMap::default()
        };
        assert_eq!(bench.run(&bench.dom0, OP, &request), Ok(0));
        assert_eq!(
            bench
                .fake
                .get::<ReservedDeviceMemoryMap>(&bench.dom0, ARGUMENT)
                .nr_entries,
            0
        );
        let odd = ReservedDeviceMemoryMap {
            flags: 2,
            ..request
        };
        assert_eq!(bench.run(&bench.dom0, OP, &odd), Err(Errno::EINVAL));
    }
}
