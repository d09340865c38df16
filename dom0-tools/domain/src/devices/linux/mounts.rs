//! File systems mounted in dom0 from block devices.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::super::host::Mount;
use super::storage::number_of;

/// All of them, as `/proc/self/mounts` has them.
pub fn list() -> io::Result<Vec<Mount>> {
    let text = fs::read_to_string("/proc/self/mounts")?;
    Ok(text.lines().filter_map(mount).collect())
}

fn mount(line: &str) -> Option<Mount> {
    let (source, is_read_only) = parse(line)?;
    let data = fs::metadata(&source).ok()?;
    data.file_type().is_block_device().then(|| Mount {
        source,
        number: number_of(data.rdev()),
        is_read_only,
    })
}

/// The device's path and whether the options begin with `ro`.
fn parse(line: &str) -> Option<(String, bool)> {
    let mut fields = line.split(' ');
    let source = fields.next().filter(|source| source.starts_with('/'))?;
    let options = fields.nth(2)?;
    Some((unescape(source), options.split(',').next() == Some("ro")))
}

/// Undoes the kernel's `\040` for a space and the like.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) if code.is_ascii() => {
                plain.push(code.into());
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_understood() {
        let parsed = parse("/dev/sda1 / ext4 rw,relatime 0 0");
        assert_eq!(parsed, Some(("/dev/sda1".to_owned(), false)));
        let parsed = parse("/dev/my\\040disk /mnt ext4 ro,relatime 0 0");
        assert_eq!(parsed, Some(("/dev/my disk".to_owned(), true)));
        assert_eq!(parse("tmpfs /tmp tmpfs rw 0 0"), None);
        assert_eq!(parse("/dev/sda1 /"), None);
        assert_eq!(unescape("a\\"), "a\\");
        assert_eq!(unescape("\\999\\134"), "\\999\\");
    }

    #[test]
    fn this_hosts_mounts_can_be_listed() {
        list().expect("mounts");
    }
}
