//! Numbers of virtual disks, as `docs/man/xen-vbd-interface.7` of Xen defines them.
//!
//! `xvda` to `xvdp` with partitions up to 15 are `202 << 8 | disk << 4 | partition`, beyond that `1 << 28 | disk << 8 | partition`; `hdX` and
//! `sdX` have the numbers that Linux gave such disks once.

use std::fmt;
use std::str::FromStr;

const EXTENDED: u32 = 1 << 28;
const XVD_MAJOR: u32 = 202;

/// The number of a virtual disk, which is also the name of its directory in the store.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualDisk {
    number: u32,
}

/// Text that names no virtual disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no virtual disk: expected xvda, xvda1, d0p1, hda (to hdd), sda (to sdp) or a number"
)]
pub struct UnknownDisk(pub String);

impl VirtualDisk {
    /// The disk with this number.
    pub const fn from_number(number: u32) -> Self {
        Self { number }
    }

    /// Its number: `virtual-device` in the store.
    pub const fn number(self) -> u32 {
        self.number
    }

    const fn xen(disk: u32, partition: u32) -> Self {
        let number = if disk <= 15 && partition <= 15 {
            XVD_MAJOR << 8 | disk << 4 | partition
        } else {
            EXTENDED | disk << 8 | partition
        };
        Self { number }
    }
}

impl FromStr for VirtualDisk {
    type Err = UnknownDisk;

    fn from_str(text: &str) -> Result<Self, UnknownDisk> {
        let at = |number| Self { number };
        numbered(text)
            .or_else(|| lettered(text, "xvd", (1 << 20) - 1, 255))
            .map(|(disk, partition)| Self::xen(disk, partition))
            .or_else(|| plain_number(text).map(at))
            .or_else(|| {
                let (disk, partition) = lettered(text, "hd", 3, 63)?;
                let major = if disk < 2 { 3 } else { 22 };
                Some(at(major << 8 | (disk & 1) << 6 | partition))
            })
            .or_else(|| {
                let (disk, partition) = lettered(text, "sd", 15, 15)?;
                Some(at(8 << 8 | disk << 4 | partition))
            })
            .ok_or_else(|| UnknownDisk(text.to_owned()))
    }
}

/// `d<disk>p<partition>`.
fn numbered(text: &str) -> Option<(u32, u32)> {
    let (disk, partition) = text.strip_prefix('d')?.split_once('p')?;
    let (disk, partition) = (decimal(disk)?, decimal(partition)?);
    (disk < 1 << 20 && partition < 256).then_some((disk, partition))
}

/// `<prefix><letters>[<partition>]`: letters count a, b, … z, aa, ab, …
fn lettered(text: &str, prefix: &str, last_disk: u32, last_partition: u32) -> Option<(u32, u32)> {
    let rest = text.strip_prefix(prefix)?;
    let split = rest
        .find(|letter: char| !letter.is_ascii_lowercase())
        .unwrap_or(rest.len());
    let (letters, partition) = rest.split_at(split);
    let mut count = 0u32;
    for letter in letters.bytes() {
        count = count * 26 + u32::from(letter - b'a') + 1;
        if count > last_disk + 1 {
            return None;
        }
    }
    let disk = count.checked_sub(1)?;
    let partition = match partition {
        "" => 0,
        _ if partition.starts_with('0') => return None,
        _ => decimal(partition).filter(|&number| number <= last_partition)?,
    };
    Some((disk, partition))
}

/// A number as C reads it: decimal, `0x…` or `0…`; at most the largest `int`.
fn plain_number(text: &str) -> Option<u32> {
    let digits = |digits: &str, radix| {
        let known = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        known.then(|| u32::from_str_radix(digits, radix).ok())?
    };
    let number = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(hexadecimal), _) => digits(hexadecimal, 16),
        (None, Some(octal)) if !octal.is_empty() => digits(octal, 8),
        _ => digits(text, 10),
    }?;
    (number <= i32::MAX as u32).then_some(number)
}

fn decimal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// The name Linux gives the disk in a guest, as the tools' messages use it.
impl fmt::Display for VirtualDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minor, parts) = if self.number & EXTENDED == 0 {
            (self.number & 0xff, 16)
        } else {
            (self.number & !EXTENDED, 256)
        };
        let (mut disk, partition) = (minor / parts, minor % parts);
        let mut letters = Vec::new();
        loop {
            // Below 26, so it is a letter.
            letters.push(b'a' + (disk % 26) as u8);
            match (disk / 26).checked_sub(1) {
                Some(rest) => disk = rest,
                None => break,
            }
        }
        letters.reverse();
        write!(f, "xvd{}", String::from_utf8_lossy(&letters))?;
        if partition > 0 {
            write!(f, "{partition}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<u32> {
        text.parse::<VirtualDisk>().ok().map(VirtualDisk::number)
    }

    #[test]
    fn names_have_the_numbers_of_the_interface() {
        for (text, expected) in [
            ("xvda", 51712),
            ("xvda1", 51713),
            ("xvdb", 51728),
            ("xvdp15", 51967),
            ("xvdq", EXTENDED | 16 << 8),
            ("xvda16", EXTENDED | 16),
            ("xvdaa", EXTENDED | 26 << 8),
            ("d0p0", 51712),
            ("d1p2", 51730),
            ("d536p37", EXTENDED | 536 << 8 | 37),
            ("hda", 768),
            ("hdb", 832),
            ("hdc", 5632),
            ("hdd63", 5759),
            ("sda", 2048),
            ("sdp15", 2303),
            ("51712", 51712),
            ("0xca00", 51712),
            ("0", 0),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for text in [
            "",
            "xvd",
            "xvda0",
            "xvda256",
            "xvda01",
            "xvdA",
            "xvda1x",
            "hde",
            "hda64",
            "sdq",
            "sda16",
            "vda",
            "d0",
            "dxp1",
            "2147483648",
            "-1",
            "+1",
            "0x",
            "09",
            "xvdzzzzzzzzzzzzzzzzzzz",
            "d1048576p0",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_have_the_names_linux_gives() {
        for name in ["xvda", "xvda1", "xvdp15", "xvdq", "xvdaa", "xvdzz255"] {
            let disk: VirtualDisk = name.parse().expect(name);
            assert_eq!(disk.to_string(), name);
        }
        assert_eq!(
            VirtualDisk::from_number(u32::MAX).to_string(),
            "xvdahjwer255"
        );
    }
}
