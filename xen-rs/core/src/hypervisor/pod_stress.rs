//! vCPUs that touch, balloon and let others map what was promised to them, all at once and with less memory than that: whatever comes of it,
//! the books agree with the map, no page of theirs loses what was written to it, and every frame comes back.

use core::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;
use std::vec::Vec;

use super::Shortage;
use super::pod_testing::{BLOCK, Bench};
use crate::domain::Domain;
use crate::ids::{Gfn, Gpa, Maddr};
use crate::p2m::Behind;

/// Pages that each vCPU has for itself, beside those that all touch.
const OWN: u64 = 64;
const ROUNDS: u64 = 300;

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What the books must say, from a walk over the whole map.
fn recount(bench: &Bench, end: u64) {
    let map = bench.guest.p2m.read();
    let (mut waiting, mut mapped) = (0, 0);
    for gfn in 0..end {
        match map.find(Gfn(gfn)) {
            Behind::OnDemand(_) => waiting += 1,
            Behind::Page(_) => mapped += 1,
            Behind::Nothing => {}
        }
    }
    let pod = map.pod();
    let owned = bench.guest.memory.total.load(SeqCst);
    assert_eq!((pod.entries(), mapped + pod.cached()), (waiting, owned));
}

/// Writes to pages of its own and takes them back out of use, while all vCPUs touch shared pages.
fn run_vcpu(bench: &Bench, number: u64) {
    let hv = bench.fake.hv;
    let (mut random, mut written) = (Random(number + 1), Vec::new());
    let own = 2 * BLOCK + number * OWN;
    for round in 1..=ROUNDS {
        let page = own + random.below(OWN);
        match random.below(6) {
            0 | 1 => {
                if hv.write_guest(&bench.guest, Gpa(page << 12), &round.to_ne_bytes()) == Ok(()) {
                    written.retain(|&(other, _)| other != page);
                    written.push((page, round));
                }
            }
            2 if !written.is_empty() => {
                let (page, value) = written.swap_remove(0);
                assert_eq!(bench.fake.get::<u64>(&bench.guest, page << 12), value);
                bench.fake.put(&bench.guest, page << 12, &0u64);
            }
            3 => {
                let shared = BLOCK + random.below(BLOCK);
                let touched = bench.touch(shared);
                assert!(!matches!(
                    touched,
                    Err(Shortage::OutOfTables | Shortage::Dying)
                ));
            }
            4 => {
                bench.give_back(&[BLOCK + random.below(BLOCK)]);
            }
            _ => {
                if let Ok(held) = hv.get_guest_page(&bench.guest, Gfn(page)) {
                    let mut bytes = [0; 8];
                    hv.memory.read(Maddr(held.mfn.maddr().0), &mut bytes);
                    let known = written.iter().find(|(other, _)| *other == page);
                    let value = known.map_or(0, |(_, value)| *value);
                    assert_eq!(u64::from_ne_bytes(bytes), value);
                    hv.put_page(held.mfn);
                }
            }
        }
    }
    for (page, value) in written {
        assert_eq!(bench.fake.get::<u64>(&bench.guest, page << 12), value);
    }
}

fn stress(vcpus: u64, set_aside: u64, orders: [u32; 2]) {
    let bench = Bench::new();
    for (block, order) in [(1, orders[0]), (2, orders[1])] {
        bench.promise(block * BLOCK, order, BLOCK >> order);
    }
    bench.set_aside(set_aside);
    std::thread::scope(|scope| {
        for number in 0..vcpus {
            let bench = &bench;
            scope.spawn(move || run_vcpu(bench, number));
        }
    });
    recount(&bench, 4 * BLOCK);
    let guest: &Arc<Domain> = &bench.guest;
    bench.destroy();
    assert_eq!(guest.memory.total.load(SeqCst), 0);
    let free = bench.fake.hv.frames.lock().free_pages();
    assert_eq!(free, bench.free_before);
}

#[test]
fn racing_vcpus_keep_their_pages_when_memory_suffices() {
    stress(4, 1024, [9, 9]);
}

#[test]
fn racing_vcpus_keep_their_pages_when_memory_is_short() {
    stress(4, 100, [9, 9]);
    stress(3, 40, [0, 0]);
    stress(4, 512, [9, 0]);
}
