//! One walker for every four-level, 512-entry radix table the hypervisor owns: nested page tables, extended page tables, its own map.
//!
//! The entry format is a parameter. Tables live in frames reached through [`MachineMemory`]; new ones come from a [`TableFrames`]. A table
//! that is replaced by a large leaf is not freed here: translation caches may still point at it, so it is handed back to the caller, who
//! flushes first.

use crate::hal::MachineMemory;
use crate::ids::{Maddr, Mfn, PAGE_SHIFT};

/// Levels of a table: 3 is the root, 0 holds 4 KiB leaves.
pub const LEVELS: u32 = 4;
const INDEX_BITS: u32 = 9;
const ENTRIES: u64 = 1 << INDEX_BITS;

/// What an entry says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Entry<L> {
    /// Nothing here.
    Empty,
    /// The next table.
    Table(Mfn),
    /// A mapping.
    Leaf(L),
}

/// How a leaf and a table pointer look in memory.
pub trait Format {
    /// Frame and attributes of a mapping.
    type Leaf: Copy + PartialEq;
    /// The word of a mapping at `level` (0: 4 KiB, 1: 2 MiB, 2: 1 GiB).
    fn leaf(leaf: Self::Leaf, level: u32) -> u64;
    /// The word of a pointer to a lower table.
    fn table(at: Mfn) -> u64;
    /// Reads a word found at `level`.
    fn decode(word: u64, level: u32) -> Entry<Self::Leaf>;
    /// The same attributes, `frames` further on: for splitting.
    fn advance(leaf: Self::Leaf, frames: u64) -> Self::Leaf;
}

/// Where table frames come from. They arrive zeroed.
pub trait TableFrames {
    /// A zeroed frame for a table, or `None` when the domain's pool or the machine is exhausted.
    fn allocate_table(&mut self) -> Option<Mfn>;
}

/// A new lower table could not be allocated. What was there is unchanged.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct OutOfTables;

/// Where an entry was found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Found<L> {
    /// The entry at the deepest level the walk reached.
    pub entry: Entry<L>,
    /// Level of that entry.
    pub level: u32,
    /// Address of its word.
    pub at: Maddr,
}

/// A radix tree rooted in one frame.
pub struct PageTable<F> {
    root: Mfn,
    _format: core::marker::PhantomData<F>,
}

/// 4 KiB pages under one entry of `level`, as a power of two.
#[must_use]
pub const fn level_order(level: u32) -> u32 {
    level * INDEX_BITS
}

const fn slot(table: Mfn, page: u64, level: u32) -> Maddr {
    Maddr((table.0 << PAGE_SHIFT) + ((page >> level_order(level)) & (ENTRIES - 1)) * 8)
}

impl<F: Format> PageTable<F> {
    /// A tree whose root is a zeroed frame.
    #[must_use]
    pub const fn new(root: Mfn) -> Self {
        Self {
            root,
            _format: core::marker::PhantomData,
        }
    }

    /// The root frame.
    #[must_use]
    pub const fn root(&self) -> Mfn {
        self.root
    }

    /// The entry that decides about page number `page`.
    pub fn walk(&self, memory: &dyn MachineMemory, page: u64) -> Found<F::Leaf> {
        let mut table = self.root;
        let mut level = LEVELS - 1;
        loop {
            let at = slot(table, page, level);
            let entry = F::decode(memory.load_u64(at), level);
            match entry {
                Entry::Table(next) if level > 0 => (table, level) = (next, level - 1),
                _ => return Found { entry, level, at },
            }
        }
    }

    /// Writes `word` for `page` at `level`, creating tables and splitting larger leaves on the way. Returns the entry that was there.
    fn write_at(
        &mut self,
        memory: &dyn MachineMemory,
        frames: &mut dyn TableFrames,
        page: u64,
        level: u32,
        word: u64,
    ) -> Result<Entry<F::Leaf>, OutOfTables> {
        let mut table = self.root;
        for at_level in (level + 1..LEVELS).rev() {
            let at = slot(table, page, at_level);
            table = match F::decode(memory.load_u64(at), at_level) {
                Entry::Table(next) => next,
                Entry::Empty => {
                    let next = frames.allocate_table().ok_or(OutOfTables)?;
                    memory.store_u64(at, F::table(next));
                    next
                }
                Entry::Leaf(leaf) => Self::split(memory, frames, at, leaf, at_level)?,
            };
        }
        let at = slot(table, page, level);
        let before = F::decode(memory.load_u64(at), level);
        memory.store_u64(at, word);
        Ok(before)
    }

    /// Replaces a large leaf by a table of the next smaller ones, in one store.
    fn split(
        memory: &dyn MachineMemory,
        frames: &mut dyn TableFrames,
        at: Maddr,
        leaf: F::Leaf,
        level: u32,
    ) -> Result<Mfn, OutOfTables> {
        let table = frames.allocate_table().ok_or(OutOfTables)?;
        let step = 1u64 << level_order(level - 1);
        for index in 0..ENTRIES {
            let word = F::leaf(F::advance(leaf, index * step), level - 1);
            memory.store_u64(Maddr(table.maddr().0 + index * 8), word);
        }
        memory.store_u64(at, F::table(table));
        Ok(table)
    }

    /// Maps `page` at `level`. The entry that was there comes back; a table among it (only above level 0) is the caller's to keep or free.
    pub fn map(
        &mut self,
        memory: &dyn MachineMemory,
        frames: &mut dyn TableFrames,
        page: u64,
        level: u32,
        leaf: F::Leaf,
    ) -> Result<Entry<F::Leaf>, OutOfTables> {
        self.write_at(memory, frames, page, level, F::leaf(leaf, level))
    }

    /// Overwrites the entry that decides about `page`, at whatever level it is, and returns what was there with its level.
    pub fn replace(
        &mut self,
        memory: &dyn MachineMemory,
        page: u64,
        leaf: F::Leaf,
    ) -> Found<F::Leaf> {
        let found = self.walk(memory, page);
        memory.store_u64(found.at, F::leaf(leaf, found.level));
        found
    }

    /// Unmaps one entry of `level`, splitting what is larger.
    pub fn unmap(
        &mut self,
        memory: &dyn MachineMemory,
        frames: &mut dyn TableFrames,
        page: u64,
        level: u32,
    ) -> Result<Entry<F::Leaf>, OutOfTables> {
        if matches!(
            self.walk(memory, page),
            Found {
                entry: Entry::Empty,
                ..
            }
        ) {
            return Ok(Entry::Empty);
        }
        self.write_at(memory, frames, page, level, 0)
    }

    /// Empties the entry that decides about `page`, whatever its level. It must not point at a table.
    pub fn clear(&mut self, memory: &dyn MachineMemory, page: u64) {
        memory.store_u64(self.walk(memory, page).at, 0);
    }

    /// Whether a table holds no entry at all.
    #[must_use]
    pub fn table_is_empty(memory: &dyn MachineMemory, table: Mfn) -> bool {
        (0..ENTRIES).all(|index| memory.load_u64(Maddr(table.maddr().0 + index * 8)) == 0)
    }

    /// The 2 MiB leaf that the 512 entries of a level-0 table amount to, if they are one run of equal, aligned frames.
    #[must_use]
    pub fn mergeable(
        memory: &dyn MachineMemory,
        table: Mfn,
        aligned: impl Fn(&F::Leaf) -> bool,
    ) -> Option<F::Leaf> {
        let entry = |index: u64| F::decode(memory.load_u64(Maddr(table.maddr().0 + index * 8)), 0);
        let Entry::Leaf(first) = entry(0) else {
            return None;
        };
        (aligned(&first) && (1..ENTRIES).all(|i| entry(i) == Entry::Leaf(F::advance(first, i))))
            .then_some(first)
    }

    /// The table that the entry of `level` for `page` points at.
    pub fn table_below(&self, memory: &dyn MachineMemory, page: u64, level: u32) -> Option<Mfn> {
        let at = self.slot_at(memory, page, level)?;
        match F::decode(memory.load_u64(at), level) {
            Entry::Table(table) => Some(table),
            Entry::Empty | Entry::Leaf(_) => None,
        }
    }

    /// Puts a leaf, or nothing, in the place of the table that [`Self::table_below`] found.
    pub fn replace_table(
        &mut self,
        memory: &dyn MachineMemory,
        page: u64,
        level: u32,
        leaf: Option<F::Leaf>,
    ) {
        if let Some(at) = self.slot_at(memory, page, level) {
            memory.store_u64(at, leaf.map_or(0, |leaf| F::leaf(leaf, level)));
        }
    }

    /// The entry that covers `page` at `level`, if the tree reaches that deep.
    fn slot_at(&self, memory: &dyn MachineMemory, page: u64, level: u32) -> Option<Maddr> {
        let mut table = self.root;
        for above in (level + 1..LEVELS).rev() {
            match F::decode(memory.load_u64(slot(table, page, above)), above) {
                Entry::Table(next) => table = next,
                _ => return None,
            }
        }
        Some(slot(table, page, level))
    }

    /// Takes the tree apart from `cursor` (a page number, 0 at first) on: one large leaf, one table of 4 KiB leaves, or one gap per call.
    /// Pieces are unlinked, then shown to `visit`. Returns `false` when nothing but the root is left.
    pub fn dismantle(
        &mut self,
        memory: &dyn MachineMemory,
        cursor: &mut u64,
        visit: &mut dyn FnMut(Piece<F::Leaf>),
    ) -> bool {
        let found = self.walk(memory, *cursor);
        let level = found.level.max(1);
        match found.entry {
            Entry::Leaf(leaf) if found.level > 0 => {
                memory.store_u64(found.at, 0);
                visit(Piece::Leaf {
                    page: *cursor & !((1 << level_order(level)) - 1),
                    level,
                    leaf,
                });
            }
            _ if found.level == 0 => self.dismantle_leaves(memory, *cursor, found.at.mfn(), visit),
            _ => {}
        }
        let next = (*cursor & !((1u64 << level_order(level)) - 1)) + (1u64 << level_order(level));
        for above in 2..LEVELS {
            if next.is_multiple_of(1 << level_order(above)) {
                self.unlink_table(memory, *cursor, above, visit);
            }
        }
        *cursor = next;
        next < 1 << level_order(LEVELS)
    }

    fn dismantle_leaves(
        &mut self,
        memory: &dyn MachineMemory,
        page: u64,
        table: Mfn,
        visit: &mut dyn FnMut(Piece<F::Leaf>),
    ) {
        for index in 0..ENTRIES {
            let at = Maddr(table.maddr().0 + index * 8);
            if let Entry::Leaf(leaf) = F::decode(memory.load_u64(at), 0) {
                memory.store_u64(at, 0);
                visit(Piece::Leaf {
                    page: (page & !(ENTRIES - 1)) + index,
                    level: 0,
                    leaf,
                });
            }
        }
        self.unlink_table(memory, page, 1, visit);
    }

    fn unlink_table(
        &mut self,
        memory: &dyn MachineMemory,
        page: u64,
        level: u32,
        visit: &mut dyn FnMut(Piece<F::Leaf>),
    ) {
        let Some(at) = self.slot_at(memory, page, level) else {
            return;
        };
        if let Entry::Table(table) = F::decode(memory.load_u64(at), level) {
            memory.store_u64(at, 0);
            visit(Piece::Table(table));
        }
    }
}

/// What [`PageTable::dismantle`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<L> {
    /// A mapping was removed.
    Leaf {
        /// First page of the mapping.
        page: u64,
        /// Its level.
        level: u32,
        /// What it mapped.
        leaf: L,
    },
    /// A table was unlinked; its leaves were shown before.
    Table(Mfn),
}
