//! Logs of xl's background processes.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// How many older logs are kept.
const KEPT: u32 = 10;

/// Opens a new log for a domain; the one there was becomes number 1, number 1 number 2, and so on.
pub fn open(directory: &Path, domain: &str) -> anyhow::Result<File> {
    // A name is the administrator's, but must not lead out of the directory.
    let base = format!("xl-{}.log", domain.replace('/', "_"));
    let path = directory.join(&base);
    if path.exists() {
        rotate(directory, &base)?;
    }
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(0o644).open(&path);
    opened.with_context(|| format!("failed to open logfile {}", path.display()))
}

fn rotate(directory: &Path, base: &str) -> anyhow::Result<()> {
    let numbered = |number: u32| directory.join(format!("{base}.{number}"));
    for number in (1..KEPT).rev() {
        replace(&numbered(number), &numbered(number + 1))?;
    }
    replace(&directory.join(base), &numbered(1))
}

fn replace(from: &PathBuf, to: &PathBuf) -> anyhow::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => {
            other.with_context(|| format!("can not rename {} to {}", from.display(), to.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn older_logs_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        for round in 0..13 {
            let mut file = open(directory.path(), "a/b").expect("a log");
            write!(file, "{round}").expect("written");
        }
        let text = |name: &str| fs::read_to_string(directory.path().join(name)).ok();
        assert_eq!(text("xl-a_b.log").as_deref(), Some("12"));
        assert_eq!(text("xl-a_b.log.1").as_deref(), Some("11"));
        assert_eq!(text("xl-a_b.log.10").as_deref(), Some("2"));
        assert_eq!(text("xl-a_b.log.11"), None);
    }
}
