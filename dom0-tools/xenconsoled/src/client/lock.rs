//! One client at a time: a file that is locked while a console is attached, the same one that Xen's own client uses.

use std::path::PathBuf;

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat, unlink};
use rustix::io::Errno;
use xenctl::DomId;

use super::Error;

const DIRECTORY: &str = "/var/lock";

/// The right to attach. It ends with the value, or with the process.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: OwnedFd,
}

impl Lock {
    /// Takes the right to attach to the console of `domain`; does not wait for it.
    pub fn take(domain: DomId) -> Result<Self, Error> {
        let path = PathBuf::from(format!("{DIRECTORY}/xenconsole.{domain}"));
        Self::take_file(path, domain)
    }

    fn take_file(path: PathBuf, domain: DomId) -> Result<Self, Error> {
        let refuse = |action, errno: Errno| Error::Lock {
            action,
            path: path.display().to_string(),
            errno,
            domain,
        };
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
            let file = open(&path, flags, Mode::RUSR | Mode::WUSR);
            let file = file.map_err(|errno| refuse("open", errno))?;
            flock(&file, FlockOperation::NonBlockingLockExclusive)
                .map_err(|errno| refuse("lock", errno))?;
            if is_same_file(&file, &path) {
                return Ok(Self { path, _file: file });
            }
            // The one who had it removed the file between both calls: what is locked now is no longer there.
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While the lock is held: whoever opened the file before finds that it is gone.
        let _ = unlink(&self.path);
    }
}

fn is_same_file(file: &OwnedFd, path: &PathBuf) -> bool {
    let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    match (fstat(file), stat(path)) {
        (Ok(locked), Ok(present)) => identity(locked) == identity(present),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_client_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xenconsole.1");
        let first = Lock::take_file(path.clone(), DomId(1)).unwrap();
        let refused = Lock::take_file(path.clone(), DomId(1)).unwrap_err();
        assert_eq!(refused.exit_code(), 11);
        drop(first);
        assert!(!path.exists(), "nothing stays behind");
        Lock::take_file(path, DomId(1)).unwrap();
    }

    #[test]
    fn a_file_left_by_a_killed_client_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("xenconsole.1");
        std::fs::write(&path, "").unwrap();
        Lock::take_file(path, DomId(1)).unwrap();
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = Lock::take_file("/nonexistent/xenconsole.1".into(), DomId(1)).unwrap_err();
        let text = "Could not open /nonexistent/xenconsole.1: No such file or directory";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.exit_code(), 2);
    }
}
