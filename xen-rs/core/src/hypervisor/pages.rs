//! Pages of domains: allocation with accounting, references, guest memory access.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;

use super::{Effort, Hypervisor};
use crate::domain::{Domain, Life};
use crate::ids::{Domid, Gfn, Gpa, Maddr, Mfn, PAGE_SIZE};
use crate::memory::allocator::{Block, Purpose};
use crate::memory::frame::Put;
use crate::memory::remains::Remains;
use crate::p2m::{Behind, Mapping, P2mEntry, PageType};
use crate::paging::TableFrames;
use crate::vcpu::GuestArea;

/// Frames for the tables of one domain's p2m, from the machine's free frames, within the pool that the toolstack set for the domain.
pub struct FrameTables<'a> {
    hv: &'a Hypervisor,
    domain: &'a Domain,
}

impl TableFrames for FrameTables<'_> {
    fn allocate_table(&mut self) -> Option<Mfn> {
        let domain = self.domain;
        let limit = if domain.hardware {
            u64::MAX
        } else {
            domain.memory.paging_pool_bytes.load(SeqCst) / PAGE_SIZE as u64
        };
        let within = |frames: u64| (frames < limit).then_some(frames + 1);
        domain
            .table_frames
            .fetch_update(SeqCst, SeqCst, within)
            .ok()?;
        let frame = self.hv.allocate_xen_page();
        if frame.is_none() {
            domain.table_frames.fetch_sub(1, SeqCst);
        }
        frame
    }
}

/// A page of guest memory with a reference held on its frame.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct GuestPage {
    /// The frame.
    pub mfn: Mfn,
    /// What it is in the guest's map.
    pub kind: PageType,
}

impl Hypervisor {
    /// A zeroed frame of the hypervisor's own.
    #[must_use]
    pub fn allocate_xen_page(&self) -> Option<Mfn> {
        let frame = self
            .take_block(0, Purpose::Clean)?
            .zeroed(self.table, self.memory);
        self.table.assign(frame, Domid::XEN);
        Some(frame)
    }

    /// Gives such a frame back. Nobody may still reach it.
    pub fn free_xen_page(&self, frame: Mfn) {
        if let Some(Put::Last(_)) = self.table.release(frame) {
            self.frames.lock().free(frame, 0, Remains::SECRETS);
        }
    }

    /// `1 << order` zeroed frames for `domain`, each with its allocation reference. `None` when the domain's limit or the machine's memory
    /// does not allow it.
    #[must_use]
    pub fn allocate_domain_pages(&self, domain: &Domain, order: u32) -> Option<Mfn> {
        let block = self.take_accounted(domain, order, None)?;
        let first = block.zeroed(self.table, self.memory);
        self.assign_run(first, order, domain.id);
        Some(first)
    }

    /// As [`Self::allocate_domain_pages`], but frames that the domain itself gave back may come back as it left them. Xen promises no more
    /// to a domain that asks for memory.
    #[must_use]
    pub fn allocate_used_domain_pages(&self, domain: &Domain, order: u32) -> Option<Mfn> {
        self.allocate_used_at(domain, order, None)
    }

    /// As [`Self::allocate_used_domain_pages`], the frames from `first` on and no others.
    #[must_use]
    pub fn allocate_these_domain_pages(
        &self,
        domain: &Domain,
        first: Mfn,
        order: u32,
    ) -> Option<Mfn> {
        // Frames that are no RAM or in use are not worth the wait for those that are being scrubbed.
        if first >= self.table.end() || self.is_in_use(first) {
            return None;
        }
        self.allocate_used_at(domain, order, Some(first))
    }

    /// Whether the frame is RAM that somebody has.
    #[must_use]
    pub fn is_in_use(&self, frame: Mfn) -> bool {
        frame < self.table.end() && self.table.count(frame) > 0
    }

    fn allocate_used_at(&self, domain: &Domain, order: u32, at: Option<Mfn>) -> Option<Mfn> {
        let block = self.take_accounted(domain, order, at)?;
        let first = block.scrubbed_for(domain.remains, self.table, self.memory);
        self.assign_run(first, order, domain.id);
        Some(first)
    }

    fn take_accounted(&self, domain: &Domain, order: u32, at: Option<Mfn>) -> Option<Block> {
        let pages = 1u64 << order;
        self.account(domain, pages)?;
        let block = self.take_block_for(domain, order, at);
        if block.is_none() {
            self.disown(domain, pages);
        }
        block
    }

    fn assign_run(&self, first: Mfn, order: u32, owner: Domid) {
        (0..1 << order).for_each(|offset| self.table.assign(Mfn(first.0 + offset), owner));
    }

    fn account(&self, domain: &Domain, pages: u64) -> Option<()> {
        let limit = domain.memory.limit.load(SeqCst);
        let fits = |total: u64| total.checked_add(pages).filter(|&sum| sum <= limit);
        domain
            .memory
            .total
            .fetch_update(SeqCst, SeqCst, fits)
            .is_ok()
            .then_some(())
    }

    /// The domain owns so many pages less. A dead one that owns none is no longer listed.
    pub(super) fn disown(&self, domain: &Domain, pages: u64) {
        if domain.memory.total.fetch_sub(pages, SeqCst) == pages && domain.life() == Life::Dead {
            self.forget_domain(domain);
        }
    }

    /// Drops a reference taken with [`crate::memory::frame::FrameTable::get`].
    pub fn put_page(&self, frame: Mfn) {
        if let Put::Last(owner) = self.table.put(frame) {
            self.free_last(frame, owner);
        }
    }

    /// Drops the allocation reference of a domain's frame. Translation caches no longer hold the frame.
    pub fn release_page(&self, frame: Mfn) {
        if let Some(Put::Last(owner)) = self.table.release(frame) {
            self.free_last(frame, owner);
        }
    }

    /// The page behind a guest frame; RAM without a frame counts as none.
    #[must_use]
    pub fn lookup(&self, domain: &Domain, gfn: Gfn) -> Option<Mapping> {
        self.find(domain, gfn).page()
    }

    /// What stands behind a guest frame.
    #[must_use]
    pub fn find(&self, domain: &Domain, gfn: Gfn) -> Behind {
        domain.p2m.read().find(gfn)
    }

    /// Whether memory, as opposed to a device or nothing, is behind a guest frame.
    #[must_use]
    pub fn is_memory(&self, domain: &Domain, gfn: Gfn) -> bool {
        match self.find(domain, gfn) {
            Behind::Page(found) => found.kind.is_memory(),
            Behind::OnDemand(_) => true,
            Behind::Nothing => false,
        }
    }

    /// The guest's own RAM page at `gfn` with a reference on its frame, which the caller drops with [`Self::put_page`].
    ///
    /// # Errors
    /// `EINVAL` if nothing, or something other than the domain's own RAM, is there; `EAGAIN` or `ENOMEM` if it is to be populated on demand
    /// and cannot be ([`super::Shortage`]).
    pub fn get_guest_page(&self, domain: &Domain, gfn: Gfn) -> Result<GuestPage, Errno> {
        self.get_page_by(domain, gfn, Effort::Patient)
    }

    /// The same for grant operations, which come in batches and may be told to come again.
    ///
    /// # Errors
    /// Those of [`Self::get_guest_page`].
    pub fn get_granted_page(&self, domain: &Domain, gfn: Gfn) -> Result<GuestPage, Errno> {
        self.get_page_by(domain, gfn, Effort::OneSearch)
    }

    fn get_page_by(&self, domain: &Domain, gfn: Gfn, effort: Effort) -> Result<GuestPage, Errno> {
        self.with_page_by(domain, gfn, effort, |found| {
            let found = found
                .filter(|m| m.kind == PageType::Ram)
                .ok_or(Errno::EINVAL)?;
            if self.table.get(found.mfn, domain.id) {
                Ok(GuestPage {
                    mfn: found.mfn,
                    kind: found.kind,
                })
            } else {
                Err(Errno::EINVAL)
            }
        })
    }

    /// Maps one page and disposes of what was there, after a flush.
    ///
    /// # Errors
    /// `ENOMEM` without frames for tables; nothing has changed then.
    pub fn map_page(&self, domain: &Domain, gfn: Gfn, entry: P2mEntry) -> Result<(), Errno> {
        if gfn.0 >= crate::p2m::GFN_LIMIT {
            return Err(Errno::EINVAL);
        }
        let before = domain
            .p2m
            .write()
            .set(&mut FrameTables { hv: self, domain }, gfn, entry)
            .map_err(|_| Errno::ENOMEM)?;
        if let Some(old) = before {
            self.arch.flush_domain(domain);
            self.drop_entry(&old);
        }
        Ok(())
    }

    /// Maps an aligned run of `1 << order` pages; falls back to single pages where a large entry does not fit.
    ///
    /// # Errors
    /// `ENOMEM` without frames for tables; some pages may be mapped then.
    pub fn map_run(
        &self,
        domain: &Domain,
        gfn: Gfn,
        order: u32,
        entry: P2mEntry,
    ) -> Result<(), Errno> {
        let aligned = (gfn.0 | entry.mfn.0).trailing_zeros() >= order;
        if (order == 9 || order == 18) && aligned {
            let mut map = domain.p2m.write();
            let large = map
                .set_large(&mut FrameTables { hv: self, domain }, gfn, order, entry)
                .map_err(|_| Errno::ENOMEM)?;
            let retired = map.take_retired();
            drop(map);
            if !retired.is_empty() {
                self.arch.flush_domain(domain);
                retired
                    .into_iter()
                    .for_each(|table| self.free_table(domain, table));
            }
            if large {
                return Ok(());
            }
        }
        for offset in 0..1u64 << order {
            let single = P2mEntry {
                mfn: Mfn(entry.mfn.0 + offset),
                ..entry
            };
            self.map_page(domain, Gfn(gfn.0 + offset), single)?;
        }
        Ok(())
    }

    pub(crate) fn free_table(&self, domain: &Domain, table: Mfn) {
        domain.table_frames.fetch_sub(1, SeqCst);
        self.free_xen_page(table);
    }

    /// Unmaps one page, flushes, and disposes of what was there. `Ok(None)` if nothing was.
    ///
    /// # Errors
    /// `ENOMEM` if a large entry could not be split.
    pub fn unmap_page(&self, domain: &Domain, gfn: Gfn) -> Result<Option<P2mEntry>, Errno> {
        let before = domain
            .p2m
            .write()
            .remove(&mut FrameTables { hv: self, domain }, gfn)
            .map_err(|_| Errno::ENOMEM)?;
        if let Some(old) = before {
            self.arch.flush_domain(domain);
            self.drop_entry(&old);
        }
        Ok(before)
    }

    /// Unmaps one page only if it still is `expected`; the reference the entry held becomes the caller's. The caller flushes.
    ///
    /// # Errors
    /// `ENOENT` if something else is there, `ENOMEM` if a large entry could not be split.
    pub fn take_entry(&self, domain: &Domain, gfn: Gfn, expected: P2mEntry) -> Result<(), Errno> {
        let mut map = domain.p2m.write();
        match map.lookup(gfn) {
            Some(found) if found.mfn == expected.mfn && found.kind == expected.kind => {}
            _ => return Err(Errno::ENOENT),
        }
        map.remove(&mut FrameTables { hv: self, domain }, gfn)
            .map_err(|_| Errno::ENOMEM)?;
        Ok(())
    }

    /// Drops the reference that a p2m entry held. Grant entries hold none: the grant table keeps their references.
    pub fn drop_entry(&self, entry: &P2mEntry) {
        match entry.kind {
            PageType::Ram => self.release_page(entry.mfn),
            PageType::Foreign => self.put_page(entry.mfn),
            PageType::GrantRw | PageType::GrantRo | PageType::Mmio | PageType::Shared => {}
        }
    }

    /// Copies guest-physical memory of `domain` out. All or nothing is not promised: a guest that unmaps in between gets an error.
    ///
    /// # Errors
    /// `EFAULT` where no memory is mapped.
    pub fn read_guest(&self, domain: &Domain, at: Gpa, into: &mut [u8]) -> Result<(), Errno> {
        let map = domain.p2m.read();
        let mut done = 0;
        while done < into.len() {
            let gpa = Gpa(at.0.checked_add(done as u64).ok_or(Errno::EFAULT)?);
            let len = (PAGE_SIZE - gpa.page_offset()).min(into.len() - done);
            let piece = &mut into[done..done + len];
            match map.find(gpa.gfn()) {
                Behind::Page(found) if found.kind.is_memory() => {
                    let from = Maddr(found.mfn.maddr().0 + gpa.page_offset() as u64);
                    self.memory.read(from, piece);
                }
                // Reading is no demand.
                Behind::OnDemand(_) => piece.fill(0),
                Behind::Page(_) | Behind::Nothing => return Err(Errno::EFAULT),
            }
            done += len;
        }
        Ok(())
    }

    /// Copies into guest-physical memory of `domain`.
    ///
    /// # Errors
    /// `EFAULT` where no writable memory is mapped; `EAGAIN` or `ENOMEM` where it is to be populated on demand and cannot be
    /// ([`super::Shortage`]).
    pub fn write_guest(&self, domain: &Domain, at: Gpa, from: &[u8]) -> Result<(), Errno> {
        self.write_by(domain, at, from, Effort::Patient)
    }

    fn write_by(&self, domain: &Domain, at: Gpa, from: &[u8], effort: Effort) -> Result<(), Errno> {
        let mut done = 0;
        while done < from.len() {
            let gpa = Gpa(at.0.checked_add(done as u64).ok_or(Errno::EFAULT)?);
            let len = (PAGE_SIZE - gpa.page_offset()).min(from.len() - done);
            let usable = |m: &Mapping| m.kind.is_memory() && m.kind.is_writable();
            self.with_page_by(domain, gpa.gfn(), effort, |found| {
                let found = found.filter(usable).ok_or(Errno::EFAULT)?;
                self.memory.write(
                    Maddr(found.mfn.maddr().0 + gpa.page_offset() as u64),
                    &from[done..done + len],
                );
                Ok(())
            })?;
            done += len;
        }
        Ok(())
    }

    /// Writes part of an area the guest registered. What is no longer mapped is not written, as on real Xen.
    pub fn write_area(
        &self,
        domain: &Domain,
        area: &GuestArea,
        offset: usize,
        bytes: &[u8],
        effort: Effort,
    ) {
        let [(first, first_len), (second, second_len)] = area.pieces;
        // Errors are ignored, see above.
        let in_first = first_len.saturating_sub(offset).min(bytes.len());
        if in_first > 0 {
            let at = Gpa(first.0 + offset as u64);
            let _ = self.write_by(domain, at, &bytes[..in_first], effort);
        }
        let rest = &bytes[in_first..];
        let into_second = (offset + in_first).saturating_sub(first_len);
        if !rest.is_empty() && into_second + rest.len() <= second_len {
            let at = Gpa(second.0 + into_second as u64);
            let _ = self.write_by(domain, at, rest, effort);
        }
    }

    /// For [`crate::p2m::P2m`] operations done by hand.
    #[must_use]
    pub fn tables<'a>(&'a self, domain: &'a Domain) -> FrameTables<'a> {
        FrameTables { hv: self, domain }
    }

    /// The domain a foreign operation names: `DOMID_SELF` is the caller.
    ///
    /// # Errors
    /// `ESRCH` if there is none, or it is dying.
    pub fn target(&self, caller: &Arc<Domain>, id: Domid) -> Result<Arc<Domain>, Errno> {
        if id == Domid::SELF {
            return Ok(Arc::clone(caller));
        }
        self.domain(id)
            .filter(|domain| !domain.is_dying())
            .ok_or(Errno::ESRCH)
    }
}
