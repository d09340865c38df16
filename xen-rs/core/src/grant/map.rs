//! `GNTTABOP_map_grant_ref`: enter a granted page into the caller's guest-physical map.

use alloc::sync::Arc;

use xen_abi::grant_table::{
    GNTMAP_APPLICATION_MAP, GNTMAP_CONTAINS_PTE, GNTMAP_DEVICE_MAP, GNTMAP_HOST_MAP,
    GNTMAP_READONLY, GNTST_BAD_DOMAIN, GNTST_BAD_GNTREF, GNTST_GENERAL_ERROR, GnttabMapGrantRef,
};

use super::entry::{Purpose, Use};
use super::maptrack::Mapping;
use super::peers::Peers;
use super::{Access, Status, frames};
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::{Domid, Gpa};

/// A mapping that was made.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Names the mapping.
    pub handle: u32,
    /// Machine address of the page, as real Xen reports it to every caller.
    pub dev_bus_addr: u64,
}

/// Map operations of one caller.
pub struct Maps<'a> {
    hv: &'a Hypervisor,
    caller: &'a Arc<Domain>,
    granters: Peers<'a>,
}

impl<'a> Maps<'a> {
    /// For `caller`.
    #[must_use]
    pub const fn new(hv: &'a Hypervisor, caller: &'a Arc<Domain>) -> Self {
        Self {
            hv,
            caller,
            granters: Peers::new(hv),
        }
    }

    /// Maps one page.
    ///
    /// # Errors
    /// `GNTST_bad_gntref` without a kind of mapping or for an entry outside the table, `GNTST_bad_domain`, `GNTST_no_space` without a free
    /// handle, `GNTST_bad_page` if what is granted is not its granter's RAM, `GNTST_general_error` otherwise.
    pub fn map(&mut self, op: &GnttabMapGrantRef) -> Result<Mapped, Status> {
        let access = access_of(op.flags)?;
        let granter = self
            .granters
            .find(Domid(op.dom))
            .ok_or(Status(GNTST_BAD_DOMAIN))?;
        let handle = self.caller.grants.maptrack.lock().reserve()?;
        match enter(self.hv, self.caller, granter, op, access) {
            Ok(mapping) => {
                self.caller.grants.maptrack.lock().set(handle, mapping);
                Ok(Mapped {
                    handle,
                    dev_bus_addr: mapping.mfn.maddr().0,
                })
            }
            Err(status) => {
                self.caller.grants.maptrack.lock().release(handle);
                Err(status)
            }
        }
    }
}

/// Checks the flags. Everything but the CPU's own mappings is for guests whose page tables Xen writes.
fn access_of(flags: u32) -> Result<Access, Status> {
    if flags & (GNTMAP_DEVICE_MAP | GNTMAP_HOST_MAP) == 0 {
        return Err(Status(GNTST_BAD_GNTREF));
    }
    if flags & (GNTMAP_DEVICE_MAP | GNTMAP_APPLICATION_MAP | GNTMAP_CONTAINS_PTE) != 0
        || flags & !GNTMAP_READONLY != GNTMAP_HOST_MAP
    {
        return Err(Status(GNTST_GENERAL_ERROR));
    }
    Ok(if flags & GNTMAP_READONLY != 0 {
        Access::Read
    } else {
        Access::Write
    })
}

fn enter(
    hv: &Hypervisor,
    caller: &Domain,
    granter: &Domain,
    op: &GnttabMapGrantRef,
    access: Access,
) -> Result<Mapping, Status> {
    let wanted = Use {
        peer: caller.id,
        access,
        purpose: Purpose::Map,
    };
    let mfn = granter
        .grants
        .table
        .lock()
        .pin(hv, granter, op.ref_, wanted)?;
    let mapping = Mapping {
        granter: granter.id,
        reference: op.ref_,
        access,
        gfn: Gpa(op.host_addr).gfn(),
        mfn,
    };
    if frames::place(hv, caller, mapping.gfn, mapping.p2m_entry()).is_ok() {
        return Ok(mapping);
    }
    let last = granter
        .grants
        .table
        .lock()
        .unpin(hv.memory, op.ref_, access);
    if let Some(frame) = last {
        hv.put_page(frame);
    }
    Err(Status(GNTST_GENERAL_ERROR))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use xen_abi::errno::Errno;
    use xen_abi::grant_table::{
        GNTST_BAD_PAGE, GNTST_NO_SPACE, GNTST_OKAY, GNTTABOP_MAP_GRANT_REF, GTF_INVALID,
        GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY, GTF_SUB_PAGE, GTF_WRITING,
    };

    use super::*;
    use crate::domain::Life;
    use crate::grant::ENTRIES_PER_FRAME;
    use crate::grant::testing::{EMPTY, Pair};
    use crate::ids::Gfn;
    use crate::p2m::{P2mEntry, PageType};

    const RO: u32 = GNTMAP_HOST_MAP | GNTMAP_READONLY;

    #[test]
    fn mapped_page_is_the_granters_and_its_entry_says_so() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let op = pair.map(8, EMPTY, GNTMAP_HOST_MAP);
        assert_eq!(op.status, GNTST_OKAY);
        let frame = pair.fake.mfn(&pair.granter, Gfn(5));
        assert_eq!(op.dev_bus_addr, frame.maddr().0);
        let found = pair.fake.hv.lookup(&pair.mapper, EMPTY).unwrap();
        assert_eq!((found.mfn, found.kind), (frame, PageType::GrantRw));
        assert_eq!(pair.flags(8), GTF_PERMIT_ACCESS | GTF_READING | GTF_WRITING);
        assert_eq!(pair.references(5), 2);
    }

    #[test]
    fn read_only_mapping_marks_only_reading() {
        let pair = Pair::new();
        pair.grant(8, GTF_PERMIT_ACCESS | GTF_READONLY, 5);
        assert_eq!(pair.map(8, EMPTY, RO).status, GNTST_OKAY);
        assert_eq!(
            pair.fake.hv.lookup(&pair.mapper, EMPTY).unwrap().kind,
            PageType::GrantRo
        );
        assert_eq!(
            pair.flags(8),
            GTF_PERMIT_ACCESS | GTF_READONLY | GTF_READING
        );
        assert_eq!(
            pair.map(8, Gfn(EMPTY.0 + 1), GNTMAP_HOST_MAP).status,
            GNTST_GENERAL_ERROR
        );
        assert_eq!(
            pair.flags(8),
            GTF_PERMIT_ACCESS | GTF_READONLY | GTF_READING
        );
    }

    #[test]
    fn entries_that_do_not_permit_it_are_refused_and_unmarked() {
        let pair = Pair::new();
        let kinds = [GTF_INVALID, 2, 3, GTF_PERMIT_ACCESS | GTF_SUB_PAGE];
        for flags in kinds {
            pair.grant(9, flags, 5);
            assert_eq!(pair.map(9, EMPTY, RO).status, GNTST_GENERAL_ERROR);
            assert_eq!(pair.flags(9), flags);
        }
        pair.grant_to(Domid(7), 9, GTF_PERMIT_ACCESS, 5);
        assert_eq!(pair.map(9, EMPTY, RO).status, GNTST_GENERAL_ERROR);
        assert_eq!(pair.references(5), 1);
        assert_eq!(pair.fake.hv.lookup(&pair.mapper, EMPTY), None);
    }

    #[test]
    fn reference_outside_the_table_is_bad_gntref() {
        let pair = Pair::new();
        for reference in [ENTRIES_PER_FRAME, u32::MAX] {
            assert_eq!(
                pair.map(reference, EMPTY, GNTMAP_HOST_MAP).status,
                GNTST_BAD_GNTREF
            );
        }
    }

    #[test]
    fn table_that_was_never_used_grants_nothing() {
        let pair = Pair::new();
        let fresh = pair.fake.domain(1);
        let mut op = pair.map_op(0, EMPTY, GNTMAP_HOST_MAP);
        op.dom = fresh.id.0;
        assert_eq!(
            pair.run_one(GNTTABOP_MAP_GRANT_REF, op).status,
            GNTST_GENERAL_ERROR
        );
        op.ref_ = ENTRIES_PER_FRAME;
        assert_eq!(
            pair.run_one(GNTTABOP_MAP_GRANT_REF, op).status,
            GNTST_BAD_GNTREF
        );
    }

    #[test]
    fn domain_that_does_not_exist_is_bad_domain() {
        let pair = Pair::new();
        for dom in [9, 0x7ff0, 0xffff] {
            let mut op = pair.map_op(8, EMPTY, GNTMAP_HOST_MAP);
            op.dom = dom;
            assert_eq!(
                pair.run_one(GNTTABOP_MAP_GRANT_REF, op).status,
                GNTST_BAD_DOMAIN
            );
        }
    }

    #[test]
    fn flags_of_other_kinds_of_mapping_are_refused() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        assert_eq!(pair.map(8, EMPTY, 0).status, GNTST_BAD_GNTREF);
        assert_eq!(pair.map(8, EMPTY, GNTMAP_READONLY).status, GNTST_BAD_GNTREF);
        for flags in [
            GNTMAP_DEVICE_MAP,
            GNTMAP_HOST_MAP | GNTMAP_DEVICE_MAP,
            GNTMAP_HOST_MAP | GNTMAP_CONTAINS_PTE,
            RO | 1 << 16,
        ] {
            assert_eq!(pair.map(8, EMPTY, flags).status, GNTST_GENERAL_ERROR);
        }
        assert_eq!(pair.references(5), 1);
    }

    #[test]
    fn grant_of_what_is_not_the_granters_ram_is_bad_page() {
        let pair = Pair::new();
        pair.grant_rw(8, 0xffff_ffff);
        assert_eq!(pair.map(8, EMPTY, GNTMAP_HOST_MAP).status, GNTST_BAD_PAGE);
        assert_eq!(pair.flags(8), GTF_PERMIT_ACCESS);
        let table = pair
            .granter
            .grants
            .map_frame(pair.fake.hv, &pair.granter, 0, Gfn(100));
        assert_eq!(table, Ok(()));
        pair.grant_rw(8, 100);
        assert_eq!(pair.map(8, EMPTY, GNTMAP_HOST_MAP).status, GNTST_BAD_PAGE);
    }

    #[test]
    fn wild_address_is_a_general_error_and_leaves_nothing_behind() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        assert_eq!(
            pair.map(8, Gfn(1 << 40), GNTMAP_HOST_MAP).status,
            GNTST_GENERAL_ERROR
        );
        assert_eq!((pair.flags(8), pair.references(5)), (GTF_PERMIT_ACCESS, 1));
    }

    #[test]
    fn ram_at_the_address_is_freed_after_a_flush() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let before = (pair.fake.hv.unclaimed_pages(), pair.fake.arch.flushes());
        pair.mapped(8, Gfn(20));
        assert_eq!(
            (pair.fake.hv.unclaimed_pages(), pair.fake.arch.flushes()),
            (before.0 + 1, before.1 + 1)
        );
    }

    #[test]
    fn device_page_and_other_mapping_are_not_replaced() {
        let pair = Pair::new();
        let device = P2mEntry {
            mfn: crate::ids::Mfn(0xfee00),
            kind: PageType::Mmio,
        };
        pair.fake.hv.map_page(&pair.mapper, EMPTY, device).unwrap();
        pair.grant_rw(8, 5);
        pair.grant_rw(9, 6);
        assert_eq!(
            pair.map(8, EMPTY, GNTMAP_HOST_MAP).status,
            GNTST_GENERAL_ERROR
        );
        let at = Gfn(EMPTY.0 + 1);
        let handle = pair.mapped(8, at);
        assert_eq!(pair.map(9, at, GNTMAP_HOST_MAP).status, GNTST_GENERAL_ERROR);
        assert_eq!(pair.references(6), 1);
        assert_eq!(pair.unmap(handle, at), GNTST_OKAY);
    }

    #[test]
    fn use_in_progress_goes_on_with_its_frame_whatever_the_guest_writes() {
        let pair = Pair::new();
        pair.grant(8, GTF_PERMIT_ACCESS, 5);
        assert_eq!(pair.map(8, EMPTY, RO).status, GNTST_OKAY);
        pair.grant_to(Domid(7), 8, GTF_INVALID, 6);
        let second = pair.map(8, Gfn(EMPTY.0 + 1), RO);
        assert_eq!(
            (second.status, second.dev_bus_addr),
            (GNTST_OKAY, pair.fake.mfn(&pair.granter, Gfn(5)).maddr().0)
        );
        assert_eq!(pair.references(6), 1);
    }

    #[test]
    fn entry_in_use_by_another_domain_is_refused() {
        let pair = Pair::new();
        let third = pair.fake.domain(1);
        pair.grant_rw(8, 5);
        pair.mapped(8, EMPTY);
        pair.grant_to(third.id, 8, GTF_PERMIT_ACCESS, 5);
        let (rc, ops) = pair.run_as(
            &third,
            crate::hypercall::Width::Bits64,
            GNTTABOP_MAP_GRANT_REF,
            &[pair.map_op(8, EMPTY, GNTMAP_HOST_MAP)],
        );
        assert_eq!((rc, ops[0].status), (Ok(0), GNTST_GENERAL_ERROR));
    }

    #[test]
    fn uses_of_one_entry_are_bounded() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let handles: Vec<_> = (0..128).map(|n| pair.mapped(8, Gfn(EMPTY.0 + n))).collect();
        assert_eq!(
            pair.map(8, Gfn(EMPTY.0 + 500), GNTMAP_HOST_MAP).status,
            GNTST_GENERAL_ERROR
        );
        assert_eq!(pair.references(5), 2);
        for (n, handle) in handles.into_iter().enumerate() {
            assert_eq!(pair.unmap(handle, Gfn(EMPTY.0 + n as u64)), GNTST_OKAY);
        }
        assert_eq!((pair.references(5), pair.flags(8)), (1, GTF_PERMIT_ACCESS));
    }

    #[test]
    fn exhausted_maptrack_is_no_space() {
        let pair = Pair::new();
        let limit = pair.mapper.config.max_maptrack_frames * crate::grant::maptrack::PER_FRAME;
        (0..20).for_each(|reference| pair.grant_rw(reference, 5));
        let ops: Vec<_> = (0..limit)
            .map(|n| pair.map_op(n / 128, Gfn(EMPTY.0 + u64::from(n)), GNTMAP_HOST_MAP))
            .collect();
        for chunk in ops.chunks(256) {
            let (rc, back) = pair.run(GNTTABOP_MAP_GRANT_REF, chunk);
            assert_eq!(rc, Ok(0));
            assert!(back.iter().all(|op| op.status == GNTST_OKAY));
        }
        assert_eq!(
            pair.map(19, Gfn(EMPTY.0 + u64::from(limit)), GNTMAP_HOST_MAP)
                .status,
            GNTST_NO_SPACE
        );
        assert_eq!(pair.flags(19), GTF_PERMIT_ACCESS);
        assert_eq!(pair.unmap(7, Gfn(EMPTY.0 + 7)), GNTST_OKAY);
        assert_eq!(pair.mapped(19, Gfn(EMPTY.0 + 7)), 7);
    }

    #[test]
    fn dying_domains_grants_are_no_longer_used() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        assert!(pair.granter.advance_life(Life::Alive, Life::Dying));
        assert_eq!(
            pair.map(8, EMPTY, GNTMAP_HOST_MAP).status,
            GNTST_GENERAL_ERROR
        );
        assert_eq!(pair.flags(8), GTF_PERMIT_ACCESS);
    }

    #[test]
    fn huge_count_is_einval_and_an_unreadable_array_efault() {
        let pair = Pair::new();
        let call = |count: u64, at: u64| {
            let args = [u64::from(GNTTABOP_MAP_GRANT_REF), at, count];
            pair.fake
                .call_to_end(&pair.mapper, xen_abi::xen::HYPERVISOR_GRANT_TABLE_OP, &args)
        };
        assert_eq!(call(0x8000_0000, 0x1000), Err(Errno::EINVAL));
        assert_eq!(call(0x7fff_ffff, 0x1000), Err(Errno::EFAULT));
        assert_eq!(call(1, u64::MAX - 8), Err(Errno::EFAULT));
        assert_eq!(call(0, u64::MAX), Ok(crate::hypercall::Outcome::OK));
    }
}
