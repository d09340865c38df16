//! The reserved entries of a new domain's grant table.

use xen_abi::errno::Errno;
use xen_abi::grant_table::{GTF_PERMIT_ACCESS, GrantEntryV1};
use xen_abi::memory::{
    AddToPhysmap, MemoryDomain, RemoveFromPhysmap, XENMAPSPACE_GRANT_TABLE, XENMEM_ADD_TO_PHYSMAP,
    XENMEM_MAXIMUM_GPFN, XENMEM_REMOVE_FROM_PHYSMAP, XENMEM_RESOURCE_GRANT_TABLE,
    XENMEM_RESOURCE_GRANT_TABLE_ID_SHARED,
};

use super::{Xen, memory};
use crate::sys::{Mapping, Resource};
use crate::{DomId, Error, PAGE_SIZE, Result, SharedPage, call};

pub(super) fn seed(xen: &Xen, domain: DomId, reference: u32, gfn: u64, to: DomId) -> Result<()> {
    let entry = Entry::new(reference, gfn, to)?;
    let resource = Resource {
        domain: domain.0,
        kind: XENMEM_RESOURCE_GRANT_TABLE,
        id: XENMEM_RESOURCE_GRANT_TABLE_ID_SHARED,
        first: 0,
        pages: 1,
    };
    match xen.privcmd.map_resource(resource) {
        Ok(table) => entry.write(&table),
        Err(Errno::EOPNOTSUPP) => seed_by_scratch_frame(xen, domain, &entry)?,
        Err(errno) => return Err(Error::new(call::ACQUIRE_RESOURCE, errno)),
    }
    Ok(())
}

/// Without resources: the table is shown to the guest in a frame past its memory, written there, and taken out again.
fn seed_by_scratch_frame(xen: &Xen, domain: DomId, entry: &Entry) -> Result<()> {
    let mut whose = MemoryDomain { domid: domain.0 };
    let highest = xen.memory_op(call::MAXIMUM_GFN, XENMEM_MAXIMUM_GPFN, &mut whose)?;
    let scratch = highest as u64 + 1;
    let mut add = AddToPhysmap {
        domid: domain.0,
        space: XENMAPSPACE_GRANT_TABLE,
        idx: 0,
        gpfn: scratch,
        ..AddToPhysmap::default()
    };
    xen.memory_op(call::ADD_TO_PHYSMAP, XENMEM_ADD_TO_PHYSMAP, &mut add)?;
    let written = memory::map(xen, domain, &[scratch]).map(|table| entry.write(&table));
    let mut remove = RemoveFromPhysmap {
        domid: domain.0,
        gpfn: scratch,
        ..RemoveFromPhysmap::default()
    };
    let call = call::REMOVE_FROM_PHYSMAP;
    let removed = xen.memory_op(call, XENMEM_REMOVE_FROM_PHYSMAP, &mut remove);
    written.and(removed.map(drop))
}

/// An entry of format 1, and where it is in the table's first page.
struct Entry {
    offset: usize,
    domain_and_flags: u32,
    frame: u32,
}

impl Entry {
    fn new(reference: u32, gfn: u64, to: DomId) -> Result<Self> {
        let refuse = |text: String| Error::new(call::ACQUIRE_RESOURCE, Errno::EINVAL).about(text);
        let offset = (reference as usize).checked_mul(size_of::<GrantEntryV1>());
        let offset = offset.filter(|&offset| offset < PAGE_SIZE);
        Ok(Self {
            offset: offset.ok_or_else(|| refuse(format!("reference {reference}")))?,
            domain_and_flags: u32::from(to.0) << 16 | u32::from(GTF_PERMIT_ACCESS),
            frame: u32::try_from(gfn).map_err(|_| refuse(format!("frame {gfn:#x}")))?,
        })
    }

    /// The flags come last: they make the entry valid.
    fn write(&self, table: &Mapping) {
        table.store_u32(self.offset + 4, self.frame);
        table.store_u32(self.offset, self.domain_and_flags);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_made_of_flags_domain_and_frame() {
        let entry = Entry::new(1, 0xfeffc, DomId(7)).unwrap();
        assert_eq!(entry.offset, 8);
        assert_eq!(entry.domain_and_flags, 7 << 16 | 1);
        assert_eq!(entry.frame, 0xfeffc);
    }

    #[test]
    fn what_does_not_fit_the_format_is_refused() {
        assert!(Entry::new(512, 0, DomId(0)).is_err());
        assert!(Entry::new(0, 1 << 32, DomId(0)).is_err());
    }
}
