//! How much of the hypervisor's heap is in use, for who looks for leaks. The image's allocator counts, the memory debug key shows.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Objects on a heap and the bytes that were asked for them, without what the allocator adds.
#[derive(Debug)]
pub struct HeapUse {
    objects: AtomicU64,
    bytes: AtomicU64,
}

/// The hypervisor's heap.
pub static HEAP_USE: HeapUse = HeapUse::new();

impl HeapUse {
    /// Nothing is in use yet.
    pub const fn new() -> Self {
        HeapUse {
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// An object of so many bytes was made.
    pub fn made(&self, bytes: usize) {
        self.objects.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// An object of so many bytes was freed.
    pub fn freed(&self, bytes: usize) {
        self.objects.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(bytes as u64, Relaxed);
    }

    /// Objects in use now.
    pub fn objects(&self) -> u64 {
        self.objects.load(Relaxed)
    }

    /// Bytes in use now.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

impl Default for HeapUse {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_and_not_freed_is_in_use() {
        let heap = HeapUse::new();
        heap.made(100);
        heap.made(28);
        assert_eq!((heap.objects(), heap.bytes()), (2, 128));
        heap.freed(100);
        assert_eq!((heap.objects(), heap.bytes()), (1, 28));
    }
}
