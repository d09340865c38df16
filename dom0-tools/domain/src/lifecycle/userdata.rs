//! What the tools keep about a domain in files: `/var/lib/xen/userdata-d.<domid>.<uuid>.<kind>`, as libxl names them.
//!
//! Files are replaced whole. Whoever changes one holds the domain's lock ([`Userdata::lock`]), which libxl takes too.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use domcfg::identity::Uuid;
use xenctl::DomId;

use super::error::{OnFile, Result};
use super::lock::FileLock;

/// Kind of the domain's configuration, in libxl's JSON form.
pub const CONFIG: &str = "libxl-json";
/// Kind of a configuration file in xl's syntax, for the domain's next start.
pub const NEXT_CONFIG: &str = "xl";
/// Kind of the lock.
const LOCK: &str = "domain-userdata-lock";

/// The files of a domain.
#[derive(Clone, Debug)]
pub struct Userdata {
    directory: PathBuf,
    domain: DomId,
    uuid: Uuid,
}

impl Userdata {
    /// Those of `domain`, which has `uuid` in the hypervisor, in `directory`.
    #[must_use]
    pub fn new(directory: &Path, domain: DomId, uuid: Uuid) -> Self {
        Self {
            directory: directory.to_owned(),
            domain,
            uuid,
        }
    }

    /// Keeps other tools from changing the domain until the result is dropped.
    ///
    /// # Errors
    /// [`Error::File`](super::Error::File).
    pub fn lock(&self) -> Result<FileLock> {
        FileLock::take(self.path('l', LOCK))
    }

    /// The content of a file, if it is there.
    ///
    /// # Errors
    /// [`Error::File`](super::Error::File).
    pub fn read(&self, kind: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path('d', kind);
        match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).on("read", &path),
        }
    }

    /// Replaces a file.
    ///
    /// # Errors
    /// [`Error::File`](super::Error::File).
    pub fn write(&self, kind: &str, content: &[u8]) -> Result<()> {
        let (new, path) = (self.path('n', kind), self.path('d', kind));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(&new)
            .and_then(|mut file| file.write_all(content));
        let replaced = written.and_then(|()| fs::rename(&new, &path));
        if replaced.is_err() {
            // A full disk: what was written of it helps nobody.
            drop(fs::remove_file(&new));
        }
        replaced.on("write", &path)
    }

    /// Removes a file; one that is missing is no error.
    ///
    /// # Errors
    /// [`Error::File`](super::Error::File).
    pub fn remove(&self, kind: &str) -> Result<()> {
        remove(&self.path('d', kind))
    }

    /// Removes all files of the domain but its lock.
    ///
    /// # Errors
    /// [`Error::File`](super::Error::File).
    pub fn remove_all(&self) -> Result<()> {
        let middle = format!(".{}.{}.", self.domain, self.uuid);
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.on("list", &self.directory)?,
        };
        for entry in entries {
            let name = entry.on("list", &self.directory)?.file_name();
            let name = name.to_string_lossy();
            let rest = name
                .strip_prefix("userdata-")
                .and_then(|rest| rest.get(1..));
            let kind = rest.and_then(|rest| rest.strip_prefix(&middle));
            if kind.is_some_and(|kind| kind != LOCK) {
                remove(&self.directory.join(&*name))?;
            }
        }
        Ok(())
    }

    fn path(&self, what: char, kind: &str) -> PathBuf {
        let name = format!("userdata-{what}.{}.{}.{kind}", self.domain, self.uuid);
        self.directory.join(name)
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.on("remove", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(byte: u8) -> Uuid {
        Uuid([byte; 16])
    }

    #[test]
    fn files_have_libxls_names_and_are_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let data = Userdata::new(directory.path(), DomId(7), uuid(0xab));
        assert_eq!(data.read(CONFIG).unwrap(), None);
        data.write(CONFIG, b"{}").unwrap();
        data.write(CONFIG, b"{ }").unwrap();
        let path = "userdata-d.7.abababab-abab-abab-abab-abababababab.libxl-json";
        assert_eq!(fs::read(directory.path().join(path)).unwrap(), b"{ }");
        assert_eq!(data.read(CONFIG).unwrap().as_deref(), Some(&b"{ }"[..]));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn removal_takes_the_domains_files_alone_and_leaves_its_lock() {
        let directory = tempfile::tempdir().unwrap();
        let data = Userdata::new(directory.path(), DomId(7), uuid(1));
        let other = Userdata::new(directory.path(), DomId(77), uuid(1));
        other.write(CONFIG, b"x").unwrap();
        data.write(CONFIG, b"x").unwrap();
        data.write(NEXT_CONFIG, b"x").unwrap();
        let lock = data.lock().unwrap();
        data.remove_all().unwrap();
        data.remove_all().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        drop(lock);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(other.read(CONFIG).unwrap().is_some());
    }

    #[test]
    fn full_disk_is_an_error_and_leaves_no_half_file() {
        let data = Userdata::new(Path::new("/nowhere"), DomId(1), uuid(1));
        assert!(data.write(CONFIG, b"x").is_err());
        assert!(data.remove_all().is_ok());
    }
}
