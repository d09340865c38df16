//! Why a file is not a kernel this crate can start.

/// Reason for refusing a kernel; the path is the caller's to add.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// No format we know.
    #[error("it is neither a bzImage nor an ELF file")]
    NotAKernel,
    /// Older than boot protocol 2.08, which introduced the payload fields; the version has the major number in its high byte.
    #[error("its boot protocol is {}.{:02}, 2.08 is needed", version >> 8, version & 0xff)]
    OldBootProtocol {
        /// As in the header.
        version: u16,
    },
    /// The file ends inside the named part.
    #[error("it ends inside its {0}")]
    Truncated(&'static str),
    /// The payload uses a compression we do not read.
    #[error("it is compressed with {0}, which is not supported (zstd, xz, gzip and lz4 are)")]
    UnsupportedCompression(&'static str),
    /// The compressed payload is damaged.
    #[error("its {format} payload is damaged: {why}")]
    Corrupt {
        /// Name of its compression.
        format: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The payload says it unpacks to more than the limit.
    #[error("it says it unpacks to {bytes} bytes, which is too large")]
    TooLarge {
        /// What it says.
        bytes: u64,
    },
    /// The payload unpacked to another size than it said.
    #[error("it unpacks to {unpacked} bytes instead of {expected}")]
    WrongLength {
        /// Bytes expected.
        expected: usize,
        /// Bytes unpacked.
        unpacked: usize,
    },
    /// The ELF structure is invalid.
    #[error("its ELF structure is invalid: {0}")]
    BadElf(&'static str),
    /// No ELF note `XEN_ELFNOTE_PHYS32_ENTRY`.
    #[error("it has no PVH entry point (Linux needs CONFIG_PVH)")]
    NotPvh,
}
