//! Virtual disks as xl-disk-configuration(5) writes them, and their numbers.

mod vdev;

pub use vdev::{VirtualDisk, VirtualDiskError};
