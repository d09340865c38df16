//! A page that another domain (or the kernel) writes at the same time.

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;

/// A page that is shared with somebody who is not trusted: the ring of a guest, or a page of its memory.
///
/// There is never a Rust reference into it: bytes are copied out once and judged in the copy. Every copy reads each byte of the page exactly
/// once. Indices are read with acquire and written with release order, so that `load_u32(prod)`, `copy_out`, `store_u32(cons)` is the right
/// order of a consumer, and `copy_in`, `store_u32(prod)` that of a producer; where a party writes its index and then looks whether the other
/// one sleeps, it puts a [`full_barrier`] between both.
///
/// All methods panic when the place is not inside the page: offsets are the program's own, an index from the ring is masked before.
pub trait SharedPage: Send + Sync {
    /// Reads the word at `offset`, a multiple of 4, with acquire order.
    fn load_u32(&self, offset: usize) -> u32;
    /// Writes the word at `offset`, a multiple of 4, with release order.
    fn store_u32(&self, offset: usize, value: u32);
    /// Copies from the page.
    fn copy_out(&self, offset: usize, bytes: &mut [u8]);
    /// Copies into the page.
    fn copy_in(&self, offset: usize, bytes: &[u8]);
}

/// Everything before it is seen by the other side before anything after it.
pub fn full_barrier() {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}
