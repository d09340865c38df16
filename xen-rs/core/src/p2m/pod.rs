//! The books of populate-on-demand: RAM that a guest was promised, the frames set aside for it, and where to look for more.
//!
//! A domain that starts with less memory than it may grow to has *entries* that wait for a frame ([`super::Slot::OnDemand`]) and a *cache* of
//! frames that belong to it and hold zeroes. A touched entry gets a frame from the cache. Entries outnumber the cache until the guest's balloon
//! driver has given back the difference; if the cache runs dry before, pages that hold nothing but zeroes are taken back from the guest
//! ([`super::P2m::next_suspect`] walks over them). The meaning of the numbers is Xen's (xen/arch/x86/mm/p2m-pod.c, the comments on
//! `p2m_pod_set_mem_target` and `p2m_pod_demand_populate`).
//!
//! Owned by [`super::P2m`] and so behind its lock. The map counts its own entries; frames come and go with their allocation reference.

use crate::ids::Mfn;
use crate::memory::frame::FrameTable;
use crate::memory::frame_list::FrameList;

/// A block is what a 2 MiB entry maps.
pub const BLOCK_ORDER: u32 = 9;
/// Pages of a block.
pub const BLOCK_PAGES: u64 = 1 << BLOCK_ORDER;

/// Cache, count of entries and position of the search for free pages.
#[derive(Default)]
pub struct Pod {
    singles: FrameList,
    blocks: FrameList,
    pub(super) entries: u64,
    pub(super) sweep: Sweep,
}

impl Pod {
    /// Nothing on demand.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            singles: FrameList::new(),
            blocks: FrameList::new(),
            entries: 0,
            sweep: Sweep::new(),
        }
    }

    /// Frames in the cache.
    #[must_use]
    pub const fn cached(&self) -> u64 {
        self.singles.len() + self.blocks.len() * BLOCK_PAGES
    }

    /// Guest pages that wait for a frame.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// Frames that are missing to serve every entry.
    #[must_use]
    pub const fn shortage(&self) -> u64 {
        self.entries.saturating_sub(self.cached())
    }

    /// Frames that no entry is left for.
    #[must_use]
    pub const fn surplus(&self) -> u64 {
        self.cached().saturating_sub(self.entries)
    }

    /// Whether the entries became fewer than they were `before`, and than there are frames. A domain that is being built may have frames
    /// before it has entries for them.
    #[must_use]
    pub const fn outgrew(&self, before: u64) -> bool {
        self.entries < before && self.surplus() > 0
    }

    /// Frames that the cache of a domain with `owned` pages has to grow by when the toolstack wants it to own `target`.
    ///
    /// A cache never shrinks for a target: the guest's balloon driver gives memory back. It never grows beyond the entries either, except
    /// while the domain is built and has no entries yet.
    #[must_use]
    pub const fn missing(&self, owned: u64, target: u64) -> u64 {
        let populated = owned.saturating_sub(self.cached());
        if populated > 0 && self.entries == 0 {
            return 0;
        }
        let to_target = target.saturating_sub(owned);
        if populated > 0 && to_target > self.shortage() {
            return self.shortage();
        }
        to_target
    }

    /// Puts a zeroed, unmapped frame or an aligned block into the cache.
    pub fn add(&mut self, table: FrameTable, first: Mfn, order: u32) {
        if order == BLOCK_ORDER {
            self.blocks.push(table, first);
        } else {
            (0..1 << order).for_each(|offset| self.singles.push(table, Mfn(first.0 + offset)));
        }
    }

    /// Takes a block if one is wanted and there, else a frame; `None` if the cache is empty.
    pub fn take(&mut self, table: FrameTable, order: u32) -> Option<(Mfn, u32)> {
        if order >= BLOCK_ORDER
            && let Some(block) = self.blocks.pop(table)
        {
            return Some((block, BLOCK_ORDER));
        }
        if self.singles.is_empty() {
            let block = self.blocks.pop(table)?;
            (1..BLOCK_PAGES)
                .rev()
                .for_each(|offset| self.singles.push(table, Mfn(block.0 + offset)));
            return Some((block, 0));
        }
        self.singles.pop(table).map(|frame| (frame, 0))
    }

    /// Takes a frame that no entry is left for; frames of blocks last.
    pub fn take_surplus(&mut self, table: FrameTable) -> Option<Mfn> {
        if self.surplus() == 0 {
            return None;
        }
        self.take(table, 0).map(|(frame, _)| frame)
    }
}

/// How far the search for pages of zeroes has come. Whole blocks are looked for all around the map first, then single pages, each from where
/// the last search stopped.
#[derive(Default)]
pub(super) struct Sweep {
    /// Single pages are looked for.
    pub(super) pages: bool,
    block_at: u64,
    page_at: u64,
    /// Pages still to be visited before this kind of search is known to be fruitless; `None` before it starts.
    left: Option<u64>,
}

impl Sweep {
    const fn new() -> Self {
        Self {
            pages: false,
            block_at: 0,
            page_at: 0,
            left: None,
        }
    }

    /// The page to look at, of a map that ends before `end`; `None` when a search for blocks and one for pages found nothing.
    pub(super) fn position(&mut self, end: u64) -> Option<u64> {
        if *self.left.get_or_insert(end) == 0 {
            if self.pages {
                self.start_over();
                return None;
            }
            self.pages = true;
            self.left = Some(end);
        }
        let at = self.cursor();
        if *at >= end {
            *at = 0;
        }
        Some(*at)
    }

    fn cursor(&mut self) -> &mut u64 {
        if self.pages {
            &mut self.page_at
        } else {
            &mut self.block_at
        }
    }

    /// All up to `next` was looked at.
    pub(super) fn advance(&mut self, next: u64) {
        let at = self.cursor();
        let visited = next.saturating_sub(*at);
        *at = next;
        self.left = self.left.map(|left| left.saturating_sub(visited));
    }

    /// Something was found, or everything was looked at.
    pub(super) const fn start_over(&mut self) {
        self.pages = false;
        self.left = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::frame::FrameInfo;
    use std::boxed::Box;
    use std::vec::Vec;

    fn table() -> FrameTable {
        let infos: Vec<_> = (0..2048).map(|_| FrameInfo::absent()).collect();
        FrameTable::new(Box::leak(infos.into_boxed_slice()))
    }

    fn pod(entries: u64) -> Pod {
        Pod {
            entries,
            ..Pod::new()
        }
    }

    #[test]
    fn blocks_are_given_whole_and_broken_only_when_single_frames_run_out() {
        let (table, mut pod) = (table(), pod(2000));
        pod.add(table, Mfn(512), 9);
        pod.add(table, Mfn(1024), 9);
        pod.add(table, Mfn(7), 0);
        assert_eq!((pod.cached(), pod.shortage()), (1025, 975));
        assert_eq!(pod.take(table, 9), Some((Mfn(1024), 9)));
        assert_eq!(pod.take(table, 0), Some((Mfn(7), 0)));
        assert_eq!(pod.take(table, 0), Some((Mfn(512), 0)));
        assert_eq!(pod.take(table, 9), Some((Mfn(513), 0)));
        assert_eq!(pod.cached(), 510);
        let rest: Vec<_> = core::iter::from_fn(|| pod.take(table, 0)).collect();
        assert_eq!(rest.len(), 510);
        assert_eq!(pod.cached(), 0);
    }

    #[test]
    fn only_what_no_entry_needs_is_surplus() {
        let (table, mut pod) = (table(), pod(2));
        (10..15).for_each(|frame| pod.add(table, Mfn(frame), 0));
        let surplus: Vec<_> = core::iter::from_fn(|| pod.take_surplus(table)).collect();
        assert_eq!((surplus.len(), pod.cached(), pod.surplus()), (3, 2, 0));
    }

    #[test]
    fn target_fills_the_cache_of_a_new_domain() {
        let (table, mut pod) = (table(), pod(0));
        assert_eq!(pod.missing(0, 700), 700);
        pod.add(table, Mfn(512), 9);
        assert_eq!(pod.missing(512, 700), 188);
    }

    #[test]
    fn target_of_a_domain_without_entries_is_met() {
        assert_eq!(pod(0).missing(100, 700), 0);
    }

    #[test]
    fn target_below_what_the_domain_owns_changes_nothing() {
        let (table, mut pod) = (table(), pod(600));
        pod.add(table, Mfn(512), 9);
        assert_eq!(pod.missing(612, 600), 0);
    }

    #[test]
    fn target_grows_the_cache_as_far_as_there_are_entries() {
        let (table, mut pod) = (table(), pod(600));
        pod.add(table, Mfn(512), 9);
        assert_eq!(pod.missing(612, 650), 38);
        assert_eq!(pod.missing(612, 10_000), 88);
        assert_eq!(pod.missing(612, u64::MAX), 88);
    }

    #[test]
    fn search_visits_all_blocks_then_all_pages_and_then_ends() {
        let mut sweep = Sweep::new();
        sweep.page_at = 3;
        let mut visited = Vec::new();
        while let Some(at) = sweep.position(8) {
            visited.push((sweep.pages, at));
            let step = if sweep.pages { 1 } else { 4 };
            sweep.advance(at + step);
        }
        let pages = [3, 4, 5, 6, 7, 0, 1, 2].map(|at| (true, at));
        assert_eq!(visited[..2], [(false, 0), (false, 4)]);
        assert_eq!(visited[2..], pages);
        assert_eq!(sweep.position(8), Some(0));
    }

    #[test]
    fn success_makes_the_search_for_blocks_start_over() {
        let mut sweep = Sweep::new();
        while !sweep.pages {
            sweep.position(8);
            sweep.advance(8);
        }
        sweep.start_over();
        sweep.position(8);
        assert!(!sweep.pages);
    }
}
