//! The guest's files, read and checked before memory is touched.

use std::path::{Path, PathBuf};

use kernel_image::{Kernel, locate};

use super::error::{BuildError, Result};
use super::plan::Plan;

/// Largest kernel file or ramdisk, in bytes.
const FILE_MAX: u64 = 4 << 30;

/// Kernel and ramdisk as the files have them.
#[derive(Clone, Debug)]
pub struct Files {
    path: PathBuf,
    kernel: Vec<u8>,
    ramdisk: Option<Vec<u8>>,
}

/// Kernel and ramdisk ready to be loaded.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// Unpacked.
    pub kernel: Kernel,
    /// As the file has it.
    pub ramdisk: Option<Vec<u8>>,
}

impl Files {
    /// Reads what `plan` names.
    ///
    /// # Errors
    /// [`BuildError::File`].
    pub fn read(plan: &Plan) -> Result<Self> {
        let ramdisk = plan.ramdisk.as_deref();
        Ok(Self {
            path: plan.kernel.clone(),
            kernel: read("kernel", &plan.kernel)?,
            ramdisk: ramdisk.map(|path| read("ramdisk", path)).transpose()?,
        })
    }

    /// Unpacks the kernel, which takes most of the time that a domain's creation takes.
    ///
    /// # Errors
    /// [`BuildError::Kernel`].
    pub fn unpack(self) -> Result<Unpacked> {
        let unpacked = locate(&self.kernel).and_then(|payload| Kernel::unpack(&payload));
        let path = self.path;
        let kernel = unpacked.map_err(|source| BuildError::Kernel { path, source })?;
        Ok(Unpacked {
            kernel,
            ramdisk: self.ramdisk,
        })
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>> {
    let refuse = |source| BuildError::File {
        what,
        path: path.to_owned(),
        source,
    };
    // Devices and pipes may never end.
    let about = std::fs::metadata(path).map_err(refuse)?;
    if !about.is_file() || about.len() > FILE_MAX {
        let why = "it is not a regular file of up to 4 GiB";
        return Err(refuse(std::io::Error::other(why)));
    }
    std::fs::read(path).map_err(refuse)
}
