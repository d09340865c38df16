//! Ethernet addresses.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde_json::Value;

use crate::identity::{hexadecimal, random};
use crate::json::{Json, JsonError};

/// An Ethernet address; all zero stands for "none".
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// The first half of every address that Xen's tools make up.
    pub const VENDOR: [u8; 3] = [0x00, 0x16, 0x3e];

    /// Whether it means "none".
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// A new address: [`MacAddress::VENDOR`], then three random bytes, the first below 0x80 as libxl has it.
    ///
    /// # Errors
    /// The kernel's random number device cannot be read.
    pub fn generate() -> io::Result<MacAddress> {
        let [first, second, third] = random::<3>()?;
        let [a, b, c] = Self::VENDOR;
        Ok(MacAddress([a, b, c, first & 0x7f, second, third]))
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// The text is no Ethernet address.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected six pairs of hexadecimal digits, e.g. 00:16:3e:01:02:03")]
pub struct MacError;

impl FromStr for MacAddress {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            *byte = parts
                .next()
                .and_then(|part| hexadecimal(part.as_bytes()))
                .ok_or(MacError)?;
        }
        if parts.next().is_none() {
            Ok(MacAddress(bytes))
        } else {
            Err(MacError)
        }
    }
}

impl Json for MacAddress {
    fn to_json(&self) -> Value {
        Value::from(self.to_string())
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        value
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| JsonError::new("an Ethernet address", value))
    }

    fn is_initial(&self) -> bool {
        self.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let address: MacAddress = "00:16:3E:a:0b:FF".parse().unwrap();
        assert_eq!(address.to_string(), "00:16:3e:0a:0b:ff");
        for wrong in [
            "",
            "00:16:3e:01:02",
            "00:16:3e:01:02:03:04",
            "00:16:3e:01:02:123",
            "00:16:3e:01:02:+3",
            "00:16:3e::02:03",
        ] {
            assert_eq!(wrong.parse::<MacAddress>(), Err(MacError), "{wrong}");
        }
    }

    #[test]
    fn generated_addresses_are_of_the_vendor_and_not_multicast() {
        let address = MacAddress::generate().unwrap();
        assert_eq!(address.0[..3], MacAddress::VENDOR);
        assert!(address.0[3] < 0x80);
    }
}
