//! Fields of untrusted little-endian structures: every read says whether the bytes are there.

/// The `N` bytes at `offset`.
#[must_use]
pub fn bytes_at<const N: usize>(data: &[u8], offset: usize) -> Option<[u8; N]> {
    data.get(offset..)?.first_chunk().copied()
}

/// The 16-bit field at `offset`.
#[must_use]
pub fn u16_at(data: &[u8], offset: usize) -> Option<u16> {
    bytes_at(data, offset).map(u16::from_le_bytes)
}

/// The 32-bit field at `offset`.
#[must_use]
pub fn u32_at(data: &[u8], offset: usize) -> Option<u32> {
    bytes_at(data, offset).map(u32::from_le_bytes)
}

/// The 64-bit field at `offset`.
#[must_use]
pub fn u64_at(data: &[u8], offset: usize) -> Option<u64> {
    bytes_at(data, offset).map(u64::from_le_bytes)
}
