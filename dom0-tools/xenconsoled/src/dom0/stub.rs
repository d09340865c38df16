//! Dom0's configuration as libxl keeps one for each domain: a stub, since nobody configured dom0.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Uuid;

/// What kind of domain dom0 is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With its own page tables made by the hypervisor.
    Pvh,
    /// Paravirtualised.
    Pv,
}

/// The JSON that libxl reads, with the NUL at its end that libxl asks for.
pub fn text(kind: Kind, uuid: Uuid) -> String {
    let kind = match kind {
        Kind::Pvh => "pvh",
        Kind::Pv => "pv",
    };
    let uuid = match uuid.is_nil() {
        true => String::new(),
        false => format!(",\n        \"uuid\": \"{uuid}\""),
    };
    let kind_key = format!("type.{kind}");
    let records = ["sched_params", &kind_key, "arch_arm", "arch_x86"];
    let records = records.map(|key| format!("        \"{key}\": {{\n\n        }}"));
    let records = records.join(",\n");
    format!(
        "{{\n    \"c_info\": {{\n        \"type\": \"{kind}\"{uuid}\n    }},\n    \"b_info\": {{\n{records}\n    }}\n}}\n\0"
    )
}

/// Replaces a file at once: whoever reads it sees all or nothing of `bytes`.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&new)?.write_all(bytes)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of Debian's `xen-init-dom0` 4.20 on a PVH dom0.
    const ORIGINAL: &str = r#"{
    "c_info": {
        "type": "pvh"
    },
    "b_info": {
        "sched_params": {

        },
        "type.pvh": {

        },
        "arch_arm": {

        },
        "arch_x86": {

        }
    }
}
"#;

    #[test]
    fn it_is_what_libxl_writes() {
        let text = text(Kind::Pvh, Uuid::default());
        assert_eq!(text.strip_suffix('\0'), Some(ORIGINAL));
        assert_eq!(text.len(), 211);
    }

    #[test]
    fn a_uuid_is_part_of_it() {
        let text = text(Kind::Pv, Uuid([0x11; 16]));
        assert!(text.contains(r#""uuid": "11111111-1111-1111-1111-111111111111""#));
        assert!(text.contains(r#""type.pv": {"#));
    }

    #[test]
    fn the_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for bytes in ["one, which is longer", "two"] {
            replace(&path, bytes.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), bytes);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
