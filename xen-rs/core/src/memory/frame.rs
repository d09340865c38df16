//! One record per machine frame: owner and references.
//!
//! A frame of a domain starts with one reference, the *allocation*, which belongs to whoever may give the frame back (the p2m entry that
//! maps RAM, or the hypervisor for shared pages). Every mapping by someone else takes a further reference. The frame is free when the
//! last reference goes, whatever the order, so a frame is never reused while anyone can reach it. Owner and count change together in
//! one atomic word.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::ids::{Domid, Mfn};

const COUNT: u64 = 0xffff_ffff;
const OWNER_SHIFT: u32 = 32;
/// The allocation reference has not been given back.
const ALLOCATED: u64 = 1 << 48;
/// References beyond this are refused, far below the wrap.
const COUNT_LIMIT: u64 = 0x7fff_ffff;

/// What is known of one frame. `next`, `prev` and `mark` (of the free block that starts here) are the allocator's while the frame is free; `next`
/// is a [`super::frame_list::FrameList`]'s while the frame is on one. `remains` is what the frame may still hold while nobody uses it.
pub struct FrameInfo {
    state: AtomicU64,
    pub(super) next: AtomicU32,
    pub(super) prev: AtomicU32,
    pub(super) mark: AtomicU32,
    pub(super) remains: AtomicU32,
}

impl FrameInfo {
    /// A frame that belongs to nobody and is not RAM until the allocator is given it.
    #[must_use]
    pub const fn absent() -> Self {
        Self {
            state: AtomicU64::new(0),
            next: AtomicU32::new(0),
            prev: AtomicU32::new(0),
            mark: AtomicU32::new(0),
            remains: AtomicU32::new(0),
        }
    }
}

/// Last reference gone: the caller must flush what may cache the frame, then give it to the allocator.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// Others still hold the frame.
    Held,
    /// Nobody does; it belonged to this domain.
    Last(Domid),
}

/// The records of all frames from 0 to the highest RAM frame.
#[derive(Copy, Clone)]
pub struct FrameTable {
    frames: &'static [FrameInfo],
}

impl FrameTable {
    /// A table over records that live as long as the machine.
    #[must_use]
    pub const fn new(frames: &'static [FrameInfo]) -> Self {
        Self { frames }
    }

    /// One past the highest frame.
    #[must_use]
    pub fn end(&self) -> Mfn {
        Mfn(self.frames.len() as u64)
    }

    pub(super) fn info(&self, mfn: Mfn) -> Option<&'static FrameInfo> {
        self.frames.get(usize::try_from(mfn.0).ok()?)
    }

    /// Makes an unreferenced frame `owner`'s with its allocation reference.
    pub fn assign(&self, mfn: Mfn, owner: Domid) {
        let info = self.info(mfn).expect("frame came from the allocator");
        // Nobody changes the word of an unreferenced frame, so load and store need not be one step.
        let before = info.state.load(Ordering::Acquire);
        assert_eq!(
            before & (COUNT | ALLOCATED),
            0,
            "frame handed out while referenced"
        );
        info.state.store(
            ALLOCATED | u64::from(owner.0) << OWNER_SHIFT | 1,
            Ordering::Release,
        );
    }

    /// The frame's owner while it is referenced.
    #[must_use]
    pub fn owner(&self, mfn: Mfn) -> Option<Domid> {
        let state = self.info(mfn)?.state.load(Ordering::Acquire);
        (state & COUNT != 0).then_some(Domid((state >> OWNER_SHIFT) as u16))
    }

    /// References held on the frame.
    #[must_use]
    pub fn count(&self, mfn: Mfn) -> u32 {
        self.info(mfn).map_or(0, |info| {
            (info.state.load(Ordering::Acquire) & COUNT) as u32
        })
    }

    /// Takes a reference if the frame is in use and belongs to `owner`.
    #[must_use]
    pub fn get(&self, mfn: Mfn, owner: Domid) -> bool {
        let Some(info) = self.info(mfn) else {
            return false;
        };
        info.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
                let usable = state & COUNT != 0
                    && state & COUNT < COUNT_LIMIT
                    && (state >> OWNER_SHIFT) as u16 == owner.0;
                usable.then(|| state + 1)
            })
            .is_ok()
    }

    /// Drops a reference taken by [`Self::get`].
    pub fn put(&self, mfn: Mfn) -> Put {
        self.drop_reference(mfn)
    }

    /// Drops the allocation reference; a second call for the same allocation is refused with `None`.
    pub fn release(&self, mfn: Mfn) -> Option<Put> {
        let info = self.info(mfn)?;
        let state = info.state.load(Ordering::Acquire);
        if state & (COUNT | ALLOCATED) == ALLOCATED | 1 {
            // The usual case in one step: nobody else holds the frame.
            let free = state & !(COUNT | ALLOCATED);
            let swap =
                info.state
                    .compare_exchange(state, free, Ordering::AcqRel, Ordering::Acquire);
            if swap.is_ok() {
                return Some(Put::Last(Domid((state >> OWNER_SHIFT) as u16)));
            }
        }
        let before = info.state.fetch_and(!ALLOCATED, Ordering::AcqRel);
        (before & ALLOCATED != 0).then(|| self.drop_reference(mfn))
    }

    fn drop_reference(&self, mfn: Mfn) -> Put {
        let info = self.info(mfn).expect("a referenced frame has a record");
        let before = info.state.fetch_sub(1, Ordering::AcqRel);
        assert_ne!(before & COUNT, 0, "reference dropped twice");
        if before & COUNT == 1 {
            Put::Last(Domid((before >> OWNER_SHIFT) as u16))
        } else {
            Put::Held
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    fn table() -> FrameTable {
        let frames: Vec<_> = (0..8).map(|_| FrameInfo::absent()).collect();
        FrameTable::new(Box::leak(frames.into_boxed_slice()))
    }

    #[test]
    fn frame_is_free_only_after_the_last_reference_whatever_the_order() {
        let table = table();
        table.assign(Mfn(3), Domid(7));
        assert!(table.get(Mfn(3), Domid(7)));
        assert_eq!(table.release(Mfn(3)), Some(Put::Held));
        assert_eq!(table.put(Mfn(3)), Put::Last(Domid(7)));
        assert_eq!(table.owner(Mfn(3)), None);
    }

    #[test]
    fn nobody_gets_a_frame_of_another_owner_or_a_free_one() {
        let table = table();
        table.assign(Mfn(1), Domid(1));
        assert!(!table.get(Mfn(1), Domid(2)));
        assert!(!table.get(Mfn(2), Domid(1)));
        assert!(!table.get(Mfn(u64::MAX), Domid(1)));
    }

    #[test]
    fn allocation_is_given_back_only_once() {
        let table = table();
        table.assign(Mfn(1), Domid(1));
        assert!(table.get(Mfn(1), Domid(1)));
        assert!(table.release(Mfn(1)).is_some());
        assert!(table.release(Mfn(1)).is_none());
    }
}
