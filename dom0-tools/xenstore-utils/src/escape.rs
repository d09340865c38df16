//! Values as text: printable ASCII as it is, other bytes by a backslash and what follows.

/// The text of a value.
pub fn escape(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for &byte in value {
        match byte {
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(byte.into()),
            0..=7 => text.push_str(&format!("\\{byte:03o}")),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// The value of a text. An unknown letter after a backslash stands for itself; a backslash at the end for a zero byte.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            value.push(*byte);
            continue;
        }
        let (byte, after) = unescape_one(rest);
        value.push(byte);
        rest = after;
    }
    value
}

/// What follows a backslash: its byte, and the rest.
fn unescape_one(text: &[u8]) -> (u8, &[u8]) {
    match text {
        [] => (0, text),
        [b't', rest @ ..] => (b'\t', rest),
        [b'n', rest @ ..] => (b'\n', rest),
        [b'r', rest @ ..] => (b'\r', rest),
        [b'x', rest @ ..] => digits(rest, 2, 16).unwrap_or((b'x', rest)),
        [b'0'..=b'7', ..] => digits(text, 3, 8).unwrap_or((0, text)),
        [other, rest @ ..] => (*other, rest),
    }
}

/// A number of up to `most` digits; its lowest byte.
fn digits(text: &[u8], most: usize, radix: u32) -> Option<(u8, &[u8])> {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix);
    let digits: Vec<u32> = text.iter().take(most).map_while(digit).collect();
    let number = digits
        .iter()
        .fold(0, |number, digit| number * radix + digit);
    (!digits.is_empty()).then_some((number as u8, &text[digits.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let text = escape(&all);
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        assert_eq!(unescape(text.as_bytes()), all);
    }

    #[test]
    fn the_text_is_the_originals() {
        assert_eq!(escape(b"x\ny\\z\x01\x08\xff"), r"x\ny\\z\001\x08\xff");
        assert_eq!(unescape(br"\x01\101\q\t"), b"\x01Aq\t");
        assert_eq!(unescape(br"\x1g\xg\8\777"), b"\x01gxg8\xff");
        assert_eq!(unescape(b"a\\"), b"a\0");
    }
}
