//! A network interface as a configuration asks for it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// An Ethernet address.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// Text that is no Ethernet address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Ethernet address such as 00:16:3e:12:34:56")]
pub struct NotAMac(pub String);

impl Mac {
    /// An address of Xen's own range, `00:16:3e`, with a random rest whose first bit is clear.
    pub const fn of_xen(random: [u8; 3]) -> Self {
        let [first, second, third] = random;
        Self([0x00, 0x16, 0x3e, first & 0x7f, second, third])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let wrong = || NotAMac(text.to_owned());
        let mut parts = text.split(':');
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(wrong)?;
            let hex = (1..=2).contains(&part.len()) && part.bytes().all(|d| d.is_ascii_hexdigit());
            if !hex {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Self(bytes))
    }
}

/// How much a guest may send: so many bytes in each interval.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes of credit per interval.
    pub bytes: u64,
    /// The interval in microseconds.
    pub interval_us: u32,
}

/// As the back end reads it from the node `rate`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.bytes, self.interval_us)
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vif {
    /// Its number; by default the next free one.
    pub id: Option<u32>,
    /// Its address in the guest; by default a random one of Xen's.
    pub mac: Option<Mac>,
    /// The bridge it is connected to; by default `xenbr0`. Empty: the first bridge there is.
    pub bridge: Option<String>,
    /// Its name in dom0; by default `vif<domain>.<number>`.
    pub name: Option<String>,
    /// The guest's addresses: only recorded, for scripts.
    pub ip: Option<String>,
    /// The dom0 interface that scripts route through.
    pub gateway_device: Option<String>,
    /// Largest packet; by default the bridge's.
    pub mtu: Option<u32>,
    /// VLAN settings for scripts.
    pub vlan: Option<String>,
    /// Limit of what the guest sends.
    pub rate: Option<Rate>,
    /// A hotplug script in place of what is done here, absolute or below `/etc/xen/scripts`.
    pub script: Option<PathBuf>,
    /// Whether the guest may trust the back end; by default yes.
    pub is_trusted: bool,
    /// The domain that serves the interface.
    pub backend: u16,
}

impl Default for Vif {
    fn default() -> Self {
        Self {
            id: None,
            mac: None,
            bridge: None,
            name: None,
            ip: None,
            gateway_device: None,
            mtu: None,
            vlan: None,
            rate: None,
            script: None,
            is_trusted: true,
            backend: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let mac: Mac = "0:16:3E:a:1b:fF".parse().expect("an address");
        assert_eq!(mac.to_string(), "00:16:3e:0a:1b:ff");
        for text in [
            "",
            "00:16:3e:00:00",
            "00:16:3e:00:00:00:00",
            "00:16:3e:00:00:100",
            "00-16-3e-00-00-00",
            "00:16:3e:00:00:+1",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn random_addresses_are_of_xens_range() {
        assert_eq!(Mac::of_xen([0xff, 2, 3]).to_string(), "00:16:3e:7f:02:03");
    }
}
