//! A test with many random requests, after which not one reference may be missing or left over.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::memory::{
    AddToPhysmap, AddToPhysmapBatch, MemAcquireResource, MemoryReservation, RemoveFromPhysmap,
    XENMAPSPACE_GMFN, XENMAPSPACE_GMFN_FOREIGN, XENMAPSPACE_GMFN_RANGE, XENMEM_ACQUIRE_RESOURCE,
    XENMEM_ADD_TO_PHYSMAP, XENMEM_ADD_TO_PHYSMAP_BATCH, XENMEM_CLAIM_PAGES,
    XENMEM_DECREASE_RESERVATION, XENMEM_POPULATE_PHYSMAP, XENMEM_REMOVE_FROM_PHYSMAP,
    XENMEM_RESOURCE_GRANT_TABLE, XENMEMF_POPULATE_ON_DEMAND,
};

use super::testing::{Bench, HOLE, LIST, SECOND_LIST, THIRD_LIST};
use crate::domain::Domain;
use crate::ids::Mfn;
use crate::p2m::P2mEntry;
use crate::paging::{Piece, level_order};

/// Where arguments, lists and the pages that the domains need for themselves end.
const OWN_PAGES: u64 = 12;
/// Frames of the fake machine that are never free.
const FIRST_FREE: u64 = 16;

/// A linear congruential generator (Knuth, MMIX).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A guest frame outside of what the domains need: often one of a few, now and then a senseless one.
    fn gfn(&mut self) -> u64 {
        match self.below(20) {
            0 => self.one_of(&[u64::MAX, 1 << 36, (1 << 36) - 1, 1 << 52]),
            1..10 => OWN_PAGES + self.below(30),
            10..13 => HOLE + 512 * self.below(3),
            _ => HOLE + self.below(1536),
        }
    }
}

/// Makes a request; whether it was accepted.
fn request(bench: &Bench, dice: &mut Dice) -> bool {
    let caller = dice.one_of(&[&bench.dom0, &bench.dom0, &bench.guest]);
    let domid = dice.one_of(&[0x7ff0, 0x7ff0, bench.guest.id.0, 0, 99]);
    let count = 1 + dice.below(6);
    for entry in 0..count {
        bench.fake.put(caller, LIST + 8 * entry, &dice.gfn());
        bench.fake.put(caller, SECOND_LIST + 8 * entry, &dice.gfn());
    }
    let result = match dice.below(7) {
        choice @ 0..3 => {
            let op = [
                XENMEM_POPULATE_PHYSMAP,
                XENMEM_DECREASE_RESERVATION,
                XENMEM_DECREASE_RESERVATION,
            ][choice as usize];
            let extents = MemoryReservation {
                extent_start: LIST,
                nr_extents: count,
                extent_order: dice.one_of(&[0, 0, 0, 1, 5, 9, 10]),
                mem_flags: dice.one_of(&[0, 0, XENMEMF_POPULATE_ON_DEMAND]),
                domid,
                ..MemoryReservation::default()
            };
            bench.run(caller, op, &extents)
        }
        3 => {
            let space = dice.one_of(&[0, 1, XENMAPSPACE_GMFN, XENMAPSPACE_GMFN_RANGE]);
            let idx = if space < XENMAPSPACE_GMFN {
                dice.below(6)
            } else {
                dice.gfn()
            };
            let size = dice.below(90) as u16;
            // Ranges stay away from the pages with the arguments.
            let idx = if space == XENMAPSPACE_GMFN_RANGE {
                HOLE + idx % 1024
            } else {
                idx
            };
            let gpfn = if space == XENMAPSPACE_GMFN_RANGE {
                HOLE + dice.below(1024)
            } else {
                dice.gfn()
            };
            bench.run(
                caller,
                XENMEM_ADD_TO_PHYSMAP,
                &AddToPhysmap {
                    domid,
                    size,
                    space,
                    idx,
                    gpfn,
                },
            )
        }
        4 => {
            let batch = AddToPhysmapBatch {
                domid: 0x7ff0,
                space: dice.one_of(&[
                    XENMAPSPACE_GMFN_FOREIGN,
                    XENMAPSPACE_GMFN_FOREIGN,
                    XENMAPSPACE_GMFN,
                ]) as u16,
                size: count as u16,
                foreign_domid: dice.one_of(&[bench.guest.id.0, bench.guest.id.0, 0, 0x7ff2]),
                idxs: LIST,
                gpfns: SECOND_LIST,
                errs: THIRD_LIST,
            };
            bench.run(caller, XENMEM_ADD_TO_PHYSMAP_BATCH, &batch)
        }
        5 => bench.run(
            caller,
            XENMEM_REMOVE_FROM_PHYSMAP,
            &RemoveFromPhysmap {
                domid,
                gpfn: dice.gfn(),
                ..RemoveFromPhysmap::default()
            },
        ),
        _ => {
            let resource = MemAcquireResource {
                domid,
                kind: XENMEM_RESOURCE_GRANT_TABLE,
                nr_frames: count as u32,
                frame: dice.below(3),
                frame_list: LIST,
                ..MemAcquireResource::default()
            };
            let claim = MemoryReservation {
                domid,
                nr_extents: dice.below(400),
                ..MemoryReservation::default()
            };
            let _ = bench.run(caller, XENMEM_CLAIM_PAGES, &claim);
            bench.run(caller, XENMEM_ACQUIRE_RESOURCE, &resource)
        }
    };
    result.is_ok()
}

/// Takes a domain's map apart and drops what its entries hold.
fn dismantle(bench: &Bench, domain: &Arc<Domain>) {
    let mut cursor = 0;
    loop {
        let mut pieces = alloc::vec::Vec::new();
        let more = domain
            .p2m
            .write()
            .dismantle(&mut cursor, &mut |piece| pieces.push(piece));
        for piece in pieces {
            match piece {
                Piece::Leaf { level, leaf, .. } => {
                    (0..1 << level_order(level)).for_each(|offset| {
                        bench.fake.hv.drop_entry(&P2mEntry {
                            mfn: Mfn(leaf.mfn.0 + offset),
                            ..leaf
                        })
                    })
                }
                Piece::Table(table) => bench.fake.hv.free_table(domain, table),
            }
        }
        if !more {
            break;
        }
    }
    let mut map = domain.p2m.write();
    assert_eq!(map.pod().entries(), 0);
    let pod = map.pod_mut().expect("the map is not sealed");
    let cached: alloc::vec::Vec<_> =
        core::iter::from_fn(|| pod.take(bench.fake.hv.table, 0)).collect();
    drop(map);
    for (frame, _) in cached {
        bench.fake.hv.release_page(frame);
    }
}

#[test]
fn after_any_requests_every_page_comes_back() {
    for seed in 0..6 {
        let bench = Bench::new();
        let mut dice = Dice(seed);
        let accepted = (0..1500).filter(|_| request(&bench, &mut dice)).count();
        assert!(
            (600..1400).contains(&accepted),
            "{accepted} requests were accepted"
        );
        dismantle(&bench, &bench.guest);
        dismantle(&bench, &bench.dom0);
        assert_eq!(
            (bench.total(&bench.dom0), bench.total(&bench.guest)),
            (0, 0)
        );
        let claimed =
            bench.dom0.memory.claimed.load(SeqCst) + bench.guest.memory.claimed.load(SeqCst);
        assert_eq!(bench.fake.hv.claimed_pages.load(SeqCst), claimed);
        let kept: u64 = [&bench.dom0, &bench.guest]
            .map(|domain| frames_kept(&bench, domain))
            .iter()
            .sum();
        assert_eq!(
            bench.free(),
            bench.fake.hv.table.end().0 - FIRST_FREE - kept
        );
    }
}

/// Frames of a domain that are in no map: the map's root, `shared_info` and the grant table.
fn frames_kept(bench: &Bench, domain: &Domain) -> u64 {
    // The first frame of the table is allocated when it is first needed.
    domain
        .grants
        .grow(bench.fake.hv, 1)
        .expect("memory is left");
    2 + u64::from(domain.grants.nr_frames())
}
