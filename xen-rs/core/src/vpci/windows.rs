//! Which BARs are mapped into dom0 and which of their pages trap.
//!
//! BARs smaller than a page may share one, and a page with an MSI-X table must trap whoever else has registers in it. So mapping is
//! decided here for all devices together: a frame is in the p2m exactly if some decoding BAR covers it and no decoding MSI-X table does.
//! (A frame that lost its table but kept another BAR stays trapped; accesses to it are passed through.)

use alloc::vec::Vec;

use xen_abi::errno::Errno;

use super::sbdf::Sbdf;
use super::seam::Effects;
use crate::ids::{Gpa, Mfn, PAGE_SHIFT};

/// x86 has at most 52 bits of physical address.
const PHYSICAL_END: u64 = 1 << 52;

/// Inclusive range of frames.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Frames {
    first: u64,
    last: u64,
}

impl Frames {
    /// The frames that hold `bytes` bytes from `start`; `None` if that is nothing or no physical address. Sums of addresses inside
    /// never overflow.
    pub fn of(start: u64, bytes: u64) -> Option<Self> {
        let last = start
            .checked_add(bytes.checked_sub(1)?)
            .filter(|last| *last < PHYSICAL_END)?;
        Some(Self {
            first: start >> PAGE_SHIFT,
            last: last >> PAGE_SHIFT,
        })
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn overlap(self, other: Self) -> Self {
        Self {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        }
    }

    fn count(self) -> u64 {
        self.last - self.first + 1
    }

    /// What is left of `self` without the frames in `cuts`.
    fn without(self, mut cuts: Vec<Self>) -> Vec<Self> {
        cuts.sort_unstable_by_key(|cut| cut.first);
        let mut left = Vec::new();
        let mut next = self.first;
        for cut in cuts.into_iter().filter(|cut| cut.overlaps(self)) {
            if cut.first > next {
                left.push(Self {
                    first: next,
                    last: cut.first - 1,
                });
            }
            next = next.max(cut.last + 1);
        }
        if next <= self.last {
            left.push(Self {
                first: next,
                last: self.last,
            });
        }
        left
    }
}

/// A BAR as it is named here: the function and the BAR's configuration offset.
pub(super) type Owner = (Sbdf, u16);

/// Bytes of a live MSI-X table.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct TableSpan {
    /// First byte.
    pub start: u64,
    /// Length; never 0.
    pub bytes: u64,
}

/// All decoding BARs of dom0 and the MSI-X tables in them.
#[derive(Debug, Default)]
pub(super) struct Windows {
    mapped: Vec<(Owner, Frames)>,
    tables: Vec<(Owner, TableSpan, Frames)>,
}

impl Windows {
    /// Maps a BAR, leaving out `table`, which must lie inside it. On an error nothing has changed.
    pub fn map(
        &mut self,
        owner: Owner,
        bar: Frames,
        table: Option<TableSpan>,
        effects: &mut dyn Effects,
    ) -> Result<(), Errno> {
        effects.check_mmio(Mfn(bar.first), bar.count())?;
        let table = table.and_then(|span| Some((owner, span, Frames::of(span.start, span.bytes)?)));
        let holes = self.tables.iter().chain(table.iter()).map(|entry| entry.2);
        let cuts = holes
            .chain(self.mapped.iter().map(|entry| entry.1))
            .filter(|cut| cut.overlaps(bar))
            .collect();
        map_all(&bar.without(cuts), effects)?;
        if let Some((_, _, hole)) = table {
            for (_, other) in self.mapped.iter().filter(|entry| entry.1.overlaps(hole)) {
                let shared = other.overlap(hole);
                effects.unmap_mmio(Mfn(shared.first), shared.count());
            }
        }
        self.mapped.push((owner, bar));
        self.tables.extend(table);
        Ok(())
    }

    /// Unmaps a BAR except for frames that another one covers. Nothing happens if it is not mapped.
    pub fn unmap(&mut self, owner: Owner, effects: &mut dyn Effects) {
        let Some(index) = self.mapped.iter().position(|entry| entry.0 == owner) else {
            return;
        };
        let (_, bar) = self.mapped.swap_remove(index);
        let holes = self.tables.iter().map(|entry| entry.2);
        let cuts = holes
            .chain(self.mapped.iter().map(|entry| entry.1))
            .filter(|cut| cut.overlaps(bar))
            .collect();
        for piece in bar.without(cuts) {
            effects.unmap_mmio(Mfn(piece.first), piece.count());
        }
        self.tables.retain(|entry| entry.0 != owner);
    }

    /// Whether the BAR is mapped.
    pub fn is_mapped(&self, owner: Owner) -> bool {
        self.mapped.iter().any(|entry| entry.0 == owner)
    }

    /// The table that has a byte of `[at, at + size)`, as owner and span.
    pub fn table_at(&self, at: u64, size: u8) -> Option<(Sbdf, TableSpan)> {
        let hit = |span: &TableSpan| {
            at < span.start + span.bytes && at.saturating_add(u64::from(size)) > span.start
        };
        self.tables
            .iter()
            .find(|entry| hit(&entry.1))
            .map(|entry| (entry.0.0, entry.1))
    }

    /// The live table of a function.
    pub fn table_of(&self, sbdf: Sbdf) -> Option<TableSpan> {
        self.tables
            .iter()
            .find(|entry| entry.0.0 == sbdf)
            .map(|entry| entry.1)
    }

    /// Whether a decoding BAR has registers in the page of this byte.
    pub fn covers(&self, at: Gpa) -> bool {
        let frame = at.gfn().0;
        self.mapped
            .iter()
            .any(|(_, bar)| (bar.first..=bar.last).contains(&frame))
    }

    /// Whether the page of this byte must stay out of the p2m.
    pub fn traps(&self, at: Gpa) -> bool {
        let frame = at.gfn().0;
        self.tables
            .iter()
            .any(|(_, _, hole)| (hole.first..=hole.last).contains(&frame))
    }

    /// All live tables.
    pub fn tables(&self) -> impl Iterator<Item = (Sbdf, TableSpan)> {
        self.tables.iter().map(|entry| (entry.0.0, entry.1))
    }
}

/// Maps every piece or none.
fn map_all(pieces: &[Frames], effects: &mut dyn Effects) -> Result<(), Errno> {
    for (index, piece) in pieces.iter().enumerate() {
        if let Err(error) = effects.map_mmio(Mfn(piece.first), piece.count()) {
            for undo in &pieces[..index] {
                effects.unmap_mmio(Mfn(undo.first), undo.count());
            }
            return Err(error);
        }
    }
    Ok(())
}
