//! Locks between tools, as libxl takes them: `flock` on a file that the holder removes when it lets go.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::{OnFile, Result};

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    _file: File,
}

impl FileLock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// The file can be neither made nor locked.
    pub fn take(path: PathBuf) -> Result<Self> {
        loop {
            let file = open(&path).on("open lock file", &path)?;
            lock(&file).on("lock", &path)?;
            // The one who held it may have removed the file in between, and somebody else may hold the next one.
            if is_at(&file, &path).on("look at lock file", &path)? {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Removed while it is still locked: whoever waits for it notices and makes a new one.
        drop(fs::remove_file(&self.path));
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o666).open(path)
}

fn lock(file: &File) -> std::io::Result<()> {
    loop {
        match flock(file, FlockOperation::LockExclusive) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn is_at(file: &File, path: &Path) -> std::io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn one_holds_it_at_a_time_and_nothing_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let held = FileLock::take(path.clone()).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(held);
                    }
                });
            }
        });
        assert!(!path.exists());
    }

    #[test]
    fn missing_directory_is_an_error_with_its_path() {
        let error = FileLock::take("/nowhere/lock".into()).unwrap_err();
        assert!(error.to_string().contains("/nowhere/lock"));
    }
}
