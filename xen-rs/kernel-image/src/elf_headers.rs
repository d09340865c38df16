//! ELF headers of an untrusted file, fit to be read by `xmas_elf`.
//!
//! That crate borrows headers from the file as it lies in memory, and asserts their alignment and extent. So the beginning of the file is
//! copied to aligned memory, and what would be asserted is checked first. It is used for the headers only: its access to segments asserts
//! too, and its access to notes knows the first of a segment and only ELF64, and trusts the lengths found there.

use alloc::vec;
use alloc::vec::Vec;

use xmas_elf::ElfFile;
use xmas_elf::header::{Class, Data, Machine};
use zerocopy::IntoBytes;

use crate::KernelError;

/// The program headers end by this offset, in bytes. Linkers put them right behind the file header.
const END_MAX: usize = 64 << 10;
/// Most program headers read.
const COUNT_MAX: u16 = 64;

/// The beginning of the file, aligned for every header field.
pub(super) struct Headers {
    words: Vec<u64>,
    len: usize,
    file_len: usize,
}

impl Headers {
    /// Copies what may hold headers.
    pub fn copied_from(image: &[u8]) -> Self {
        let len = image.len().min(END_MAX);
        let mut words = vec![0; len.div_ceil(size_of::<u64>())];
        words.as_mut_bytes()[..len].copy_from_slice(&image[..len]);
        Self {
            words,
            len,
            file_len: image.len(),
        }
    }

    /// The file header, with program headers that can all be read.
    ///
    /// # Errors
    /// [`KernelError::BadElf`].
    pub fn read(&self) -> Result<ElfFile<'_>, KernelError> {
        let file = ElfFile::new(&self.words.as_bytes()[..self.len]).map_err(KernelError::BadElf)?;
        if file.header.pt1.data() != Data::LittleEndian {
            return Err(KernelError::BadElf("not little-endian"));
        }
        let machine = file.header.pt2.machine().as_machine();
        if !matches!(machine, Machine::X86 | Machine::X86_64) {
            return Err(KernelError::BadElf("not for x86"));
        }
        check_program_headers(&file)?;
        self.check_section_headers(&file)?;
        Ok(file)
    }

    /// Section headers are not used. Linkers put them last, so that a file which was cut lacks them; Xen refuses it, too.
    fn check_section_headers(&self, file: &ElfFile<'_>) -> Result<(), KernelError> {
        let header = &file.header.pt2;
        let size = u64::from(header.sh_entry_size()) * u64::from(header.sh_count());
        match header.sh_offset().checked_add(size) {
            Some(end) if end <= self.file_len as u64 => Ok(()),
            _ => Err(KernelError::BadElf("section headers are cut short")),
        }
    }
}

fn check_program_headers(file: &ElfFile<'_>) -> Result<(), KernelError> {
    let header = &file.header.pt2;
    // Size and alignment of an entry; alignments are powers of two.
    let (size, align) = match file.header.pt1.class() {
        Class::ThirtyTwo => (32, 4),
        _ => (56, 8),
    };
    let (entry_size, count) = (header.ph_entry_size(), header.ph_count());
    if entry_size < size {
        return Err(KernelError::BadElf("program headers are too small"));
    }
    if count > COUNT_MAX {
        return Err(KernelError::BadElf("too many program headers"));
    }
    if !(header.ph_offset() | u64::from(entry_size)).is_multiple_of(align) {
        return Err(KernelError::BadElf("program headers are misaligned"));
    }
    let table_size = u64::from(entry_size) * u64::from(count);
    match header.ph_offset().checked_add(table_size) {
        Some(end) if end <= file.input.len() as u64 => Ok(()),
        _ => Err(KernelError::BadElf(
            "program headers are cut short or too far from the beginning",
        )),
    }
}
