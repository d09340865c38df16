//! A log that grows: of a guest's console or of the hypervisor.
//!
//! It is opened anew when somebody moved it away (SIGHUP), and on request moves itself away when it becomes too long. A full disk costs log
//! lines, never a console: the error is given to the caller, who tells it once in a while.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::log_text::{LogStyle, LogText, local_stamp};

/// When and how a log moves itself away.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Before it becomes longer than so many bytes.
    pub size_bytes: u64,
    /// How many old ones stay: `NAME.1` is the newest of them.
    pub keep: u32,
}

/// An open log.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    style: LogStyle,
    text: LogText,
    rotation: Option<Rotation>,
}

impl LogFile {
    /// Opens the log at `path` to append to it, and says so in it if it has timestamps.
    pub fn open(path: PathBuf, style: LogStyle, rotation: Option<Rotation>) -> io::Result<Self> {
        let file = append_to(&path)?;
        let size_bytes = file.metadata()?.len();
        let mut log = Self {
            path,
            file,
            size_bytes,
            style,
            text: LogText::new(style),
            rotation,
        };
        log.announce()?;
        Ok(log)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds output.
    pub fn append(&mut self, output: &[u8]) -> io::Result<()> {
        let text = self.text.format(output, local_stamp);
        if let Some(rotation) = self.rotation
            && self.size_bytes > 0
            && self.size_bytes.saturating_add(text.len() as u64) > rotation.size_bytes
        {
            self.rotate(rotation.keep)?;
        }
        self.write(&text)
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all(text)?;
        self.size_bytes = self.size_bytes.saturating_add(text.len() as u64);
        Ok(())
    }

    fn announce(&mut self) -> io::Result<()> {
        if !self.style.has_timestamps {
            return Ok(());
        }
        let text = self.text.format(b"Logfile Opened\n", local_stamp);
        self.write(&text)
    }

    /// Moves each old log one number up, the current one to number 1, and begins a new one.
    fn rotate(&mut self, keep: u32) -> io::Result<()> {
        for number in (1..keep).rev() {
            found(fs::rename(self.numbered(number), self.numbered(number + 1)))?;
        }
        if keep == 0 {
            found(fs::remove_file(&self.path))?;
        } else {
            found(fs::rename(&self.path, self.numbered(1)))?;
        }
        self.file = append_to(&self.path)?;
        self.size_bytes = self.file.metadata()?.len();
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path)
}

fn found(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: impl AsRef<Path>) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_log_is_appended_to_and_found_again_after_it_was_moved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guest-a.log");
        fs::write(&path, "before\n").unwrap();
        let open = || LogFile::open(path.clone(), LogStyle::default(), None).unwrap();
        let mut log = open();
        log.append(b"one\n").unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        log.append(b"two\n").unwrap();
        log = open();
        log.append(b"three\n").unwrap();
        assert_eq!(read(dir.path().join("moved")), "before\none\ntwo\n");
        assert_eq!(read(path), "three\n");
    }

    #[test]
    fn a_log_with_timestamps_says_when_it_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hypervisor.log");
        let style = LogStyle {
            has_timestamps: true,
            ..LogStyle::default()
        };
        LogFile::open(path.clone(), style, None).unwrap();
        assert!(read(path).ends_with("] Logfile Opened\n"));
    }

    #[test]
    fn a_long_log_moves_away_and_only_some_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guest-a.log");
        let rotation = Rotation {
            size_bytes: 10,
            keep: 2,
        };
        let mut log = LogFile::open(path.clone(), LogStyle::default(), Some(rotation)).unwrap();
        for line in ["first\n", "second\n", "third\n", "4\n", "fourth\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        assert_eq!(read(&path), "fourth\n");
        assert_eq!(read(dir.path().join("guest-a.log.1")), "third\n4\n");
        assert_eq!(read(dir.path().join("guest-a.log.2")), "second\n");
        assert!(!dir.path().join("guest-a.log.3").exists());
    }

    #[test]
    fn nothing_old_stays_when_nothing_is_to_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guest-a.log");
        let rotation = Rotation {
            size_bytes: 4,
            keep: 0,
        };
        let mut log = LogFile::open(path.clone(), LogStyle::default(), Some(rotation)).unwrap();
        log.append(b"first, longer than the limit\n").unwrap();
        log.append(b"2\n").unwrap();
        assert_eq!(read(&path), "2\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_is_an_error_and_no_end() {
        let full = PathBuf::from("/dev/full");
        let mut log = LogFile::open(full, LogStyle::default(), None).unwrap();
        assert_eq!(
            log.append(b"x").unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        assert!(log.append(b"x").is_err());
    }
}
