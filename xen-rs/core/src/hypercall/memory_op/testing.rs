//! A bench for the tests of this group: dom0 and a guest on a fake machine.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use zerocopy::{Immutable, IntoBytes};

use crate::domain::Domain;
use crate::fake_hv::{Fake, GUEST_PAGE};
use crate::hypercall::{Outcome, Width};
use crate::ids::Gfn;
use crate::p2m::{P2mEntry, PageType};

/// `__HYPERVISOR_memory_op`.
pub const MEMORY_OP: u32 = 12;
/// Where arguments are put.
pub const ARGUMENT: u64 = 2 * GUEST_PAGE;
/// Where lists are put: eight pages from here on are for them.
pub const LIST: u64 = 4 * GUEST_PAGE;
/// A second list.
pub const SECOND_LIST: u64 = 8 * GUEST_PAGE;
/// A third.
pub const THIRD_LIST: u64 = 10 * GUEST_PAGE;
/// A guest frame without memory, in a region without any.
pub const HOLE: u64 = 0x8_0000;

/// Dom0 and a guest.
pub struct Bench {
    /// The machine.
    pub fake: Fake,
    /// Domain 0.
    pub dom0: Arc<Domain>,
    /// Domain 1.
    pub guest: Arc<Domain>,
}

impl Bench {
    /// Both with RAM from guest frame 0 on.
    pub fn new() -> Self {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        Self { fake, dom0, guest }
    }

    /// The operation with this argument, to its end.
    pub fn run<T: IntoBytes + Immutable>(
        &self,
        caller: &Arc<Domain>,
        op: u32,
        argument: &T,
    ) -> Result<i64, Errno> {
        self.run_as(caller, Width::Bits64, op, argument)
    }

    /// The same for a chosen width.
    pub fn run_as<T: IntoBytes + Immutable>(
        &self,
        caller: &Arc<Domain>,
        width: Width,
        op: u32,
        argument: &T,
    ) -> Result<i64, Errno> {
        self.fake.put(caller, ARGUMENT, argument);
        let mut args = [u64::from(op), ARGUMENT, 0, 0, 0];
        for _ in 0..1000 {
            match self.fake.call_by(caller, 0, width, MEMORY_OP, &args)? {
                Outcome::Continue(next) => args = next,
                Outcome::Done(value) => return Ok(value),
                other => panic!("unexpected {other:?}"),
            }
        }
        panic!("the call restarts for ever");
    }

    /// Puts a list of 64-bit frame numbers.
    pub fn list(&self, caller: &Arc<Domain>, at: u64, frames: &[u64]) {
        self.fake.put(caller, at, frames);
    }

    /// Puts an entry into a domain's map whatever is there, as no handler would.
    pub fn put_entry(&self, domain: &Domain, gfn: u64, entry: P2mEntry) {
        let mut map = domain.p2m.write();
        map.set(&mut self.fake.hv.tables(domain), Gfn(gfn), entry)
            .expect("memory is left");
    }

    /// What a domain sees at a guest frame.
    pub fn kind(&self, domain: &Domain, gfn: u64) -> Option<PageType> {
        self.fake
            .hv
            .lookup(domain, Gfn(gfn))
            .map(|found| found.kind)
    }

    /// Pages a domain owns.
    pub fn total(&self, domain: &Domain) -> u64 {
        domain.memory.total.load(SeqCst)
    }

    /// Free frames of the machine.
    pub fn free(&self) -> u64 {
        self.fake.hv.frames.lock().free_pages()
    }

    /// Errors that a batch stored.
    pub fn errors(&self, caller: &Domain, at: u64, count: u64) -> Vec<i32> {
        (0..count)
            .map(|index| self.fake.get(caller, at + 4 * index))
            .collect()
    }
}
