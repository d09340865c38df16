//! Why dom0 cannot be built.

use core::fmt;

use kernel_image::KernelError;

/// Reason for giving up; its `Display` is a full sentence part for the boot log.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// The kernel module holds no kernel that can be started.
    Kernel(KernelError),
    /// The kernel says that it cannot be a dom0 (ELF note `XEN_ELFNOTE_SUPPORTED_FEATURES`).
    NotDom0Capable,
    /// Firmware's memory map has too many entries.
    MemoryMapTooLong {
        /// Entries found.
        entries: usize,
    },
    /// There is no RAM to give to dom0.
    NoMemory,
    /// No place in dom0's RAM for the named part.
    NoRoom {
        /// What was to be placed.
        part: &'static str,
        /// Its size in bytes.
        bytes: u64,
    },
    /// The kernel must be at an address that is not free RAM of dom0 and cannot be moved.
    KernelPlaceTaken {
        /// Where it must start.
        start: u64,
        /// Where it would end.
        end: u64,
    },
    /// dom0 would have more vCPUs than APIC identifiers.
    TooManyVcpus,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Kernel(error) => error.describe(f, "dom0 kernel", "dom0 kernel's"),
            Self::NotDom0Capable => f.write_str(
                "dom0 kernel was built without support for being dom0 (CONFIG_XEN_DOM0 in Linux)",
            ),
            Self::MemoryMapTooLong { entries } => {
                write!(f, "firmware's memory map has {entries} entries, too many")
            }
            Self::NoMemory => f.write_str("no memory to give to dom0"),
            Self::NoRoom { part, bytes } => write!(
                f,
                "no room in dom0's memory for its {part} of {bytes} bytes"
            ),
            Self::KernelPlaceTaken { start, end } => {
                write!(
                    f,
                    "dom0 kernel must be at {start:#x}-{end:#x}, which is not free memory of dom0"
                )
            }
            Self::TooManyVcpus => f.write_str("dom0 has too many vCPUs"),
        }
    }
}

impl core::error::Error for BuildError {}

impl From<KernelError> for BuildError {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}
