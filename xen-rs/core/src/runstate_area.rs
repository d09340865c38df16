//! The layout of `vcpu_runstate_info` in guest memory, 64- and 32-bit, and its update protocol (xen/include/public/vcpu.h).

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::vcpu::XEN_RUNSTATE_UPDATE;

use crate::domain::Domain;
use crate::hypervisor::{Effort, Hypervisor};
use crate::sched::RunstateSnapshot;
use crate::vcpu::GuestArea;

/// Bytes of the area for a 64-bit guest.
pub const SIZE_64: usize = 48;
/// Bytes for a 32-bit guest, which aligns 64-bit values to four bytes.
pub const SIZE_32: usize = 44;

/// Writes a snapshot where there is a page for it. With `update` the entry time carries the update flag while the rest changes.
pub fn write(
    hv: &Hypervisor,
    domain: &Domain,
    area: &GuestArea,
    snapshot: &RunstateSnapshot,
    update: bool,
) {
    let entry_at = if domain.is_32bit.load(SeqCst) { 4 } else { 8 };
    let mut bytes = [0u8; SIZE_64];
    bytes[..4].copy_from_slice(&(snapshot.state as u32).to_le_bytes());
    for (index, time) in snapshot.time.iter().enumerate() {
        let at = entry_at + 8 + index * 8;
        bytes[at..at + 8].copy_from_slice(&time.to_le_bytes());
    }
    let entry = snapshot.state_entry_time;
    let put = |at, bytes: &[u8]| hv.write_area(domain, area, at, bytes, Effort::Nothing);
    let marked = if update {
        entry | XEN_RUNSTATE_UPDATE
    } else {
        entry
    };
    if update {
        put(entry_at, &marked.to_le_bytes());
    }
    bytes[entry_at..entry_at + 8].copy_from_slice(&marked.to_le_bytes());
    put(0, &bytes[..entry_at + 40]);
    if update {
        put(entry_at, &entry.to_le_bytes());
    }
}
