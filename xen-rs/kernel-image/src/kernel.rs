//! A kernel in one piece, with what its headers say, and the steps of loading it.

use alloc::vec::Vec;
use core::ops::Range;

use crate::{Image, KernelError, Payload};

/// A kernel ready to be copied into a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    file: Vec<u8>,
    /// What is in it.
    pub image: Image,
}

/// One step of loading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// Copy these bytes to the address.
    Copy(u64, &'a [u8]),
    /// Fill the range with zeroes.
    Zero(Range<u64>),
}

impl Kernel {
    /// Unpacks and checks what [`crate::locate`] found.
    ///
    /// # Errors
    /// [`KernelError::Corrupt`], [`KernelError::WrongLength`], [`KernelError::BadElf`], [`KernelError::NotPvh`].
    pub fn unpack(payload: &Payload<'_>) -> Result<Self, KernelError> {
        Self::of_elf(payload.unpack()?)
    }

    /// Checks an ELF file, without copying it.
    ///
    /// # Errors
    /// [`KernelError::BadElf`], [`KernelError::NotPvh`].
    pub fn of_elf(file: Vec<u8>) -> Result<Self, KernelError> {
        let image = Image::parse(&file)?;
        Ok(Self { file, image })
    }

    /// The unpacked file.
    #[must_use]
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// What to write where, in order, at the addresses the kernel was linked for. Memory between segments is not touched.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        let chunks = self.image.segments.iter().map(|segment| {
            let bytes = self.file.get(segment.file.clone()).unwrap_or(&[]);
            let memory = &segment.memory;
            let zeroes = memory.start + bytes.len() as u64..memory.end;
            let zero = (!zeroes.is_empty()).then_some(Chunk::Zero(zeroes));
            [Some(Chunk::Copy(memory.start, bytes)), zero]
        });
        chunks.flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{locate, sample};

    use proptest::prelude::*;

    fn unpack(file: &[u8]) -> Result<Kernel, KernelError> {
        Kernel::unpack(&locate(file)?)
    }

    #[test]
    fn packed_elf_in_a_bzimage_is_found_unpacked_and_read() {
        // One raw block behind a header without sizes.
        let kernel = sample::kernel();
        let len = u32::try_from(kernel.len()).unwrap();
        let mut packed = alloc::vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x50];
        packed.extend_from_slice(&(len << 3 | 1).to_le_bytes()[..3]);
        packed.extend_from_slice(&kernel);
        packed.extend_from_slice(&len.to_le_bytes());
        let unpacked = unpack(&sample::bzimage(&packed)).unwrap();
        assert!(unpacked.file() == kernel);
        assert_eq!(Ok(unpacked), unpack(&kernel));
    }

    #[test]
    fn each_segment_is_copied_and_what_the_file_lacks_of_it_zeroed() {
        let kernel = unpack(&sample::kernel()).unwrap();
        assert_eq!(
            kernel.chunks().collect::<Vec<_>>(),
            [
                Chunk::Copy(0x100_0000, &[1; 0x40]),
                Chunk::Copy(0x120_0000, &[2; 0x20]),
                Chunk::Zero(0x120_0020..0x120_5000),
            ]
        );
    }

    /// With XEN_RS_TEST_KERNEL naming a bzImage, unpacks and reads it.
    #[test]
    fn real_kernel_is_unpacked_and_read() {
        let Some(path) = std::env::var_os("XEN_RS_TEST_KERNEL") else {
            return;
        };
        let file = std::fs::read(path).unwrap();
        let start = std::time::Instant::now();
        let kernel = unpack(&file).unwrap();
        let (took, len) = (start.elapsed(), kernel.file().len());
        std::println!("{len} bytes in {took:?}: {:?}", kernel.image);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = unpack(&bytes);
            let _ = unpack(&sample::bzimage(&bytes));
        }

        #[test]
        fn arbitrary_damage_to_a_kernel_is_survived(at in 0_usize..400, bytes in proptest::collection::vec(any::<u8>(), 1..16)) {
            let mut file = sample::kernel();
            for (place, byte) in file.iter_mut().skip(at).zip(&bytes) {
                *place = *byte;
            }
            if let Ok(kernel) = unpack(&file) {
                kernel.chunks().for_each(drop);
            }
        }
    }
}
