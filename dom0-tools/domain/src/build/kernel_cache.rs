//! Unpacked kernels, kept for the next guest: unpacking takes most of the instructions of a domain's creation, and many guests have one kernel.
//!
//! A file of the directory holds one kernel, behind it [`Trailer`]. Its name says of which file, in which state: device, inode, size and the
//! times of change, so a kernel that was replaced or written to is another one. The directory is root's alone. Nothing is fsync'ed: what a
//! crash leaves half written fails its checksum and is removed. All of this is optional, so nobody waits or fails for it: without room,
//! or on a file system without unnamed files, kernels are unpacked every time.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kernel_image::UNPACKED_MAX;
use rustix::fs::{AtFlags, CWD, OFlags, linkat, statvfs};
use twox_hash::XxHash64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Kernels kept; of more the ones not used for longest go.
const KEPT: usize = 4;
/// A file changed less than this ago may change again without another time of change.
const SETTLED: Duration = Duration::from_secs(3);
/// Of the room on the file system at most one part in so many is taken for one kernel.
const SHARE: u64 = 4;

const MAGIC: [u8; 8] = *b"XENRSKC1";

/// What follows the kernel.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Trailer {
    magic: [u8; 8],
    /// xxh64 of the kernel.
    checksum: u64,
}

/// A directory of unpacked kernels.
#[derive(Clone, Debug)]
pub struct KernelCache {
    directory: PathBuf,
    settled: Duration,
}

impl KernelCache {
    /// The cache in a directory, which need not exist.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            settled: SETTLED,
        }
    }

    /// For tests, whose files have just been made.
    #[cfg(test)]
    pub(super) fn trusting_new_files(mut self) -> Self {
        self.settled = Duration::ZERO;
        self
    }

    /// The unpacked kernel of the file of which `about` tells.
    #[must_use]
    pub fn find(&self, about: &Metadata) -> Option<Vec<u8>> {
        let path = self.path(about);
        let found = self.check_directory().and_then(|()| read(&path));
        match &found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::debug!("kept kernel {}: {error}", path.display());
                if error.kind() == io::ErrorKind::InvalidData {
                    // Without success it stays and is found damaged again.
                    let _ = fs::remove_file(&path);
                }
            }
            Ok(_) => tracing::debug!("kernel taken from {}", path.display()),
        }
        found.ok()
    }

    /// Keeps what the file of which `about` tells unpacks to, if that can be done without harm.
    pub fn keep(&self, about: &Metadata, kernel: &[u8]) {
        if let Err(error) = self.store(about, kernel) {
            tracing::debug!("kernel not kept in {}: {error}", self.directory.display());
        }
    }

    fn store(&self, about: &Metadata, kernel: &[u8]) -> io::Result<()> {
        if !self.is_settled(about) {
            return Err(io::Error::other("its file has just been changed"));
        }
        self.make_directory()?;
        let room = statvfs(&self.directory)?;
        if kernel.len() as u64 > room.f_bavail.saturating_mul(room.f_frsize) / SHARE {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        // Unnamed until it is complete: whoever is killed leaves nothing.
        let mut file = File::options()
            .write(true)
            .mode(0o600)
            .custom_flags(OFlags::TMPFILE.bits().cast_signed())
            .open(&self.directory)?;
        file.write_all(kernel)?;
        let trailer = Trailer {
            magic: MAGIC,
            checksum: XxHash64::oneshot(0, kernel),
        };
        file.write_all(trailer.as_bytes())?;
        let unnamed = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        match linkat(CWD, unnamed, CWD, self.path(about), AtFlags::SYMLINK_FOLLOW) {
            // Another tool was faster.
            Ok(()) | Err(rustix::io::Errno::EXIST) => self.make_room(),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a change from now on would show in the file's times.
    fn is_settled(&self, about: &Metadata) -> bool {
        let (seconds, nanoseconds) =
            (about.mtime(), about.mtime_nsec()).max((about.ctime(), about.ctime_nsec()));
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds))
        else {
            return false;
        };
        let age = SystemTime::UNIX_EPOCH
            .checked_add(Duration::new(seconds, nanoseconds))
            .and_then(|changed| changed.elapsed().ok());
        age.is_some_and(|age| age >= self.settled)
    }

    fn make_directory(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        self.check_directory()
    }

    /// Who else could write there could give guests another kernel.
    fn check_directory(&self) -> io::Result<()> {
        let about = fs::symlink_metadata(&self.directory)?;
        let is_ours = about.is_dir()
            && about.uid() == rustix::process::geteuid().as_raw()
            && about.mode() & 0o022 == 0;
        match is_ours {
            true => Ok(()),
            false => Err(io::Error::other("others may write there")),
        }
    }

    /// Removes what has not been used for longest.
    fn make_room(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            kept.push((entry.metadata()?.modified()?, entry.path()));
        }
        kept.sort();
        let surplus = kept.len().saturating_sub(KEPT);
        for (_, path) in kept.drain(..surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn path(&self, about: &Metadata) -> PathBuf {
        self.directory.join(format!(
            "{:x}-{:x}-{:x}-{:x}.{:x}-{:x}.{:x}",
            about.dev(),
            about.ino(),
            about.len(),
            about.mtime(),
            about.mtime_nsec(),
            about.ctime(),
            about.ctime_nsec(),
        ))
    }
}

/// Reads a kept kernel, checks it, and notes that it was of use.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let about = file.metadata()?;
    let trailer_at = about
        .len()
        .checked_sub(size_of::<Trailer>() as u64)
        .ok_or_else(damaged)?;
    let len = usize::try_from(trailer_at)
        .ok()
        .filter(|len| *len <= UNPACKED_MAX);
    let len = len.ok_or_else(damaged)?;
    let mut trailer = [0; size_of::<Trailer>()];
    file.read_exact_at(&mut trailer, trailer_at)?;
    let trailer = Trailer::read_from_bytes(&trailer).map_err(|_| damaged())?;
    let mut kernel = Vec::with_capacity(len);
    (&file).take(trailer_at).read_to_end(&mut kernel)?;
    if trailer.magic != MAGIC
        || kernel.len() != len
        || trailer.checksum != XxHash64::oneshot(0, &kernel)
    {
        return Err(damaged());
    }
    // Only which one goes first depends on it.
    let _ = file.set_modified(SystemTime::now());
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        directory: tempfile::TempDir,
        cache: KernelCache,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let cache = KernelCache::new(directory.path().join("cache/kernels"));
            let cache = cache.trusting_new_files();
            Self { directory, cache }
        }

        /// A kernel's file with its name in it.
        fn kernel(&self, name: &str) -> Metadata {
            let path = self.directory.path().join(name);
            fs::write(&path, name).unwrap();
            fs::metadata(path).unwrap()
        }

        fn kept(&self) -> usize {
            fs::read_dir(&self.cache.directory).map_or(0, Iterator::count)
        }
    }

    #[test]
    fn a_kept_kernel_is_found_until_its_file_changes() {
        let place = Place::new();
        let about = place.kernel("one");
        assert_eq!(place.cache.find(&about), None);
        place.cache.keep(&about, b"unpacked");
        assert_eq!(place.cache.find(&about).unwrap(), b"unpacked");
        std::thread::sleep(Duration::from_millis(20));
        let changed = place.kernel("one");
        assert_eq!(place.cache.find(&changed), None);
        assert_eq!(place.cache.find(&place.kernel("other")), None);
    }

    #[test]
    fn a_file_that_has_just_been_changed_is_not_trusted() {
        let mut place = Place::new();
        place.cache.settled = SETTLED;
        place.cache.keep(&place.kernel("new"), b"unpacked");
        assert_eq!(place.kept(), 0);
    }

    #[test]
    fn a_damaged_or_cut_one_is_refused_and_removed() {
        let place = Place::new();
        let about = place.kernel("one");
        let path = place.cache.path(&about);
        for damage in [0, 5, 9, 16, 23] {
            place.cache.keep(&about, b"unpacked");
            let mut bytes = fs::read(&path).unwrap();
            bytes[damage] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert_eq!(place.cache.find(&about), None, "byte {damage}");
            assert!(!path.exists());
        }
        for len in [0, 3, 15, 16, 23] {
            place.cache.keep(&about, b"unpacked");
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(len).unwrap();
            assert_eq!(place.cache.find(&about), None, "{len} bytes");
            assert!(!path.exists());
        }
    }

    #[test]
    fn only_those_used_last_stay() {
        let place = Place::new();
        let abouts = ["a", "b", "c", "d", "e"].map(|name| place.kernel(name));
        for about in &abouts[..KEPT] {
            place.cache.keep(about, b"unpacked");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(place.cache.find(&abouts[0]).is_some());
        std::thread::sleep(Duration::from_millis(20));
        place.cache.keep(&abouts[KEPT], b"unpacked");
        assert_eq!(place.kept(), KEPT);
        assert!(place.cache.find(&abouts[0]).is_some());
        assert!(place.cache.find(&abouts[1]).is_none());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let place = Place::new();
        let allow = |mode| {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(&place.cache.directory, permissions).unwrap();
        };
        let (one, other) = (place.kernel("one"), place.kernel("other"));
        place.cache.keep(&one, b"unpacked");
        allow(0o777);
        assert_eq!(place.cache.find(&one), None);
        place.cache.keep(&other, b"unpacked");
        assert_eq!(place.kept(), 1);
        allow(0o700);
        assert!(place.cache.find(&one).is_some());
    }

    #[test]
    fn what_cannot_be_kept_is_unpacked_again() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let cache = KernelCache::new(directory.path().join("file/kernels"));
        let about = fs::metadata(directory.path()).unwrap();
        cache.keep(&about, b"unpacked");
        assert_eq!(cache.find(&about), None);
    }
}
