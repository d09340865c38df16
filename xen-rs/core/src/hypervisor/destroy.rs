//! Taking a domain apart, in steps short enough for a hypercall.
//!
//! A dying domain's vCPUs are stopped for good first, so nothing below needs to flush translation caches more than once. Its frames go back
//! one reference at a time; those that other domains still map stay, and with them the domain's number, until the last one is let go
//! ([`Hypervisor::put_page`] ends it then). The order follows Xen's `domain_kill`: events, grants, memory, vCPUs.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::xen::VIRQ_DOM_EXC;

use super::{Hypervisor, Returns};
use crate::domain::{Domain, Life};
use crate::evtchn::{Peer, Step};
use crate::ids::Mfn;
use crate::p2m::{GFN_LIMIT, P2m, P2mEntry, PageType};
use crate::paging::{Piece, level_order};

/// Frames given back in one step: some hundred instructions each.
const FRAMES_PER_STEP: u64 = 512;
/// Batches of event ports closed in one step.
const PORT_BATCHES_PER_STEP: u32 = 32;

/// Mapped grants given back in one step.
const GRANTS_PER_STEP: u32 = 256;

/// What is next to go.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    Events,
    Grants,
    Memory,
    Rest,
}

/// How far the destruction of a domain has come. Kept in [`crate::domain::Control`] between steps.
pub struct Teardown {
    stage: Stage,
    map: Option<P2m>,
    /// Page number from which on the map is still whole.
    cursor: u64,
    /// Frames of a large mapping that is already unlinked.
    run: Option<Run>,
}

/// A run of frames to be given back.
struct Run {
    entry: P2mEntry,
    frames: u64,
}

impl Hypervisor {
    /// Destroys a domain a little further; `true` when it is dead. The domain's number stays in use until its last page is back.
    ///
    /// # Errors
    /// `EINVAL` for the domain that owns the hardware.
    pub fn destroy_step(&self, domain: &Arc<Domain>) -> Result<bool, Errno> {
        if domain.hardware || domain.privileged {
            return Err(Errno::EINVAL);
        }
        if domain.advance_life(Life::Alive, Life::Dying) {
            self.begin_teardown(domain);
        }
        // Another CPU that is at it, or was quicker to end it, holds the state.
        let Some(mut teardown) = domain.control.lock().teardown.take() else {
            return Ok(domain.life() == Life::Dead);
        };
        let finished = self.teardown_step(domain, &mut teardown);
        if finished {
            self.end_teardown(domain);
        } else {
            domain.control.lock().teardown = Some(teardown);
        }
        Ok(finished)
    }

    /// Stops everything of the domain that could still start something.
    fn begin_teardown(&self, domain: &Arc<Domain>) {
        domain.share.set_dying();
        // Never undone.
        self.pause_domain(domain);
        self.drop_claim(domain);
        // Whoever was writing to the shared page has finished once this was free.
        drop(domain.time_offset_s.lock());
        let teardown = Teardown {
            stage: Stage::Events,
            map: None,
            cursor: 0,
            run: None,
        };
        domain.control.lock().teardown = Some(teardown);
    }

    fn drop_claim(&self, domain: &Domain) {
        // Claims change together with the free frames.
        let _frames = self.frames.lock();
        let claimed = domain.memory.claimed.swap(0, SeqCst);
        self.claimed_pages.fetch_sub(claimed, SeqCst);
    }

    fn teardown_step(&self, domain: &Arc<Domain>, teardown: &mut Teardown) -> bool {
        let (done, next) = match teardown.stage {
            Stage::Events => (self.close_ports(domain), Stage::Grants),
            Stage::Grants => (
                domain.grants.teardown_step(self, domain, GRANTS_PER_STEP),
                Stage::Memory,
            ),
            Stage::Memory => (self.release_memory(domain, teardown), Stage::Rest),
            Stage::Rest => {
                self.release_rest(domain);
                return true;
            }
        };
        if done {
            teardown.stage = next;
        }
        false
    }

    /// Closes event ports and tells the other ends.
    fn close_ports(&self, domain: &Arc<Domain>) -> bool {
        for _ in 0..PORT_BATCHES_PER_STEP {
            let step = domain.events.lock().step_teardown(self.memory);
            match step {
                Step::Closed { port, peer } => {
                    if let Some(remote) = self.domain(peer.domid) {
                        remote.events.lock().peer_closed(
                            peer.port,
                            Peer {
                                domid: domain.id,
                                port,
                            },
                        );
                    }
                }
                Step::More => {}
                Step::Done(frames) => {
                    frames.for_each(|frame| self.put_page(frame));
                    return true;
                }
            }
        }
        false
    }

    /// Gives back what the guest-physical map holds, then its tables.
    fn release_memory(&self, domain: &Arc<Domain>, teardown: &mut Teardown) -> bool {
        let Teardown {
            map, cursor, run, ..
        } = teardown;
        let map = map.get_or_insert_with(|| self.seal_map(domain));
        let mut budget = FRAMES_PER_STEP;
        while budget > 0 && (*cursor < GFN_LIMIT || run.is_some()) {
            if let Some(pending) = run {
                budget -= self.release_run(pending, budget);
                if pending.frames == 0 {
                    *run = None;
                }
                continue;
            }
            let mut pieces = 0;
            let mut returns = Returns::new(self);
            map.dismantle(cursor, &mut |piece| {
                pieces += 1;
                match piece {
                    Piece::Leaf { level: 0, leaf, .. } if leaf.kind == PageType::Ram => {
                        returns.release(leaf.mfn);
                    }
                    Piece::Leaf { level: 0, leaf, .. } => self.drop_entry(&leaf),
                    Piece::Leaf { level, leaf, .. } => {
                        *run = Some(Run {
                            entry: leaf,
                            frames: 1 << level_order(level),
                        })
                    }
                    Piece::Table(table) => self.free_table(domain, table),
                }
            });
            drop(returns);
            budget = budget.saturating_sub(pieces.max(1));
        }
        let done = *cursor >= GFN_LIMIT && run.is_none() && self.release_cache(map, budget);
        if done {
            self.free_xen_page(map.root());
        }
        done
    }

    /// Gives back at most `budget` frames of those set aside for memory populated on demand; `true` if none are left.
    fn release_cache(&self, map: &mut P2m, budget: u64) -> bool {
        let Some(pod) = map.pod_mut() else {
            return true;
        };
        for _ in 0..budget {
            match pod.take(self.table, 0) {
                Some((frame, _)) => self.release_page(frame),
                None => break,
            }
        }
        pod.cached() == 0
    }

    /// Takes the map away from everyone else. No vCPU runs, so that one flush now covers all frames.
    fn seal_map(&self, domain: &Arc<Domain>) -> P2m {
        let mut map = domain.p2m.write().take_tables();
        self.arch.flush_domain(domain);
        map.take_retired()
            .into_iter()
            .for_each(|table| self.free_table(domain, table));
        map
    }

    /// Gives back at most `budget` frames of a run; returns how many.
    fn release_run(&self, run: &mut Run, budget: u64) -> u64 {
        let counted = matches!(run.entry.kind, PageType::Ram | PageType::Foreign);
        if !counted {
            run.frames = 0;
            return 1;
        }
        let now = run.frames.min(budget);
        if run.entry.kind == PageType::Ram {
            self.release_pages(run.entry.mfn, now);
        } else {
            (0..now).for_each(|offset| self.put_page(Mfn(run.entry.mfn.0 + offset)));
        }
        run.entry.mfn.0 += now;
        run.frames -= now;
        now
    }

    /// What is neither large nor shared with others.
    fn release_rest(&self, domain: &Arc<Domain>) {
        for vcpu in domain.vcpus() {
            let info = vcpu.info();
            vcpu.set_info(None);
            if vcpu.info_registered.swap(false, SeqCst)
                && let Some(at) = info
            {
                self.put_page(at.mfn());
            }
            self.discard_vcpu(vcpu);
        }
        self.scheduler.remove_domain(&domain.share);
        self.free_xen_page(domain.shared_info);
    }

    /// The domain is dead; if nobody holds a page of it, it is no longer listed either.
    fn end_teardown(&self, domain: &Arc<Domain>) {
        domain.advance_life(Life::Dying, Life::Dead);
        self.raise_global_virq(VIRQ_DOM_EXC);
        if domain.memory.total.load(SeqCst) == 0 {
            self.forget_domain(domain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hypervisor::CreateDomain;
    use crate::ids::{CpuId, Domid, Gfn, VcpuId};
    use crate::sched::PoolId;

    fn free_pages(fake: &Fake) -> u64 {
        fake.hv.frames.lock().free_pages()
    }

    fn destroy(fake: &Fake, domain: &Arc<Domain>) -> u32 {
        (1..1000)
            .find(|_| fake.hv.destroy_step(domain).unwrap())
            .expect("destruction ends")
    }

    #[test]
    fn every_page_comes_back_with_one_flush() {
        let fake = Fake::new();
        let _dom0 = fake.dom0(1);
        let before = free_pages(&fake);
        let guest = fake.domain(2);
        fake.run(&guest, 1);
        guest.pause.pause();
        for cpu in [0, 1].map(CpuId) {
            fake.machine.set_this_cpu(cpu);
            let _ = fake
                .hv
                .scheduler
                .schedule(cpu, fake.hv.now_ns(), fake.running(cpu));
        }
        let flushes = fake.arch.flushes();
        destroy(&fake, &guest);
        assert_eq!(
            (free_pages(&fake), fake.arch.flushes()),
            (before, flushes + 1)
        );
        assert!(fake.hv.domain(guest.id).is_none());
        assert_eq!(
            (
                guest.table_frames.load(SeqCst),
                guest.memory.total.load(SeqCst)
            ),
            (0, 0)
        );
    }

    #[test]
    fn large_mappings_come_back_over_several_steps() {
        let fake = Fake::new();
        let _dom0 = fake.dom0(1);
        let before = free_pages(&fake);
        let guest = fake.domain(1);
        for block in 1..=2u64 {
            let mfn = fake.hv.allocate_domain_pages(&guest, 9).unwrap();
            let entry = P2mEntry {
                mfn,
                kind: PageType::Ram,
            };
            fake.hv.map_run(&guest, Gfn(block << 9), 9, entry).unwrap();
        }
        assert_eq!(fake.hv.lookup(&guest, Gfn(0x200)).unwrap().order, 9);
        assert!(destroy(&fake, &guest) > 4);
        assert_eq!(free_pages(&fake), before);
    }

    #[test]
    fn page_mapped_elsewhere_keeps_the_number_until_it_is_let_go() {
        let fake = Fake::new();
        let _dom0 = fake.dom0(1);
        let before = free_pages(&fake);
        let guest = fake.domain(1);
        let page = fake.hv.get_guest_page(&guest, Gfn(3)).unwrap();
        destroy(&fake, &guest);
        assert_eq!(
            (guest.life(), guest.memory.total.load(SeqCst)),
            (Life::Dead, 1)
        );
        assert_eq!(free_pages(&fake), before - 1);
        assert_eq!(fake.hv.destroy_step(&guest), Ok(true));
        fake.hv.put_page(page.mfn);
        assert!(fake.hv.domain(guest.id).is_none());
        assert_eq!(free_pages(&fake), before);
    }

    #[test]
    fn nothing_can_be_mapped_into_or_found_in_a_dying_domain() {
        let fake = Fake::new();
        let _dom0 = fake.dom0(1);
        let before = free_pages(&fake);
        let guest = fake.domain(1);
        while guest
            .control
            .lock()
            .teardown
            .as_ref()
            .is_none_or(|teardown| teardown.map.is_none())
        {
            assert!(!fake.hv.destroy_step(&guest).unwrap());
        }
        let mfn = fake.hv.allocate_domain_pages(&guest, 0).unwrap();
        let entry = P2mEntry {
            mfn,
            kind: PageType::Ram,
        };
        assert_eq!(fake.hv.map_page(&guest, Gfn(0), entry), Err(Errno::ENOMEM));
        assert_eq!(
            fake.hv.map_run(
                &guest,
                Gfn(0x200),
                9,
                P2mEntry {
                    mfn: Mfn(0x200),
                    ..entry
                }
            ),
            Err(Errno::ENOMEM)
        );
        fake.hv.release_page(mfn);
        assert_eq!(
            (
                fake.hv.lookup(&guest, Gfn(0)),
                fake.hv.unmap_page(&guest, Gfn(0))
            ),
            (None, Ok(None))
        );
        destroy(&fake, &guest);
        assert_eq!(free_pages(&fake), before);
    }

    #[test]
    fn other_ends_of_events_are_told_and_references_dropped() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let before = free_pages(&fake);
        let guest = fake.domain(2);
        let waiting = dom0
            .events
            .lock()
            .alloc_unbound(fake.hv.memory, guest.id)
            .unwrap();
        let _ = guest
            .events
            .lock()
            .bind_interdomain(&mut dom0.events.lock_second(), fake.hv.memory, waiting)
            .unwrap();
        let mut status = xen_abi::event_channel::EvtchnStatus {
            port: waiting.0,
            ..Default::default()
        };
        let info = fake.hv.get_guest_page(&guest, Gfn(5)).unwrap().mfn;
        guest.vcpus()[1].set_info(Some(info.maddr()));
        guest.vcpus()[1].info_registered.store(true, SeqCst);
        destroy(&fake, &guest);
        dom0.events.lock().status(&mut status).unwrap();
        assert_eq!(status.status, xen_abi::event_channel::EVTCHNSTAT_UNBOUND);
        assert_eq!(
            (free_pages(&fake), guest.vcpu(VcpuId(1)).unwrap().info()),
            (before, None)
        );
    }

    #[test]
    fn claim_ends_with_the_domain() {
        let fake = Fake::new();
        let _dom0 = fake.dom0(1);
        let guest = fake.domain(1);
        guest.memory.claimed.store(7, SeqCst);
        fake.hv.claimed_pages.store(9, SeqCst);
        destroy(&fake, &guest);
        assert_eq!(fake.hv.claimed_pages.load(SeqCst), 2);
    }

    #[test]
    fn thousand_domains_leave_no_trace() {
        let fake = Fake::new();
        let _dom0 = fake.dom0(1);
        let before = free_pages(&fake);
        for _ in 0..1000 {
            destroy(&fake, &fake.domain(2));
        }
        assert_eq!(free_pages(&fake), before);
        assert_eq!(fake.hv.domains_from(Domid(0), 9).len(), 1);
    }

    fn unbuilt(fake: &Fake, id: Option<Domid>) -> Arc<Domain> {
        let new = CreateDomain {
            id,
            handle: [0; 16],
            config: Fake::config(1),
            pool: PoolId(0),
            privileged: false,
        };
        fake.hv.create_domain(new).unwrap()
    }

    #[test]
    fn cpu_that_finds_out_late_that_a_domain_is_gone_leaves_the_next_of_that_number_alone() {
        let fake = Fake::new();
        let _dom0 = fake.dom0(1);
        let guest = unbuilt(&fake, None);
        destroy(&fake, &guest);
        let next = unbuilt(&fake, Some(guest.id));
        fake.hv.forget_domain(&guest);
        let found = fake.hv.domain(guest.id).unwrap();
        assert!(Arc::ptr_eq(&found, &next));
    }

    #[test]
    fn allocation_that_fails_while_its_domain_dies_leaves_no_empty_domain_behind() {
        let fake = Fake::new();
        let _dom0 = fake.dom0(1);
        let guest = unbuilt(&fake, None);
        // As seen by a CPU that has just entered the pages into the account.
        assert!(guest.advance_life(Life::Alive, Life::Dying));
        assert!(guest.advance_life(Life::Dying, Life::Dead));
        assert_eq!(fake.hv.allocate_domain_pages(&guest, 18), None);
        assert!(fake.hv.domain(guest.id).is_none());
    }

    #[test]
    fn dom0_is_refused() {
        let fake = Fake::new();
        assert_eq!(fake.hv.destroy_step(&fake.dom0(1)), Err(Errno::EINVAL));
    }
}
