//! The lists of free blocks, linked through the frame records so that they need no memory of their own.
//!
//! There are two lists for each order: blocks without a dirty frame, and the others. Of a dirty block it is known how many frames at its
//! start are clean; any of the rest may be dirty, which the frames' own marks tell. Frames that one domain must be able to get back have
//! lists of their own ([`Zone`]).

use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

use super::frame::{FrameInfo, FrameTable};
use crate::ids::Mfn;

/// Largest order: 1 GiB.
pub const MAX_ORDER: u32 = 18;
const LISTS: usize = MAX_ORDER as usize + 1;
/// End of list.
const NONE: u32 = u32::MAX;
/// In a record's mark: order + 1 here, the number of clean frames above.
const ORDER_BITS: u32 = 8;

/// An aligned block of frames.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Buddy {
    /// Its first frame.
    pub head: u32,
    /// log2 of its frames.
    pub order: u32,
    /// So many frames at its start need no scrubbing. All of them if it is clean.
    pub clean: u32,
}

impl Buddy {
    pub const fn pages(&self) -> u32 {
        1 << self.order
    }

    pub const fn is_clean(&self) -> bool {
        self.clean == self.pages()
    }

    /// The lower and the upper half.
    pub fn halves(self) -> (Self, Self) {
        let order = self.order - 1;
        let size = 1 << order;
        let lower = Self {
            order,
            clean: self.clean.min(size),
            ..self
        };
        let upper = Self {
            head: self.head + size,
            order,
            clean: self.clean.saturating_sub(size),
        };
        (lower, upper)
    }

    /// The block that this one and its buddy make up.
    pub fn merged(self, buddy: Self) -> Self {
        let (lower, upper) = if self.head < buddy.head {
            (self, buddy)
        } else {
            (buddy, self)
        };
        let clean = if lower.is_clean() {
            lower.clean + upper.clean
        } else {
            lower.clean
        };
        Self {
            head: lower.head,
            order: self.order + 1,
            clean,
        }
    }
}

/// Which of the two lists of an order.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Clean,
    Dirty,
}

/// Which frames. No block has frames of both zones.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    /// All that are not in the other.
    Common,
    /// Frames that a domain needs at their own addresses, and nobody else takes as long as there are others.
    Home,
}

#[derive(Copy, Clone)]
struct Heads {
    heads: [u32; LISTS],
    /// A bit for each order whose list is not empty.
    orders: u32,
}

pub(super) struct FreeLists {
    table: FrameTable,
    home: &'static [Range<u32>],
    lists: [[Heads; 2]; 2],
}

impl FreeLists {
    pub const fn new(table: FrameTable) -> Self {
        let empty = Heads {
            heads: [NONE; LISTS],
            orders: 0,
        };
        Self {
            table,
            home: &[],
            lists: [[empty; 2]; 2],
        }
    }

    /// Says which frames are in [`Zone::Home`]. None of them is free.
    pub const fn set_home(&mut self, home: &'static [Range<u32>]) {
        self.home = home;
    }

    /// Where a frame belongs.
    pub fn zone_of(&self, frame: u32) -> Zone {
        if self.home.iter().any(|range| range.contains(&frame)) {
            Zone::Home
        } else {
            Zone::Common
        }
    }

    fn list_of(&mut self, buddy: &Buddy) -> &mut Heads {
        let zone = self.zone_of(buddy.head);
        &mut self.lists[zone as usize][Self::state_of(buddy) as usize]
    }

    fn info(&self, frame: u32) -> &'static FrameInfo {
        self.table
            .info(Mfn(u64::from(frame)))
            .expect("a free frame has a record")
    }

    const fn state_of(buddy: &Buddy) -> State {
        if buddy.is_clean() {
            State::Clean
        } else {
            State::Dirty
        }
    }

    /// A block of the smallest order from `order` on.
    pub fn smallest(&self, zone: Zone, state: State, order: u32) -> Option<Buddy> {
        let list = &self.lists[zone as usize][state as usize];
        let orders = list.orders & !((1 << order) - 1);
        (orders != 0).then(|| self.head_of(list, orders.trailing_zeros()))
    }

    /// A block of the largest order there is.
    pub fn largest(&self, zone: Zone, state: State) -> Option<Buddy> {
        let list = &self.lists[zone as usize][state as usize];
        let order = list.orders.checked_ilog2()?;
        Some(self.head_of(list, order))
    }

    fn head_of(&self, list: &Heads, order: u32) -> Buddy {
        let head = list.heads[order as usize];
        self.at(head, order).expect("a linked block")
    }

    /// The free block of this order that starts at `head`.
    pub fn at(&self, head: u32, order: u32) -> Option<Buddy> {
        let info = self.table.info(Mfn(u64::from(head)))?;
        let mark = info.mark.load(Relaxed);
        (mark & ((1 << ORDER_BITS) - 1) == order + 1).then_some(Buddy {
            head,
            order,
            clean: mark >> ORDER_BITS,
        })
    }

    pub fn link(&mut self, buddy: Buddy) {
        let info = self.info(buddy.head);
        let list = self.list_of(&buddy);
        let first = &mut list.heads[buddy.order as usize];
        let old = core::mem::replace(first, buddy.head);
        list.orders |= 1 << buddy.order;
        info.next.store(old, Relaxed);
        info.prev.store(NONE, Relaxed);
        info.mark
            .store(buddy.clean << ORDER_BITS | (buddy.order + 1), Relaxed);
        if old != NONE {
            self.info(old).prev.store(buddy.head, Relaxed);
        }
    }

    pub fn unlink(&mut self, buddy: Buddy) {
        let info = self.info(buddy.head);
        let (next, prev) = (info.next.load(Relaxed), info.prev.load(Relaxed));
        info.mark.store(0, Relaxed);
        if prev != NONE {
            self.info(prev).next.store(next, Relaxed);
        } else {
            let list = self.list_of(&buddy);
            list.heads[buddy.order as usize] = next;
            if next == NONE {
                list.orders &= !(1 << buddy.order);
            }
        }
        if next != NONE {
            self.info(next).prev.store(prev, Relaxed);
        }
    }
}
