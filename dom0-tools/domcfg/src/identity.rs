//! Identifiers of domains, and random bytes to make them of.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;

use serde_json::Value;

use crate::json::{Json, JsonError};

/// A domain's UUID; nil stands for "none".
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The UUID that means "none".
    pub const NIL: Uuid = Uuid([0; 16]);

    /// Whether it means "none".
    pub fn is_nil(self) -> bool {
        self == Self::NIL
    }

    /// A new random UUID (RFC 4122, version 4).
    ///
    /// # Errors
    /// The kernel's random number device cannot be read.
    pub fn generate() -> io::Result<Uuid> {
        let mut bytes = random::<16>()?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Ok(Uuid(bytes))
    }
}

/// Random bytes from the kernel.
pub(crate) fn random<const LENGTH: usize>() -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                formatter.write_str("-")?;
            }
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// The text is no UUID.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID of 32 hexadecimal digits, e.g. 8f0d2f5c-1b6e-4b43-8a0e-3a1f6c1f5a10")]
pub struct UuidError;

impl FromStr for Uuid {
    type Err = UuidError;

    /// Hyphens may stand between any two bytes and may be missing.
    fn from_str(text: &str) -> Result<Self, UuidError> {
        let mut bytes = [0; 16];
        let mut rest = text.as_bytes();
        for byte in &mut bytes {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
            let (digits, after) = rest.split_at_checked(2).ok_or(UuidError)?;
            *byte = hexadecimal(digits).ok_or(UuidError)?;
            rest = after;
        }
        if rest.is_empty() {
            Ok(Uuid(bytes))
        } else {
            Err(UuidError)
        }
    }
}

/// The value of one or two hexadecimal digits.
pub(crate) fn hexadecimal(digits: &[u8]) -> Option<u8> {
    if digits.is_empty() || digits.len() > 2 {
        return None;
    }
    digits.iter().try_fold(0u8, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | u8::try_from(digit).ok()?)
    })
}

impl Json for Uuid {
    fn to_json(&self) -> Value {
        Value::from(self.to_string())
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        value
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| JsonError::new("a UUID", value))
    }

    fn is_initial(&self) -> bool {
        self.is_nil()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_with_and_without_hyphens() {
        let text = "8f0d2f5c-1b6e-4b43-8a0e-3a1f6c1f5a10";
        let uuid: Uuid = text.parse().unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.replace('-', "").to_uppercase().parse(), Ok(uuid));
        for wrong in [
            "",
            "8f0d2f5c",
            "8f0d2f5c-1b6e-4b43-8a0e-3a1f6c1f5a1",
            "8f0d2f5c-1b6e-4b43-8a0e-3a1f6c1f5a100",
            "+f0d2f5c1b6e4b438a0e3a1f6c1f5a10",
        ] {
            assert_eq!(wrong.parse::<Uuid>(), Err(UuidError), "{wrong}");
        }
    }

    #[test]
    fn generated_uuids_say_version_4_and_differ() {
        let (one, other) = (Uuid::generate().unwrap(), Uuid::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.0[6] >> 4, one.0[8] >> 6), (4, 2));
    }
}
