//! Numbers as C's `strtol` reads them, without anything behind them; and sizes of memory as xl's commands take them.

use thiserror::Error;

/// A number in decimal, octal (`0…`) or hexadecimal (`0x…`), perhaps with a sign.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, base) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    let magnitude = parse_digits(digits, base)?;
    if is_negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Digits alone.
pub(crate) fn parse_digits(digits: &str, base: u32) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base));
    if is_number {
        u64::from_str_radix(digits, base).ok()
    } else {
        None
    }
}

/// The text is no size of memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Error)]
#[error("expected an amount of memory such as 512, 512m, 2g, 1t, 4096k or 1048576b")]
pub struct MemorySizeError;

/// An amount of memory as `xl mem-set` and `xl mem-max` take it, in KiB: MiB without a unit, else `t`, `g`, `m`, `k` or `b` in
/// either case.
///
/// # Errors
/// Anything else, and amounts beyond 64 bits.
pub fn parse_memory_size(text: &str) -> Result<u64, MemorySizeError> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let number = parse_digits(digits, 10).ok_or(MemorySizeError)?;
    let shift = match text.get(digits.len()..).unwrap_or_default() {
        "t" | "T" => 30,
        "g" | "G" => 20,
        "" | "m" | "M" => 10,
        "k" | "K" => 0,
        "b" | "B" => return Ok(number >> 10),
        _ => return Err(MemorySizeError),
    };
    number
        .checked_mul(1 << shift)
        .filter(|kib| i64::try_from(*kib).is_ok())
        .ok_or(MemorySizeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_c_numbers() {
        let known = [
            ("0", 0),
            ("10", 10),
            ("010", 8),
            ("0x1F", 31),
            (" -5", -5),
            ("+7", 7),
            ("9223372036854775807", i64::MAX),
        ];
        for (text, number) in known {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        assert_eq!(parse("-9223372036854775808"), Some(i64::MIN));
        for text in [
            "",
            "-",
            "0x",
            "08",
            "1 ",
            "1m",
            "--1",
            "+-1",
            "9223372036854775808",
            "1e3",
            "٣",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn memory_sizes_have_units() {
        let known = [
            ("512", 524_288),
            ("512m", 524_288),
            ("2G", 2_097_152),
            ("1t", 1 << 30),
            ("4096k", 4096),
            ("1048576b", 1024),
            ("1023b", 0),
        ];
        for (text, kib) in known {
            assert_eq!(parse_memory_size(text), Ok(kib), "{text}");
        }
        for text in [
            "",
            "m",
            "-5",
            "5mb",
            "5 m",
            "0x10",
            "99999999999999999999",
            "9007199254740993g",
        ] {
            assert_eq!(parse_memory_size(text), Err(MemorySizeError), "{text}");
        }
    }
}
