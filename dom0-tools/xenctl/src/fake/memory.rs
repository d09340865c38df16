//! A guest's memory: which frames are populated, and the contents of those that were touched.

use std::collections::BTreeMap;
use std::ops::Range;

use xen_abi::errno::Errno;

use super::page::MemoryPage;
use crate::{PAGE_SIZE, SharedPage};

/// Sparse: a frame that nobody wrote takes no memory.
#[derive(Default)]
pub(super) struct GuestMemory {
    /// First frame and the one after the last, disjoint.
    populated: BTreeMap<u64, u64>,
    touched: BTreeMap<u64, MemoryPage>,
    /// Frames among the populated ones that get a page of the pool only when they are used.
    promised: u64,
    /// Pages set aside for them.
    pool: u64,
}

impl GuestMemory {
    /// Pages it has.
    pub(super) fn pages(&self) -> u64 {
        let frames: u64 = self.populated.iter().map(|(start, end)| end - start).sum();
        frames - self.promised + self.pool
    }

    /// Populates frames on demand.
    pub(super) fn promise(&mut self, gfns: Range<u64>) -> Result<(), Errno> {
        let frames = gfns.end - gfns.start;
        self.populate(gfns)?;
        self.promised += frames;
        Ok(())
    }

    /// Sets aside pages for what is populated on demand.
    pub(super) fn set_pool(&mut self, pages: u64) {
        self.pool = pages;
    }

    /// Populates frames; `EEXIST` when one of them is.
    pub(super) fn populate(&mut self, gfns: Range<u64>) -> Result<(), Errno> {
        let before = self.populated.range(..gfns.end).next_back();
        if before.is_some_and(|(_, &end)| end > gfns.start) {
            return Err(Errno::EEXIST);
        }
        match self
            .populated
            .iter_mut()
            .find(|(_, end)| **end == gfns.start)
        {
            Some((_, end)) => *end = gfns.end,
            None => {
                self.populated.insert(gfns.start, gfns.end);
            }
        }
        Ok(())
    }

    /// A page of it, to be shared; `EINVAL` where there is no memory.
    pub(super) fn page(&mut self, gfn: u64) -> Result<MemoryPage, Errno> {
        let populated = self.populated.range(..=gfn).next_back();
        if populated.is_none_or(|(_, &end)| end <= gfn) {
            return Err(Errno::EINVAL);
        }
        Ok(self.touched.entry(gfn).or_default().clone())
    }

    /// Whether somebody outside has one of its pages mapped.
    pub(super) fn is_mapped(&self) -> bool {
        self.touched.values().any(|page| page.holders() > 1)
    }

    /// Reads from guest-physical `address`.
    pub(super) fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        let mut done = 0;
        for (gfn, offset, length) in pieces(address, bytes.len())? {
            self.page(gfn)?
                .copy_out(offset, &mut bytes[done..done + length]);
            done += length;
        }
        Ok(())
    }

    /// Writes to guest-physical `address`.
    pub(super) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let mut done = 0;
        for (gfn, offset, length) in pieces(address, bytes.len())? {
            self.page(gfn)?.copy_in(offset, &bytes[done..done + length]);
            done += length;
        }
        Ok(())
    }
}

/// The pages of a range of addresses: frame, offset and length.
fn pieces(address: u64, length: usize) -> Result<impl Iterator<Item = (u64, usize, usize)>, Errno> {
    let page = PAGE_SIZE as u64;
    let end = address.checked_add(length as u64).ok_or(Errno::EINVAL)?;
    Ok((address / page..end.div_ceil(page)).filter_map(move |gfn| {
        let start = address.max(gfn * page);
        let stop = end.min((gfn + 1).saturating_mul(page));
        let length = usize::try_from(stop.checked_sub(start)?).ok()?;
        (length > 0).then_some((gfn, (start % page) as usize, length))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cross_pages() {
        let mut memory = GuestMemory::default();
        memory.populate(4..6).unwrap();
        memory.write(0x4ffe, &[1, 2, 3, 4]).unwrap();
        let mut bytes = [0; 6];
        memory.read(0x4ffd, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 1, 2, 3, 4, 0]);
    }

    #[test]
    fn frames_without_memory_are_refused() {
        let mut memory = GuestMemory::default();
        memory.populate(0..2).unwrap();
        assert_eq!(memory.write(0x1fff, &[0, 0]), Err(Errno::EINVAL));
        assert_eq!(memory.read(u64::MAX, &mut [0, 0]), Err(Errno::EINVAL));
        assert_eq!(memory.populate(1..3), Err(Errno::EEXIST));
        assert_eq!(memory.pages(), 2);
    }

    #[test]
    fn neighbours_are_counted_once() {
        let mut memory = GuestMemory::default();
        memory.populate(0..512).unwrap();
        memory.populate(512..1024).unwrap();
        memory.populate(2048..2049).unwrap();
        assert_eq!(memory.pages(), 1025);
        assert_eq!(memory.populated.len(), 2);
    }
}
