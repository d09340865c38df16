//! A domain's guest-physical map: which machine frame, of which kind, stands behind each guest page.
//!
//! Owned by the domain behind a lock of rank `P2m`. Entries of memory hold references on their frames (see [`PageType`]); whoever removes an
//! entry gets it back and drops the reference *after* the translation caches were flushed ([`crate::hal::Arch::flush_domain`]).

pub mod entry;
mod tidy;

use alloc::vec::Vec;

pub use entry::{Npt, P2mEntry, PageType};

use crate::hal::MachineMemory;
use crate::ids::{Gfn, Mfn};
use crate::paging::{Entry, OutOfTables, PageTable, Piece, TableFrames, level_order};

/// Highest guest page number plus one: four levels.
pub const GFN_LIMIT: u64 = 1 << 36;

/// The map of one domain.
pub struct P2m {
    table: PageTable<Npt>,
    memory: &'static dyn MachineMemory,
    /// Tables unlinked while translation caches may know them.
    retired: Vec<Mfn>,
    highest: u64,
    generation: u64,
    /// The tables were taken away: nothing is mapped, nothing can be.
    sealed: bool,
}

/// A hit in the map.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The frame of the page asked for.
    pub mfn: Mfn,
    /// What it is.
    pub kind: PageType,
    /// Size of the entry it came from, as a power of two of 4 KiB.
    pub order: u32,
}

impl P2m {
    /// An empty map whose root is a zeroed frame.
    #[must_use]
    pub const fn new(root: Mfn, memory: &'static dyn MachineMemory) -> Self {
        Self {
            table: PageTable::new(root),
            memory,
            retired: Vec::new(),
            highest: 0,
            generation: 0,
            sealed: false,
        }
    }

    /// The root frame, for the hardware.
    #[must_use]
    pub const fn root(&self) -> Mfn {
        self.table.root()
    }

    /// Highest page that ever was mapped.
    #[must_use]
    pub const fn highest_gfn(&self) -> Gfn {
        Gfn(self.highest)
    }

    /// Changes whenever an entry goes away or is replaced: what [`Self::lookup`] found stays true while this stays the same.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// What stands behind `gfn`.
    #[must_use]
    pub fn lookup(&self, gfn: Gfn) -> Option<Mapping> {
        if gfn.0 >= GFN_LIMIT || self.sealed {
            return None;
        }
        let found = self.table.walk(self.memory, gfn.0);
        let Entry::Leaf(leaf) = found.entry else {
            return None;
        };
        let order = level_order(found.level);
        let offset = gfn.0 & ((1 << order) - 1);
        Some(Mapping {
            mfn: Mfn(leaf.mfn.0 + offset),
            kind: leaf.kind,
            order,
        })
    }

    /// Maps one 4 KiB page and returns what was there.
    pub fn set(
        &mut self,
        tables: &mut dyn TableFrames,
        gfn: Gfn,
        entry: P2mEntry,
    ) -> Result<Option<P2mEntry>, OutOfTables> {
        if self.sealed {
            return Err(OutOfTables);
        }
        let before = self.table.map(self.memory, tables, gfn.0, 0, entry)?;
        self.highest = self.highest.max(gfn.0);
        Ok(self.gone(before))
    }

    /// Maps `1 << order` pages (order 9 or 18, aligned) as one entry if nothing but empty tables is in the way; `Ok(false)` if something is.
    pub fn set_large(
        &mut self,
        tables: &mut dyn TableFrames,
        gfn: Gfn,
        order: u32,
        entry: P2mEntry,
    ) -> Result<bool, OutOfTables> {
        if self.sealed {
            return Err(OutOfTables);
        }
        let level = order / 9;
        let found = self.table.walk(self.memory, gfn.0);
        let free = match found.entry {
            Entry::Empty => found.level >= level || self.clear_for_large(gfn, level),
            _ => false,
        };
        if !free {
            return Ok(false);
        }
        self.table.map(self.memory, tables, gfn.0, level, entry)?;
        self.highest = self.highest.max(gfn.0 + (1 << order) - 1);
        Ok(true)
    }

    /// Unlinks the tables below an entry of `level` if they hold nothing. Only tables of 4 KiB entries are looked into.
    fn clear_for_large(&mut self, gfn: Gfn, level: u32) -> bool {
        if level != 1 {
            return false;
        }
        let table = self.table.walk(self.memory, gfn.0).at.mfn();
        if !PageTable::<Npt>::table_is_empty(self.memory, table) {
            return false;
        }
        if self.retired.try_reserve(1).is_err() {
            return false;
        }
        self.retired.push(table);
        true
    }

    /// Unmaps one 4 KiB page and returns what was there.
    pub fn remove(
        &mut self,
        tables: &mut dyn TableFrames,
        gfn: Gfn,
    ) -> Result<Option<P2mEntry>, OutOfTables> {
        if gfn.0 >= GFN_LIMIT || self.sealed {
            return Ok(None);
        }
        let before = self.table.unmap(self.memory, tables, gfn.0, 0)?;
        Ok(self.gone(before))
    }

    /// An entry that was replaced; `None` if there was none.
    const fn gone(&mut self, before: Entry<P2mEntry>) -> Option<P2mEntry> {
        match before {
            Entry::Leaf(leaf) => {
                self.generation = self.generation.wrapping_add(1);
                Some(leaf)
            }
            _ => None,
        }
    }

    /// Tables that may be freed once the translation caches are flushed.
    pub fn take_retired(&mut self) -> Vec<Mfn> {
        core::mem::take(&mut self.retired)
    }

    /// Takes the tables of a dying domain out from under its lock. The map that stays behind is empty and takes no entry any more, so that
    /// what still is in flight elsewhere fails as if memory had run out.
    #[must_use]
    pub fn take_tables(&mut self) -> Self {
        let retired = self.take_retired();
        self.sealed = true;
        self.generation = self.generation.wrapping_add(1);
        Self {
            table: PageTable::new(self.table.root()),
            memory: self.memory,
            retired,
            highest: self.highest,
            generation: self.generation,
            sealed: false,
        }
    }

    /// Takes the map apart; see [`PageTable::dismantle`].
    pub fn dismantle(&mut self, cursor: &mut u64, visit: &mut dyn FnMut(Piece<P2mEntry>)) -> bool {
        self.table.dismantle(self.memory, cursor, visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeMemory;
    use std::boxed::Box;
    use std::vec;

    struct Pool(u64);

    impl TableFrames for Pool {
        fn allocate_table(&mut self) -> Option<Mfn> {
            self.0 += 1;
            (self.0 < 60).then_some(Mfn(self.0))
        }
    }

    fn fresh() -> (P2m, Pool) {
        let memory: &'static FakeMemory = Box::leak(Box::new(FakeMemory::new(64)));
        (P2m::new(Mfn(1), memory), Pool(1))
    }

    fn ram(mfn: u64) -> P2mEntry {
        P2mEntry {
            mfn: Mfn(mfn),
            kind: PageType::Ram,
        }
    }

    #[test]
    fn a_large_entry_is_split_when_a_page_of_it_changes() {
        let (mut map, mut pool) = fresh();
        assert_eq!(
            map.set_large(&mut pool, Gfn(0x200), 9, ram(0x10_0000)),
            Ok(true)
        );
        assert_eq!(
            map.lookup(Gfn(0x2ff)),
            Some(Mapping {
                mfn: Mfn(0x10_00ff),
                kind: PageType::Ram,
                order: 9
            })
        );
        assert_eq!(map.remove(&mut pool, Gfn(0x210)), Ok(Some(ram(0x10_0010))));
        assert_eq!(map.lookup(Gfn(0x210)), None);
        assert_eq!(
            map.lookup(Gfn(0x211)),
            Some(Mapping {
                mfn: Mfn(0x10_0011),
                kind: PageType::Ram,
                order: 0
            })
        );
    }

    #[test]
    fn a_large_entry_replaces_an_empty_table_but_not_a_used_one() {
        let (mut map, mut pool) = fresh();
        assert_eq!(map.set(&mut pool, Gfn(5), ram(50)), Ok(None));
        assert_eq!(map.set_large(&mut pool, Gfn(0), 9, ram(0x200)), Ok(false));
        assert_eq!(map.remove(&mut pool, Gfn(5)), Ok(Some(ram(50))));
        assert_eq!(map.set_large(&mut pool, Gfn(0), 9, ram(0x200)), Ok(true));
        assert_eq!(map.take_retired().len(), 1);
    }

    #[test]
    fn dismantling_shows_every_leaf_and_every_table_once() {
        let (mut map, mut pool) = fresh();
        map.set(&mut pool, Gfn(5), ram(50)).expect("tables left");
        map.set(&mut pool, Gfn(0x8_0000_0001), ram(51))
            .expect("tables left");
        map.set_large(&mut pool, Gfn(0x400), 9, ram(0x600))
            .expect("tables left");
        let (mut cursor, mut leaves, mut tables) = (0, vec![], vec![]);
        while map.dismantle(&mut cursor, &mut |piece| match piece {
            Piece::Leaf { page, leaf, .. } => leaves.push((page, leaf.mfn.0)),
            Piece::Table(table) => tables.push(table.0),
        }) {}
        assert_eq!(leaves, [(5, 50), (0x400, 0x600), (0x8_0000_0001, 51)]);
        tables.sort_unstable();
        assert_eq!(tables, (2..=pool.0).collect::<vec::Vec<_>>());
    }

    #[test]
    fn the_generation_tells_when_an_entry_went_away_or_changed() {
        let (mut map, mut pool) = fresh();
        let mut seen = std::vec![map.generation()];
        map.set(&mut pool, Gfn(5), ram(50)).expect("tables left");
        map.set_large(&mut pool, Gfn(0x400), 9, ram(0x600))
            .expect("tables left");
        assert_eq!(map.generation(), seen[0], "nothing was there before");
        map.set(&mut pool, Gfn(5), ram(51)).expect("tables left");
        seen.push(map.generation());
        map.remove(&mut pool, Gfn(5)).expect("tables left");
        seen.push(map.generation());
        map.remove(&mut pool, Gfn(0x401)).expect("tables left");
        seen.push(map.generation());
        let _tables = map.take_tables();
        seen.push(map.generation());
        seen.dedup();
        assert_eq!(seen.len(), 5);
    }

    #[test]
    fn a_page_beyond_four_levels_is_never_mapped() {
        let (map, _) = fresh();
        assert_eq!(map.lookup(Gfn(u64::MAX)), None);
    }

    #[test]
    fn running_out_of_tables_leaves_the_map_as_it_was() {
        let (mut map, _) = fresh();
        let mut empty = Pool(1000);
        assert_eq!(map.set(&mut empty, Gfn(5), ram(50)), Err(OutOfTables));
        assert_eq!(map.lookup(Gfn(5)), None);
    }
}
