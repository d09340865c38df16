//! Memory that somebody outside this process reads and writes at any time.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, munmap};
use xen_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{PAGE_SIZE, SharedPage};

const BOTH: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

/// Whole pages, mapped by this value alone and unmapped with it. Bytes are copied by atomic accesses, each byte once.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: NonZeroUsize,
}

// SAFETY: It owns the mapped range, which any thread may use; all accesses are atomic.
unsafe impl Send for Mapping {}
// SAFETY: As above: shared use is atomic accesses only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `pages` pages of a file, shared, for reading and writing.
    pub(super) fn of_file(file: impl AsFd, offset: u64, pages: usize) -> Result<Self, Errno> {
        let length = bytes_of(pages)?;
        // SAFETY: The kernel chooses a free range of addresses, so nothing that exists is changed.
        let start = unsafe {
            mmap(
                null_mut(),
                length.get(),
                BOTH,
                MapFlags::SHARED,
                file,
                offset,
            )
        };
        Self::own(start.map_err(super::errno)?.cast(), length)
    }

    /// Anonymous memory that is present, stays so, and is not copied by a fork: fit to be named to the hypervisor.
    pub(super) fn anonymous(pages: usize) -> Result<Self, Errno> {
        let length = bytes_of(pages)?;
        // SAFETY: As above.
        let start = unsafe { mmap_anonymous(null_mut(), length.get(), BOTH, MapFlags::SHARED) };
        let this = Self::own(start.map_err(super::errno)?.cast(), length)?;
        let pointer = this.start.as_ptr().cast();
        // SAFETY: The range is this mapping; the advice changes only what a child sees.
        unsafe { madvise(pointer, this.length.get(), Advice::LinuxDontFork) }
            .map_err(super::errno)?;
        // SAFETY: The range is this mapping; it is made resident, no content changes.
        unsafe { mlock(pointer, this.length.get()) }.map_err(super::errno)?;
        Ok(this)
    }

    fn own(start: *mut u8, length: NonZeroUsize) -> Result<Self, Errno> {
        let start = NonNull::new(start).ok_or(Errno::EFAULT)?;
        Ok(Self { start, length })
    }

    /// Bytes.
    pub(crate) fn len(&self) -> usize {
        self.length.get()
    }

    /// Where it is, for the hypervisor or a driver.
    pub(crate) fn address(&self) -> u64 {
        self.start.as_ptr().addr() as u64
    }

    /// Writes a value; panics outside.
    pub(crate) fn put<T: IntoBytes + Immutable + ?Sized>(&self, offset: usize, value: &T) {
        self.copy_in(offset, value.as_bytes());
    }

    /// Reads a value; panics outside.
    pub(crate) fn get<T: FromBytes + IntoBytes>(&self, offset: usize) -> T {
        let mut value = T::new_zeroed();
        self.copy_out(offset, value.as_mut_bytes());
        value
    }

    /// Reads consecutive values; panics outside.
    pub(crate) fn get_all<T: FromBytes + IntoBytes>(&self, offset: usize, count: usize) -> Vec<T> {
        let mut values: Vec<T> = (0..count).map(|_| T::new_zeroed()).collect();
        self.copy_out(offset, values.as_mut_slice().as_mut_bytes());
        values
    }

    /// Fills with zeros.
    pub(crate) fn clear(&self) {
        for word in self.words(0, self.len() / 8) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Where `length` bytes at `offset` are.
    fn place(&self, offset: usize, length: usize) -> *mut u8 {
        let end = offset.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.len()),
            "{length} bytes at {offset} of {}",
            self.len()
        );
        // SAFETY: The offset is inside the mapping, as was just checked.
        unsafe { self.start.as_ptr().add(offset) }
    }

    fn byte(&self, offset: usize) -> &AtomicU8 {
        // SAFETY: The byte is inside the mapping, which outlives the reference; everybody's accesses to it are atomic or not Rust's.
        unsafe { AtomicU8::from_ptr(self.place(offset, 1)) }
    }

    fn half(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4), "unaligned word at {offset}");
        // SAFETY: As for a byte; a mapping begins at a page, so the place is aligned as the offset is.
        unsafe { AtomicU32::from_ptr(self.place(offset, 4).cast()) }
    }

    fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        if count == 0 {
            return &[];
        }
        assert!(offset.is_multiple_of(8), "unaligned words at {offset}");
        let start = self.place(offset, count.saturating_mul(8)).cast();
        // SAFETY: As for a byte, for each of them; a mapping begins at a page, so the place is aligned as the offset is.
        unsafe { std::slice::from_raw_parts(start, count) }
    }
}

impl SharedPage for Mapping {
    fn load_u32(&self, offset: usize) -> u32 {
        u32::from_le(self.half(offset).load(Ordering::Acquire))
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.half(offset).store(value.to_le(), Ordering::Release);
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        self.place(offset, bytes.len());
        let (head, words) = bytes.split_at_mut(to_alignment(offset, bytes.len()));
        let start = offset + head.len();
        for (at, byte) in (offset..).zip(head) {
            *byte = self.byte(at).load(Ordering::Relaxed);
        }
        let (words, tail) = words.as_chunks_mut::<8>();
        let end = start + words.len() * 8;
        for (shared, word) in self.words(start, words.len()).iter().zip(words) {
            *word = shared.load(Ordering::Relaxed).to_ne_bytes();
        }
        for (at, byte) in (end..).zip(tail) {
            *byte = self.byte(at).load(Ordering::Relaxed);
        }
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) {
        self.place(offset, bytes.len());
        let (head, words) = bytes.split_at(to_alignment(offset, bytes.len()));
        let start = offset + head.len();
        for (at, byte) in (offset..).zip(head) {
            self.byte(at).store(*byte, Ordering::Relaxed);
        }
        let (words, tail) = words.as_chunks::<8>();
        let end = start + words.len() * 8;
        for (shared, word) in self.words(start, words.len()).iter().zip(words) {
            shared.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
        for (at, byte) in (end..).zip(tail) {
            self.byte(at).store(*byte, Ordering::Relaxed);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The range is this mapping, of which no reference is left. There is nothing to do about a refusal: it leaks.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length.get()) };
    }
}

/// Bytes of `length` before the next multiple of 8.
fn to_alignment(offset: usize, length: usize) -> usize {
    (offset.wrapping_neg() % 8).min(length)
}

fn bytes_of(pages: usize) -> Result<NonZeroUsize, Errno> {
    let bytes = pages.checked_mul(PAGE_SIZE).and_then(NonZeroUsize::new);
    bytes.ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn copies_at_any_place_change_that_place_alone(offset in 0_usize..4096, length in 0_usize..200) {
            let mapping = Mapping::anonymous(2).unwrap();
            mapping.put(0, &[0xee_u8; 8192][..]);
            let bytes: Vec<u8> = (0..length).map(|index| index as u8).collect();
            mapping.copy_in(offset, &bytes);
            let mut all = vec![0; 8192];
            mapping.copy_out(0, &mut all);
            prop_assert_eq!(&all[offset..offset + length], &bytes[..]);
            prop_assert!(all[..offset].iter().chain(&all[offset + length..]).all(|&byte| byte == 0xee));
            let mut part = vec![0; length];
            mapping.copy_out(offset, &mut part);
            prop_assert_eq!(part, bytes);
        }
    }

    #[test]
    #[should_panic]
    fn a_place_outside_is_a_mistake_of_the_program() {
        let mapping = Mapping::anonymous(1).unwrap();
        mapping.copy_in(4090, &[0; 7]);
    }

    #[test]
    fn a_cleared_mapping_is_zero() {
        let mapping = Mapping::anonymous(1).unwrap();
        mapping.store_u32(4092, 0x1234_5678);
        assert_eq!(mapping.load_u32(4092), 0x1234_5678);
        mapping.clear();
        assert_eq!(mapping.get_all::<u64>(0, 512), vec![0; 512]);
    }
}
