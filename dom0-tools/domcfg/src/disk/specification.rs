//! The grammar of a disk: words separated by commas, `key=value`, flags and up to four positional values (target, format, vdev,
//! access), old prefixes such as `phy:` before the target; `target=` takes the rest, commas and all.

use thiserror::Error;

use crate::model::{Disk, DiskBackend, DiskFormat, DiskSpecification};
use crate::problem::quoted;

use super::VirtualDisk;

/// What is wrong with a disk, in which word and at which byte of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct DiskError {
    /// Index of the word among those given.
    pub word: usize,
    /// Byte of the word.
    pub offset: usize,
    /// What was expected and found.
    pub message: String,
}

/// Reads a disk from one specification, or from several words as `xl block-attach DOM phy:/dev/x xvdb w` has them.
///
/// # Errors
/// The first word that is wrong, or what is missing.
pub fn parse_disk(words: &[&str]) -> Result<Disk, DiskError> {
    let mut parser = Parser {
        disk: Disk {
            readwrite: 1,
            ..Disk::default()
        },
        is_prefixed: false,
        is_access_set: false,
    };
    for (word, text) in words.iter().enumerate() {
        let mut offset = 0;
        while let Some(rest) = text.get(offset..).filter(|rest| !rest.is_empty()) {
            let length = parser.parameter(rest).map_err(|(at, message)| DiskError {
                word,
                offset: offset + at,
                message,
            })?;
            // Every parameter takes at least a character.
            offset += length.max(1);
        }
    }
    parser.finish().map_err(|message| DiskError {
        word: 0,
        offset: 0,
        message,
    })
}

struct Parser {
    disk: Disk,
    /// An old prefix has been seen: the format is no longer positional.
    is_prefixed: bool,
    is_access_set: bool,
}

/// Where in the parameter, and what.
type Wrong = (usize, String);

/// Old prefixes that say nothing today.
const IDLE_PREFIXES: [&str; 7] = ["tapdisk", "tap", "tap2", "aio", "ioemu", "file", "phy"];
/// Old prefixes that name a format.
const FORMAT_PREFIXES: [&str; 4] = ["raw", "qcow", "qcow2", "vhd"];
/// Old prefixes that name a script, `block-<prefix>`.
const SCRIPT_PREFIXES: [&str; 4] = ["iscsi", "nbd", "enbd", "drbd"];

impl Parser {
    /// Takes one parameter off the front of `rest`; returns how long it was, its comma included.
    fn parameter(&mut self, rest: &str) -> Result<usize, Wrong> {
        let trimmed = rest.trim_start_matches([' ', '\t', '\n']);
        if trimmed.len() < rest.len() {
            return Ok(rest.len() - trimmed.len());
        }
        if let Some(target) = rest.strip_prefix("target=") {
            let target = target.strip_suffix(',').unwrap_or(target);
            set_string(&mut self.disk.pdev_path, "target", target)?;
            return Ok(rest.len());
        }
        if let Some(length) = self.prefix(rest)? {
            return Ok(length);
        }
        let word = rest.split(',').next().unwrap_or(rest);
        let length = (word.len() + 1).min(rest.len());
        match word.split_once('=') {
            Some((key, value)) => {
                let offset = key.len() + 1;
                self.key(key, value).map_err(|(at, message)| {
                    if at == KEY {
                        (0, message)
                    } else {
                        (offset, message)
                    }
                })?;
            }
            None => {
                if !self.flag(word) {
                    self.positional(word)?;
                }
            }
        }
        Ok(length)
    }

    /// An old prefix, `<letters>:`, in front of a target.
    fn prefix(&mut self, rest: &str) -> Result<Option<usize>, Wrong> {
        let Some(colon) = rest.find(|character: char| !matches!(character, 'a'..='z' | '0'..='9'))
        else {
            return Ok(None);
        };
        let (prefix, after) = rest.split_at(colon);
        if !after.starts_with(':') || !prefix.starts_with(|first: char| first.is_ascii_lowercase())
        {
            return Ok(None);
        }
        if FORMAT_PREFIXES.contains(&prefix) {
            self.format(prefix)?;
        } else if SCRIPT_PREFIXES.contains(&prefix) {
            set_string(&mut self.disk.script, "script", &format!("block-{prefix}"))?;
        } else if !IDLE_PREFIXES.contains(&prefix) {
            // `hdc:cdrom` and the like are positional values.
            let is_value =
                after[1..].starts_with(|next: char| matches!(next, 'a'..='z' | '0'..='9'));
            return if is_value {
                Ok(None)
            } else {
                Err((
                    0,
                    format!("unknown prefix {} of a disk", quoted(&format!("{prefix}:"))),
                ))
            };
        }
        self.is_prefixed = true;
        Ok(Some(colon + 1))
    }

    fn flag(&mut self, word: &str) -> bool {
        let disk = &mut self.disk;
        match word {
            "cdrom" => disk.is_cdrom = 1,
            "direct-io-safe" => disk.direct_io_safe = true,
            "discard" => disk.discard_enable = Some(true),
            "no-discard" => disk.discard_enable = Some(false),
            "colo" => disk.colo_enable = Some(true),
            "no-colo" => disk.colo_enable = Some(false),
            "trusted" => disk.trusted = Some(true),
            "untrusted" => disk.trusted = Some(false),
            _ => return false,
        }
        true
    }

    /// Errors are placed at the key (`KEY`) or at the value (anything else).
    fn key(&mut self, key: &str, value: &str) -> Result<(), Wrong> {
        let disk = &mut self.disk;
        match key {
            "format" => self.format(value),
            "devtype" => {
                let kind = expected("\"disk\" or \"cdrom\" after \"devtype=\"", value);
                disk.is_cdrom = cdrom_flag(value).ok_or(kind)?;
                Ok(())
            }
            "access" => self.access(value),
            "backend" => set_string(&mut disk.backend_domname, "backend", value),
            "backendtype" => {
                let backend = DiskBackend::ALL
                    .iter()
                    .skip(1)
                    .find(|(_, name)| *name == value)
                    .map(|(backend, _)| *backend);
                let backend = backend.ok_or_else(|| {
                    expected(
                        "phy, tap, qdisk or standalone after \"backendtype=\"",
                        value,
                    )
                })?;
                set_once(&mut disk.backend, "backendtype", backend)
            }
            "specification" => {
                let known = [
                    ("xen", DiskSpecification::Xen),
                    ("virtio", DiskSpecification::Virtio),
                ];
                let found = known.into_iter().find(|(name, _)| *name == value);
                let (_, found) = found
                    .ok_or_else(|| expected("xen or virtio after \"specification=\"", value))?;
                set_once(&mut disk.specification, "specification", found)
            }
            "vdev" => set_string(&mut disk.vdev, "vdev", value),
            "script" => set_string(&mut disk.script, "script", value),
            "colo-host" => set_string(&mut disk.colo_host, "colo-host", value),
            "colo-export" => set_string(&mut disk.colo_export, "colo-export", value),
            "active-disk" => set_string(&mut disk.active_disk, "active-disk", value),
            "hidden-disk" => set_string(&mut disk.hidden_disk, "hidden-disk", value),
            "colo-port" => {
                let port = value.parse().ok().filter(|port| (1..=65535).contains(port));
                disk.colo_port =
                    port.ok_or_else(|| expected("a port after \"colo-port=\"", value))?;
                Ok(())
            }
            "grant_usage" => {
                let usage = match value {
                    "0" => false,
                    "1" => true,
                    _ => return Err(expected("0 or 1 after \"grant_usage=\"", value)),
                };
                disk.grant_usage = Some(usage);
                Ok(())
            }
            _ => Err((KEY, format!("unknown key {} of a disk", quoted(key)))),
        }
    }

    fn positional(&mut self, word: &str) -> Result<(), Wrong> {
        let disk = &mut self.disk;
        let Some(target) = &disk.pdev_path else {
            disk.pdev_path = Some(word.to_owned());
            return Ok(());
        };
        if !self.is_prefixed && disk.format == DiskFormat::Unknown {
            // An empty drive may leave its format out.
            if target.is_empty() && self.vdev_with_type(word)? {
                self.disk.format = DiskFormat::Empty;
                return Ok(());
            }
            return self.format(word);
        }
        if disk.vdev.is_none() {
            if !self.vdev_with_type(word)? {
                set_string(&mut self.disk.vdev, "vdev", word)?;
            }
            return Ok(());
        }
        if !self.is_access_set {
            self.is_access_set = true;
            return self.access(word);
        }
        Err((
            0,
            format!(
                "expected at most target, format, vdev and access without a key, found {} too",
                quoted(word)
            ),
        ))
    }

    /// The old form `hdc:cdrom`; `false` if the word has no colon.
    fn vdev_with_type(&mut self, word: &str) -> Result<bool, Wrong> {
        let Some((vdev, kind)) = word.rsplit_once(':') else {
            return Ok(false);
        };
        let wrong = || {
            (
                vdev.len() + 1,
                format!(
                    "expected \"disk\" or \"cdrom\" after \"{vdev}:\", found {}",
                    quoted(kind)
                ),
            )
        };
        self.disk.is_cdrom = cdrom_flag(kind).ok_or_else(wrong)?;
        set_string(&mut self.disk.vdev, "vdev", vdev)?;
        Ok(true)
    }

    fn format(&mut self, text: &str) -> Result<(), Wrong> {
        let name = if text.is_empty() { "raw" } else { text };
        let format = DiskFormat::ALL
            .iter()
            .skip(1)
            .find(|(_, known)| *known == name)
            .map(|(format, _)| *format);
        let format = format.ok_or_else(|| {
            expected(
                "raw, qcow, qcow2, qed, vhd or empty for the format of a disk",
                text,
            )
        })?;
        set_once(&mut self.disk.format, "format", format)
    }

    fn access(&mut self, text: &str) -> Result<(), Wrong> {
        self.disk.readwrite = match text {
            "r" | "ro" => 0,
            "rw" | "w" | "" => 1,
            _ => return Err(expected("r or rw for the access of a disk", text)),
        };
        Ok(())
    }

    fn finish(self) -> Result<Disk, String> {
        let mut disk = self.disk;
        if disk.format == DiskFormat::Unknown {
            disk.format = DiskFormat::Raw;
        }
        if disk.is_cdrom() {
            disk.removable = 1;
            disk.readwrite = 0;
            if disk.pdev_path.as_deref().unwrap_or_default().is_empty() {
                disk.format = DiskFormat::Empty;
            }
        }
        let vdev = disk
            .vdev
            .as_deref()
            .ok_or("expected a vdev such as xvda for a disk")?;
        if vdev.parse::<VirtualDisk>().is_err() {
            return Err(format!(
                "expected a vdev such as xvda, xvdb1, hda, sda or d0p1 for a disk, found {}",
                quoted(vdev)
            ));
        }
        if disk.pdev_path.as_deref().is_none_or(str::is_empty) && disk.removable == 0 {
            return Err("expected a target for a disk that is no CD drive".to_owned());
        }
        Ok(disk)
    }
}

/// `is_cdrom` for a device type.
fn cdrom_flag(kind: &str) -> Option<i32> {
    match kind {
        "cdrom" => Some(1),
        "disk" => Some(0),
        _ => None,
    }
}

/// Marks an error as being at the key rather than at its value.
const KEY: usize = usize::MAX;

fn expected(what: &str, found: &str) -> Wrong {
    (0, format!("expected {what}, found {}", quoted(found)))
}

fn twice(key: &str, value: &str) -> Wrong {
    (
        0,
        format!(
            "the {key} of a disk is said twice, the second time as {}",
            quoted(value)
        ),
    )
}

/// Sets a string; only an empty one may be overwritten.
fn set_string(slot: &mut Option<String>, key: &str, value: &str) -> Result<(), Wrong> {
    if slot.as_deref().is_some_and(|old| !old.is_empty()) {
        return Err(twice(key, value));
    }
    *slot = Some(value.to_owned());
    Ok(())
}

/// Sets one of several names; only the same one may be set again.
fn set_once<T: PartialEq + Default + ToString>(
    slot: &mut T,
    key: &str,
    value: T,
) -> Result<(), Wrong> {
    if *slot != T::default() && *slot != value {
        return Err(twice(key, &value.to_string()));
    }
    *slot = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(text: &str) -> Disk {
        parse_disk(&[text]).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn positional(text: &str) -> (String, DiskFormat, String, bool) {
        let disk = disk(text);
        (
            disk.pdev_path.clone().unwrap_or_default(),
            disk.format,
            disk.vdev.clone().unwrap(),
            disk.is_writable(),
        )
    }

    #[test]
    fn positional_values_are_target_format_vdev_access() {
        assert_eq!(
            positional("/a,raw,xvda,rw"),
            ("/a".into(), DiskFormat::Raw, "xvda".into(), true)
        );
        assert_eq!(
            positional("/a,,xvda"),
            ("/a".into(), DiskFormat::Raw, "xvda".into(), true)
        );
        assert_eq!(
            positional("/a,qcow2,hdb,r"),
            ("/a".into(), DiskFormat::Qcow2, "hdb".into(), false)
        );
        assert_eq!(
            positional(" /a, raw, xvda, ro"),
            ("/a".into(), DiskFormat::Raw, "xvda".into(), false)
        );
        assert_eq!(
            positional("/a,vhd,access=ro,vdev=sda"),
            ("/a".into(), DiskFormat::Vhd, "sda".into(), false)
        );
    }

    #[test]
    fn old_prefixes_replace_the_format() {
        assert_eq!(
            positional("phy:/dev/b,xvdb,w"),
            ("/dev/b".into(), DiskFormat::Raw, "xvdb".into(), true)
        );
        assert_eq!(
            positional("tap:aio:/x,xvdb"),
            ("/x".into(), DiskFormat::Raw, "xvdb".into(), true)
        );
        assert_eq!(
            positional("tap2:tapdisk:qcow2:/y,xvdc,w"),
            ("/y".into(), DiskFormat::Qcow2, "xvdc".into(), true)
        );
        let disk = disk("iscsi:iqn.2001-05:x,xvde,r");
        assert_eq!(
            (disk.script.as_deref(), disk.pdev_path.as_deref()),
            (Some("block-iscsi"), Some("iqn.2001-05:x"))
        );
    }

    #[test]
    fn cd_drives_are_read_only_and_may_be_empty() {
        let empty = disk(",hdd:cdrom");
        assert_eq!(
            (
                empty.format,
                empty.is_cdrom(),
                empty.is_writable(),
                empty.removable
            ),
            (DiskFormat::Empty, true, false, 1)
        );
        assert_eq!(disk("devtype=cdrom,vdev=hdc").format, DiskFormat::Empty);
        assert_eq!(disk("file:/c.iso,hdc:cdrom,r").format, DiskFormat::Raw);
        assert_eq!(
            disk("/e.iso,,hdb,cdrom").pdev_path.as_deref(),
            Some("/e.iso")
        );
    }

    #[test]
    fn target_takes_the_rest() {
        let disk = disk("vdev=xvda,direct-io-safe,no-discard,target=/a,b=c,r");
        assert_eq!(disk.pdev_path.as_deref(), Some("/a,b=c,r"));
        assert_eq!(
            (disk.direct_io_safe, disk.discard_enable),
            (true, Some(false))
        );
    }

    #[test]
    fn words_of_a_command_line_continue_each_other() {
        let disk = parse_disk(&["phy:/dev/x", "xvdb", "w"]).unwrap();
        assert_eq!(
            (disk.vdev.as_deref(), disk.is_writable()),
            (Some("xvdb"), true)
        );
        let error = parse_disk(&["phy:/dev/x", "xvdb", "q"]).unwrap_err();
        assert_eq!((error.word, error.offset), (2, 0));
    }

    #[test]
    fn wrong_disks_say_what_and_where() {
        let wrong = |text: &str| {
            parse_disk(&[text])
                .map_err(|error| (error.offset, error.message))
                .unwrap_err()
        };
        assert_eq!(
            wrong("/x"),
            (0, "expected a vdev such as xvda for a disk".to_owned())
        );
        assert_eq!(
            wrong("vdev=xvda"),
            (
                0,
                "expected a target for a disk that is no CD drive".to_owned()
            )
        );
        assert_eq!(wrong("/x,foo,xvda").0, 3);
        assert_eq!(
            wrong("vdev=xvda,bar=b,target=/x"),
            (10, "unknown key \"bar\" of a disk".to_owned())
        );
        assert_eq!(wrong("vdev=xvda,access=x,target=/x").0, 17);
        assert_eq!(wrong("/x,raw,xvda,vdev=xvdb").0, 17);
        assert_eq!(
            wrong("foo:/x,xvda,w"),
            (0, "unknown prefix \"foo:\" of a disk".to_owned())
        );
        assert_eq!(wrong("/x,raw,xvda,r,more").0, 14);
        assert_eq!(
            wrong("/x,raw,foo").1,
            "expected a vdev such as xvda, xvdb1, hda, sda or d0p1 for a disk, found \"foo\""
        );
    }
}
