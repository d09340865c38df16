//! The frames of a table, and where they lie in guest-physical maps.

use xen_abi::errno::Errno;

use super::{GrantTable, INITIAL_FRAMES};
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::{Gfn, Mfn};
use crate::p2m::{GFN_LIMIT, P2mEntry, PageType};

impl GrantTable {
    /// Frame `index` of the table (`XENMEM_acquire_resource`). With `grow` the table becomes large enough first. The frame is the
    /// hypervisor's (`DOMID_XEN`) and goes when its domain dies: who enters it into another domain's map takes a reference.
    ///
    /// # Errors
    /// `EINVAL` beyond what there is or may be, or for a dying domain; `ENOMEM`.
    pub fn shared_frame(&self, hv: &Hypervisor, index: u32, grow: bool) -> Result<Mfn, Errno> {
        if index >= self.max_frames {
            return Err(Errno::EINVAL);
        }
        let mut table = self.table.lock();
        if table.closed {
            return Err(Errno::EINVAL);
        }
        if grow || index < INITIAL_FRAMES {
            table.grow(hv, index + 1)?;
        }
        table
            .frames
            .get(index as usize)
            .and_then(|frame| frame.shared)
            .ok_or(Errno::EINVAL)
    }

    /// Makes the table at least `frames` large (`GNTTABOP_setup_table`).
    ///
    /// # Errors
    /// As for [`Self::shared_frame`].
    pub fn grow(&self, hv: &Hypervisor, frames: u32) -> Result<(), Errno> {
        match frames.checked_sub(1) {
            Some(last) => self.shared_frame(hv, last, true).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Puts frame `index` of the table of `domain`, whose table this is, at `gfn` of its map; it leaves the place it had before
    /// (`XENMEM_add_to_physmap`, space `grant_table`). RAM that was at `gfn` is freed.
    ///
    /// # Errors
    /// As for [`Self::shared_frame`] with growing, and `EPERM` if something is at `gfn` that may not be replaced.
    pub fn map_frame(
        &self,
        hv: &Hypervisor,
        domain: &Domain,
        index: u32,
        gfn: Gfn,
    ) -> Result<(), Errno> {
        let mfn = self.shared_frame(hv, index, true)?;
        let entry = P2mEntry {
            mfn,
            kind: PageType::Shared,
        };
        let (replaced, moved_from) = {
            // Under the table's lock, so that the frame is not given back between the check and its entry into the map.
            let mut table = self.table.lock();
            if table.closed {
                return Err(Errno::EINVAL);
            }
            let frame = table.frames.get_mut(index as usize).ok_or(Errno::EINVAL)?;
            let replaced = exchange(hv, domain, gfn, entry)?;
            (replaced, frame.placed_at.replace(gfn))
        };
        let moved = moved_from
            .filter(|&old| old != gfn)
            .is_some_and(|old| hv.take_entry(domain, old, entry).is_ok());
        if moved || replaced.is_some() {
            hv.arch.flush_domain(domain);
        }
        if let Some(old) = replaced {
            hv.drop_entry(&old);
        }
        Ok(())
    }

    /// Where the guest has placed frame `index`.
    #[must_use]
    pub fn placed_at(&self, index: u32) -> Option<Gfn> {
        self.table.lock().frames.get(index as usize)?.placed_at
    }
}

/// Enters a page into a map. What may not be replaced, and so stays, is a device's page and a mapping of another domain's page: the grant
/// table or the toolstack still counts on those.
fn exchange(
    hv: &Hypervisor,
    domain: &Domain,
    gfn: Gfn,
    entry: P2mEntry,
) -> Result<Option<P2mEntry>, Errno> {
    if gfn.0 >= GFN_LIMIT {
        return Err(Errno::EINVAL);
    }
    let mut map = domain.p2m.write();
    let stays = |kind| !matches!(kind, PageType::Ram | PageType::Shared);
    if map.lookup(gfn).is_some_and(|found| stays(found.kind)) {
        return Err(Errno::EPERM);
    }
    map.set(&mut hv.tables(domain), gfn, entry)
        .map_err(|_| Errno::ENOMEM)
}

/// Enters a page into a map and disposes of RAM that was there, after a flush.
///
/// # Errors
/// `EINVAL` beyond the highest page, `EPERM` if something is there that may not be replaced, `ENOMEM`.
pub fn place(hv: &Hypervisor, domain: &Domain, gfn: Gfn, entry: P2mEntry) -> Result<(), Errno> {
    if let Some(old) = exchange(hv, domain, gfn, entry)? {
        hv.arch.flush_domain(domain);
        hv.drop_entry(&old);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::grant::testing::Pair;

    #[test]
    fn table_grows_on_demand_up_to_its_limit() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let (grants, hv) = (&guest.grants, fake.hv);
        assert_eq!((grants.nr_frames(), grants.max_frames()), (1, 4));
        assert_eq!(grants.shared_frame(hv, 1, false), Err(Errno::EINVAL));
        let third = grants.shared_frame(hv, 2, true).unwrap();
        assert_eq!(
            (grants.nr_frames(), grants.shared_frame(hv, 2, false)),
            (3, Ok(third))
        );
        assert_eq!(grants.shared_frame(hv, 4, true), Err(Errno::EINVAL));
        assert_eq!(grants.shared_frame(hv, 1 << 31, true), Err(Errno::EINVAL));
        assert_eq!(grants.shared_frame(hv, u32::MAX, true), Err(Errno::EINVAL));
        assert_eq!(grants.nr_frames(), 3);
    }

    #[test]
    fn placed_frame_is_in_the_guests_map_once() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let hv = fake.hv;
        guest.grants.map_frame(hv, &guest, 0, Gfn(100)).unwrap();
        let frame = guest.grants.shared_frame(hv, 0, false).unwrap();
        let found = hv.lookup(&guest, Gfn(100)).unwrap();
        assert_eq!(
            (found.mfn, found.kind, guest.grants.placed_at(0)),
            (frame, PageType::Shared, Some(Gfn(100)))
        );
        let flushes = fake.arch.flushes();
        guest.grants.map_frame(hv, &guest, 0, Gfn(101)).unwrap();
        assert_eq!(
            (hv.lookup(&guest, Gfn(100)), fake.mfn(&guest, Gfn(101))),
            (None, frame)
        );
        assert_eq!(fake.arch.flushes(), flushes + 1);
        guest.grants.map_frame(hv, &guest, 0, Gfn(101)).unwrap();
        assert_eq!(fake.mfn(&guest, Gfn(101)), frame);
    }

    #[test]
    fn placing_a_frame_over_ram_frees_the_ram() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        guest
            .grants
            .map_frame(fake.hv, &guest, 0, Gfn(100))
            .unwrap();
        let before = fake.hv.unclaimed_pages();
        guest.grants.map_frame(fake.hv, &guest, 0, Gfn(3)).unwrap();
        assert_eq!(fake.hv.unclaimed_pages(), before + 1);
    }

    #[test]
    fn frame_is_not_placed_over_a_mapping_or_beyond_the_map() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        pair.mapped(8, Gfn(100));
        let mapper = &pair.mapper;
        assert_eq!(
            mapper.grants.map_frame(pair.fake.hv, mapper, 0, Gfn(100)),
            Err(Errno::EPERM)
        );
        assert_eq!(
            mapper
                .grants
                .map_frame(pair.fake.hv, mapper, 0, Gfn(u64::MAX)),
            Err(Errno::EINVAL)
        );
        assert_eq!(mapper.grants.placed_at(0), None);
    }
}
