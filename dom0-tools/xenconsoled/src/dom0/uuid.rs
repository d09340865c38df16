//! Domains' UUIDs in the usual form.

use std::fmt;
use std::str::FromStr;

/// 16 bytes, written as `8-4-4-4-12` digits.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Uuid(pub [u8; 16]);

/// A text that is no UUID.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID: expected xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")]
pub struct BadUuid;

/// Where the hyphens are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Uuid {
    /// Whether all bytes are zero: that means none.
    pub fn is_nil(&self) -> bool {
        self.0 == [0; 16]
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&place) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Uuid {
    type Err = BadUuid;

    fn from_str(text: &str) -> Result<Self, BadUuid> {
        let is_shaped = text.len() == 36
            && text.bytes().enumerate().all(|(place, byte)| {
                if HYPHENS.contains(&place) {
                    byte == b'-'
                } else {
                    byte.is_ascii_hexdigit()
                }
            });
        if !is_shaped {
            return Err(BadUuid);
        }
        let number = u128::from_str_radix(&text.replace('-', ""), 16);
        Ok(Self(number.map_err(|_| BadUuid)?.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_as_it_was_read() {
        let text = "57097661-40b5-4d06-8119-e20baedef0a4";
        assert_eq!(text.parse::<Uuid>().unwrap().to_string(), text);
        assert!(
            "00000000-0000-0000-0000-000000000000"
                .parse::<Uuid>()
                .unwrap()
                .is_nil()
        );
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            "zz",
            "57097661-40b5-4d06-8119-e20baedef0a",
            "57097661-40b5-4d06-8119-e20baedef0a44",
            "5709766-140b5-4d06-8119-e20baedef0a4",
            "57097661-40b5-4d06-8119-e20baedef0ag",
            "57097661-40b5-4d06-8119-e20baedef0ä",
            "+7097661-40b5-4d06-8119-e20baedef0a4",
        ] {
            assert_eq!(text.parse::<Uuid>(), Err(BadUuid), "{text}");
        }
    }
}
