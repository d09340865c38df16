//! The file with the daemon's process number, locked while it runs: a second daemon would fight for the guests' event channels.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The lock; it ends with the process, however that ends.
#[derive(Debug)]
pub struct PidFile {
    _file: File,
}

impl PidFile {
    /// Locks the file and writes this process's number into it.
    pub fn take(path: &Path) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options
            .mode(0o600)
            .open(path)
            .with_context(|| format!("cannot open the pid file {}", path.display()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN) => bail!("already running{}", other(&mut file)),
            Err(error) => bail!("cannot lock the pid file {}: {error}", path.display()),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())
            .with_context(|| format!("cannot write the pid file {}", path.display()))?;
        Ok(Self { _file: file })
    }
}

fn other(file: &mut File) -> String {
    let mut text = String::new();
    let number = file
        .take(32)
        .read_to_string(&mut text)
        .ok()
        .and_then(|_| text.trim().parse::<u32>().ok());
    number
        .map(|number| format!(" as process {number}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_told_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xenconsoled.pid");
        std::fs::write(&path, "99999 left by a daemon that was killed\n").unwrap();
        let first = PidFile::take(&path).unwrap();
        let number = std::process::id();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{number}\n")
        );
        let refused = PidFile::take(&path).unwrap_err().to_string();
        assert_eq!(refused, format!("already running as process {number}"));
        drop(first);
        PidFile::take(&path).unwrap();
    }
}
