//! One word of the command line and the ways to read its value ("Types of parameter" in xen-command-line.pandoc).

/// The value does not fit the option.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct BadValue;

/// `name`, `no-name`, or `name=value`.
#[derive(Copy, Clone, Debug)]
pub(super) struct Word<'a> {
    /// The word as written.
    pub text: &'a str,
    /// The option's name without `no-`.
    pub name: &'a str,
    /// Whether it was written `no-name`.
    pub negated: bool,
    /// What follows the first `=`.
    pub value: Option<&'a str>,
}

impl<'a> Word<'a> {
    /// Splits a word; any text is accepted.
    pub fn new(text: &'a str) -> Self {
        let (full_name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let (negated, name) = match full_name.strip_prefix("no-") {
            Some(rest) => (true, rest),
            None => (false, full_name),
        };
        Self {
            text,
            name,
            negated,
            value,
        }
    }

    /// A plain boolean option. `no-x=off` is a double negation, as in Xen.
    pub fn boolean(&self) -> Result<bool, BadValue> {
        let value = match self.value {
            None | Some("") => true,
            Some(text) => boolean(text).ok_or(BadValue)?,
        };
        Ok(value != self.negated)
    }

    /// An option with its own syntax: the value, or `no` for `no-name`.
    pub fn custom(&self) -> Result<&'a str, BadValue> {
        match (self.negated, self.value) {
            (true, None | Some("")) => Ok("no"),
            (true, Some(_)) => Err(BadValue),
            (false, value) => Ok(value.unwrap_or("")),
        }
    }

    /// An option that needs a value and cannot be negated.
    pub fn required(&self) -> Result<&'a str, BadValue> {
        match (self.negated, self.value) {
            (false, Some(value)) if !value.is_empty() => Ok(value),
            _ => Err(BadValue),
        }
    }

    /// An unsigned integer of 32 bits.
    pub fn u32(&self) -> Result<u32, BadValue> {
        whole_u32(self.required()?)
    }

    /// A size in bytes; without a suffix it counts KiB.
    pub fn size(&self) -> Result<u64, BadValue> {
        match take_size(self.required()?) {
            Some((bytes, "")) => Ok(bytes),
            _ => Err(BadValue),
        }
    }
}

/// Reads one of the words for true and false.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "on" | "true" | "enable" | "1" => Some(true),
        "no" | "off" | "false" | "disable" | "0" => Some(false),
        _ => None,
    }
}

/// Reads a list element that sets the boolean `name`: `name`, `no-name` or `name=<boolean>`. `None` when it is about something else
/// or its value is not a boolean.
pub(super) fn element(text: &str, name: &str) -> Option<bool> {
    if let Some(rest) = text.strip_prefix("no-") {
        return (rest == name).then_some(false);
    }
    match text.strip_prefix(name)? {
        "" => Some(true),
        rest => boolean(rest.strip_prefix('=')?),
    }
}

/// Reads the digits at the start of `text` (decimal, `0x` hexadecimal, leading `0` octal) and returns what follows them. `None` without a
/// digit or beyond 64 bits.
pub(super) fn take_integer(text: &str) -> Option<(u64, &str)> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_hexdigit()) => (rest, 16),
        _ if text.starts_with('0') => (text, 8),
        _ => (text, 10),
    };
    take_digits(digits, radix)
}

/// Reads the digits of base `radix` at the start of `text` and returns what follows them.
pub(super) fn take_digits(text: &str, radix: u32) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((u64::from_str_radix(digits, radix).ok()?, rest))
}

/// The whole of `text` as an unsigned integer of 32 bits.
pub(super) fn whole_u32(text: &str) -> Result<u32, BadValue> {
    match take_integer(text) {
        Some((value, "")) => u32::try_from(value).map_err(|_| BadValue),
        _ => Err(BadValue),
    }
}

/// Reads a size with its unit and returns what follows. A number before `%` is returned as it is.
pub(super) fn take_size(text: &str) -> Option<(u64, &str)> {
    let (value, rest) = take_integer(text)?;
    let shift = match rest.chars().next() {
        Some('T' | 't') => 40,
        Some('G' | 'g') => 30,
        Some('M' | 'm') => 20,
        Some('K' | 'k') => 10,
        Some('B' | 'b') => 0,
        Some('%') => return Some((value, rest)),
        _ => return Some((value.checked_mul(1 << 10)?, rest)),
    };
    Some((value.checked_mul(1 << shift)?, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_have_five_words_each_way() {
        for word in ["x", "x=yes", "x=on", "x=true", "x=enable", "x=1", "no-x=0"] {
            assert_eq!(Word::new(word).boolean(), Ok(true), "{word}");
        }
        for word in ["no-x", "x=no", "x=off", "x=false", "x=disable", "x=0"] {
            assert_eq!(Word::new(word).boolean(), Ok(false), "{word}");
        }
        assert_eq!(Word::new("x=maybe").boolean(), Err(BadValue));
    }

    #[test]
    fn integers_are_decimal_hexadecimal_or_octal() {
        assert_eq!(take_integer("42,x"), Some((42, ",x")));
        assert_eq!(take_integer("0x3F8"), Some((0x3f8, "")));
        assert_eq!(take_integer("010"), Some((8, "")));
        assert_eq!(take_integer("0"), Some((0, "")));
        assert_eq!(take_integer("0x"), Some((0, "x")));
        assert_eq!(take_integer("x"), None);
        assert_eq!(take_integer("18446744073709551616"), None);
    }

    #[test]
    fn sizes_default_to_kibibytes() {
        assert_eq!(take_size("512"), Some((512 << 10, "")));
        assert_eq!(take_size("3G,max"), Some((3 << 30, ",max")));
        assert_eq!(take_size("7b"), Some((7, "")));
        assert_eq!(take_size("10%"), Some((10, "%")));
        assert_eq!(take_size("99999999T"), None);
    }

    #[test]
    fn list_elements_accept_three_spellings() {
        assert_eq!(element("verbose", "verbose"), Some(true));
        assert_eq!(element("no-verbose", "verbose"), Some(false));
        assert_eq!(element("verbose=off", "verbose"), Some(false));
        assert_eq!(element("verbosely", "verbose"), None);
        assert_eq!(element("verbose=often", "verbose"), None);
        assert_eq!(element("no-verbose=1", "verbose"), None);
    }
}
