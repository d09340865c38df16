//! Finding the kernel inside the file: a bzImage's payload, a plain ELF file, or a gzip file around one.
//!
//! Layout: Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" and the description of `payload_offset`.

use alloc::vec;
use alloc::vec::Vec;

use crate::KernelError;
use crate::decompress::{self, Format};
use crate::little_endian::{bytes_at, u16_at, u32_at};

/// Largest unpacked kernel, in bytes.
pub const UNPACKED_MAX: usize = 512 << 20;

pub(crate) const SETUP_SECTS: usize = 0x1f1;
pub(crate) const BOOT_FLAG: usize = 0x1fe;
pub(crate) const HEADER: usize = 0x202;
pub(crate) const VERSION: usize = 0x206;
pub(crate) const PAYLOAD_OFFSET: usize = 0x248;
pub(crate) const PAYLOAD_LENGTH: usize = 0x24c;
/// First protocol with payload fields.
const VERSION_MIN: u16 = 0x208;
pub(crate) const SECTOR: usize = 512;
/// Bytes after the compressed data that hold the unpacked size.
const SIZE_LEN: usize = 4;

/// What the file holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// An ELF file, usable as it is.
    Elf(&'a [u8]),
    /// Compressed data.
    Compressed {
        /// The data; for gzip with its trailer, for others without the size that follows.
        data: &'a [u8],
        /// How it is compressed.
        format: Format,
        /// Bytes it says to unpack to, at most [`UNPACKED_MAX`].
        unpacked_len: usize,
    },
}

/// Looks at a kernel file.
///
/// # Errors
/// [`KernelError::NotAKernel`], [`KernelError::OldBootProtocol`], [`KernelError::Truncated`], [`KernelError::UnsupportedCompression`],
/// [`KernelError::TooLarge`].
pub fn locate(file: &[u8]) -> Result<Payload<'_>, KernelError> {
    if is_elf(file) {
        return Ok(Payload::Elf(file));
    }
    if !is_bzimage(file) {
        // Of the compressions only gzip ends with the unpacked size by itself, and only gzip is used around whole kernels.
        return match Format::detect(file) {
            Ok(Format::Gzip) => compressed(file, Format::Gzip),
            _ => Err(KernelError::NotAKernel),
        };
    }
    let payload = payload(file)?;
    if is_elf(payload) {
        return Ok(Payload::Elf(payload));
    }
    compressed(payload, Format::detect(payload)?)
}

impl Payload<'_> {
    /// Bytes of the ELF file in it.
    #[must_use]
    pub const fn unpacked_len(&self) -> usize {
        match self {
            Self::Elf(bytes) => bytes.len(),
            Self::Compressed { unpacked_len, .. } => *unpacked_len,
        }
    }

    /// Upper bound of the heap that unpacking takes beside the result, in bytes.
    #[must_use]
    pub const fn heap_need(&self) -> usize {
        match self {
            Self::Elf(_) => 0,
            Self::Compressed { format, .. } => format.heap_need(),
        }
    }

    /// The ELF file.
    pub(crate) fn unpack(&self) -> Result<Vec<u8>, KernelError> {
        match *self {
            Self::Elf(bytes) => Ok(bytes.to_vec()),
            Self::Compressed {
                data,
                format,
                unpacked_len,
            } => {
                let mut output = vec![0; unpacked_len];
                decompress::unpack(data, format, &mut output)?;
                Ok(output)
            }
        }
    }
}

fn is_elf(data: &[u8]) -> bool {
    data.starts_with(b"\x7fELF")
}

fn is_bzimage(file: &[u8]) -> bool {
    u16_at(file, BOOT_FLAG) == Some(0xaa55) && bytes_at(file, HEADER) == Some(*b"HdrS")
}

fn payload(file: &[u8]) -> Result<&[u8], KernelError> {
    let header = KernelError::Truncated("boot header");
    let version = u16_at(file, VERSION).ok_or(header)?;
    if version < VERSION_MIN {
        return Err(KernelError::OldBootProtocol { version });
    }
    // Zero means four, for kernels older than the field.
    let [setup_sects] = bytes_at(file, SETUP_SECTS).ok_or(header)?;
    let setup = (usize::from(if setup_sects == 0 { 4 } else { setup_sects }) + 1) * SECTOR;
    let offset = u32_at(file, PAYLOAD_OFFSET).ok_or(header)? as usize;
    let length = u32_at(file, PAYLOAD_LENGTH).ok_or(header)? as usize;
    let start = setup.checked_add(offset).ok_or(header)?;
    let end = start.checked_add(length).ok_or(header)?;
    file.get(start..end)
        .ok_or(KernelError::Truncated("payload"))
}

fn compressed(data: &[u8], format: Format) -> Result<Payload<'_>, KernelError> {
    let truncated = KernelError::Truncated("payload");
    let size_at = data.len().checked_sub(SIZE_LEN).ok_or(truncated)?;
    let unpacked_len = u32_at(data, size_at).ok_or(truncated)? as usize;
    if unpacked_len > UNPACKED_MAX {
        return Err(KernelError::TooLarge {
            bytes: unpacked_len as u64,
        });
    }
    // gzip's own trailer ends with the size; for the others the kernel's build appends it.
    let end = if format == Format::Gzip {
        data.len()
    } else {
        size_at
    };
    let data = data.get(..end).ok_or(truncated)?;
    Ok(Payload::Compressed {
        data,
        format,
        unpacked_len,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::bzimage;

    const ZSTD: [u8; 12] = [0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3, 4, 0x00, 0x10, 0x00, 0x00];

    #[test]
    fn payload_is_found_with_its_size() {
        let image = bzimage(&ZSTD);
        assert_eq!(
            locate(&image),
            Ok(Payload::Compressed {
                data: &ZSTD[..8],
                format: Format::Zstd,
                unpacked_len: 0x1000
            })
        );
    }

    #[test]
    fn plain_elf_is_taken_as_it_is() {
        assert_eq!(locate(b"\x7fELFxyz"), Ok(Payload::Elf(b"\x7fELFxyz")));
        let image = bzimage(b"\x7fELFxyz");
        assert_eq!(locate(&image), Ok(Payload::Elf(b"\x7fELFxyz")));
    }

    #[test]
    fn old_protocol_unknown_data_and_huge_size_are_told_apart() {
        let mut image = bzimage(&ZSTD);
        image[VERSION] = 7;
        assert_eq!(
            locate(&image),
            Err(KernelError::OldBootProtocol { version: 0x207 })
        );
        assert_eq!(locate(b"#!/bin/sh"), Err(KernelError::NotAKernel));
        let mut huge = ZSTD;
        huge[11] = 0xff;
        assert_eq!(
            locate(&bzimage(&huge)),
            Err(KernelError::TooLarge { bytes: 0xff00_1000 })
        );
        assert_eq!(
            locate(&bzimage(b"BZh9xxxxxxxx")),
            Err(KernelError::UnsupportedCompression("bzip2"))
        );
    }

    #[test]
    fn every_truncation_is_an_error() {
        let image = bzimage(&ZSTD);
        for len in 0..image.len() {
            assert!(locate(&image[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn wild_offsets_are_errors() {
        let mut image = bzimage(&ZSTD);
        for field in [PAYLOAD_OFFSET, PAYLOAD_LENGTH] {
            for value in [u32::MAX, u32::MAX - 0x400, 0x7fff_ffff] {
                let saved = image.clone();
                image[field..][..4].copy_from_slice(&value.to_le_bytes());
                assert_eq!(locate(&image), Err(KernelError::Truncated("payload")));
                image = saved;
            }
        }
    }
}
