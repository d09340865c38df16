//! The unpacked kernel: loadable segments by physical address, and the notes that make it a PVH kernel.
//!
//! Both ELF classes are read; the image may be malformed and need not be aligned. Virtual addresses and section headers are ignored. Source: System V ABI, "Program Header"; `xen/include/public/elfnote.h`.

use alloc::vec::Vec;

use xmas_elf::program::{ProgramHeader, Type};

use super::elf_headers::Headers;
use super::notes::XenNotes;
use super::{BuildError, PhysRange};

pub use super::notes::Relocation;

/// Longest note segment, in bytes.
const NOTES_MAX: usize = 64 << 10;
/// Kernels are entered in 32-bit mode: all of one is below 4 GiB.
const LIMIT: u64 = 1 << 32;

/// A loadable segment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    /// Its bytes in the file.
    file: core::ops::Range<usize>,
    /// Where it goes: the file's bytes, then zeroes.
    memory: PhysRange,
}

/// A validated kernel: all file ranges lie in the file, all addresses below 4 GiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    segments: Vec<Segment>,
    /// Whole pages it occupies at the address it was linked for.
    pub extent: PhysRange,
    /// Physical address of the 32-bit entry point at that address.
    pub entry: u32,
    /// Whether and whereto it may be moved.
    pub relocation: Option<Relocation>,
}

/// One step of loading.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// Copy these bytes to the address.
    Copy(u64, &'a [u8]),
    /// Fill the range with zeroes.
    Zero(PhysRange),
}

/// Reads an ELF kernel.
///
/// # Errors
/// [`BuildError::BadElf`], [`BuildError::NotPvh`], [`BuildError::NotDom0Capable`].
pub fn parse(image: &[u8]) -> Result<Image, BuildError> {
    let mut segments = Vec::new();
    let mut notes = XenNotes::default();
    let mut align = 0;
    for header in Headers::copied_from(image).read()?.program_iter() {
        match header.get_type() {
            Ok(Type::Load) if header.mem_size() != 0 => {
                align = header.align().max(align);
                segments.push(segment(image, header)?);
            }
            Ok(Type::Note) => {
                let bytes = image.get(file_range(image, header)?).unwrap_or(&[]);
                let bytes = bytes.get(..NOTES_MAX).unwrap_or(bytes);
                notes.read(bytes, header.align())?;
            }
            _ => {}
        }
    }
    let entry = notes.entry.ok_or(BuildError::NotPvh)?;
    if notes.denies_dom0() {
        return Err(BuildError::NotDom0Capable);
    }
    let extent = extent(&segments)?;
    if !segments
        .iter()
        .any(|segment| (segment.memory.start..segment.memory.end).contains(&u64::from(entry)))
    {
        return Err(BuildError::BadElf("entry point lies outside the segments"));
    }
    Ok(Image {
        segments,
        extent,
        entry,
        relocation: notes.relocation(align)?,
    })
}

impl Image {
    /// Entry point when the kernel is loaded with its extent starting at `base`; `None` beyond 4 GiB.
    #[must_use]
    pub fn entry_at(&self, base: u64) -> Option<u32> {
        let offset = u64::from(self.entry).checked_sub(self.extent.start)?;
        u32::try_from(base.checked_add(offset)?).ok()
    }

    /// Hands out, in order, what to write where so that the extent starts at `base`. `image` is what was parsed. Memory between segments
    /// is not touched.
    ///
    /// # Errors
    /// [`BuildError::BadElf`] when `image` is not what was parsed or `base` is beyond the address space.
    pub fn load<'a>(
        &self,
        image: &'a [u8],
        base: u64,
        mut write: impl FnMut(Chunk<'a>),
    ) -> Result<(), BuildError> {
        for segment in &self.segments {
            let bytes = image
                .get(segment.file.clone())
                .ok_or(BuildError::BadElf("segment lies outside the file"))?;
            let start = segment
                .memory
                .start
                .checked_sub(self.extent.start)
                .and_then(|offset| base.checked_add(offset))
                .ok_or(BuildError::BadElf("load address is out of range"))?;
            let end = start.saturating_add(segment.memory.len());
            write(Chunk::Copy(start, bytes));
            let rest = PhysRange {
                start: start.saturating_add(bytes.len() as u64),
                end,
            };
            if !rest.is_empty() {
                write(Chunk::Zero(rest));
            }
        }
        Ok(())
    }
}

fn file_range(
    image: &[u8],
    header: ProgramHeader<'_>,
) -> Result<core::ops::Range<usize>, BuildError> {
    let outside = BuildError::BadElf("segment lies outside the file");
    let (start, len) = (header.offset(), header.file_size());
    let end = start.checked_add(len).ok_or(outside)?;
    if end > image.len() as u64 {
        return Err(outside);
    }
    // Both are now at most the length of a slice.
    Ok(start as usize..end as usize)
}

fn segment(image: &[u8], header: ProgramHeader<'_>) -> Result<Segment, BuildError> {
    if header.file_size() > header.mem_size() {
        return Err(BuildError::BadElf(
            "segment is larger in the file than in memory",
        ));
    }
    let start = header.physical_addr();
    let end = start.checked_add(header.mem_size());
    let end = end.filter(|end| *end <= LIMIT);
    let end = end.ok_or(BuildError::BadElf("segment lies above 4 GiB"))?;
    Ok(Segment {
        file: file_range(image, header)?,
        memory: PhysRange { start, end },
    })
}

fn extent(segments: &[Segment]) -> Result<PhysRange, BuildError> {
    let start = segments.iter().map(|segment| segment.memory.start).min();
    let end = segments.iter().map(|segment| segment.memory.end).max();
    match (start, end) {
        (Some(start), Some(end)) => Ok(PhysRange { start, end }.pages_touched()),
        _ => Err(BuildError::BadElf("nothing to load")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    /// One note, padded to 4 bytes.
    pub(in super::super) fn note(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&u32::try_from(name.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(desc.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&kind.to_le_bytes());
        for part in [name, desc] {
            bytes.extend_from_slice(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    /// An ELF64 file with the loadable segments (paddr, bytes, memory size) and notes given.
    pub(in super::super) fn elf64(loads: &[(u64, &[u8], u64)], notes: &[u8]) -> Vec<u8> {
        let count = loads.len() + 1;
        let mut image = vec![0; 64 + 56 * count];
        image[..6].copy_from_slice(b"\x7fELF\x02\x01");
        image[18] = 62;
        image[32] = 64;
        image[54] = 56;
        image[56] = u8::try_from(count).unwrap();
        let note = (0, notes, notes.len() as u64);
        for (index, (paddr, bytes, memory)) in loads.iter().chain([&note]).enumerate() {
            let fields = [
                (8, image.len() as u64),
                (24, *paddr),
                (32, bytes.len() as u64),
                (40, *memory),
                (48, 0x1000),
            ];
            for (at, value) in fields {
                image[64 + 56 * index + at..][..8].copy_from_slice(&value.to_le_bytes());
            }
            image[64 + 56 * index] = if index < loads.len() { 1 } else { 4 };
            image.extend_from_slice(bytes);
        }
        image
    }

    /// A small kernel like Linux: two segments from 16 MiB, relocatable.
    pub(in super::super) fn kernel() -> Vec<u8> {
        let mut notes = note(b"GNU\0", 3, b"odd");
        notes.extend(note(b"Xen\0", 18, &0x100_0010_u64.to_le_bytes()));
        notes.extend(note(b"Xen\0", 17, &0x8801_u32.to_le_bytes()));
        let reloc: Vec<u8> = [0x20_0000_u32, 0x100_0000, 0x3fff_ffff]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        notes.extend(note(b"Xen\0", 19, &reloc));
        elf64(
            &[
                (0x100_0000, &[1; 0x40], 0x40),
                (0x120_0000, &[2; 0x20], 0x5000),
            ],
            &notes,
        )
    }

    #[test]
    fn kernel_is_read_with_entry_extent_and_relocation() {
        let image = parse(&kernel()).unwrap();
        assert_eq!(image.entry, 0x100_0010);
        assert_eq!(
            image.extent,
            PhysRange {
                start: 0x100_0000,
                end: 0x120_5000
            }
        );
        assert_eq!(
            image.relocation,
            Some(Relocation {
                align: 0x20_0000,
                min: 0x100_0000,
                max: 0x3fff_ffff
            })
        );
        assert_eq!(image.entry_at(0x200_0000), Some(0x200_0010));
        assert_eq!(image.entry_at(u64::MAX - 4), None);
    }

    #[test]
    fn loading_copies_then_zeroes_each_segment() {
        let file = kernel();
        let mut chunks = Vec::new();
        parse(&file)
            .unwrap()
            .load(&file, 0x400_0000, |chunk| chunks.push(chunk))
            .unwrap();
        assert_eq!(
            chunks,
            [
                Chunk::Copy(0x400_0000, &[1; 0x40]),
                Chunk::Copy(0x420_0000, &[2; 0x20]),
                Chunk::Zero(PhysRange {
                    start: 0x420_0020,
                    end: 0x420_5000
                }),
            ]
        );
    }

    #[test]
    fn entry_note_may_have_four_bytes_and_relocation_defaults() {
        let mut notes = note(b"Xen\0", 18, &0x1000_u32.to_le_bytes());
        notes.extend(note(b"Xen\0", 19, &[]));
        let image = parse(&elf64(&[(0x1000, &[0; 4], 4)], &notes)).unwrap();
        assert_eq!(
            (image.entry, image.relocation),
            (
                0x1000,
                Some(Relocation {
                    align: 0x1000,
                    min: 0,
                    max: 0xffff_ffff
                })
            )
        );
    }

    #[test]
    fn kernels_that_cannot_be_a_pvh_dom0_are_refused_with_the_reason() {
        let load: &[(u64, &[u8], u64)] = &[(0x1000, &[0; 4], 4)];
        assert_eq!(parse(&elf64(load, &[])), Err(BuildError::NotPvh));
        let entry = note(b"Xen\0", 18, &0x1000_u32.to_le_bytes());
        let no_dom0 = [entry.clone(), note(b"Xen\0", 17, &1_u32.to_le_bytes())].concat();
        assert_eq!(
            parse(&elf64(load, &no_dom0)),
            Err(BuildError::NotDom0Capable)
        );
        let outside = note(b"Xen\0", 18, &0x2000_u32.to_le_bytes());
        assert!(matches!(
            parse(&elf64(load, &outside)),
            Err(BuildError::BadElf(_))
        ));
        assert!(matches!(
            parse(&elf64(&[(0xffff_fff0, &[0; 4], 0x20)], &entry)),
            Err(BuildError::BadElf(_))
        ));
        assert!(matches!(
            parse(&elf64(&[(0x1000, &[0; 4], 2)], &entry)),
            Err(BuildError::BadElf(_))
        ));
        let wide = note(b"Xen\0", 18, &(1_u64 << 33).to_le_bytes());
        assert!(matches!(
            parse(&elf64(load, &wide)),
            Err(BuildError::BadElf(_))
        ));
    }

    #[test]
    fn elf32_is_read_too() {
        let notes = note(b"Xen\0", 18, &0x10_0004_u32.to_le_bytes());
        let mut image = vec![0; 52 + 64];
        image[..6].copy_from_slice(b"\x7fELF\x01\x01");
        image[18] = 3;
        image[28] = 52;
        image[42] = 32;
        image[44] = 2;
        let total = u32::try_from(notes.len()).unwrap();
        for (at, value) in [
            (52, 1),
            (56, 116),
            (64, 0x10_0000),
            (68, 8),
            (72, 0x100),
            (84, 4),
            (88, 124),
            (100, total),
            (104, total),
        ] {
            image[at..][..4].copy_from_slice(&u32::to_le_bytes(value));
        }
        image.extend_from_slice(&[9; 8]);
        image.extend_from_slice(&notes);
        let parsed = parse(&image).unwrap();
        assert_eq!(
            (parsed.entry, parsed.extent),
            (
                0x10_0004,
                PhysRange {
                    start: 0x10_0000,
                    end: 0x10_1000
                }
            )
        );
    }

    #[test]
    fn every_truncation_is_an_error() {
        let image = kernel();
        for len in 0..image.len() {
            assert!(parse(&image[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn image_may_lie_at_any_address() {
        let image = kernel();
        for shift in 1..8 {
            let moved = [&vec![0; shift], &*image].concat();
            assert_eq!(parse(&moved[shift..]), parse(&image), "{shift}");
        }
    }

    #[test]
    fn wild_program_header_tables_are_survived() {
        let wild: Vec<u64> = (0..72)
            .flat_map(|n| [n, (1 << 16) - n, (1 << 32) - n, u64::MAX - n])
            .collect();
        // File header fields: offset, then size and number of entries.
        for (at, len) in [(32, 8), (54, 2), (56, 2)] {
            for value in &wild {
                let mut image = kernel();
                image[at..][..len].copy_from_slice(&value.to_le_bytes()[..len]);
                for class in [1, 2] {
                    image[4] = class;
                    drop(parse(&image));
                }
            }
        }
        let mut far = kernel();
        far.resize(1 << 20, 0);
        far[34] = 8;
        assert!(matches!(parse(&far), Err(BuildError::BadElf(_))));
    }

    #[test]
    fn every_damaged_byte_is_survived() {
        let image = kernel();
        for at in 0..image.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = image.clone();
                damaged[at] = value;
                if let Ok(parsed) = parse(&damaged) {
                    parsed.load(&damaged, 0x100_0000, |_| ()).unwrap();
                }
            }
        }
    }
}
