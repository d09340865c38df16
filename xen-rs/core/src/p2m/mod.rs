//! A domain's guest-physical map: which machine frame, of which kind, stands behind each guest page.
//!
//! Owned by the domain behind a lock of rank `P2m`. Entries of memory hold references on their frames (see [`PageType`]); whoever removes an
//! entry gets it back and drops the reference *after* the translation caches were flushed ([`crate::hal::Arch::flush_domain`]).
//!
//! RAM that is populated on demand holds no frame. The map counts such entries, whoever makes or replaces them, and owns the frames set
//! aside for them ([`pod`]). [`crate::hypervisor::Hypervisor::with_page`] gives them out.

pub mod entry;
pub mod pod;
mod tidy;

use alloc::vec::Vec;

pub use entry::{Npt, P2mEntry, PageType, Slot};
use pod::{BLOCK_ORDER, BLOCK_PAGES, Pod};

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
    pod: Pod,
}

/// What the map says of a guest page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Nothing is there.
    Nothing,
    /// RAM without a frame yet, in an entry of this size, as a power of two of 4 KiB.
    OnDemand(u32),
    /// A page.
    Page(Mapping),
}

impl Behind {
    /// The page, if one is there.
    #[must_use]
    pub const fn page(self) -> Option<Mapping> {
        match self {
            Self::Page(mapping) => Some(mapping),
            Self::Nothing | Self::OnDemand(_) => None,
        }
    }
}

/// What the search for unused memory came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// A 2 MiB entry of RAM.
    Block(Gfn, Mfn),
    /// A page of RAM.
    Page(Gfn, Mfn),
    /// Something else.
    Nothing,
    /// Every block and every page was shown since the last find.
    End,
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
            pod: Pod::new(),
        }
    }

    /// The root frame, for the hardware.
    #[must_use]
    pub const fn root(&self) -> Mfn {
        self.table.root()
    }

    /// Highest page that ever was mapped or on demand.
    #[must_use]
    pub const fn highest_gfn(&self) -> Gfn {
        Gfn(self.highest)
    }

    /// Changes whenever an entry goes away or is replaced: what [`Self::lookup`] found stays true while this stays the same.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The page behind `gfn`; RAM without a frame counts as none.
    #[must_use]
    pub fn lookup(&self, gfn: Gfn) -> Option<Mapping> {
        self.find(gfn).page()
    }

    /// What stands behind `gfn`.
    #[must_use]
    pub fn find(&self, gfn: Gfn) -> Behind {
        if gfn.0 >= GFN_LIMIT || self.sealed {
            return Behind::Nothing;
        }
        let found = self.table.walk(self.memory, gfn.0);
        let order = level_order(found.level);
        match found.entry {
            Entry::Leaf(Slot::Page(leaf)) => Behind::Page(Mapping {
                mfn: Mfn(leaf.mfn.0 + (gfn.0 & ((1 << order) - 1))),
                kind: leaf.kind,
                order,
            }),
            Entry::Leaf(Slot::OnDemand) => Behind::OnDemand(order),
            Entry::Empty | Entry::Table(_) => Behind::Nothing,
        }
    }

    /// The books of populate-on-demand.
    #[must_use]
    pub const fn pod(&self) -> &Pod {
        &self.pod
    }

    /// The books, to put frames in or take them out; `None` once the tables were taken away, and the cache with them.
    pub const fn pod_mut(&mut self) -> Option<&mut Pod> {
        if self.sealed {
            None
        } else {
            Some(&mut self.pod)
        }
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
        let slot = Slot::Page(entry);
        let before = self.table.map(self.memory, tables, gfn.0, 0, slot)?;
        self.highest = self.highest.max(gfn.0);
        Ok(self.displace(before, 0))
    }

    /// What an entry of `level` held that is gone now.
    fn displace(&mut self, before: Entry<Slot>, level: u32) -> Option<P2mEntry> {
        match before {
            Entry::Leaf(Slot::Page(entry)) => {
                self.generation = self.generation.wrapping_add(1);
                Some(entry)
            }
            Entry::Leaf(Slot::OnDemand) => {
                self.pod.entries -= 1 << level_order(level);
                None
            }
            Entry::Empty | Entry::Table(_) => None,
        }
    }

    /// Maps `1 << order` pages (order 9 or 18, aligned) as one entry if nothing but empty tables or one entry on demand is in the way;
    /// `Ok(false)` if something is.
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
        self.set_large_slot(tables, gfn, order, Slot::Page(entry))
    }

    fn set_large_slot(
        &mut self,
        tables: &mut dyn TableFrames,
        gfn: Gfn,
        order: u32,
        slot: Slot,
    ) -> Result<bool, OutOfTables> {
        let level = order / 9;
        let found = self.table.walk(self.memory, gfn.0);
        let free = match found.entry {
            Entry::Empty => found.level >= level || self.clear_for_large(gfn, level),
            Entry::Leaf(Slot::OnDemand) => found.level >= level,
            _ => false,
        };
        if !free {
            return Ok(false);
        }
        let before = self.table.map(self.memory, tables, gfn.0, level, slot)?;
        self.displace(before, level);
        self.highest = self.highest.max(gfn.0 + (1 << order) - 1);
        Ok(true)
    }

    /// Makes `1 << order` pages RAM that is populated on demand, all or none; `Ok(false)` if a page is in the way. Running out of tables
    /// may leave a part done.
    pub fn set_on_demand(
        &mut self,
        tables: &mut dyn TableFrames,
        gfn: Gfn,
        order: u32,
    ) -> Result<bool, OutOfTables> {
        if self.sealed {
            return Err(OutOfTables);
        }
        let pages = 1u64 << order;
        if order == BLOCK_ORDER
            && gfn.0.is_multiple_of(BLOCK_PAGES)
            && self.set_large_slot(tables, gfn, order, Slot::OnDemand)?
        {
            self.pod.entries += pages;
            return Ok(true);
        }
        let mut all = (gfn.0..gfn.0 + pages).map(Gfn);
        if all.any(|page| self.lookup(page).is_some()) {
            return Ok(false);
        }
        for page in gfn.0..gfn.0 + pages {
            self.table
                .map(self.memory, tables, page, 0, Slot::OnDemand)
                .map(|before| self.displace(before, 0))?;
            self.pod.entries += 1;
            self.highest = self.highest.max(page);
        }
        Ok(true)
    }

    /// Takes the frame of a page of RAM away; it is on demand from now on. What the entry held comes back.
    pub fn vacate(
        &mut self,
        tables: &mut dyn TableFrames,
        gfn: Gfn,
    ) -> Result<Option<P2mEntry>, OutOfTables> {
        let before = self
            .table
            .map(self.memory, tables, gfn.0, 0, Slot::OnDemand)?;
        self.pod.entries += 1;
        Ok(self.displace(before, 0))
    }

    /// Takes the frames of a 2 MiB entry of RAM away.
    pub fn vacate_block(&mut self, gfn: Gfn) {
        let found = self.table.replace(self.memory, gfn.0, Slot::OnDemand);
        self.displace(found.entry, found.level);
        self.pod.entries += 1 << level_order(found.level);
    }

    /// Puts back what [`Self::vacate`] or [`Self::vacate_block`] took.
    pub fn refill(&mut self, gfn: Gfn, mfn: Mfn) {
        let kind = PageType::Ram;
        let slot = Slot::Page(P2mEntry { mfn, kind });
        let found = self.table.replace(self.memory, gfn.0, slot);
        self.displace(found.entry, found.level);
    }

    /// Goes one step on in the search for RAM that the guest does not use: all around the map for 2 MiB entries, then once more for pages.
    pub fn next_suspect(&mut self) -> Suspect {
        let sweep = &mut self.pod.sweep;
        let Some(at) = sweep.position(self.highest + 1) else {
            return Suspect::End;
        };
        let found = self.table.walk(self.memory, at);
        let (suspect, level) = match found.entry {
            Entry::Leaf(Slot::Page(leaf)) if leaf.kind == PageType::Ram => {
                let offset = at & ((1 << level_order(found.level)) - 1);
                match (sweep.pages, found.level) {
                    (true, _) => (Suspect::Page(Gfn(at), Mfn(leaf.mfn.0 + offset)), 0),
                    (false, 1) => (Suspect::Block(Gfn(at - offset), leaf.mfn), 1),
                    (false, level) => (Suspect::Nothing, level),
                }
            }
            _ => (Suspect::Nothing, found.level),
        };
        // Where blocks are looked for, a table of pages is one step.
        let order = level_order(if sweep.pages { level } else { level.max(1) });
        sweep.advance((at & !((1 << order) - 1)) + (1 << order));
        suspect
    }

    /// The search found something: it may go on for as long again.
    pub const fn search_succeeded(&mut self) {
        self.pod.sweep.start_over();
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
        Ok(self.displace(before, 0))
    }

    /// Unmaps the 2 MiB that start at `gfn` if they are one entry of the domain's RAM, and returns it. Needs no memory.
    pub fn remove_large_ram(&mut self, gfn: Gfn) -> Option<P2mEntry> {
        let found = self.lookup(gfn)?;
        if found.kind != PageType::Ram || found.order != level_order(1) || gfn.0 & 511 != 0 {
            return None;
        }
        self.table.clear(self.memory, gfn.0);
        let slot = Slot::Page(P2mEntry {
            mfn: found.mfn,
            kind: found.kind,
        });
        self.displace(Entry::Leaf(slot), 1)
    }

    /// Tables that may be freed once the translation caches are flushed.
    pub fn take_retired(&mut self) -> Vec<Mfn> {
        core::mem::take(&mut self.retired)
    }

    /// Takes the tables of a dying domain and its cache out from under its lock. The map that stays behind is empty and takes no entry any
    /// more, so that what still is in flight elsewhere fails as if memory had run out.
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
            pod: core::mem::take(&mut self.pod),
        }
    }

    /// Takes the map apart; see [`PageTable::dismantle`]. Entries on demand hold nothing and are not shown.
    pub fn dismantle(&mut self, cursor: &mut u64, visit: &mut dyn FnMut(Piece<P2mEntry>)) -> bool {
        let entries = &mut self.pod.entries;
        self.table
            .dismantle(self.memory, cursor, &mut |piece| match piece {
                Piece::Table(table) => visit(Piece::Table(table)),
                Piece::Leaf {
                    level,
                    leaf: Slot::OnDemand,
                    ..
                } => *entries -= 1 << level_order(level),
                Piece::Leaf {
                    page,
                    level,
                    leaf: Slot::Page(leaf),
                } => visit(Piece::Leaf { page, level, leaf }),
            })
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
        map.set_large(&mut pool, Gfn(0x600), 9, ram(0x800))
            .expect("tables left");
        assert_eq!(
            [0x601, 0x400].map(|gfn| map.remove_large_ram(Gfn(gfn))),
            [None, None],
            "not the first page, not one entry any more"
        );
        assert_eq!(map.remove_large_ram(Gfn(0x600)), Some(ram(0x800)));
        assert_eq!(map.lookup(Gfn(0x600)), None);
        seen.push(map.generation());
        let _tables = map.take_tables();
        seen.push(map.generation());
        seen.dedup();
        assert_eq!(seen.len(), 6);
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
