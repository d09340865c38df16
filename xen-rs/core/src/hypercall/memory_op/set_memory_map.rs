//! `XENMEM_set_memory_map`: the map that [`super::memory_map`] will show a domain.

use alloc::vec::Vec;

use xen_abi::errno::Errno;
use xen_abi::hvm::e820::E820Entry;
use xen_abi::memory::ForeignMemoryMap;
use zerocopy::{FromBytes, FromZeros};

use super::fresh;
use super::layout::Argument;
use crate::hypercall::{Call, Outcome};
use crate::ids::GuestAddr;

/// Entries at most (`E820MAX`).
const MAX_ENTRIES: usize = 1024;

/// The hypervisor does not use the map, so its entries are not judged.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    fresh(call, Errno::ENOSYS)?;
    let request = ForeignMemoryMap::fetch(call)?;
    let count = request.map.nr_entries as usize;
    if count > MAX_ENTRIES {
        return Err(Errno::EINVAL);
    }
    let domain = call.target(request.domid)?;
    let len = count * size_of::<E820Entry>();
    let bytes = call.fetch_bytes(GuestAddr(request.map.buffer), len, len)?;
    let mut entries = Vec::new();
    entries
        .try_reserve_exact(count)
        .map_err(|_| Errno::ENOMEM)?;
    for chunk in bytes.chunks_exact(size_of::<E820Entry>()) {
        entries.push(E820Entry::read_from_bytes(chunk).unwrap_or_else(|_| E820Entry::new_zeroed()));
    }
    let before = core::mem::replace(&mut *domain.memory_map.lock(), entries);
    drop(before);
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use xen_abi::compat::memory::MemoryMap as NarrowMap;
    use xen_abi::hvm::e820::{E820_RAM, E820_RESERVED};
    use xen_abi::memory::{MemoryMap, XENMEM_MEMORY_MAP, XENMEM_SET_MEMORY_MAP};

    use super::super::testing::{ARGUMENT, Bench, LIST, SECOND_LIST};
    use super::*;
    use crate::domain::Domain;
    use crate::hypercall::Width;

    fn set(
        bench: &Bench,
        caller: &alloc::sync::Arc<Domain>,
        domid: u16,
        nr_entries: u32,
    ) -> Result<i64, Errno> {
        let entries = [
            E820Entry::new(0, 0xa_0000, E820_RAM),
            E820Entry::new(0xf_0000, 0x1_0000, E820_RESERVED),
        ];
        bench.fake.put(caller, LIST, &entries);
        let map = MemoryMap {
            nr_entries,
            buffer: LIST,
            ..MemoryMap::default()
        };
        bench.run(
            caller,
            XENMEM_SET_MEMORY_MAP,
            &ForeignMemoryMap {
                domid,
                map,
                ..ForeignMemoryMap::default()
            },
        )
    }

    #[test]
    fn domain_sees_the_map_that_was_set_clipped_to_its_buffer() {
        let bench = Bench::new();
        let ask = |nr_entries| MemoryMap {
            nr_entries,
            buffer: SECOND_LIST,
            ..MemoryMap::default()
        };
        assert_eq!(
            bench.run(&bench.guest, XENMEM_MEMORY_MAP, &ask(9)),
            Err(Errno::ENOSYS)
        );
        assert_eq!(set(&bench, &bench.dom0, bench.guest.id.0, 2), Ok(0));
        for (room, written) in [(9, 2), (u32::MAX, 2), (1, 1), (0, 0)] {
            assert_eq!(
                bench.run(&bench.guest, XENMEM_MEMORY_MAP, &ask(room)),
                Ok(0)
            );
            assert_eq!(
                bench
                    .fake
                    .get::<MemoryMap>(&bench.guest, ARGUMENT)
                    .nr_entries,
                written
            );
        }
        let second: E820Entry = bench.fake.get(&bench.guest, SECOND_LIST + 20);
        assert_eq!(second, E820Entry::new(0xf_0000, 0x1_0000, E820_RESERVED));
    }

    #[test]
    fn narrow_callers_have_a_short_structure() {
        let bench = Bench::new();
        assert_eq!(set(&bench, &bench.dom0, bench.guest.id.0, 2), Ok(0));
        let ask = NarrowMap {
            nr_entries: 9,
            buffer: SECOND_LIST as u32,
        };
        assert_eq!(
            bench.run_as(&bench.guest, Width::Bits32, XENMEM_MEMORY_MAP, &ask),
            Ok(0)
        );
        assert_eq!(
            bench
                .fake
                .get::<NarrowMap>(&bench.guest, ARGUMENT)
                .nr_entries,
            2
        );
        assert_eq!(
            bench.fake.get::<u64>(&bench.guest, SECOND_LIST + 8),
            0xa_0000
        );
    }

    #[test]
    fn map_too_long_not_readable_or_of_another_domain_is_refused() {
        let bench = Bench::new();
        assert_eq!(
            set(&bench, &bench.dom0, bench.guest.id.0, 1025),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            set(&bench, &bench.dom0, bench.guest.id.0, u32::MAX),
            Err(Errno::EINVAL)
        );
        assert_eq!(set(&bench, &bench.guest, 0, 1), Err(Errno::EPERM));
        let map = MemoryMap {
            nr_entries: 2,
            buffer: u64::MAX - 8,
            ..MemoryMap::default()
        };
        let wild = ForeignMemoryMap {
            domid: 0x7ff0,
            map,
            ..ForeignMemoryMap::default()
        };
        assert_eq!(
            bench.run(&bench.guest, XENMEM_SET_MEMORY_MAP, &wild),
            Err(Errno::EFAULT)
        );
        assert!(bench.guest.memory_map.lock().is_empty());
    }
}
