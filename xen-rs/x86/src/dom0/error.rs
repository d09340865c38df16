//! Why dom0 cannot be built.

use core::fmt;

/// Reason for giving up; its `Display` is a full sentence part for the boot log.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// The kernel module is no format we know.
    NotAKernel,
    /// The bzImage is older than boot protocol 2.08, which introduced the payload fields.
    OldBootProtocol {
        /// Its version, major in the high byte.
        version: u16,
    },
    /// The file ends inside the named part.
    Truncated(&'static str),
    /// The payload uses a compression we do not read.
    UnsupportedCompression(&'static str),
    /// The compressed payload is damaged.
    Corrupt {
        /// Name of its compression.
        format: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The payload says it unpacks to more than the limit.
    TooLarge {
        /// Its size in bytes.
        bytes: u64,
    },
    /// The payload unpacked to another size than it said.
    WrongLength {
        /// Bytes expected.
        expected: usize,
        /// Bytes unpacked.
        unpacked: usize,
    },
    /// The kernel's ELF structure is invalid.
    BadElf(&'static str),
    /// The kernel has no PVH entry point (ELF note `XEN_ELFNOTE_PHYS32_ENTRY`).
    NotPvh,
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
            Self::NotAKernel => f.write_str("dom0 kernel is neither a bzImage nor an ELF file"),
            Self::OldBootProtocol { version } => {
                write!(
                    f,
                    "dom0 kernel has boot protocol {}.{:02}, 2.08 is needed",
                    version >> 8,
                    version & 0xff
                )
            }
            Self::Truncated(part) => write!(f, "dom0 kernel ends inside its {part}"),
            Self::UnsupportedCompression(name) => write!(
                f,
                "dom0 kernel is compressed with {name}, which is not supported"
            ),
            Self::Corrupt { format, why } => {
                write!(f, "dom0 kernel's {format} payload is damaged: {why}")
            }
            Self::TooLarge { bytes } => write!(
                f,
                "dom0 kernel unpacks to {bytes} bytes, which is too large"
            ),
            Self::WrongLength { expected, unpacked } => {
                write!(
                    f,
                    "dom0 kernel unpacks to {unpacked} bytes instead of {expected}"
                )
            }
            Self::BadElf(why) => write!(f, "dom0 kernel's ELF structure is invalid: {why}"),
            Self::NotPvh => f.write_str("dom0 kernel has no PVH entry point (CONFIG_PVH in Linux)"),
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
