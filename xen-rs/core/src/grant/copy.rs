//! `GNTTABOP_copy`: copy bytes between granted pages, or between those and the caller's own.

use alloc::sync::Arc;

use xen_abi::grant_table::{
    GNTCOPY_DEST_GREF, GNTCOPY_SOURCE_GREF, GNTST_BAD_COPY_ARG, GNTST_BAD_DOMAIN,
    GNTST_PERMISSION_DENIED, GnttabCopy, GnttabCopyPtr,
};

use super::entry::{Purpose, Use};
use super::peers::Peers;
use super::{Access, Status};
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::{Domid, Gfn, Maddr, Mfn, PAGE_SIZE};

/// Copy operations of one caller.
pub struct Copies<'a> {
    hv: &'a Hypervisor,
    caller: &'a Arc<Domain>,
    sources: Peers<'a>,
    destinations: Peers<'a>,
}

/// A page held for the time of a copy.
struct Held<'a> {
    hv: &'a Hypervisor,
    mfn: Mfn,
    /// The entry it came through: owner, reference and use. `None` for the caller's own page.
    grant: Option<(&'a Arc<Domain>, u32, Access)>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let last = match self.grant {
            None => Some(self.mfn),
            Some((granter, reference, access)) => {
                granter
                    .grants
                    .table
                    .lock()
                    .unpin(self.hv.memory, reference, access)
            }
        };
        if let Some(frame) = last {
            self.hv.put_page(frame);
        }
    }
}

impl<'a> Copies<'a> {
    /// For `caller`.
    #[must_use]
    pub const fn new(hv: &'a Hypervisor, caller: &'a Arc<Domain>) -> Self {
        Self {
            hv,
            caller,
            sources: Peers::new(hv),
            destinations: Peers::new(hv),
        }
    }

    /// Copies once. Nothing to copy always succeeds, as in real Xen.
    ///
    /// # Errors
    /// `GNTST_permission_denied` for a page of another domain without a grant, `GNTST_bad_domain`, `GNTST_bad_gntref`, `GNTST_bad_page`,
    /// `GNTST_bad_copy_arg` if a range leaves its page, `GNTST_general_error` if an entry does not permit it, `GNTST_eagain` for a page on
    /// demand for which no frame was found yet.
    pub fn copy(&mut self, op: &GnttabCopy) -> Result<(), Status> {
        if op.len == 0 {
            return Ok(());
        }
        let from_grant = op.flags & GNTCOPY_SOURCE_GREF != 0;
        let to_grant = op.flags & GNTCOPY_DEST_GREF != 0;
        let from = owner(&mut self.sources, self.caller, &op.source, from_grant)?;
        let to = owner(&mut self.destinations, self.caller, &op.dest, to_grant)?;
        let source = hold(
            self.hv,
            self.caller,
            from,
            &op.source,
            from_grant,
            Access::Read,
        )?;
        let dest = hold(self.hv, self.caller, to, &op.dest, to_grant, Access::Write)?;
        let from = position(source.mfn, op.source.offset, op.len)?;
        let to = position(dest.mfn, op.dest.offset, op.len)?;
        self.hv.memory.copy(from, to, usize::from(op.len));
        Ok(())
    }
}

/// The domain that one side names. Frames can only be named by their owner.
fn owner<'a>(
    peers: &'a mut Peers<'_>,
    caller: &'a Arc<Domain>,
    side: &GnttabCopyPtr,
    granted: bool,
) -> Result<&'a Arc<Domain>, Status> {
    match Domid(side.domid) {
        Domid::SELF => Ok(caller),
        _ if !granted => Err(Status(GNTST_PERMISSION_DENIED)),
        id => peers.find(id).ok_or(Status(GNTST_BAD_DOMAIN)),
    }
}

fn hold<'a>(
    hv: &'a Hypervisor,
    caller: &Domain,
    owner: &'a Arc<Domain>,
    side: &GnttabCopyPtr,
    granted: bool,
    access: Access,
) -> Result<Held<'a>, Status> {
    if !granted {
        let page = hv
            .get_granted_page(owner, Gfn(side.gmfn_or_ref))
            .map_err(Status::of_page)?;
        return Ok(Held {
            hv,
            mfn: page.mfn,
            grant: None,
        });
    }
    // The union's other half: a reference is its low 32 bits.
    let reference = side.gmfn_or_ref as u32;
    let wanted = Use {
        peer: caller.id,
        access,
        purpose: Purpose::Copy,
    };
    let mfn = owner
        .grants
        .table
        .lock()
        .pin(hv, owner, reference, wanted)?;
    Ok(Held {
        hv,
        mfn,
        grant: Some((owner, reference, access)),
    })
}

fn position(mfn: Mfn, offset: u16, len: u16) -> Result<Maddr, Status> {
    if usize::from(offset) + usize::from(len) > PAGE_SIZE {
        return Err(Status(GNTST_BAD_COPY_ARG));
    }
    Ok(Maddr(mfn.maddr().0 + u64::from(offset)))
}

#[cfg(test)]
mod tests {
    use xen_abi::compat::grant_table as compat;
    use xen_abi::grant_table::{
        GNTMAP_HOST_MAP, GNTST_BAD_GNTREF, GNTST_BAD_PAGE, GNTST_EAGAIN, GNTST_GENERAL_ERROR,
        GNTST_OKAY, GNTTABOP_COPY, GTF_PERMIT_ACCESS, GTF_READONLY,
    };

    use super::*;
    use crate::domain::Life;
    use crate::fake_hv::RAM_PAGES;
    use crate::grant::testing::{EMPTY, Pair, copy_op, own};
    use crate::hypercall::Width;

    #[test]
    fn bytes_go_from_a_granted_page_to_an_own_one_and_back() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        pair.fake.put(&pair.granter, 0x5100, b"from the guest");
        assert_eq!(
            pair.copy(pair.by_ref(8, 0x100), own(9, 0xff2), 14),
            GNTST_OKAY
        );
        assert_eq!(
            &pair.fake.get::<[u8; 14]>(&pair.mapper, 0x9ff2),
            b"from the guest"
        );
        assert_eq!(pair.copy(own(9, 0xff7), pair.by_ref(8, 0), 9), GNTST_OKAY);
        assert_eq!(
            &pair.fake.get::<[u8; 9]>(&pair.granter, 0x5000),
            b"the guest"
        );
        assert_eq!((pair.flags(8), pair.references(5)), (GTF_PERMIT_ACCESS, 1));
    }

    #[test]
    fn granted_page_on_demand_gets_its_frame() {
        let pair = Pair::new();
        let (hv, granter) = (pair.fake.hv, &pair.granter);
        pair.fake.promise(granter, 512, 9, 1);
        let owned = granter
            .memory
            .total
            .load(core::sync::atomic::Ordering::SeqCst);
        assert_eq!(hv.grow_pod_cache(granter, owned + 1), Ok(true));
        pair.grant_rw(8, 515);
        pair.fake.put(&pair.mapper, 9 << 12, b"on demand");
        assert_eq!(pair.copy(own(9, 0), pair.by_ref(8, 0), 9), GNTST_OKAY);
        assert_eq!(&pair.fake.get::<[u8; 9]>(granter, 515 << 12), b"on demand");
        assert_eq!(pair.references(515), 1);
    }

    #[test]
    fn granted_page_whose_frame_is_hard_to_find_is_to_be_asked_for_again() {
        let pair = Pair::new();
        let granter = &pair.granter;
        pair.fake.promise(granter, 512, 0, 1);
        // One search takes as many pages as this that look unused. They are not, but the page behind them is.
        (0..RAM_PAGES).for_each(|page| pair.fake.put(granter, (page << 12) + 2048, &1u64));
        pair.fake.add_page(granter, Gfn(RAM_PAGES));
        pair.grant_rw(8, 512);
        assert_eq!(pair.copy(own(9, 0), pair.by_ref(8, 0), 9), GNTST_EAGAIN);
        assert_eq!(pair.flags(8), GTF_PERMIT_ACCESS);
        assert_eq!(pair.copy(own(9, 0), pair.by_ref(8, 0), 9), GNTST_OKAY);
    }

    #[test]
    fn bytes_go_between_granted_pages_of_different_domains() {
        let pair = Pair::new();
        let third = pair.fake.domain(1);
        third.grants.grow(pair.fake.hv, 1).unwrap();
        let entry = crate::grant::testing::entry_of(&pair.fake, &third, 3);
        pair.fake
            .hv
            .memory
            .store_u64(entry, u64::from(GTF_PERMIT_ACCESS) | 6 << 32);
        pair.grant_rw(8, 5);
        pair.fake.put(&third, 0x6000, b"third");
        let from = GnttabCopyPtr {
            gmfn_or_ref: 3,
            domid: third.id.0,
            ..Default::default()
        };
        assert_eq!(pair.copy(from, pair.by_ref(8, 1), 5), GNTST_OKAY);
        assert_eq!(&pair.fake.get::<[u8; 5]>(&pair.granter, 0x5001), b"third");
    }

    #[test]
    fn ranges_that_leave_the_page_are_bad_arguments() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        assert_eq!(
            pair.copy(pair.by_ref(8, 1), own(9, 0), 4096),
            GNTST_BAD_COPY_ARG
        );
        assert_eq!(
            pair.copy(pair.by_ref(8, 0), own(9, 4095), 2),
            GNTST_BAD_COPY_ARG
        );
        assert_eq!(
            pair.copy(pair.by_ref(8, u16::MAX), own(9, u16::MAX), u16::MAX),
            GNTST_BAD_COPY_ARG
        );
        assert_eq!(pair.copy(pair.by_ref(8, 0), own(9, 0), 4096), GNTST_OKAY);
        assert_eq!(pair.references(5), 1);
    }

    #[test]
    fn nothing_to_copy_is_fine_whatever_else_it_says() {
        let pair = Pair::new();
        assert_eq!(
            pair.copy(pair.by_ref(u32::MAX, u16::MAX), own(u64::MAX, 0), 0),
            GNTST_OKAY
        );
    }

    #[test]
    fn pages_of_others_need_a_grant() {
        let pair = Pair::new();
        let mut op = copy_op(pair.by_ref(5, 0), own(9, 0), 8);
        op.flags = 0;
        assert_eq!(
            pair.run_one(GNTTABOP_COPY, op).status,
            GNTST_PERMISSION_DENIED
        );
        let nobody = GnttabCopyPtr {
            domid: 99,
            ..pair.by_ref(8, 0)
        };
        assert_eq!(pair.copy(nobody, own(9, 0), 8), GNTST_BAD_DOMAIN);
        assert_eq!(
            pair.copy(pair.by_ref(8, 0), own(9, 0), 8),
            GNTST_GENERAL_ERROR
        );
        assert_eq!(
            pair.copy(pair.by_ref(512, 0), own(9, 0), 8),
            GNTST_BAD_GNTREF
        );
    }

    #[test]
    fn wild_own_page_is_bad_page_and_releases_the_other_side() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        for gfn in [EMPTY.0, 1 << 36, u64::MAX] {
            assert_eq!(pair.copy(pair.by_ref(8, 0), own(gfn, 0), 8), GNTST_BAD_PAGE);
        }
        assert_eq!((pair.flags(8), pair.references(5)), (GTF_PERMIT_ACCESS, 1));
    }

    #[test]
    fn read_only_grant_is_only_read() {
        let pair = Pair::new();
        pair.grant(8, GTF_PERMIT_ACCESS | GTF_READONLY, 5);
        assert_eq!(
            pair.copy(own(9, 0), pair.by_ref(8, 0), 8),
            GNTST_GENERAL_ERROR
        );
        assert_eq!(pair.copy(pair.by_ref(8, 0), own(9, 0), 8), GNTST_OKAY);
    }

    #[test]
    fn copy_from_and_to_one_entry_ends_both_uses() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        pair.fake.put(&pair.granter, 0x5000, b"abcdefgh");
        assert_eq!(
            pair.copy(pair.by_ref(8, 0), pair.by_ref(8, 2), 6),
            GNTST_OKAY
        );
        assert_eq!(
            &pair.fake.get::<[u8; 8]>(&pair.granter, 0x5000),
            b"ababcdef"
        );
        assert_eq!((pair.flags(8), pair.references(5)), (GTF_PERMIT_ACCESS, 1));
    }

    #[test]
    fn copy_through_a_mapped_entry_uses_the_mapped_frame() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let handle = pair.mapped(8, EMPTY);
        pair.grant_rw(8, 6);
        pair.fake.put(&pair.granter, 0x5000, b"five");
        assert_eq!(pair.copy(pair.by_ref(8, 0), own(9, 0), 4), GNTST_OKAY);
        assert_eq!(&pair.fake.get::<[u8; 4]>(&pair.mapper, 0x9000), b"five");
        assert_eq!(pair.unmap(handle, EMPTY), GNTST_OKAY);
    }

    #[test]
    fn mapped_foreign_page_is_not_an_own_page() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        pair.map(8, EMPTY, GNTMAP_HOST_MAP);
        assert_eq!(pair.copy(own(EMPTY.0, 0), own(9, 0), 4), GNTST_BAD_PAGE);
    }

    #[test]
    fn dying_domains_grants_are_no_longer_copied() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        assert!(pair.granter.advance_life(Life::Alive, Life::Dying));
        assert_eq!(
            pair.copy(pair.by_ref(8, 0), own(9, 0), 8),
            GNTST_GENERAL_ERROR
        );
    }

    #[test]
    fn narrow_callers_have_narrow_structures() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        pair.fake.put(&pair.granter, 0x5000, b"narrow");
        let source = compat::GnttabCopyPtr {
            gmfn_or_ref: 8,
            domid: pair.granter.id.0,
            offset: 0,
        };
        let dest = compat::GnttabCopyPtr {
            gmfn_or_ref: 9,
            domid: Domid::SELF.0,
            offset: 4,
        };
        let op = compat::GnttabCopy {
            source,
            dest,
            len: 6,
            flags: GNTCOPY_SOURCE_GREF,
            status: 77,
            ..Default::default()
        };
        let (rc, ops) = pair.run_as(&pair.mapper, Width::Bits32, GNTTABOP_COPY, &[op; 200]);
        assert_eq!(rc, Ok(0));
        assert!(ops.iter().all(|op| op.status == GNTST_OKAY));
        assert_eq!(&pair.fake.get::<[u8; 6]>(&pair.mapper, 0x9004), b"narrow");
    }
}
