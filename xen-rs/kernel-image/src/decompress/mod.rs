//! Unpacking a kernel's payload. Which compressions exist: Linux Documentation/arch/x86/boot.rst, field `payload_offset`.
//!
//! Heap use does not grow with the kernel: gzip, lz4 and zstd have the output as their window, xz has one of its own, limited to the
//! 128 MiB that kernels are packed with.

mod gzip;
mod lz4;
mod xz;
mod zstd;

use crate::KernelError;

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

    /// Upper bound of the heap that [`unpack`] takes, in bytes.
    pub(crate) const fn heap_need(self) -> usize {
        match self {
            Self::Zstd => zstd::HEAP_NEED,
            Self::Xz => xz::HEAP_NEED,
            Self::Gzip => gzip::HEAP_NEED,
            Self::Lz4 => 0,
        }
    }
}

/// Unpacks `data`, which must fill `output`.
///
/// # Errors
/// [`KernelError::Corrupt`], [`KernelError::WrongLength`].
pub(crate) fn unpack(data: &[u8], format: Format, output: &mut [u8]) -> Result<(), KernelError> {
    let expected = output.len();
    let unpacked = match format {
        Format::Zstd => zstd::unpack(data, output),
        Format::Xz => xz::unpack(data, output),
        Format::Gzip => gzip::unpack(data, output),
        Format::Lz4 => lz4::unpack(data, output),
    };
    let unpacked = unpacked.map_err(|why| KernelError::Corrupt {
        format: format.name(),
        why,
    })?;
    if unpacked == expected {
        Ok(())
    } else {
        Err(KernelError::WrongLength { expected, unpacked })
    }
}

/// Why data cannot be unpacked.
type Why = &'static str;

/// More data than the header announced.
const TOO_LONG: Why = "it unpacks to more than it says";
/// The data ends early.
const CUT_SHORT: Why = "it is cut short";

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

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

    fn unpacked(data: &[u8], format: Format, len: usize) -> Result<Vec<u8>, KernelError> {
        let mut output = vec![0; len];
        unpack(data, format, &mut output).map(|()| output)
    }

    #[test]
    fn every_format_unpacks_what_its_own_tool_packed() {
        for (format, data) in PACKED {
            assert_eq!(Format::detect(data), Ok(format));
            assert!(unpacked(data, format, text().len()).unwrap() == text());
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let mut output = vec![0; text().len()];
        for (format, data) in PACKED {
            for len in (0..data.len()).rev().step_by(5) {
                // A whole number of frames or blocks may be left, so the length tells in the end.
                assert!(
                    unpack(&data[..len], format, &mut output).is_err(),
                    "{format:?} {len}"
                );
            }
        }
    }

    #[test]
    fn damage_is_survived_and_noticed_where_there_is_a_checksum() {
        let (text, mut output) = (text(), vec![0; text().len()]);
        for (format, data) in PACKED {
            for at in (4..data.len()).step_by(7) {
                for flip in [1, 0x80] {
                    let mut damaged = data.to_vec();
                    damaged[at] ^= flip;
                    if unpack(&damaged, format, &mut output).is_ok() && format != Format::Lz4 {
                        assert!(output == text, "{format:?} {at} {flip:#x}");
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
                assert!(unpacked(data, format, wrong).is_err(), "{format:?}");
            }
            assert_eq!(
                unpacked(data, format, len + 1),
                Err(KernelError::WrongLength {
                    expected: len + 1,
                    unpacked: len
                })
            );
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400), shared in 0_usize..120) {
            for (format, data) in PACKED {
                let kept = data.get(..shared).unwrap_or(data);
                let mut output = [0; 4000];
                let _ = unpack(&[kept, &bytes].concat(), format, &mut output);
            }
        }
    }
}
