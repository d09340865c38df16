//! `GNTTABOP_unmap_grant_ref`: give mappings back.
//!
//! A batch of mappings leaves the caller's map, then translation caches are flushed once, and only then the granters get their entries and
//! the frames their references back.

use alloc::sync::Arc;

use arrayvec::ArrayVec;
use xen_abi::grant_table::{GNTST_BAD_HANDLE, GNTST_GENERAL_ERROR, GnttabUnmapGrantRef};

use super::maptrack::Mapping;
use super::peers::Peers;
use super::{Access, Status};
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::Gpa;

/// Mappings that share one flush at most.
const BATCH: usize = 128;

/// A use that ends after the flush.
struct Ending {
    granter: Arc<Domain>,
    reference: u32,
    access: Access,
}

/// Unmap operations of one caller. Dropping it finishes them.
pub struct Unmaps<'a> {
    hv: &'a Hypervisor,
    caller: &'a Arc<Domain>,
    granters: Peers<'a>,
    ending: ArrayVec<Ending, BATCH>,
}

impl<'a> Unmaps<'a> {
    /// For `caller`.
    #[must_use]
    pub const fn new(hv: &'a Hypervisor, caller: &'a Arc<Domain>) -> Self {
        Self {
            hv,
            caller,
            granters: Peers::new(hv),
            ending: ArrayVec::new_const(),
        }
    }

    /// Takes one mapping out of the caller's map. As in real Xen an operation without an address only checks the handle.
    ///
    /// # Errors
    /// `GNTST_bad_handle` if the handle names no mapping, `GNTST_general_error` if that mapping is not at the address, or the guest has
    /// replaced it.
    pub fn unmap(&mut self, op: &GnttabUnmapGrantRef) -> Result<(), Status> {
        if op.host_addr == 0 {
            return self
                .caller
                .grants
                .maptrack
                .lock()
                .get(op.handle)
                .map(|_| ());
        }
        let mapping = self
            .caller
            .grants
            .maptrack
            .lock()
            .take(op.handle, Gpa(op.host_addr).gfn())?;
        if self
            .hv
            .take_entry(self.caller, mapping.gfn, mapping.p2m_entry())
            .is_err()
        {
            self.caller.grants.maptrack.lock().set(op.handle, mapping);
            return Err(Status(GNTST_GENERAL_ERROR));
        }
        self.caller.grants.maptrack.lock().release(op.handle);
        self.end(&mapping)
    }

    /// Remembers that the use behind a mapping, which is in no map any more, ends with the next flush.
    pub(super) fn end(&mut self, mapping: &Mapping) -> Result<(), Status> {
        let granter = self
            .granters
            .find(mapping.granter)
            .ok_or(Status(GNTST_BAD_HANDLE))?;
        let granter = Arc::clone(granter);
        self.ending.push(Ending {
            granter,
            reference: mapping.reference,
            access: mapping.access,
        });
        if self.ending.is_full() {
            self.finish();
        }
        Ok(())
    }

    /// Flushes and ends the uses.
    fn finish(&mut self) {
        if self.ending.is_empty() {
            return;
        }
        self.hv.arch.flush_domain(self.caller);
        for Ending {
            granter,
            reference,
            access,
        } in self.ending.drain(..)
        {
            let last = granter
                .grants
                .table
                .lock()
                .unpin(self.hv.memory, reference, access);
            if let Some(frame) = last {
                self.hv.put_page(frame);
            }
        }
    }
}

impl Drop for Unmaps<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use xen_abi::errno::Errno;
    use xen_abi::grant_table::{
        GNTMAP_HOST_MAP, GNTST_OKAY, GNTTABOP_UNMAP_GRANT_REF, GTF_PERMIT_ACCESS, GTF_READING,
    };

    use super::*;
    use crate::grant::testing::{EMPTY, Pair, unmap_op};
    use crate::ids::Gfn;

    #[test]
    fn unmapping_restores_entry_references_and_map() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let handle = pair.mapped(8, EMPTY);
        assert_eq!(pair.unmap(handle, EMPTY), GNTST_OKAY);
        assert_eq!((pair.flags(8), pair.references(5)), (GTF_PERMIT_ACCESS, 1));
        assert_eq!(pair.fake.hv.lookup(&pair.mapper, EMPTY), None);
    }

    #[test]
    fn last_writer_takes_back_writing_and_last_reader_reading() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let reader = pair.map(8, Gfn(EMPTY.0 + 1), GNTMAP_HOST_MAP | 4).handle;
        let writer = pair.mapped(8, EMPTY);
        assert_eq!(pair.unmap(writer, EMPTY), GNTST_OKAY);
        assert_eq!(pair.flags(8), GTF_PERMIT_ACCESS | GTF_READING);
        assert_eq!(pair.unmap(reader, Gfn(EMPTY.0 + 1)), GNTST_OKAY);
        assert_eq!(pair.flags(8), GTF_PERMIT_ACCESS);
    }

    #[test]
    fn handle_is_good_for_one_unmapping() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let handle = pair.mapped(8, EMPTY);
        assert_eq!(pair.unmap(handle, EMPTY), GNTST_OKAY);
        assert_eq!(pair.unmap(handle, EMPTY), GNTST_BAD_HANDLE);
        let second = pair.mapped(8, EMPTY);
        let (rc, ops) = pair.run(GNTTABOP_UNMAP_GRANT_REF, &[unmap_op(second, EMPTY); 3]);
        assert_eq!(rc, Ok(0));
        let status: Vec<_> = ops.iter().map(|op| op.status).collect();
        assert_eq!(status, [GNTST_OKAY, GNTST_BAD_HANDLE, GNTST_BAD_HANDLE]);
        assert_eq!(pair.references(5), 1);
    }

    #[test]
    fn handle_that_never_was_is_a_bad_handle() {
        let pair = Pair::new();
        for handle in [0, 255, 256, u32::MAX] {
            assert_eq!(pair.unmap(handle, EMPTY), GNTST_BAD_HANDLE);
        }
    }

    #[test]
    fn wrong_address_is_a_general_error_and_the_mapping_stays() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let handle = pair.mapped(8, EMPTY);
        assert_eq!(pair.unmap(handle, Gfn(EMPTY.0 + 1)), GNTST_GENERAL_ERROR);
        assert_eq!(pair.unmap(handle, Gfn(3)), GNTST_GENERAL_ERROR);
        assert_eq!(pair.unmap(handle, Gfn(1 << 51)), GNTST_GENERAL_ERROR);
        assert_eq!(pair.references(5), 2);
        assert_eq!(pair.unmap(handle, EMPTY), GNTST_OKAY);
    }

    #[test]
    fn no_address_unmaps_nothing() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let handle = pair.mapped(8, EMPTY);
        assert_eq!(pair.unmap(handle, Gfn(0)), GNTST_OKAY);
        assert_eq!(pair.references(5), 2);
        assert_eq!(pair.unmap(handle, EMPTY), GNTST_OKAY);
        assert_eq!(pair.unmap(handle, Gfn(0)), GNTST_BAD_HANDLE);
    }

    #[test]
    fn page_the_mapper_has_replaced_meanwhile_stays_in_use() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let handle = pair.mapped(8, EMPTY);
        pair.fake.add_page(&pair.mapper, EMPTY);
        assert_eq!(pair.unmap(handle, EMPTY), GNTST_GENERAL_ERROR);
        assert_eq!(pair.references(5), 2);
    }

    #[test]
    fn batch_shares_one_flush() {
        let pair = Pair::new();
        let at = |n: u32| Gfn(EMPTY.0 + u64::from(n));
        (0..100).for_each(|n| pair.grant_rw(n, 5));
        let ops: Vec<_> = (0..100)
            .map(|n| unmap_op(pair.mapped(n, at(n)), at(n)))
            .collect();
        let before = pair.fake.arch.flushes();
        let (rc, back) = pair.run(GNTTABOP_UNMAP_GRANT_REF, &ops);
        assert_eq!(rc, Ok(0));
        assert!(back.iter().all(|op| op.status == GNTST_OKAY));
        assert_eq!(
            (pair.fake.arch.flushes() - before, pair.references(5)),
            (1, 1)
        );
    }

    #[test]
    fn fault_in_the_array_still_finishes_what_was_unmapped() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let handle = pair.mapped(8, EMPTY);
        // The last structure that fits into RAM; the next one does not.
        let end = crate::fake_hv::RAM_PAGES * crate::fake_hv::GUEST_PAGE;
        let at = end - size_of::<GnttabUnmapGrantRef>() as u64;
        pair.fake.put(&pair.mapper, at, &unmap_op(handle, EMPTY));
        let args = [u64::from(GNTTABOP_UNMAP_GRANT_REF), at, 2];
        let rc =
            pair.fake
                .call_to_end(&pair.mapper, xen_abi::xen::HYPERVISOR_GRANT_TABLE_OP, &args);
        assert_eq!(rc, Err(Errno::EFAULT));
        assert_eq!((pair.references(5), pair.flags(8)), (1, GTF_PERMIT_ACCESS));
    }
}
