//! Mappers, copiers and a granter that scribbles over its entries and gives its pages away, all at once: whatever comes of it, no reference
//! is lost and none is dropped twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::vec::Vec;

use xen_abi::grant_table::{
    GNTST_OKAY, GNTTABOP_COPY, GNTTABOP_MAP_GRANT_REF, GNTTABOP_UNMAP_GRANT_REF, GnttabCopy,
    GnttabCopyPtr, GnttabMapGrantRef,
};

use super::testing::{EMPTY, Pair, copy_op, own, unmap_op};
use crate::domain::{Domain, Life};
use crate::fake_hv::RAM_PAGES;
use crate::hal::MachineMemory;
use crate::hypercall::Width;
use crate::ids::{Domid, Gfn};

/// Entries that are fought over.
const ENTRIES: u64 = 6;
const ROUNDS: u64 = 400;

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Maps, unmaps and copies, mostly sensibly.
fn use_grants(pair: &Pair, user: &Arc<Domain>, seed: u64) {
    let mut random = Random(seed);
    let mut mapped: Vec<(u32, Gfn)> = Vec::new();
    for round in 0..ROUNDS {
        let reference = random.below(ENTRIES) as u32;
        match random.below(4) {
            0 | 1 => {
                let at = Gfn(EMPTY.0 + round % 50);
                let op = GnttabMapGrantRef {
                    flags: 2 | (random.next() as u32 & 4),
                    ..pair.map_op(reference, at, 2)
                };
                let (_, back) = pair.run_as(user, Width::Bits64, GNTTABOP_MAP_GRANT_REF, &[op]);
                if back[0].status == GNTST_OKAY {
                    mapped.push((back[0].handle, at));
                }
            }
            2 if !mapped.is_empty() => {
                let (handle, at) = mapped.swap_remove(random.below(mapped.len() as u64) as usize);
                let ops = [
                    unmap_op(handle, at),
                    unmap_op(random.next() as u32 % 300, at),
                ];
                let (rc, _) = pair.run_as(user, Width::Bits64, GNTTABOP_UNMAP_GRANT_REF, &ops);
                assert_eq!(rc, Ok(0));
            }
            _ => {
                let op = copy_op(pair.by_ref(reference, 0), own(20, 0), 64);
                let (rc, _) = pair.run_as(user, Width::Bits64, GNTTABOP_COPY, &[op]);
                assert_eq!(rc, Ok(0));
            }
        }
    }
}

/// Writes nonsense and sense into the entries, and replaces pages.
fn meddle(pair: &Pair, users: &[Domid], stop: &AtomicBool) {
    let mut random = Random(99);
    while !stop.load(SeqCst) {
        let entry = pair.entry(random.below(ENTRIES) as u32);
        let user = users[random.below(users.len() as u64) as usize];
        let flags = random.below(8) | 1;
        pair.fake.memory.store_u64(
            entry,
            flags | u64::from(user.0) << 16 | random.below(RAM_PAGES + 2) << 32,
        );
        if random.below(4) == 0 {
            pair.fake
                .add_page(&pair.granter, Gfn(random.below(RAM_PAGES)));
        }
    }
}

#[test]
fn no_reference_is_lost_when_everybody_meddles() {
    let pair = Pair::new();
    let other = pair.fake.domain(1);
    let stop = AtomicBool::new(false);
    (0..ENTRIES as u32).for_each(|reference| pair.grant_rw(reference, u64::from(reference)));
    let users = [pair.mapper.id, other.id];
    std::thread::scope(|scope| {
        let meddler = scope.spawn(|| meddle(&pair, &users, &stop));
        let workers = [
            scope.spawn(|| use_grants(&pair, &pair.mapper, 7)),
            scope.spawn(|| use_grants(&pair, &other, 8)),
        ];
        let results = workers.map(|worker| worker.join());
        stop.store(true, SeqCst);
        meddler.join().unwrap();
        // Only now: a failed worker must not leave the meddler running.
        for result in results {
            result.unwrap();
        }
    });
    for user in [&pair.mapper, &other] {
        assert!(user.advance_life(Life::Alive, Life::Dying));
        while !user.grants.teardown_step(pair.fake.hv, user, 100) {}
    }
    assert!((0..RAM_PAGES).all(|gfn| pair.references(gfn) == 1));
    assert_eq!(pair.granter.memory.total.load(SeqCst), RAM_PAGES);
}

#[test]
fn no_argument_panics() {
    let pair = Pair::new();
    let mut random = Random(5);
    (0..ENTRIES as u32).for_each(|reference| pair.grant_rw(reference, 5));
    for _ in 0..2000 {
        let wild = |random: &mut Random| match random.below(3) {
            0 => random.below(8),
            1 => u64::MAX - random.below(0x2000),
            _ => random.next(),
        };
        let side = |random: &mut Random| GnttabCopyPtr {
            gmfn_or_ref: wild(random),
            domid: [0, 1, 0x7ff0, wild(random) as u16][random.below(4) as usize],
            offset: wild(random) as u16,
            ..Default::default()
        };
        let copy = GnttabCopy {
            source: side(&mut random),
            dest: side(&mut random),
            len: wild(&mut random) as u16,
            flags: wild(&mut random) as u16,
            ..Default::default()
        };
        let map = GnttabMapGrantRef {
            // Not over the arguments.
            host_addr: wild(&mut random).max(0x2_0000),
            flags: wild(&mut random) as u32,
            ref_: wild(&mut random) as u32,
            dom: random.below(3) as u16,
            ..Default::default()
        };
        let unmap = unmap_op(wild(&mut random) as u32, Gfn(wild(&mut random) >> 12));
        assert_eq!(pair.run(GNTTABOP_COPY, &[copy]).0, Ok(0));
        assert_eq!(pair.run(GNTTABOP_MAP_GRANT_REF, &[map]).0, Ok(0));
        assert_eq!(pair.run(GNTTABOP_UNMAP_GRANT_REF, &[unmap]).0, Ok(0));
    }
}
