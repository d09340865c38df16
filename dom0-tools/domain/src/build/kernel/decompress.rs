//! Unpacking a kernel's payload. Which compressions exist: Linux Documentation/arch/x86/boot.rst, field `payload_offset`.

use super::KernelError;
use super::{gzip, lz4, xz, zstd};

/// Compressions that kernels use and we read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 8878.
    Zstd,
    /// The .xz File Format.
    Xz,
    /// RFC 1952.
    Gzip,
    /// LZ4's legacy frame: blocks of up to 8 MiB, each behind its size.
    Lz4,
}

impl Format {
    /// Recognises compressed data by its first bytes.
    ///
    /// # Errors
    /// [`KernelError::UnsupportedCompression`], with the name when it is a known one.
    pub fn detect(data: &[u8]) -> Result<Self, KernelError> {
        const MAGICS: [(&[u8], Result<Format, &str>); 7] = [
            (&[0x28, 0xb5, 0x2f, 0xfd], Ok(Format::Zstd)),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Ok(Format::Xz)),
            (&[0x1f, 0x8b], Ok(Format::Gzip)),
            (&[0x02, 0x21, 0x4c, 0x18], Ok(Format::Lz4)),
            (b"BZh", Err("bzip2")),
            (&[0x5d, 0, 0], Err("lzma")),
            (&[0x89, b'L', b'Z', b'O'], Err("lzo")),
        ];
        match MAGICS.iter().find(|(magic, _)| data.starts_with(magic)) {
            Some((_, Ok(format))) => Ok(*format),
            Some((_, Err(name))) => Err(KernelError::UnsupportedCompression(name)),
            None => Err(KernelError::UnsupportedCompression("an unknown method")),
        }
    }

    /// Name for messages.
    const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
        }
    }
}

/// Unpacks `data`, which must give exactly `expected` bytes.
///
/// # Errors
/// [`KernelError::Corrupt`], [`KernelError::WrongLength`].
pub fn decompress(data: &[u8], format: Format, expected: usize) -> Result<Vec<u8>, KernelError> {
    let mut output = vec![0; expected];
    let unpacked = match format {
        Format::Zstd => zstd::unpack(data, &mut output),
        Format::Xz => xz::unpack(data, &mut output),
        Format::Gzip => gzip::unpack(data, &mut output),
        Format::Lz4 => lz4::unpack(data, &mut output),
    };
    let unpacked = unpacked.map_err(|why| KernelError::Corrupt {
        format: format.name(),
        why,
    })?;
    if unpacked == expected {
        Ok(output)
    } else {
        Err(KernelError::WrongLength { expected, unpacked })
    }
}

/// Why data cannot be unpacked.
pub(super) type Why = &'static str;

/// More data than the header announced.
pub(super) const TOO_LONG: Why = "it unpacks to more than it says";
/// The data ends early.
pub(super) const CUT_SHORT: Why = "it is cut short";

#[cfg(test)]
mod tests {
    use super::*;

    /// [`text`], packed by each format's own tool with the options kernels are built with, then its length unless the format ends with it.
    const PACKED: [(Format, &[u8]); 6] = [
        (Format::Zstd, include_bytes!("testdata/text.zst22")),
        (Format::Zstd, include_bytes!("testdata/text.zst3")),
        (
            Format::Zstd,
            include_bytes!("testdata/text.zst-small-blocks"),
        ),
        (Format::Xz, include_bytes!("testdata/text.xz")),
        (Format::Gzip, include_bytes!("testdata/text.gz")),
        (Format::Lz4, include_bytes!("testdata/text.lz4")),
    ];

    /// Words, numbers and runs: something that every part of a format gets work from.
    fn text() -> Vec<u8> {
        let mut text = Vec::new();
        let mut seed = 1_u32;
        for line in 0..400_u32 {
            for _ in 0..line % 7 {
                seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
                text.extend_from_slice(
                    ["frame ", "page ", "domain ", "vcpu ", "grant ", "event "]
                        [seed as usize / 65536 % 6]
                        .as_bytes(),
                );
            }
            text.resize(text.len() + (line % 13) as usize, b'-');
            text.extend_from_slice(
                &line.wrapping_mul(2_654_435_761).to_le_bytes()[..(line % 4) as usize],
            );
        }
        text
    }

    #[test]
    fn every_format_unpacks_what_its_own_tool_packed() {
        for (format, data) in PACKED {
            assert_eq!(Format::detect(data), Ok(format));
            assert!(decompress(data, format, text().len()).unwrap() == text());
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let len = text().len();
        for (format, data) in PACKED {
            for cut in (0..data.len()).rev().step_by(5) {
                // A whole number of frames or blocks may be left, so the length tells in the end.
                assert!(
                    decompress(&data[..cut], format, len).is_err(),
                    "{format:?} {cut}"
                );
            }
        }
    }

    #[test]
    fn damage_is_survived_and_noticed_where_there_is_a_checksum() {
        for (format, data) in PACKED {
            for at in (4..data.len()).step_by(7) {
                for flip in [1, 0x80] {
                    let mut damaged = data.to_vec();
                    damaged[at] ^= flip;
                    if let Ok(output) = decompress(&damaged, format, text().len())
                        && format != Format::Lz4
                    {
                        assert!(output == text(), "{format:?} {at} {flip:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn another_length_than_announced_is_an_error() {
        let len = text().len();
        for (format, data) in PACKED {
            for wrong in [0, len - 1] {
                assert!(decompress(data, format, wrong).is_err(), "{format:?}");
            }
            assert_eq!(
                decompress(data, format, len + 1),
                Err(KernelError::WrongLength {
                    expected: len + 1,
                    unpacked: len
                })
            );
        }
    }
}
