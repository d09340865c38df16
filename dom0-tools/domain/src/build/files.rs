//! The guest's files, read and checked before memory is touched.

use std::path::Path;

use super::error::{BuildError, Result};
use super::kernel::Kernel;
use super::plan::Plan;

/// Largest kernel file or ramdisk, in bytes.
const FILE_MAX: u64 = 4 << 30;

/// Kernel and ramdisk in memory.
#[derive(Clone, Debug)]
pub struct Files {
    /// Unpacked.
    pub kernel: Kernel,
    /// As the file has it.
    pub ramdisk: Option<Vec<u8>>,
}

impl Files {
    /// Reads what `plan` names and unpacks the kernel.
    ///
    /// # Errors
    /// [`BuildError::File`], [`BuildError::Kernel`].
    pub fn read(plan: &Plan) -> Result<Self> {
        let file = read("kernel", &plan.kernel)?;
        let ramdisk = plan.ramdisk.as_deref();
        let ramdisk = ramdisk.map(|path| read("ramdisk", path)).transpose()?;
        let kernel = Kernel::unpack(file).map_err(|source| BuildError::Kernel {
            path: plan.kernel.clone(),
            source,
        })?;
        Ok(Self { kernel, ramdisk })
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
