//! Virtual disks as xl-disk-configuration(5) writes them, and their numbers.

mod specification;
mod vdev;

pub use specification::{DiskError, parse_disk};
pub use vdev::{VirtualDisk, VirtualDiskError};
