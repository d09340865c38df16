//! A bench for tests of populate-on-demand: a guest that was promised more memory than it has.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use super::{CreateDomain, Shortage};
use crate::domain::Domain;
use crate::fake_hv::{Fake, RAM_PAGES};
use crate::hypercall::remove_own_pages;
use crate::ids::Gfn;
use crate::sched::PoolId;

/// Pages of a 2 MiB entry, and the first page beyond the guest's RAM where one fits.
pub const BLOCK: u64 = 512;

/// A machine with a guest.
pub struct Bench {
    pub fake: Fake,
    pub guest: Arc<Domain>,
    /// Free pages of the machine before the guest was there.
    pub free_before: u64,
}

impl Bench {
    /// A guest with some RAM from guest frame 0 on.
    pub fn new() -> Self {
        Self::of(Fake::new(), RAM_PAGES)
    }

    /// A guest with `ram` pages.
    pub fn of(fake: Fake, ram: u64) -> Self {
        let free_before = fake.hv.frames.lock().free_pages();
        let new = CreateDomain {
            id: None,
            handle: [0; 16],
            config: Fake::config(1),
            pool: PoolId(0),
            privileged: false,
        };
        let guest = fake.hv.create_domain(new).expect("memory is left");
        (0..ram).for_each(|gfn| fake.add_page(&guest, Gfn(gfn)));
        Self {
            fake,
            guest,
            free_before,
        }
    }

    /// Makes `count` extents of RAM on demand from `gfn` on.
    pub fn promise(&self, gfn: u64, order: u32, count: u64) {
        self.fake.promise(&self.guest, gfn, order, count);
    }

    /// Sets a target, to the end.
    pub fn target(&self, pages: u64) {
        while !self
            .fake
            .hv
            .grow_pod_cache(&self.guest, pages)
            .expect("memory is left")
        {}
    }

    /// Puts `pages` more frames into the cache.
    pub fn set_aside(&self, pages: u64) {
        self.target(self.books().2 + pages);
    }

    /// Entries, cached frames, pages owned.
    pub fn books(&self) -> (u64, u64, u64) {
        let map = self.guest.p2m.read();
        let owned = self.guest.memory.total.load(SeqCst);
        (map.pod().entries(), map.pod().cached(), owned)
    }

    /// The guest touches a page.
    pub fn touch(&self, gfn: u64) -> Result<(), Shortage> {
        self.fake.hv.populate(&self.guest, Gfn(gfn))
    }

    /// Size of the entry that maps a page, if one does.
    pub fn order(&self, gfn: u64) -> Option<u32> {
        let found = self.fake.hv.lookup(&self.guest, Gfn(gfn));
        found.map(|found| found.order)
    }

    /// The guest writes to all of the RAM it began with.
    pub fn use_all_ram(&self) {
        self.use_ram_but(&[]);
    }

    /// The same without some pages.
    pub fn use_ram_but(&self, unused: &[u64]) {
        let used = (0..RAM_PAGES).filter(|page| !unused.contains(page));
        used.for_each(|page| self.fake.put(&self.guest, (page << 12) + 16, &1u64));
    }

    /// The guest's balloon driver gives pages back; how many were taken.
    pub fn give_back(&self, gfns: &[u64]) -> usize {
        remove_own_pages(self.fake.hv, &self.guest, gfns)
    }

    /// Ends the guest.
    pub fn destroy(&self) {
        let ended = (0..1000).any(|_| self.fake.hv.destroy_step(&self.guest) == Ok(true));
        assert!(ended, "destruction ends");
    }
}
