//! Unpacking the kernel into memory the caller provides.
//!
//! Heap use does not grow with the kernel: gzip and lz4 have the output as their window, xz and zstd have one of their own, limited to the
//! 128 MiB that kernels are packed with. [`heap_need`] gives the peak. Which compressions exist: Linux Documentation/arch/x86/boot.rst, field `payload_offset`.

mod gzip;
mod lz4;
mod xz;
mod zstd;

use super::BuildError;
use super::bzimage::Payload;

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
    /// [`BuildError::UnsupportedCompression`], with the name when it is a known one.
    pub fn detect(data: &[u8]) -> Result<Self, BuildError> {
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
            Some((_, Err(name))) => Err(BuildError::UnsupportedCompression(name)),
            None => Err(BuildError::UnsupportedCompression("an unknown method")),
        }
    }

    /// Name for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
        }
    }
}

/// Bytes that [`decompress`] writes for this payload; an ELF payload is copied.
#[must_use]
pub const fn output_len(payload: &Payload<'_>) -> usize {
    match payload {
        Payload::Elf(bytes) => bytes.len(),
        Payload::Compressed { unpacked_len, .. } => *unpacked_len,
    }
}

/// Upper bound of the heap [`decompress`] takes for this payload, in bytes.
#[must_use]
pub fn heap_need(payload: &Payload<'_>) -> usize {
    match payload {
        Payload::Elf(_)
        | Payload::Compressed {
            format: Format::Lz4,
            ..
        } => 0,
        Payload::Compressed {
            format: Format::Gzip,
            ..
        } => gzip::HEAP_NEED,
        Payload::Compressed {
            format: Format::Xz, ..
        } => xz::HEAP_NEED,
        Payload::Compressed {
            format: Format::Zstd,
            ..
        } => zstd::HEAP_NEED,
    }
}

/// Unpacks into the start of `output`, which has at least [`output_len`] bytes, and returns that length.
///
/// # Errors
/// [`BuildError::Corrupt`], [`BuildError::WrongLength`]; [`BuildError::NoRoom`] when `output` is too small.
pub fn decompress(payload: &Payload<'_>, output: &mut [u8]) -> Result<usize, BuildError> {
    let expected = output_len(payload);
    let no_room = BuildError::NoRoom {
        part: "unpacked kernel",
        bytes: expected as u64,
    };
    let output = output.get_mut(..expected).ok_or(no_room)?;
    let (data, format) = match payload {
        Payload::Elf(bytes) => {
            output.copy_from_slice(bytes);
            return Ok(expected);
        }
        Payload::Compressed { data, format, .. } => (*data, *format),
    };
    let unpacked = match format {
        Format::Zstd => zstd::unpack(data, output),
        Format::Xz => xz::unpack(data, output),
        Format::Gzip => gzip::unpack(data, output),
        Format::Lz4 => lz4::unpack(data, output),
    };
    let unpacked = unpacked.map_err(|why| BuildError::Corrupt {
        format: format.name(),
        why,
    })?;
    if unpacked == expected {
        Ok(expected)
    } else {
        Err(BuildError::WrongLength { expected, unpacked })
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

    use super::*;
    use crate::dom0::bzimage::locate;
    use crate::dom0::elf;

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

    fn payload<'a>(format: Format, data: &'a [u8]) -> Payload<'a> {
        Payload::Compressed {
            data,
            format,
            unpacked_len: text().len(),
        }
    }

    #[test]
    fn every_format_unpacks_what_its_own_tool_packed() {
        for (format, data) in PACKED {
            assert_eq!(Format::detect(data), Ok(format));
            let mut output = vec![0; text().len() + 9];
            assert_eq!(
                decompress(&payload(format, data), &mut output),
                Ok(text().len()),
                "{format:?}"
            );
            assert!(output[..text().len()] == text());
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let mut output = vec![0; text().len()];
        for (format, data) in PACKED {
            for len in (0..data.len()).rev().step_by(5) {
                // A whole number of frames or blocks may be left, so the length tells in the end.
                assert!(
                    decompress(&payload(format, &data[..len]), &mut output).is_err(),
                    "{format:?} {len}"
                );
            }
        }
    }

    #[test]
    fn damage_is_survived_and_noticed_where_there_is_a_checksum() {
        let mut output = vec![0; text().len()];
        for (format, data) in PACKED {
            for at in (4..data.len()).step_by(7) {
                for flip in [1, 0x80] {
                    let mut damaged = data.to_vec();
                    damaged[at] ^= flip;
                    if decompress(&payload(format, &damaged), &mut output).is_ok()
                        && format != Format::Lz4
                    {
                        assert!(output == text(), "{format:?} {at} {flip:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn wrong_length_and_small_buffers_are_errors() {
        let len = text().len();
        for (format, data) in PACKED {
            let mut output = vec![0; len + 1];
            let announced = |unpacked_len| Payload::Compressed {
                data,
                format,
                unpacked_len,
            };
            assert!(
                decompress(&announced(len - 1), &mut output).is_err(),
                "{format:?}"
            );
            assert_eq!(
                decompress(&announced(len + 1), &mut output),
                Err(BuildError::WrongLength {
                    expected: len + 1,
                    unpacked: len
                })
            );
            assert!(
                decompress(&announced(0), &mut output).is_err(),
                "{format:?}"
            );
            let short = decompress(&announced(len), &mut output[..len - 1]);
            assert_eq!(
                short,
                Err(BuildError::NoRoom {
                    part: "unpacked kernel",
                    bytes: len as u64
                })
            );
        }
    }

    #[test]
    fn elf_payload_is_copied() {
        let mut output = [0; 8];
        assert_eq!(decompress(&Payload::Elf(b"\x7fELF!"), &mut output), Ok(5));
        assert_eq!(&output[..5], b"\x7fELF!");
    }

    #[test]
    fn packed_elf_in_a_bzimage_is_found_unpacked_and_read() {
        // One raw block behind a header without sizes.
        let kernel = elf::tests::kernel();
        let len = u32::try_from(kernel.len()).unwrap();
        let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x50];
        packed.extend_from_slice(&(len << 3 | 1).to_le_bytes()[..3]);
        packed.extend_from_slice(&kernel);
        packed.extend_from_slice(&len.to_le_bytes());
        let module = crate::dom0::bzimage::tests::bzimage(&packed);
        let payload = locate(&module).unwrap();
        let mut output = vec![0; output_len(&payload)];
        decompress(&payload, &mut output).unwrap();
        assert_eq!(elf::parse(&output), elf::parse(&kernel));
    }

    /// With XEN_RS_TEST_KERNEL naming a bzImage, unpacks and reads it.
    #[test]
    fn real_kernel_unpacks_to_a_pvh_dom0_kernel() {
        let Some(path) = std::env::var_os("XEN_RS_TEST_KERNEL") else {
            return;
        };
        let module = std::fs::read(path).unwrap();
        let payload = locate(&module).unwrap();
        let mut output = vec![0; output_len(&payload)];
        let start = std::time::Instant::now();
        decompress(&payload, &mut output).unwrap();
        std::println!(
            "{} bytes in {:?}, heap {}",
            output.len(),
            start.elapsed(),
            heap_need(&payload)
        );
        elf::parse(&output).unwrap();
    }
}
