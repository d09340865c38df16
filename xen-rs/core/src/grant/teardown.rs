//! The end of a domain's grants.
//!
//! What the domain has mapped goes first, so that its granters get their pages back. Its own frames of entries go next, out of its
//! guest-physical map and back to the machine. The active records stay as long as the domain's record: others may still use its pages, and
//! end those uses through them whenever they like; the references of used entries keep the frames, and so the domain's record, until then.

use alloc::sync::Arc;

use super::GrantTable;
use super::unmap::Unmaps;
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::p2m::{P2mEntry, PageType};

impl GrantTable {
    /// Takes one step; `true` when there is nothing left to do. `domain`, whose table this is, is dying and never runs again. `budget` bounds
    /// the handles looked at.
    pub fn teardown_step(&self, hv: &Hypervisor, domain: &Arc<Domain>, budget: u32) -> bool {
        self.maptrack.lock().close();
        if !self.release_mappings(hv, domain, budget) {
            return false;
        }
        self.free_frames(hv, domain);
        true
    }

    /// `true` if no mapping is left.
    fn release_mappings(&self, hv: &Hypervisor, domain: &Arc<Domain>, mut budget: u32) -> bool {
        let mut unmaps = Unmaps::new(hv, domain);
        loop {
            let next = self.maptrack.lock().take_any(&mut budget);
            let Some((handle, mapping)) = next else { break };
            // The map may have been taken apart already, or the guest may have replaced the entry: the use ends all the same.
            let _ = hv.take_entry(domain, mapping.gfn, mapping.p2m_entry());
            self.maptrack.lock().release(handle);
            // The granter exists while its page is in use; if not, there is nothing to give back.
            let _ = unmaps.end(&mapping);
        }
        self.maptrack.lock().mapped() == 0
    }

    fn free_frames(&self, hv: &Hypervisor, domain: &Arc<Domain>) {
        if self.unhook_frames(hv, domain) {
            hv.arch.flush_domain(domain);
        }
        for mfn in self
            .table
            .lock()
            .frames
            .iter_mut()
            .filter_map(|frame| frame.shared.take())
        {
            hv.free_xen_page(mfn);
        }
    }

    /// Takes the frames out of the domain's map, for good; `true` if any was there.
    fn unhook_frames(&self, hv: &Hypervisor, domain: &Arc<Domain>) -> bool {
        let mut table = self.table.lock();
        table.closed = true;
        let mut found = false;
        for frame in &mut table.frames {
            if let (Some(mfn), Some(gfn)) = (frame.shared, frame.placed_at.take()) {
                found |= hv
                    .take_entry(
                        domain,
                        gfn,
                        P2mEntry {
                            mfn,
                            kind: PageType::Shared,
                        },
                    )
                    .is_ok();
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::errno::Errno;
    use xen_abi::grant_table::{GNTST_GENERAL_ERROR, GNTST_OKAY, GTF_PERMIT_ACCESS};

    use crate::domain::Life;
    use crate::grant::testing::{EMPTY, Pair};
    use crate::ids::Gfn;

    #[test]
    fn dying_mapper_gives_all_pages_back_in_steps() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        pair.grant_rw(9, 6);
        for n in 0..100 {
            pair.mapped(8, Gfn(EMPTY.0 + n));
        }
        pair.mapped(9, Gfn(EMPTY.0 + 100));
        assert!(pair.mapper.advance_life(Life::Alive, Life::Dying));
        let (hv, mapper) = (pair.fake.hv, &pair.mapper);
        assert!(!mapper.grants.teardown_step(hv, mapper, 60));
        assert_eq!(pair.references(5), 2);
        assert!(mapper.grants.teardown_step(hv, mapper, 60));
        assert_eq!((pair.references(5), pair.references(6)), (1, 1));
        assert_eq!(
            (pair.flags(8), pair.flags(9)),
            (GTF_PERMIT_ACCESS, GTF_PERMIT_ACCESS)
        );
        assert_eq!(hv.lookup(mapper, EMPTY), None);
        assert_eq!(pair.map(8, EMPTY, 2).status, GNTST_GENERAL_ERROR);
        assert_eq!(pair.flags(8), GTF_PERMIT_ACCESS);
        assert!(mapper.grants.teardown_step(hv, mapper, 60));
    }

    #[test]
    fn uses_of_a_dead_granters_pages_end_after_its_frames_are_gone() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        pair.granter
            .grants
            .map_frame(pair.fake.hv, &pair.granter, 0, Gfn(100))
            .unwrap();
        let handle = pair.mapped(8, EMPTY);
        assert!(pair.granter.advance_life(Life::Alive, Life::Dying));
        let (hv, granter) = (pair.fake.hv, &pair.granter);
        let free = hv.unclaimed_pages();
        assert!(granter.grants.teardown_step(hv, granter, 1000));
        assert_eq!(hv.unclaimed_pages(), free + 1);
        assert_eq!(hv.lookup(granter, Gfn(100)), None);
        hv.unmap_page(granter, Gfn(5)).unwrap();
        assert_eq!(hv.unclaimed_pages(), free + 1);
        assert_eq!(pair.unmap(handle, EMPTY), GNTST_OKAY);
        assert_eq!(hv.unclaimed_pages(), free + 2);
    }

    #[test]
    fn closed_table_neither_grows_nor_is_placed() {
        let pair = Pair::new();
        assert!(pair.granter.advance_life(Life::Alive, Life::Dying));
        let (hv, granter) = (pair.fake.hv, &pair.granter);
        assert!(granter.grants.teardown_step(hv, granter, 1000));
        assert_eq!(granter.grants.shared_frame(hv, 0, true), Err(Errno::EINVAL));
        assert_eq!(
            granter.grants.map_frame(hv, granter, 0, Gfn(100)),
            Err(Errno::EINVAL)
        );
    }

    #[test]
    fn domain_that_grants_to_itself_can_die() {
        let pair = Pair::new();
        let (hv, guest) = (pair.fake.hv, &pair.granter);
        pair.grant_to(guest.id, 8, GTF_PERMIT_ACCESS, 5);
        let op = xen_abi::grant_table::GNTTABOP_MAP_GRANT_REF;
        let (rc, ops) = pair.run_as(
            guest,
            crate::hypercall::Width::Bits64,
            op,
            &[pair.map_op(8, EMPTY, 2)],
        );
        assert_eq!(
            (rc, ops[0].status, pair.references(5)),
            (Ok(0), GNTST_OKAY, 2)
        );
        assert!(guest.advance_life(Life::Alive, Life::Dying));
        assert!(guest.grants.teardown_step(hv, guest, 1000));
        assert_eq!(pair.references(5), 1);
    }
}
