//! What a guest page is, and how AMD's nested page tables say it.
//!
//! AMD APM volume 2, "Nested Paging": a nested entry has the format of a long-mode entry; the walk counts as a user access, so U/S must be
//! set. Bits 52 to 58 are left to software and carry the type. Of an entry that is not present hardware reads nothing else, so that there
//! they tell RAM that waits for its frame from a hole.

use crate::ids::Mfn;
use crate::paging::{Entry, Format};

/// What stands behind a guest page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PageType {
    /// The domain's own RAM; the entry holds the frame's allocation reference.
    Ram = 1,
    /// A device's registers at the same machine address.
    Mmio = 2,
    /// Another domain's page, granted for reading and writing; the entry holds a reference.
    GrantRw = 3,
    /// The same, for reading.
    GrantRo = 4,
    /// Another domain's page, mapped by a privileged domain; the entry holds a reference.
    Foreign = 5,
    /// A page the hypervisor shares with the guest; the hypervisor keeps the allocation reference.
    Shared = 6,
}

impl PageType {
    const fn from_bits(bits: u64) -> Option<Self> {
        Some(match bits {
            1 => Self::Ram,
            2 => Self::Mmio,
            3 => Self::GrantRw,
            4 => Self::GrantRo,
            5 => Self::Foreign,
            6 => Self::Shared,
            _ => return None,
        })
    }

    /// Whether the guest may write.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        !matches!(self, Self::GrantRo)
    }

    /// Whether the page is memory, as opposed to a device.
    #[must_use]
    pub const fn is_memory(self) -> bool {
        !matches!(self, Self::Mmio)
    }
}

/// One guest page or a run of them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct P2mEntry {
    /// First machine frame.
    pub mfn: Mfn,
    /// What it is.
    pub kind: PageType,
}

/// What one entry of the map says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// There is a page.
    Page(P2mEntry),
    /// There is RAM that gets its frames when somebody touches it; until then it reads as zeroes. Hardware sees an entry that is not present.
    OnDemand,
}

/// AMD nested page tables.
pub struct Npt;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// With PWT clear: PAT entry 2, UC-, so that the guest may still ask for write combining.
const CACHE_DISABLE: u64 = 1 << 4;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const TYPE_SHIFT: u32 = 52;
const TYPE: u64 = 0xf;
/// In the type field of an entry that is not present.
const ON_DEMAND: u64 = 7;
const FRAME: u64 = 0x000f_ffff_ffff_f000;

impl Format for Npt {
    type Leaf = Slot;

    fn leaf(slot: Slot, level: u32) -> u64 {
        let Slot::Page(leaf) = slot else {
            return ON_DEMAND << TYPE_SHIFT;
        };
        let mut word = PRESENT
            | USER
            | ACCESSED
            | DIRTY
            | (leaf.mfn.maddr().0 & FRAME)
            | ((leaf.kind as u64) << TYPE_SHIFT);
        if leaf.kind.is_writable() {
            word |= WRITABLE;
        }
        if leaf.kind == PageType::Mmio {
            word |= CACHE_DISABLE;
        }
        if matches!(
            leaf.kind,
            PageType::GrantRw | PageType::GrantRo | PageType::Mmio
        ) {
            word |= NO_EXECUTE;
        }
        if level > 0 {
            word |= LARGE;
        }
        word
    }

    fn table(at: Mfn) -> u64 {
        PRESENT | WRITABLE | USER | ACCESSED | at.maddr().0
    }

    #[inline]
    fn decode(word: u64, level: u32) -> Entry<Slot> {
        let kind = word >> TYPE_SHIFT & TYPE;
        if word & PRESENT == 0 {
            return if kind == ON_DEMAND {
                Entry::Leaf(Slot::OnDemand)
            } else {
                Entry::Empty
            };
        }
        let mfn = Mfn((word & FRAME) >> crate::ids::PAGE_SHIFT);
        // First what most steps of a walk meet.
        if level > 0 && word & LARGE == 0 {
            return Entry::Table(mfn);
        }
        match PageType::from_bits(kind) {
            Some(kind) => Entry::Leaf(Slot::Page(P2mEntry { mfn, kind })),
            None => Entry::Table(mfn),
        }
    }

    fn advance(slot: Slot, frames: u64) -> Slot {
        match slot {
            Slot::Page(leaf) => Slot::Page(P2mEntry {
                mfn: Mfn(leaf.mfn.0 + frames),
                ..leaf
            }),
            Slot::OnDemand => Slot::OnDemand,
        }
    }
}
