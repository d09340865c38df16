//! Translations of a guest's linear addresses that are remembered, and proven again at each use.
//!
//! Walking a guest's page tables takes a look-up in the p2m for each level: on processors without next-RIP saving that is most of the
//! cost of an exit. A remembered walk counts only if the control registers are the same, no p2m entry went away since (then every machine
//! address of the walk still is the guest's memory) and every word that the walk read still reads the same: then a new walk would read
//! the same words and come to the same end. So nothing has to be flushed when a guest changes its tables, switches them or loses a page.
//!
//! Part of the vCPU's state; used by whoever holds that, under the lock of the p2m.

use xen_core::hal::MachineMemory;
use xen_core::ids::{Gfn, Gpa, Maddr, Mfn, PAGE_SIZE};
use xen_core::p2m::{Behind, Mapping, P2m};

use crate::guest_paging::{AccessKind, PageFault, PagingState, Tables};

const PAGE_MASK: u64 = PAGE_SIZE as u64 - 1;
const SLOT_BITS: u32 = 4;
/// Levels of the deepest page tables.
const MAX_WORDS: usize = 5;

/// Where a linear address lies now. Good for as long as the p2m's lock is held.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In guest-physical memory.
    pub gpa: Gpa,
    /// In machine memory, if memory is there.
    pub memory: Option<Memory>,
}

/// Memory behind a guest-physical address.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Its machine address.
    pub at: Maddr,
    /// The guest may write it.
    pub is_writable: bool,
}

/// What was asked. An empty slot has a page that is not one.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Question {
    page: u64,
    access: AccessKind,
    paging: PagingState,
}

/// A table entry that a walk read, and where.
#[derive(Copy, Clone, Debug)]
struct Word {
    at: Maddr,
    value: u64,
}

#[inline]
fn load<M: MachineMemory + ?Sized>(memory: &M, at: Maddr, is_wide: bool) -> u64 {
    if is_wide {
        memory.load_u64(at)
    } else {
        u64::from(memory.load_u32(at))
    }
}

/// A finished walk.
#[derive(Copy, Clone, Debug)]
struct Walk {
    question: Question,
    generation: u64,
    words: [Word; MAX_WORDS],
    depth: u8,
    /// The words have 8 bytes, not 4.
    is_wide: bool,
    /// Of the page.
    gpa: Gpa,
    /// `None` is no knowledge: what comes where nothing was leaves the generation as it is.
    memory: Option<Memory>,
}

impl Walk {
    const EMPTY: Self = Self {
        question: Question {
            page: 1,
            access: AccessKind {
                write: false,
                user: false,
                fetch: false,
                implicit: false,
            },
            paging: PagingState {
                cr0: 0,
                cr3: 0,
                cr4: 0,
                efer: 0,
                rflags: 0,
            },
        },
        generation: 0,
        words: [Word {
            at: Maddr(0),
            value: 0,
        }; MAX_WORDS],
        depth: 0,
        is_wide: false,
        gpa: Gpa(0),
        memory: None,
    };

    #[inline]
    fn answers<M: MachineMemory + ?Sized>(
        &self,
        question: &Question,
        map: &P2m,
        memory: &M,
    ) -> bool {
        self.question == *question
            && self.generation == map.generation()
            && self.words[..usize::from(self.depth)]
                .iter()
                .all(|word| load(memory, word.at, self.is_wide) == word.value)
    }

    fn new<M: MachineMemory + ?Sized>(
        question: Question,
        map: &P2m,
        memory: &M,
    ) -> Result<Self, PageFault> {
        let mut reader = Reader {
            map,
            memory,
            nearest: None,
            words: Self::EMPTY.words,
            depth: 0,
            is_wide: false,
        };
        let gpa = question
            .paging
            .translate(question.page, question.access, &mut reader)?;
        Ok(Self {
            question,
            generation: map.generation(),
            memory: reader.memory_at(gpa),
            words: reader.words,
            depth: reader.depth,
            is_wide: reader.is_wide,
            gpa,
        })
    }
}

impl Memory {
    /// What was found behind a guest-physical address, if that is memory.
    #[must_use]
    pub fn at(found: Mapping, gpa: Gpa) -> Option<Self> {
        found.kind.is_memory().then(|| Self {
            at: Maddr(found.mfn.maddr().0 + gpa.page_offset() as u64),
            is_writable: found.kind.is_writable(),
        })
    }
}

fn memory_at(map: &P2m, gpa: Gpa) -> Option<Memory> {
    Memory::at(map.lookup(gpa.gfn())?, gpa)
}

/// Reads table entries for one walk and notes them.
struct Reader<'a, M: ?Sized> {
    map: &'a P2m,
    memory: &'a M,
    /// The latest look-up: tables often lie in one large page.
    nearest: Option<(Gfn, Mapping)>,
    words: [Word; MAX_WORDS],
    depth: u8,
    is_wide: bool,
}

impl<M: ?Sized> Reader<'_, M> {
    fn lookup(&mut self, gfn: Gfn) -> Option<Mapping> {
        if let Some((near, found)) = self.nearest
            && (near.0 ^ gfn.0) >> found.order == 0
        {
            // Large entries are aligned on both sides.
            let within = (1u64 << found.order) - 1;
            return Some(Mapping {
                mfn: Mfn(found.mfn.0 & !within | gfn.0 & within),
                ..found
            });
        }
        let found = self.map.lookup(gfn)?;
        self.nearest = Some((gfn, found));
        Some(found)
    }

    fn memory_at(&mut self, gpa: Gpa) -> Option<Memory> {
        Memory::at(self.lookup(gpa.gfn())?, gpa)
    }
}

impl<M: MachineMemory + ?Sized> Tables for Reader<'_, M> {
    fn read(&mut self, at: Gpa, size: u8) -> Option<u64> {
        let Some(memory) = self.memory_at(at) else {
            // A table that nobody has written yet holds no entry; a walk that ends there is not remembered.
            return matches!(self.map.find(at.gfn()), Behind::OnDemand(_)).then_some(0);
        };
        self.is_wide = size == 8;
        let value = load(self.memory, memory.at, self.is_wide);
        *self.words.get_mut(usize::from(self.depth))? = Word {
            at: memory.at,
            value,
        };
        self.depth += 1;
        Some(value)
    }

    fn set_bits(&mut self, at: Gpa, size: u8, old: u64, bits: u64) {
        let Some(word) = self.memory_at(at).filter(|m| m.is_writable).map(|m| m.at) else {
            return;
        };
        // A word that changed meanwhile is walked again by whoever needs it. The noted value is the old one: so is this walk, next time.
        if size == 8 {
            let _ = self.memory.compare_exchange_u64(word, old, old | bits);
        } else {
            let (old, new) = (old as u32, (old | bits) as u32);
            let _ = self.memory.compare_exchange_u32(word, old, new);
        }
    }
}

/// The last walks, one for each class of pages and accesses.
pub struct TranslationCache {
    walks: [Walk; 1 << SLOT_BITS],
}

impl Default for TranslationCache {
    fn default() -> Self {
        Self::new()
    }
}

impl TranslationCache {
    /// Nothing is remembered.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            walks: [Walk::EMPTY; 1 << SLOT_BITS],
        }
    }

    /// Where `linear` lies for this access.
    ///
    /// # Errors
    /// The page fault the guest would get.
    #[inline]
    pub fn find<M: MachineMemory + ?Sized>(
        &mut self,
        map: &P2m,
        memory: &M,
        paging: PagingState,
        linear: u64,
        access: AccessKind,
    ) -> Result<Place, PageFault> {
        let question = Question {
            page: linear & !PAGE_MASK,
            access,
            paging: paging.relevant(),
        };
        let walk = &mut self.walks[slot(&question)];
        if !walk.answers(&question, map, memory) {
            *walk = Walk::new(question, map, memory)?;
        }
        let offset = linear & PAGE_MASK;
        let page = walk.memory.or_else(|| memory_at(map, walk.gpa));
        Ok(Place {
            gpa: Gpa(walk.gpa.0 + offset),
            memory: page.map(|m| Memory {
                at: Maddr(m.at.0 + offset),
                ..m
            }),
        })
    }
}

/// Neighbouring pages and different accesses to one page go to different slots.
#[inline]
const fn slot(question: &Question) -> usize {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let kind = question.access.write as u64 | (question.access.fetch as u64) << 1;
    let mixed = ((question.page >> 10) ^ kind).wrapping_mul(SPREAD);
    (mixed >> (u64::BITS - SLOT_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;
    use xen_core::fake::FakeMemory;
    use xen_core::p2m::{P2mEntry, PageType};
    use xen_core::paging::TableFrames;

    const PRESENT: u64 = 1;
    const WRITABLE: u64 = 2;
    const ACCESSED: u64 = 0x20;
    const DIRTY: u64 = 0x40;
    const READ: AccessKind = AccessKind {
        write: false,
        user: false,
        fetch: false,
        implicit: false,
    };
    const WRITE: AccessKind = AccessKind {
        write: true,
        ..READ
    };
    /// A linear address whose indices into the four tables all are 1.
    const LINEAR: u64 = 0x80_4020_1000;

    struct Frames(&'static FakeMemory);

    impl TableFrames for Frames {
        fn allocate_table(&mut self) -> Option<Mfn> {
            Some(self.0.take_frame())
        }
    }

    /// A guest in long mode. Guest pages 1 to 4 are the tables that map [`LINEAR`] to guest page 5; each stands in a frame of its own.
    struct Guest {
        memory: &'static FakeMemory,
        map: P2m,
        cache: TranslationCache,
        paging: PagingState,
    }

    impl Guest {
        fn new() -> Self {
            let memory: &'static FakeMemory = Box::leak(Box::new(FakeMemory::new(64)));
            let mut guest = Self {
                memory,
                map: P2m::new(memory.take_frame(), memory),
                cache: TranslationCache::new(),
                paging: PagingState {
                    cr0: 1 << 31 | 1 << 16 | 1,
                    cr3: 0x1000,
                    cr4: 1 << 5,
                    efer: 1 << 10,
                    rflags: 2,
                },
            };
            for gfn in 1..12 {
                guest.place(gfn, PageType::Ram);
            }
            for table in 1..5 {
                guest.set_entry(table, (table + 1) << 12 | PRESENT | WRITABLE);
            }
            guest
        }

        /// A new frame stands behind `gfn`.
        fn place(&mut self, gfn: u64, kind: PageType) -> Mfn {
            let mfn = self.memory.take_frame();
            self.map
                .set(&mut Frames(self.memory), Gfn(gfn), P2mEntry { mfn, kind })
                .expect("frames are left");
            mfn
        }

        fn frame(&self, gfn: u64) -> u64 {
            self.map.lookup(Gfn(gfn)).expect("mapped").mfn.maddr().0
        }

        fn set_entry(&self, table: u64, value: u64) {
            self.memory.store_u64(Maddr(self.frame(table) + 8), value);
        }

        fn entry(&self, table: u64) -> u64 {
            self.memory.load_u64(Maddr(self.frame(table) + 8))
        }

        fn find(&mut self, access: AccessKind) -> Result<Place, PageFault> {
            self.cache
                .find(&self.map, self.memory, self.paging, LINEAR + 0x123, access)
        }

        /// Asks until the answer is remembered: the first walk sets accessed bits.
        fn remember(&mut self, access: AccessKind) -> Place {
            let first = self.find(access);
            assert_eq!(self.find(access), first);
            assert_eq!(self.find(access), first);
            first.expect("mapped")
        }

        fn at(&self, gfn: u64) -> Place {
            Place {
                gpa: Gpa(gfn << 12 | 0x123),
                memory: Some(Memory {
                    at: Maddr(self.frame(gfn) + 0x123),
                    is_writable: true,
                }),
            }
        }
    }

    #[test]
    fn every_level_of_the_guests_tables_may_change_and_is_seen_at_once() {
        for changed in 1..5 {
            let mut guest = Guest::new();
            let before = guest.remember(READ);
            assert_eq!(before, guest.at(5));
            guest.set_entry(changed, 0);
            assert_eq!(guest.find(READ), Err(PageFault(0)), "level {changed}");
            guest.set_entry(changed, (changed + 1) << 12 | PRESENT | WRITABLE);
            assert_eq!(guest.find(READ), Ok(before));
        }
    }

    #[test]
    fn another_page_behind_the_same_address_is_found() {
        let mut guest = Guest::new();
        guest.remember(READ);
        guest.set_entry(4, 6 << 12 | PRESENT | WRITABLE);
        assert_eq!(guest.remember(READ), guest.at(6));
    }

    #[test]
    fn table_on_demand_has_no_entries_and_a_frame_taken_back_is_forgotten() {
        let mut guest = Guest::new();
        guest.remember(READ);
        let taken = guest.map.vacate(&mut Frames(guest.memory), Gfn(5));
        assert!(taken.expect("no table is needed").is_some());
        assert_eq!(guest.find(READ).map(|place| place.memory), Ok(None));
        let taken = guest.map.vacate(&mut Frames(guest.memory), Gfn(3));
        assert!(taken.expect("no table is needed").is_some());
        assert_eq!(guest.find(READ), Err(PageFault(0)));
    }

    #[test]
    fn a_frame_that_left_the_guest_is_forgotten() {
        let mut guest = Guest::new();
        guest.remember(READ);
        let removed = guest.map.remove(&mut Frames(guest.memory), Gfn(5));
        assert!(removed.expect("no table is needed").is_some());
        assert_eq!(guest.find(READ).map(|place| place.memory), Ok(None));
        guest.place(5, PageType::Ram);
        assert_eq!(guest.remember(READ), guest.at(5));
    }

    #[test]
    fn a_frame_that_was_exchanged_for_another_is_forgotten() {
        for table in 1..6 {
            let mut guest = Guest::new();
            let before = guest.remember(READ);
            let (old, content) = (guest.frame(table), guest.entry(table));
            let new = guest.place(table, PageType::Ram);
            if table < 5 {
                assert_eq!(guest.find(READ), Err(PageFault(0)), "the new one is empty");
                guest.set_entry(table, content);
            }
            let after = guest.remember(READ);
            assert_eq!(after, guest.at(5));
            assert_eq!(after == before, table < 5);
            assert_ne!(old, new.maddr().0);
        }
    }

    #[test]
    fn a_map_whose_tables_are_gone_has_no_place() {
        let mut guest = Guest::new();
        guest.remember(READ);
        let _tables = guest.map.take_tables();
        assert_eq!(guest.find(READ), Err(PageFault(0)));
    }

    #[test]
    fn a_page_that_may_not_be_written_says_so_and_a_device_is_no_memory() {
        let mut guest = Guest::new();
        guest.remember(READ);
        guest.place(5, PageType::GrantRo);
        let memory = guest.remember(READ).memory.expect("a grant is memory");
        assert!(!memory.is_writable);
        guest.place(5, PageType::Mmio);
        let place = guest.remember(READ);
        assert_eq!((place.gpa, place.memory), (Gpa(0x5123), None));
    }

    #[test]
    fn accessed_and_dirty_bits_are_set_again_after_the_guest_cleared_them() {
        let mut guest = Guest::new();
        guest.remember(READ);
        assert_eq!(guest.entry(4) & (ACCESSED | DIRTY), ACCESSED);
        guest.remember(WRITE);
        assert_eq!(guest.entry(4) & (ACCESSED | DIRTY), ACCESSED | DIRTY);
        let clean = |entry: u64| entry & !(ACCESSED | DIRTY);
        (1..5).for_each(|table| guest.set_entry(table, clean(guest.entry(table))));
        guest.find(WRITE).expect("mapped");
        let bits: Vec<_> = (1..5)
            .map(|table| guest.entry(table) & (ACCESSED | DIRTY))
            .collect();
        assert_eq!(bits, [ACCESSED, ACCESSED, ACCESSED, ACCESSED | DIRTY]);
    }

    #[test]
    fn rights_are_those_of_the_access_and_of_the_present_control_registers() {
        let mut guest = Guest::new();
        guest.set_entry(4, 5 << 12 | PRESENT);
        guest.remember(READ);
        assert_eq!(guest.find(WRITE), Err(PageFault(3)));
        let user = AccessKind { user: true, ..READ };
        assert_eq!(guest.find(user), Err(PageFault(5)));
        guest.paging.cr0 &= !(1 << 16);
        assert_eq!(guest.remember(WRITE), guest.at(5));
        guest.paging.cr0 |= 1 << 16;
        assert_eq!(guest.find(WRITE), Err(PageFault(3)));
        // Flags that have no part in it change nothing.
        guest.paging.rflags |= 1;
        assert_eq!(guest.remember(READ), guest.at(5));
    }

    #[test]
    fn another_address_space_has_its_own_answer() {
        let mut guest = Guest::new();
        guest.remember(READ);
        guest.paging.cr3 = 0x8000;
        assert_eq!(guest.find(READ), Err(PageFault(0)));
        guest.set_entry(8, 2 << 12 | PRESENT | WRITABLE);
        assert_eq!(guest.remember(READ), guest.at(5));
    }

    #[test]
    fn large_pages_of_the_map_lead_to_the_right_frames() {
        let mut guest = Guest::new();
        let memory: &'static FakeMemory = Box::leak(Box::new(FakeMemory::new(1024)));
        guest.memory = memory;
        guest.map = P2m::new(Mfn(1023), memory);
        let large = P2mEntry {
            mfn: Mfn(512),
            kind: PageType::Ram,
        };
        let set = guest.map.set_large(&mut Frames(memory), Gfn(0), 9, large);
        assert_eq!(set, Ok(true));
        (1..5).for_each(|table| guest.set_entry(table, (table + 1) << 12 | PRESENT));
        assert_eq!(guest.remember(READ), guest.at(5));
        assert_eq!(guest.frame(5), 517 << 12);
    }
}
