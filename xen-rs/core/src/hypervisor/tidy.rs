//! Giving back what other domains' mappings left in dom0's map, while there is nothing else to do.
//!
//! One CPU at a time works on it. The walk starts over whenever a domain is gone.

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::Hypervisor;
use crate::ids::{Domid, Gfn};

/// How far the walk through dom0's map has come: a page number or one of the two values below.
pub(super) struct Progress(AtomicU64);

const NOTHING_TO_DO: u64 = u64::MAX;
const SOMEBODY_WORKS: u64 = u64::MAX - 1;

impl Progress {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(NOTHING_TO_DO))
    }

    pub(super) fn start_over(&self) {
        self.0.store(0, SeqCst);
    }

    fn begin(&self) -> Option<Gfn> {
        let at = self.0.load(SeqCst);
        let claimed = at < SOMEBODY_WORKS
            && self
                .0
                .compare_exchange(at, SOMEBODY_WORKS, SeqCst, SeqCst)
                .is_ok();
        claimed.then_some(Gfn(at))
    }

    /// A wish to start over that came meanwhile stays.
    fn end(&self, next: Option<Gfn>) {
        let next = next.map_or(NOTHING_TO_DO, |gfn| gfn.0);
        let _ = self
            .0
            .compare_exchange(SOMEBODY_WORKS, next, SeqCst, SeqCst);
    }
}

impl Hypervisor {
    /// Looks at one table of dom0's map and frees what it does not need. `false` if there is nothing to look at.
    pub fn tidy_piece(&self) -> bool {
        let Some(at) = self.tidying.begin() else {
            return false;
        };
        let Some(dom0) = self.domain(Domid::DOM0) else {
            self.tidying.end(None);
            return false;
        };
        let (next, retired) = {
            let mut map = dom0.p2m.write();
            (map.tidy(at), map.take_retired())
        };
        if !retired.is_empty() {
            self.arch.flush_domain(&dom0);
            retired
                .into_iter()
                .for_each(|table| self.free_table(&dom0, table));
        }
        self.tidying.end(next);
        next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::p2m::{P2mEntry, PageType};

    #[test]
    fn a_domain_that_is_gone_leaves_no_table_in_the_map_of_dom0() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let guest = fake.domain(1);
        let tables = dom0.table_frames.load(SeqCst);
        let free = fake.hv.frames.lock().free_pages();
        let far = Gfn(0x4000_0000);
        let entry = P2mEntry {
            mfn: fake.mfn(&guest, Gfn(0)),
            kind: PageType::GrantRo,
        };
        fake.hv.map_page(&dom0, far, entry).expect("frames left");
        fake.hv.unmap_page(&dom0, far).expect("frames left");
        assert!(dom0.table_frames.load(SeqCst) > tables);
        assert!(!fake.hv.tidy_piece(), "nobody was destroyed yet");

        guest.pause.pause();
        let flushes = fake.arch.flushes();
        while !fake.hv.destroy_step(&guest).expect("destruction goes on") {}
        while fake.hv.tidy_piece() {}
        assert_eq!(dom0.table_frames.load(SeqCst), tables);
        assert!(fake.arch.flushes() > flushes);
        assert!(fake.hv.frames.lock().free_pages() > free);
    }

    #[test]
    fn a_wish_to_start_over_is_not_lost_while_somebody_works() {
        let progress = Progress::new();
        assert_eq!(progress.begin(), None);
        progress.start_over();
        assert_eq!(progress.begin(), Some(Gfn(0)));
        assert_eq!(progress.begin(), None, "one at a time");
        progress.end(Some(Gfn(512)));
        assert_eq!(progress.begin(), Some(Gfn(512)));
        progress.start_over();
        progress.end(None);
        assert_eq!(progress.begin(), Some(Gfn(0)));
    }
}
