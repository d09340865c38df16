//! Two domains for tests: one grants, the other maps and copies, both through hypercalls.

use std::sync::Arc;
use std::vec::Vec;

use xen_abi::grant_table::{
    GNTCOPY_DEST_GREF, GNTCOPY_SOURCE_GREF, GNTMAP_HOST_MAP, GNTST_OKAY, GNTTABOP_COPY,
    GNTTABOP_MAP_GRANT_REF, GNTTABOP_UNMAP_GRANT_REF, GTF_PERMIT_ACCESS, GnttabCopy, GnttabCopyPtr,
    GnttabMapGrantRef, GnttabUnmapGrantRef,
};
use xen_abi::xen::HYPERVISOR_GRANT_TABLE_OP;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::entry;
use crate::domain::Domain;
use crate::fake_hv::Fake;
use crate::hal::MachineMemory;
use crate::hypercall::{Outcome, Width};
use crate::ids::{Domid, Gfn, Maddr, PAGE_SHIFT};

/// A granter and a mapper (dom0).
pub struct Pair {
    pub fake: Fake,
    pub granter: Arc<Domain>,
    pub mapper: Arc<Domain>,
}

/// Where the mapper keeps arguments: page 1 of its RAM and what follows.
const ARGUMENTS: u64 = 0x1000;
/// A place without RAM in the mapper's map.
pub const EMPTY: Gfn = Gfn(0x1_0000);

impl Pair {
    pub fn new() -> Self {
        let fake = Fake::new();
        let (mapper, granter) = (fake.dom0(1), fake.domain(1));
        granter.grants.grow(fake.hv, 1).unwrap();
        Self {
            fake,
            granter,
            mapper,
        }
    }

    /// The address of an entry of the granter's.
    pub fn entry(&self, reference: u32) -> Maddr {
        entry_of(&self.fake, &self.granter, reference)
    }

    /// The granter writes an entry for the mapper.
    pub fn grant(&self, reference: u32, flags: u16, gfn: u64) {
        self.grant_to(self.mapper.id, reference, flags, gfn);
    }

    pub fn grant_to(&self, peer: Domid, reference: u32, flags: u16, gfn: u64) {
        let word = u64::from(flags) | u64::from(peer.0) << 16 | gfn << 32;
        self.fake.memory.store_u64(self.entry(reference), word);
    }

    /// A readable and writable grant.
    pub fn grant_rw(&self, reference: u32, gfn: u64) {
        self.grant(reference, GTF_PERMIT_ACCESS, gfn);
    }

    /// The flags of an entry.
    pub fn flags(&self, reference: u32) -> u16 {
        self.fake.memory.load_u32(self.entry(reference)) as u16
    }

    /// References on the frame behind a page of the granter.
    pub fn references(&self, gfn: u64) -> u32 {
        self.fake
            .hv
            .table
            .count(self.fake.mfn(&self.granter, Gfn(gfn)))
    }

    /// Runs an operation of the mapper on an array; returns rax and the array.
    pub fn run<T>(&self, op: u32, ops: &[T]) -> (Result<i64, xen_abi::errno::Errno>, Vec<T>)
    where
        T: FromBytes + IntoBytes + Immutable,
    {
        self.run_as(&self.mapper, Width::Bits64, op, ops)
    }

    pub fn run_as<T>(
        &self,
        caller: &Arc<Domain>,
        width: Width,
        op: u32,
        ops: &[T],
    ) -> (Result<i64, xen_abi::errno::Errno>, Vec<T>)
    where
        T: FromBytes + IntoBytes + Immutable,
    {
        self.fake.put(caller, ARGUMENTS, ops);
        let mut args = [u64::from(op), ARGUMENTS, ops.len() as u64].to_vec();
        let rc = loop {
            match self
                .fake
                .call_by(caller, 0, width, HYPERVISOR_GRANT_TABLE_OP, &args)
            {
                Ok(Outcome::Done(rc)) => break Ok(rc),
                Ok(Outcome::Continue(next)) => args = next.to_vec(),
                Ok(other) => panic!("{other:?}"),
                Err(errno) => break Err(errno),
            }
        };
        let back = (0..ops.len()).map(|index| {
            self.fake
                .get(caller, ARGUMENTS + (index * size_of::<T>()) as u64)
        });
        (rc, back.collect())
    }

    /// Runs one operation that the hypercall itself accepts.
    pub fn run_one<T: FromBytes + IntoBytes + Immutable>(&self, op: u32, arg: T) -> T {
        let (rc, mut back) = self.run(op, &[arg]);
        assert_eq!(rc, Ok(0));
        back.remove(0)
    }

    /// The mapper maps.
    pub fn map(&self, reference: u32, gfn: Gfn, flags: u32) -> GnttabMapGrantRef {
        self.run_one(GNTTABOP_MAP_GRANT_REF, self.map_op(reference, gfn, flags))
    }

    pub fn map_op(&self, reference: u32, gfn: Gfn, flags: u32) -> GnttabMapGrantRef {
        GnttabMapGrantRef {
            host_addr: gfn.0 << PAGE_SHIFT,
            flags,
            ref_: reference,
            dom: self.granter.id.0,
            status: 77,
            ..Default::default()
        }
    }

    /// The mapper maps read-write, which works. Returns the handle.
    pub fn mapped(&self, reference: u32, gfn: Gfn) -> u32 {
        let op = self.map(reference, gfn, GNTMAP_HOST_MAP);
        assert_eq!(op.status, GNTST_OKAY);
        op.handle
    }

    /// The mapper unmaps. Returns the status.
    pub fn unmap(&self, handle: u32, gfn: Gfn) -> i16 {
        self.run_one(GNTTABOP_UNMAP_GRANT_REF, unmap_op(handle, gfn))
            .status
    }

    /// The mapper copies. Returns the status.
    pub fn copy(&self, source: GnttabCopyPtr, dest: GnttabCopyPtr, len: u16) -> i16 {
        self.run_one(GNTTABOP_COPY, copy_op(source, dest, len))
            .status
    }

    /// A side that is a grant of the granter's.
    pub fn by_ref(&self, reference: u32, offset: u16) -> GnttabCopyPtr {
        GnttabCopyPtr {
            gmfn_or_ref: u64::from(reference),
            domid: self.granter.id.0,
            offset,
            ..Default::default()
        }
    }
}

/// The address of an entry of any domain.
pub fn entry_of(fake: &Fake, domain: &Domain, reference: u32) -> Maddr {
    let frame = domain
        .grants
        .shared_frame(fake.hv, reference / super::ENTRIES_PER_FRAME, false)
        .unwrap();
    Maddr(frame.maddr().0 + u64::from(reference % super::ENTRIES_PER_FRAME) * entry::SIZE)
}

/// A side that is the caller's own page.
pub fn own(gfn: u64, offset: u16) -> GnttabCopyPtr {
    GnttabCopyPtr {
        gmfn_or_ref: gfn,
        domid: Domid::SELF.0,
        offset,
        ..Default::default()
    }
}

/// A copy in which sides of other domains are grants.
pub fn copy_op(source: GnttabCopyPtr, dest: GnttabCopyPtr, len: u16) -> GnttabCopy {
    let mut flags = 0;
    if source.domid != Domid::SELF.0 {
        flags |= GNTCOPY_SOURCE_GREF;
    }
    if dest.domid != Domid::SELF.0 {
        flags |= GNTCOPY_DEST_GREF;
    }
    GnttabCopy {
        source,
        dest,
        len,
        flags,
        status: 77,
        ..Default::default()
    }
}

pub fn unmap_op(handle: u32, gfn: Gfn) -> GnttabUnmapGrantRef {
    GnttabUnmapGrantRef {
        host_addr: gfn.0 << PAGE_SHIFT,
        handle,
        status: 77,
        ..Default::default()
    }
}
