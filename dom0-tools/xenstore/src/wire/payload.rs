//! Strings within a payload, each ended by a nul.

/// The strings, each ended by a nul. Bytes after the last nul are no string.
pub fn strings(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let end = rest.iter().position(|&byte| byte == 0)?;
        let string = &rest[..end];
        rest = &rest[end + 1..];
        Some(string)
    })
}

/// A payload of strings, each ended by a nul.
pub fn terminated<S: AsRef<[u8]>>(strings: &[S]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(strings.iter().map(|s| s.as_ref().len() + 1).sum());
    for string in strings {
        payload.extend_from_slice(string.as_ref());
        payload.push(0);
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_with_a_nul() {
        let of = |payload: &'static [u8]| strings(payload).collect::<Vec<_>>();
        assert_eq!(of(b"a\0bc\0"), [b"a".as_slice(), b"bc"]);
        assert_eq!(of(b"a\0bc"), [b"a".as_slice()]);
        assert_eq!(of(b"\0\0"), [b"".as_slice(), b""]);
        assert_eq!(of(b""), Vec::<&[u8]>::new());
        assert_eq!(terminated(&["a", "bc"]), b"a\0bc\0");
    }
}
