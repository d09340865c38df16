//! Names of virtual disks, `xvda1`, `hdc`, `sdb`, `d2p1`, and the numbers that stand for them in the store
//! (xen-vbd-interface(7)).

use std::str::FromStr;

use thiserror::Error;

/// Number of a virtual disk or partition, as the store and the guest know it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VirtualDisk(pub u32);

/// The text names no virtual disk.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Error)]
#[error("expected a virtual disk such as xvda, xvdb1, hda, sda or d0p1")]
pub struct VirtualDiskError;

/// Set in the numbers of disks from the sixteenth on, and of partitions from the sixteenth on.
const EXTENDED: u32 = 1 << 28;
/// Linux's major number of xvd disks.
const XVD_MAJOR: u32 = 202;
const SD_MAJOR: u32 = 8;
const HD_MAJORS: [u32; 2] = [3, 22];
const MAX_XVD_DISK: u32 = (1 << 20) - 1;

impl VirtualDisk {
    /// The number of a partition (0: the whole disk) of a Xen disk.
    pub fn xvd(disk: u32, partition: u32) -> Option<VirtualDisk> {
        match (disk, partition) {
            (0..=15, 0..=15) => Some(VirtualDisk(XVD_MAJOR << 8 | disk << 4 | partition)),
            (0..=MAX_XVD_DISK, 0..=255) => Some(VirtualDisk(EXTENDED | disk << 8 | partition)),
            _ => None,
        }
    }

    /// The name the guest's Linux gives the disk, and libxl in its lists: always an `xvd` name.
    pub fn xvd_name(self) -> String {
        let (minor, parts) = match self.0 & EXTENDED {
            0 => (self.0 & 0xff, 16),
            _ => (self.0 & !EXTENDED, 256),
        };
        let letters = letters(minor / parts);
        match minor % parts {
            0 => format!("xvd{letters}"),
            partition => format!("xvd{letters}{partition}"),
        }
    }
}

impl FromStr for VirtualDisk {
    type Err = VirtualDiskError;

    /// Reads a name, or the number itself in decimal, octal (`0…`) or hexadecimal (`0x…`).
    fn from_str(text: &str) -> Result<Self, VirtualDiskError> {
        let found = disk_and_partition(text)
            .or_else(|| split_name(text, "xvd", MAX_XVD_DISK, 255))
            .and_then(|(disk, partition)| VirtualDisk::xvd(disk, partition));
        found
            .or_else(|| number(text))
            .or_else(|| {
                let (disk, partition) = split_name(text, "hd", 3, 63)?;
                let major = HD_MAJORS[usize::from(disk >= 2)];
                Some(VirtualDisk(major << 8 | (disk & 1) << 6 | partition))
            })
            .or_else(|| {
                let (disk, partition) = split_name(text, "sd", 15, 15)?;
                Some(VirtualDisk(SD_MAJOR << 8 | disk << 4 | partition))
            })
            .ok_or(VirtualDiskError)
    }
}

/// `d<disk>p<partition>`
fn disk_and_partition(text: &str) -> Option<(u32, u32)> {
    let (disk, partition) = text.strip_prefix('d')?.split_once('p')?;
    Some((parse_c_number(disk)?, parse_c_number(partition)?))
}

fn number(text: &str) -> Option<VirtualDisk> {
    parse_c_number(text)
        .filter(|number| i32::try_from(*number).is_ok())
        .map(VirtualDisk)
}

/// A number in C's notation, without a sign.
fn parse_c_number(text: &str) -> Option<u32> {
    let (digits, base) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base));
    if is_number {
        u32::from_str_radix(digits, base).ok()
    } else {
        None
    }
}

/// `<prefix><letters>[<partition>]`: letters count a to z, aa to az and so on; the partition has no leading zero.
fn split_name(text: &str, prefix: &str, max_disk: u32, max_partition: u32) -> Option<(u32, u32)> {
    let rest = text.strip_prefix(prefix)?;
    let end = rest
        .find(|character: char| !character.is_ascii_lowercase())
        .unwrap_or(rest.len());
    let (letters, digits) = rest.split_at(end);
    let disk = index(letters).filter(|disk| *disk <= max_disk)?;
    if digits.is_empty() {
        return Some((disk, 0));
    }
    let is_number = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    let partition = digits
        .parse()
        .ok()
        .filter(|partition| is_number && *partition <= max_partition)?;
    Some((disk, partition))
}

/// The disk's number of its letters; `None` without a letter.
fn index(letters: &str) -> Option<u32> {
    let count = letters.bytes().try_fold(0u32, |count, letter| {
        count
            .checked_mul(26)?
            .checked_add(u32::from(letter.checked_sub(b'a')?) + 1)
    })?;
    count.checked_sub(1)
}

/// The letters of a disk's number.
fn letters(disk: u32) -> String {
    let mut reversed = Vec::new();
    let mut rest = Some(disk);
    while let Some(number) = rest {
        reversed.push(char::from(b'a' + (number % 26) as u8));
        rest = (number / 26).checked_sub(1);
    }
    reversed.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_numbers_of_the_store() {
        let known = [
            ("xvda", 51712),
            ("xvda1", 51713),
            ("xvdb", 51728),
            ("xvdp15", 51967),
            ("xvdq", EXTENDED | 16 << 8),
            ("xvda16", EXTENDED | 16),
            ("xvdaa", EXTENDED | 26 << 8),
            ("d0p0", 51712),
            ("d0x10p1", EXTENDED | 1),
            ("d2p1", 51745),
            ("hda", 768),
            ("hdb1", 833),
            ("hdc", 5632),
            ("sda", 2048),
            ("sdp15", 2303),
            ("51712", 51712),
            ("0xca00", 51712),
        ];
        for (name, number) in known {
            if name == "d0x10p1" {
                assert_eq!(name.parse(), Ok(VirtualDisk(EXTENDED | 16 << 8 | 1)));
            } else {
                assert_eq!(name.parse(), Ok(VirtualDisk(number)), "{name}");
            }
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "xvd",
            "xvda0",
            "xvda01",
            "xvda256",
            "xvdA",
            "hde",
            "hda64",
            "sdq",
            "sda16",
            "vda",
            "d0",
            "d1048576p0",
            "d0p256",
            "-1",
            "4294967295",
            "xvdzzzzzzzzzzzz",
        ] {
            assert_eq!(name.parse::<VirtualDisk>(), Err(VirtualDiskError), "{name}");
        }
    }

    #[test]
    fn numbers_become_names_again() {
        for name in ["xvda", "xvdb3", "xvdz", "xvdaa", "xvdzz200", "xvdaaa"] {
            assert_eq!(name.parse::<VirtualDisk>().unwrap().xvd_name(), name);
        }
        assert_eq!("hdc".parse::<VirtualDisk>().unwrap().xvd_name(), "xvda");
    }
}
