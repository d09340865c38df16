//! Frames that somebody holds without mapping them, in a list through their records.
//!
//! The list needs no memory of its own. A frame may be on one list only, and its links are the list's while it is: those who put a frame on
//! a list hold its allocation reference. Last in, first out, as that one is likeliest still in a cache.

use core::sync::atomic::Ordering;

use super::frame::FrameTable;
use crate::ids::Mfn;

/// End of list.
const NONE: u32 = u32::MAX;

/// A list of frames.
pub struct FrameList {
    head: u32,
    len: u64,
}

impl FrameList {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: NONE, len: 0 }
    }

    /// Frames on the list.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether no frame is on the list.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a frame on the list.
    pub fn push(&mut self, table: FrameTable, frame: Mfn) {
        let info = table.info(frame).expect("a held frame has a record");
        info.next.store(self.head, Ordering::Relaxed);
        self.head = u32::try_from(frame.0).expect("frame numbers of records have 32 bits");
        self.len += 1;
    }

    /// Takes the frame that was put last.
    pub fn pop(&mut self, table: FrameTable) -> Option<Mfn> {
        let frame = Mfn(u64::from(self.head));
        let info = table.info(frame).filter(|_| !self.is_empty())?;
        self.head = info.next.load(Ordering::Relaxed);
        self.len -= 1;
        Some(frame)
    }
}

impl Default for FrameList {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::FrameInfo;
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    #[test]
    fn frames_come_back_once_and_the_last_one_first() {
        let infos: Vec<_> = (0..8).map(|_| FrameInfo::absent()).collect();
        let table = FrameTable::new(Box::leak(infos.into_boxed_slice()));
        let mut list = FrameList::new();
        assert_eq!(list.pop(table), None);
        [3, 0, 7]
            .into_iter()
            .for_each(|frame| list.push(table, Mfn(frame)));
        assert_eq!(list.len(), 3);
        assert_eq!(list.pop(table), Some(Mfn(7)));
        list.push(table, Mfn(5));
        let rest: Vec<_> = core::iter::from_fn(|| list.pop(table)).collect();
        assert_eq!(rest, [Mfn(5), Mfn(0), Mfn(3)]);
        assert!(list.is_empty());
    }
}
