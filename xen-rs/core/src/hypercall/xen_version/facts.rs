//! What there is to tell. The version is that of the ABI, which tools look at; the rest names this hypervisor. What was known
//! only when it was built is in [`Build`](crate::hal::Build).

/// Follows the version: `4.20.0-rs` in `xl info`.
pub const EXTRAVERSION: &str = ".0-rs";
/// Kinds of guests: no classic paravirtualised ones.
pub const CAPABILITIES: &str = "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";
/// What Xen tells those who may not know.
pub const DENIED: &str = "<denied>";

/// `text` in a field of `N` bytes, cut where it is too long, with at least one NUL at the end.
#[must_use]
pub fn field<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let len = text.len().min(N.saturating_sub(1));
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_is_cut_and_ends_with_nul() {
        assert_eq!(&field::<4>("abcdef"), b"abc\0");
        assert_eq!(&field::<4>("a"), b"a\0\0\0");
    }
}
