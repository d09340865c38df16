//! Numbers and sizes in arguments.

/// The number at the start of `text`, and what follows it: blanks, a sign and decimal digits, as `strtol` reads them. `None` without a digit;
/// a number that is too large is the largest.
pub fn leading(text: &str) -> Option<(i64, &str)> {
    let trimmed = text.trim_start();
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = unsigned.split_at(digits);
    if digits.is_empty() {
        return None;
    }
    let negative = trimmed.starts_with('-');
    let value = digits.bytes().fold(0_i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        value
            .saturating_mul(10)
            .saturating_add(if negative { -digit } else { digit })
    });
    Some((value, rest))
}

/// The number at the start of `text`, or 0.
pub fn lenient(text: &str) -> i64 {
    leading(text).map_or(0, |(value, _)| value)
}

/// KiB of a size: a number and at most one of `b`, `k`, `m`, `g`, `t`; MiB without.
pub fn memory_kib(text: &str) -> Option<u64> {
    let (value, unit) = leading(text)?;
    let value = u64::try_from(value).ok()?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "t" => 30,
        "g" => 20,
        "" | "m" => 10,
        "k" => 0,
        "b" => return Some(value / 1024),
        _ => return None,
    };
    value.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_digits_end() {
        assert_eq!(leading("12ab"), Some((12, "ab")));
        assert_eq!(leading(" -7"), Some((-7, "")));
        assert_eq!(leading("x"), None);
        assert_eq!(leading("-"), None);
        assert_eq!(leading("99999999999999999999"), Some((i64::MAX, "")));
        assert_eq!(leading("-99999999999999999999"), Some((i64::MIN, "")));
        assert_eq!(lenient("nonsense"), 0);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(memory_kib("128"), Some(131_072));
        assert_eq!(memory_kib("128m"), Some(131_072));
        assert_eq!(memory_kib("2G"), Some(2 << 20));
        assert_eq!(memory_kib("1t"), Some(1 << 30));
        assert_eq!(memory_kib("10k"), Some(10));
        assert_eq!(memory_kib("4096b"), Some(4));
        for bad in ["", "nonsense", "150mb", "10x", "-5", "99999999999999t"] {
            assert_eq!(memory_kib(bad), None, "{bad}");
        }
    }
}
