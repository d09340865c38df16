//! Arguments in a payload.

use crate::Errno;
use crate::wire::strings;

/// The only argument: the payload has one nul, at its end.
pub fn only(payload: &[u8]) -> Result<&[u8], Errno> {
    match payload.split_last() {
        Some((0, text)) if !text.contains(&0) => Ok(text),
        _ => Err(Errno::EINVAL),
    }
}

/// Exactly two arguments. What comes after the last nul is nothing.
pub fn two(payload: &[u8]) -> Result<[&[u8]; 2], Errno> {
    let [first, second] = first(payload)?;
    match strings(payload).count() {
        2 => Ok([first, second]),
        _ => Err(Errno::EINVAL),
    }
}

/// The first arguments of at least as many.
pub fn first<const N: usize>(payload: &[u8]) -> Result<[&[u8]; N], Errno> {
    let found: Vec<&[u8]> = strings(payload).take(N).collect();
    found.try_into().map_err(|_| Errno::EINVAL)
}

/// A number as C's `atoi` reads it: 0 if there is none, and what comes after it is ignored.
pub fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.fold(0_i64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add((digit - b'0').into())
    });
    if negative { -value } else { value }
}

/// The number of a domain. Out of range, it is that of no domain.
pub fn domain(text: &[u8]) -> Result<u16, Errno> {
    u16::try_from(number(text)).map_err(|_| Errno::ENOENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_argument_ends_with_the_only_nul() {
        assert_eq!(only(b"a\0"), Ok(b"a".as_slice()));
        assert_eq!(only(b"\0"), Ok(b"".as_slice()));
        for wrong in [b"".as_slice(), b"a", b"a\0b", b"a\0b\0", b"a\0\0"] {
            assert_eq!(only(wrong), Err(Errno::EINVAL));
        }
    }

    #[test]
    fn two_arguments_are_two() {
        assert_eq!(two(b"a\0b\0"), Ok([b"a".as_slice(), b"b"]));
        assert_eq!(two(b"a\0b\0c"), Ok([b"a".as_slice(), b"b"]));
        assert_eq!(two(b"a\0b"), Err(Errno::EINVAL));
        assert_eq!(two(b"a\0b\0c\0"), Err(Errno::EINVAL));
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        for (text, value) in [
            ("12", 12),
            (" -7x", -7),
            ("+3", 3),
            ("", 0),
            ("x", 0),
            ("0x5", 0),
        ] {
            assert_eq!(number(text.as_bytes()), value);
        }
        assert_eq!(number(b"99999999999999999999"), i64::MAX);
        assert_eq!(domain(b"65536"), Err(Errno::ENOENT));
    }
}
