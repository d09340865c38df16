//! Giving up tables that a map no longer needs.
//!
//! Grant and foreign mappings come and go in tables of 4 KiB entries. Unmapping leaves the tables, so that the next mapping is fast; this walk,
//! done when a CPU has nothing else to do, takes out those that hold nothing and puts one large entry in the place of those whose entries
//! are one run of RAM. Ranks and flushing as for every change of the map.

use super::{Npt, P2m, PageType, Slot};
use crate::ids::Gfn;
use crate::paging::{LEVELS, PageTable, level_order};

impl P2m {
    /// Looks at the table that covers `at` and those above it that end with it. Returns where the next one starts, `None` at the end of the
    /// map. What was taken out waits in [`P2m::take_retired`].
    pub fn tidy(&mut self, at: Gfn) -> Option<Gfn> {
        // To the end of the topmost table in use, so that every table's end is met.
        let end = self.highest | ((1 << level_order(LEVELS - 1)) - 1);
        if at.0 > end || self.sealed {
            return None;
        }
        let found = self.table.walk(self.memory, at.0);
        let span = 1u64 << level_order(found.level.max(1));
        let next = (at.0 & !(span - 1)) + span;
        let ends_with = |level: &u32| next.is_multiple_of(1 << level_order(*level));
        (1..LEVELS)
            .take_while(ends_with)
            .for_each(|level| self.fold(at, level));
        Some(Gfn(next))
    }

    /// Takes out the table below the entry of `level` if that entry can say the same.
    fn fold(&mut self, at: Gfn, level: u32) {
        let Some(table) = self.table.table_below(self.memory, at.0, level) else {
            return;
        };
        let leaf = if PageTable::<Npt>::table_is_empty(self.memory, table) {
            None
        } else {
            match PageTable::<Npt>::mergeable(self.memory, table, |leaf| {
                level == 1 && starts_block(leaf)
            }) {
                Some(leaf) => Some(leaf),
                None => return,
            }
        };
        if self.retired.try_reserve(1).is_ok() {
            self.table.replace_table(self.memory, at.0, level, leaf);
            self.retired.push(table);
        }
    }
}

/// Whether a 2 MiB entry can begin with this one. Only RAM is merged: other kinds go away page by page.
fn starts_block(slot: &Slot) -> bool {
    match slot {
        Slot::Page(leaf) => {
            leaf.kind == PageType::Ram && leaf.mfn.0.is_multiple_of(1 << level_order(1))
        }
        Slot::OnDemand => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeMemory;
    use crate::ids::Mfn;
    use crate::p2m::Mapping;
    use crate::p2m::P2mEntry;
    use crate::paging::TableFrames;
    use std::boxed::Box;

    struct Pool(u64);

    impl TableFrames for Pool {
        fn allocate_table(&mut self) -> Option<Mfn> {
            self.0 += 1;
            Some(Mfn(self.0))
        }
    }

    fn fresh() -> (P2m, Pool) {
        let memory: &'static FakeMemory = Box::leak(Box::new(FakeMemory::new(64)));
        (P2m::new(Mfn(1), memory), Pool(1))
    }

    fn entry(mfn: u64, kind: PageType) -> P2mEntry {
        P2mEntry {
            mfn: Mfn(mfn),
            kind,
        }
    }

    fn tidy_all(map: &mut P2m) -> usize {
        let mut at = Some(Gfn(0));
        while let Some(gfn) = at {
            at = map.tidy(gfn);
        }
        map.take_retired().len()
    }

    #[test]
    fn tables_whose_last_entry_is_gone_are_taken_out_at_every_level() {
        let (mut map, mut pool) = fresh();
        let far = Gfn(0x8_0000_0200);
        map.set(&mut pool, far, entry(7, PageType::GrantRw))
            .expect("tables left");
        map.set(&mut pool, Gfn(3), entry(8, PageType::Ram))
            .expect("tables left");
        assert_eq!(tidy_all(&mut map), 0);
        map.remove(&mut pool, far).expect("tables left");
        assert_eq!(tidy_all(&mut map), 3, "of 4 KiB, 2 MiB and 1 GiB entries");
        assert_eq!(map.lookup(far), None);
        assert_eq!(map.lookup(Gfn(3)).map(|found| found.mfn), Some(Mfn(8)));
        map.set(&mut pool, far, entry(9, PageType::GrantRw))
            .expect("tables left");
        assert_eq!(map.lookup(far).map(|found| found.mfn), Some(Mfn(9)));
    }

    #[test]
    fn one_run_of_ram_becomes_one_entry_again() {
        let (mut map, mut pool) = fresh();
        let ram = |mfn| entry(mfn, PageType::Ram);
        map.set_large(&mut pool, Gfn(0x200), 9, ram(0x400))
            .expect("tables left");
        map.remove(&mut pool, Gfn(0x210)).expect("tables left");
        assert_eq!(tidy_all(&mut map), 0);
        map.set(&mut pool, Gfn(0x210), ram(0x410))
            .expect("tables left");
        assert_eq!(tidy_all(&mut map), 1);
        assert_eq!(
            map.lookup(Gfn(0x210)),
            Some(Mapping {
                mfn: Mfn(0x410),
                kind: PageType::Ram,
                order: 9
            })
        );
    }

    #[test]
    fn a_run_that_is_not_aligned_or_not_ram_stays_in_pages() {
        for (first, kind) in [(0x401, PageType::Ram), (0x400, PageType::Foreign)] {
            let (mut map, mut pool) = fresh();
            for page in 0..512 {
                map.set(&mut pool, Gfn(page), entry(first + page, kind))
                    .expect("tables left");
            }
            assert_eq!(tidy_all(&mut map), 0);
        }
    }
}
