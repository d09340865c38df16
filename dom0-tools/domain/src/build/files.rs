//! The guest's files, read and checked before memory is touched.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use kernel_image::{Kernel, KernelError, Payload, locate};

use super::KernelCache;
use super::error::{BuildError, Result};
use super::plan::Plan;

/// Largest kernel file or ramdisk, in bytes.
const FILE_MAX: u64 = 4 << 30;

/// Kernel and ramdisk as the files have them.
#[derive(Clone, Debug)]
pub struct Files {
    path: PathBuf,
    kernel: Source,
    ramdisk: Option<Vec<u8>>,
}

/// Where the kernel comes from.
#[derive(Clone, Debug)]
enum Source {
    /// What its file holds, and how the file was then.
    File(Vec<u8>, Metadata),
    /// Unpacked earlier.
    Kept(Vec<u8>),
}

/// Kernel and ramdisk ready to be loaded.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// Unpacked.
    pub kernel: Kernel,
    /// As the file has it.
    pub ramdisk: Option<Vec<u8>>,
    /// The kernel's file, if it was compressed and no kept one served.
    was_unpacked: Option<Metadata>,
}

impl Files {
    /// Reads what `plan` names, or the kernel that is kept for it.
    ///
    /// # Errors
    /// [`BuildError::File`].
    pub fn read(plan: &Plan, cache: Option<&KernelCache>) -> Result<Self> {
        let ramdisk = plan.ramdisk.as_deref();
        Ok(Self {
            path: plan.kernel.clone(),
            kernel: kernel(&plan.kernel, cache)?,
            ramdisk: ramdisk.map(|path| whole("ramdisk", path)).transpose()?,
        })
    }

    /// Unpacks the kernel, which takes most of the time that a domain's creation takes.
    ///
    /// # Errors
    /// [`BuildError::Kernel`].
    pub fn unpack(self) -> Result<Unpacked> {
        let path = self.path;
        let unpacked = match self.kernel {
            Source::File(file, about) => unpack(&file, about),
            Source::Kept(file) => Kernel::of_elf(file).map(|kernel| (kernel, None)),
        };
        let (kernel, was_unpacked) =
            unpacked.map_err(|source| BuildError::Kernel { path, source })?;
        Ok(Unpacked {
            kernel,
            ramdisk: self.ramdisk,
            was_unpacked,
        })
    }
}

impl Unpacked {
    /// Keeps the kernel for the next guest, unless that would be of no use or no room is left.
    pub fn keep(&self, cache: &KernelCache) {
        if let Some(about) = &self.was_unpacked {
            cache.keep(about, self.kernel.file());
        }
    }
}

/// The kernel in a file, and how that was, if it was compressed.
fn unpack(
    file: &[u8],
    about: Metadata,
) -> std::result::Result<(Kernel, Option<Metadata>), KernelError> {
    let payload = locate(file)?;
    let is_packed = matches!(payload, Payload::Compressed { .. });
    Ok((Kernel::unpack(&payload)?, is_packed.then_some(about)))
}

fn kernel(path: &Path, cache: Option<&KernelCache>) -> Result<Source> {
    let (file, about) = open("kernel", path)?;
    if let Some(kept) = cache.and_then(|cache| cache.find(&about)) {
        return Ok(Source::Kept(kept));
    }
    let bytes = read("kernel", path, file, &about)?;
    Ok(Source::File(bytes, about))
}

fn whole(what: &'static str, path: &Path) -> Result<Vec<u8>> {
    let (file, about) = open(what, path)?;
    read(what, path, file, &about)
}

fn open(what: &'static str, path: &Path) -> Result<(File, Metadata)> {
    let refuse = |source| refused(what, path, source);
    // Devices and pipes may never end, and a pipe not even open.
    if !std::fs::metadata(path).map_err(refuse)?.is_file() {
        return Err(refuse(std::io::Error::other("it is not a regular file")));
    }
    let file = File::open(path).map_err(refuse)?;
    let about = file.metadata().map_err(refuse)?;
    Ok((file, about))
}

/// Reads a file, which may grow meanwhile, up to the limit.
fn read(what: &'static str, path: &Path, file: File, about: &Metadata) -> Result<Vec<u8>> {
    let refuse = |source| refused(what, path, source);
    let mut bytes = Vec::with_capacity(usize::try_from(about.len().min(FILE_MAX)).unwrap_or(0));
    let read = file.take(FILE_MAX + 1).read_to_end(&mut bytes);
    if read.map_err(refuse)? as u64 > FILE_MAX {
        return Err(refuse(std::io::Error::other("it is larger than 4 GiB")));
    }
    Ok(bytes)
}

fn refused(what: &'static str, path: &Path, source: std::io::Error) -> BuildError {
    BuildError::File {
        what,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_kernel_is_unpacked_once_and_then_taken_from_the_cache() {
        let directory = tempfile::tempdir().unwrap();
        let cache = KernelCache::new(directory.path().join("kernels")).trusting_new_files();
        let path = directory.path().join("vmlinuz");
        let elf = kernel_image::sample::kernel();
        // One raw block behind a header without sizes.
        let len = u32::try_from(elf.len()).unwrap();
        let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x50];
        packed.extend_from_slice(&(len << 3 | 1).to_le_bytes()[..3]);
        packed.extend_from_slice(&elf);
        packed.extend_from_slice(&len.to_le_bytes());
        std::fs::write(&path, kernel_image::sample::bzimage(&packed)).unwrap();
        let plan = Plan::new(path, 64 << 10);
        let first = Files::read(&plan, Some(&cache)).unwrap().unpack().unwrap();
        assert!(first.was_unpacked.is_some());
        first.keep(&cache);
        let second = Files::read(&plan, Some(&cache)).unwrap();
        assert!(matches!(second.kernel, Source::Kept(_)));
        let second = second.unpack().unwrap();
        assert_eq!(second.kernel, first.kernel);
        assert!(second.was_unpacked.is_none());
    }
}
