//! A shared page in this process's own memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{PAGE_SIZE, SharedPage};

const WORDS: usize = PAGE_SIZE / 4;

/// A page that both sides of a test use: clones are the same page.
#[derive(Clone)]
pub struct MemoryPage(Arc<[AtomicU32; WORDS]>);

impl MemoryPage {
    /// A page of zeros.
    pub fn new() -> Self {
        Self(Arc::new([const { AtomicU32::new(0) }; WORDS]))
    }

    /// How many hold it.
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl Default for MemoryPage {
    fn default() -> Self {
        Self::new()
    }
}

impl SharedPage for MemoryPage {
    fn load_u32(&self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4), "unaligned word at {offset}");
        u32::from_le(self.0[offset / 4].load(Ordering::Acquire))
    }

    fn store_u32(&self, offset: usize, value: u32) {
        assert!(offset.is_multiple_of(4), "unaligned word at {offset}");
        self.0[offset / 4].store(value.to_le(), Ordering::Release);
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            *byte = self.0[at / 4].load(Ordering::Relaxed).to_ne_bytes()[at % 4];
        }
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            let change = |word: u32| {
                let mut parts = word.to_ne_bytes();
                parts[at % 4] = *byte;
                Some(u32::from_ne_bytes(parts))
            };
            // It always gives a new word, so it never fails.
            let _ = self.0[at / 4].fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_the_same_page() {
        let (mine, theirs) = {
            let page = MemoryPage::new();
            (page.clone(), page)
        };
        mine.copy_in(4093, &[1, 2, 3]);
        let mut bytes = [0; 4];
        theirs.copy_out(4092, &mut bytes);
        assert_eq!(bytes, [0, 1, 2, 3]);
        theirs.store_u32(0, 0x0403_0201);
        mine.copy_out(0, &mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4]);
        assert_eq!(mine.load_u32(4092), 0x0302_0100);
    }

    #[test]
    #[should_panic]
    fn a_place_outside_the_page_is_a_mistake_of_the_program() {
        MemoryPage::new().copy_out(4090, &mut [0; 7]);
    }
}
