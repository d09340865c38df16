//! Guest kernels: a bzImage, an ELF file, or a gzip file around one, unpacked once and checked.

mod bzimage;
mod decompress;
mod elf;
mod error;
mod gzip;
mod little_endian;
mod lz4;
mod notes;
mod xz;
mod zstd;

pub use elf::{Image, Segment};
pub use error::KernelError;
pub use notes::XenNotes;

#[cfg(test)]
pub(crate) use elf::tests as sample;

use bzimage::Payload;

/// A kernel ready to be copied into a guest.
#[derive(Clone, Debug)]
pub struct Kernel {
    file: Vec<u8>,
    /// What is in it.
    pub image: Image,
}

impl Kernel {
    /// Unpacks and checks what was read from a file.
    ///
    /// # Errors
    /// Every [`KernelError`].
    pub fn unpack(file: Vec<u8>) -> Result<Self, KernelError> {
        let file = match bzimage::locate(&file)? {
            Payload::Elf(bytes) if bytes.len() == file.len() => file,
            Payload::Elf(bytes) => bytes.to_vec(),
            Payload::Compressed {
                data,
                format,
                unpacked_len,
            } => decompress::decompress(data, format, unpacked_len)?,
        };
        let image = elf::parse(&file)?;
        Ok(Self { file, image })
    }

    /// The bytes of one of its segments.
    #[must_use]
    pub fn bytes(&self, segment: &Segment) -> &[u8] {
        self.file.get(segment.file.clone()).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_elf_in_a_bzimage_is_found_unpacked_and_read() {
        // One raw block behind a header without sizes.
        let kernel = sample::kernel();
        let len = u32::try_from(kernel.len()).unwrap();
        let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x50];
        packed.extend_from_slice(&(len << 3 | 1).to_le_bytes()[..3]);
        packed.extend_from_slice(&kernel);
        packed.extend_from_slice(&len.to_le_bytes());
        let file = bzimage::tests::bzimage(&packed);
        let unpacked = Kernel::unpack(file).unwrap();
        assert_eq!(unpacked.image, elf::parse(&kernel).unwrap());
        assert_eq!(unpacked.bytes(&unpacked.image.segments[1]), [2; 0x20]);
    }

    /// With DOMAIN_TEST_KERNEL naming a bzImage, unpacks and reads it.
    #[test]
    fn real_kernel_is_read() {
        let Some(path) = std::env::var_os("DOMAIN_TEST_KERNEL") else {
            return;
        };
        let file = std::fs::read(path).unwrap();
        let start = std::time::Instant::now();
        let kernel = Kernel::unpack(file).unwrap();
        println!("{:?} {:?}", kernel.image, start.elapsed());
    }
}
