//! `XENMEM_memory_map`: the caller's memory map, as the toolstack set it.

use alloc::vec::Vec;

use xen_abi::errno::Errno;
use xen_abi::hvm::e820::E820Entry;
use xen_abi::memory::MemoryMap;
use zerocopy::IntoBytes;

use super::fresh;
use super::layout::Argument;
use crate::hypercall::{Call, Outcome};
use crate::ids::GuestAddr;

/// Clips the map to the caller's buffer. `ENOSYS` if there is none.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    fresh(call, Errno::ENOSYS)?;
    let at = call.pointer(1);
    let request = MemoryMap::fetch(call)?;
    let entries = copy_of_map(call, request.nr_entries as usize)?;
    call.guest
        .write(GuestAddr(request.buffer), entries.as_bytes())?;
    // The count leads the structure in both widths.
    call.store(at, &(entries.len() as u32))?;
    Ok(Outcome::OK)
}

/// A copy, because no lock is held while guest memory is written.
fn copy_of_map(call: &Call<'_>, limit: usize) -> Result<Vec<E820Entry>, Errno> {
    let map = call.domain.memory_map.lock();
    if map.is_empty() {
        return Err(Errno::ENOSYS);
    }
    let part = &map[..map.len().min(limit)];
    let mut copy = Vec::new();
    copy.try_reserve_exact(part.len())
        .map_err(|_| Errno::ENOMEM)?;
    copy.extend_from_slice(part);
    Ok(copy)
}
