//! Why a file is not a kernel that can be started.

use core::fmt;

/// Reason for refusing a kernel.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// No format we know.
    NotAKernel,
    /// Older than boot protocol 2.08, which introduced the payload fields.
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
        /// What it says, in bytes.
        bytes: u64,
    },
    /// The payload unpacked to another size than it said.
    WrongLength {
        /// Bytes expected.
        expected: usize,
        /// Bytes unpacked.
        unpacked: usize,
    },
    /// The ELF structure is invalid.
    BadElf(&'static str),
    /// No PVH entry point (ELF note `XEN_ELFNOTE_PHYS32_ENTRY`).
    NotPvh,
}

impl KernelError {
    /// A sentence part with the words that stand for the kernel: "dom0 kernel" and "dom0 kernel's", say.
    ///
    /// # Errors
    /// The formatter's.
    pub fn describe(&self, f: &mut fmt::Formatter<'_>, kernel: &str, whose: &str) -> fmt::Result {
        match *self {
            Self::NotAKernel => write!(f, "{kernel} is neither a bzImage nor an ELF file"),
            Self::OldBootProtocol { version } => {
                let (major, minor) = (version >> 8, version & 0xff);
                write!(
                    f,
                    "{kernel} has boot protocol {major}.{minor:02}, 2.08 is needed"
                )
            }
            Self::Truncated(part) => write!(f, "{kernel} ends inside its {part}"),
            Self::UnsupportedCompression(name) => write!(
                f,
                "{kernel} is compressed with {name}, which is not supported (zstd, xz, gzip and lz4 are)"
            ),
            Self::Corrupt { format, why } => {
                write!(f, "{whose} {format} payload is damaged: {why}")
            }
            Self::TooLarge { bytes } => write!(
                f,
                "{kernel} says it unpacks to {bytes} bytes, which is too large"
            ),
            Self::WrongLength { expected, unpacked } => {
                write!(
                    f,
                    "{kernel} unpacks to {unpacked} bytes instead of {expected}"
                )
            }
            Self::BadElf(why) => write!(f, "{whose} ELF structure is invalid: {why}"),
            Self::NotPvh => {
                write!(
                    f,
                    "{kernel} has no PVH entry point (Linux needs CONFIG_PVH)"
                )
            }
        }
    }
}

/// As said after the kernel's name and a colon.
impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, "it", "its")
    }
}

impl core::error::Error for KernelError {}
