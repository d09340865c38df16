//! The lock under which disks are given to domains. It is that of Xen's hotplug scripts, and is taken as they take it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

const DIRECTORY: &str = "/var/run/xen-hotplug";
/// Longer than any script may run.
const LIMIT: Duration = Duration::from_secs(45);
const PAUSE: Duration = Duration::from_millis(5);

/// Whoever has the file locked that is at its path has the lock. Only they may remove the file, which they do at the end.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove lock {}: {error}", self.path.display());
        }
    }
}

/// Takes the lock of disks.
pub fn take_disks() -> io::Result<Lock> {
    fs::create_dir_all(DIRECTORY)?;
    take(&Path::new(DIRECTORY).join("block"), LIMIT)
}

fn take(path: &Path, limit: Duration) -> io::Result<Lock> {
    let start = Instant::now();
    loop {
        if let Some(lock) = try_take(path)? {
            return Ok(lock);
        }
        if start.elapsed() >= limit {
            let reason = format!(
                "{} is held by somebody else for {} s",
                path.display(),
                limit.as_secs()
            );
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        sleep(PAUSE);
    }
}

fn try_take(path: &Path) -> io::Result<Option<Lock>> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(Some(Lock {
            path: path.to_owned(),
            _file: file,
        })),
        // Its last holder removed the file after we had opened it.
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_has_the_lock() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("block");
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let lock = take(&path, LIMIT).expect("the lock");
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_that_is_held_is_waited_for_only_so_long() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("block");
        let _held = take(&path, LIMIT).expect("the lock");
        let error = take(&path, Duration::from_millis(20)).expect_err("held");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
