//! The capability lists of a function, walked with a bound: the pointers are whatever a device puts there.

use super::sbdf::Sbdf;
use super::seam::ConfigSpace;

/// Message-signalled interrupts.
pub(super) const ID_MSI: u8 = 0x05;
/// PCI Express.
pub(super) const ID_EXPRESS: u8 = 0x10;
/// Extended message-signalled interrupts.
pub(super) const ID_MSIX: u8 = 0x11;
/// Single-root I/O virtualisation, an extended capability.
pub(super) const EXT_ID_SRIOV: u16 = 0x10;
/// Resizable BAR, an extended capability.
pub(super) const EXT_ID_RESIZABLE_BAR: u16 = 0x15;

/// Capabilities are dwords from 0x40 to 0xff, so a list without a loop has at most this many.
const MAX_HOPS: usize = 48;
/// Extended capabilities have at least two dwords between 0x100 and 0xfff.
const MAX_EXTENDED_HOPS: usize = (4096 - 256) / 8;
const STATUS: u16 = 0x06;
const STATUS_CAPABILITIES: u32 = 1 << 4;

/// Offset and identifier of every capability, at most 48, starting at the pointer in `head` (0x34; 0x14 in CardBus bridges).
pub(super) fn list(sbdf: Sbdf, head: u16, hw: &dyn ConfigSpace) -> impl Iterator<Item = (u16, u8)> {
    let present = hw.read(sbdf, STATUS, 2) & STATUS_CAPABILITIES != 0;
    let mut next = if present { hw.read(sbdf, head, 1) } else { 0 };
    core::iter::from_fn(move || {
        let reg = (next & 0xfc) as u16;
        if reg < 0x40 {
            return None;
        }
        let entry = hw.read(sbdf, reg, 2);
        next = entry >> 8;
        let id = (entry & 0xff) as u8;
        (id != 0xff).then_some((reg, id))
    })
    .take(MAX_HOPS)
}

/// Offset of the first extended capability with this identifier.
pub(super) fn find_extended(sbdf: Sbdf, wanted: u16, hw: &dyn ConfigSpace) -> Option<u16> {
    let mut reg = 0x100;
    for _ in 0..MAX_EXTENDED_HOPS {
        let entry = hw.read(sbdf, reg, 4);
        if entry == 0 || entry == u32::MAX {
            return None;
        }
        if entry & 0xffff == u32::from(wanted) {
            return Some(reg);
        }
        reg = (entry >> 20) as u16 & 0xffc;
        if reg < 0x100 {
            return None;
        }
    }
    None
}
