//! Unpacking the kernel into memory the caller provides.
//!
//! The output is the decoders' window wherever the format allows, so that heap use does not grow with the kernel; [`heap_need`] gives the
//! peak. Which compressions exist: Linux Documentation/arch/x86/boot.rst, field `payload_offset`.

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

    use super::*;
    use crate::dom0::bzimage::locate;
    use crate::dom0::elf;

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
        std::println!("{} bytes in {:?}", output.len(), start.elapsed());
        std::println!("{:x?}", elf::parse(&output).unwrap());
    }
}
