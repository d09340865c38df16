//! The unpacked kernel: loadable segments by physical address, and the notes that make it a PVH kernel.
//!
//! Both ELF classes are read; the image may be malformed and need not be aligned. Virtual addresses and section headers are ignored. Source: System V ABI, "Program Header"; `xen/include/public/elfnote.h`.

use alloc::vec::Vec;
use core::ops::Range;

use xmas_elf::program::{ProgramHeader, Type};

use crate::elf_headers::Headers;
use crate::{KernelError, Relocation, XenNotes};

/// Longest note segment, in bytes.
const NOTES_MAX: usize = 64 << 10;
/// Kernels are entered in 32-bit mode: all of one is below 4 GiB.
const LIMIT: u64 = 1 << 32;

/// Extents are whole pages.
const PAGE: u64 = 4096;

/// A loadable segment: the file's bytes, then zeroes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its bytes in the file.
    pub file: Range<usize>,
    /// Where it goes, in guest-physical addresses.
    pub memory: Range<u64>,
}

/// A validated kernel: all file ranges lie in the file, all addresses below 4 GiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// In the file's order.
    pub segments: Vec<Segment>,
    /// Whole pages it occupies at the address it was linked for.
    pub extent: Range<u64>,
    /// Physical address of the 32-bit entry point at that address.
    pub entry: u32,
    /// All notes.
    pub notes: XenNotes,
    /// Largest alignment of a segment.
    align: u64,
}

impl Image {
    /// Reads an ELF kernel.
    ///
    /// # Errors
    /// [`KernelError::BadElf`], [`KernelError::NotPvh`].
    pub fn parse(file: &[u8]) -> Result<Self, KernelError> {
        let mut segments = Vec::new();
        let mut notes = XenNotes::default();
        let mut align = 0;
        for header in Headers::copied_from(file).read()?.program_iter() {
            match header.get_type() {
                Ok(Type::Load) if header.mem_size() != 0 => {
                    align = header.align().max(align);
                    segments.push(segment(file, header)?);
                }
                Ok(Type::Note) => {
                    let bytes = file.get(file_range(file, header)?).unwrap_or(&[]);
                    let bytes = bytes.get(..NOTES_MAX).unwrap_or(bytes);
                    notes.read(bytes, header.align())?;
                }
                _ => {}
            }
        }
        let entry = notes.entry.ok_or(KernelError::NotPvh)?;
        let extent = extent(&segments).ok_or(KernelError::BadElf("nothing to load"))?;
        let inside = |segment: &Segment| segment.memory.contains(&u64::from(entry));
        if !segments.iter().any(inside) {
            return Err(KernelError::BadElf("entry point lies outside the segments"));
        }
        Ok(Self {
            segments,
            extent,
            entry,
            notes,
            align,
        })
    }

    /// Whether and whereto it may be moved.
    ///
    /// # Errors
    /// [`KernelError::BadElf`]: the note makes no sense.
    pub fn relocation(&self) -> Result<Option<Relocation>, KernelError> {
        self.notes.relocation(self.align)
    }

    /// Entry point when the kernel is loaded with its extent starting at `base`; `None` beyond 4 GiB.
    #[must_use]
    pub fn entry_at(&self, base: u64) -> Option<u32> {
        let offset = u64::from(self.entry).checked_sub(self.extent.start)?;
        u32::try_from(base.checked_add(offset)?).ok()
    }
}

fn file_range(file: &[u8], header: ProgramHeader<'_>) -> Result<Range<usize>, KernelError> {
    let outside = KernelError::BadElf("segment lies outside the file");
    let (start, len) = (header.offset(), header.file_size());
    let end = start.checked_add(len).ok_or(outside)?;
    if end > file.len() as u64 {
        return Err(outside);
    }
    // Both are now at most the length of a slice.
    Ok(start as usize..end as usize)
}

fn segment(file: &[u8], header: ProgramHeader<'_>) -> Result<Segment, KernelError> {
    if header.file_size() > header.mem_size() {
        return Err(KernelError::BadElf(
            "segment is larger in the file than in memory",
        ));
    }
    let start = header.physical_addr();
    let end = start.checked_add(header.mem_size());
    let end = end.filter(|end| *end <= LIMIT);
    let end = end.ok_or(KernelError::BadElf("segment lies above 4 GiB"))?;
    Ok(Segment {
        file: file_range(file, header)?,
        memory: start..end,
    })
}

fn extent(segments: &[Segment]) -> Option<Range<u64>> {
    let start = segments.iter().map(|segment| segment.memory.start).min()?;
    let end = segments.iter().map(|segment| segment.memory.end).max()?;
    Some(start / PAGE * PAGE..end.next_multiple_of(PAGE))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::sample::{elf64, kernel, note};

    fn parse(file: &[u8]) -> Result<Image, KernelError> {
        Image::parse(file)
    }

    #[test]
    fn kernel_is_read_with_entry_extent_features_and_relocation() {
        let image = parse(&kernel()).unwrap();
        assert_eq!(image.entry, 0x100_0010);
        assert_eq!(image.extent, 0x100_0000..0x120_5000);
        assert_eq!(image.segments.len(), 2);
        assert_eq!(image.segments[1].memory, 0x120_0000..0x120_5000);
        assert_eq!(image.segments[1].file.len(), 0x20);
        assert!(image.notes.linux && image.notes.accepts_rsdp_anywhere());
        assert!(!image.notes.denies_dom0());
        assert_eq!(
            image.relocation(),
            Ok(Some(Relocation {
                align: 0x20_0000,
                min: 0x100_0000,
                max: 0x3fff_ffff
            }))
        );
        assert_eq!(image.entry_at(0x200_0000), Some(0x200_0010));
        assert_eq!(image.entry_at(u64::MAX - 4), None);
    }

    #[test]
    fn old_linux_wants_its_rsdp_in_the_bios_area() {
        let mut notes = note(b"Xen\0", 18, &0x1000_u32.to_le_bytes());
        let anywhere = |notes: &[u8]| {
            let image = parse(&elf64(&[(0x1000, &[0; 4], 4)], notes)).unwrap();
            image.notes.accepts_rsdp_anywhere()
        };
        assert!(anywhere(&notes));
        notes.extend(note(b"Xen\0", 6, b"linux\0"));
        assert!(!anywhere(&notes));
    }

    #[test]
    fn kernel_may_exclude_being_dom0() {
        let entry = note(b"Xen\0", 18, &0x1000_u32.to_le_bytes());
        let features = note(b"Xen\0", 17, &1_u32.to_le_bytes());
        let denies = |notes: &[u8]| {
            let image = parse(&elf64(&[(0x1000, &[0; 4], 4)], notes)).unwrap();
            image.notes.denies_dom0()
        };
        assert!(!denies(&entry));
        assert!(denies(&[entry, features].concat()));
    }

    #[test]
    fn entry_note_may_have_four_bytes_and_relocation_defaults() {
        let mut notes = note(b"Xen\0", 18, &0x1000_u32.to_le_bytes());
        notes.extend(note(b"Xen\0", 19, &[]));
        let image = parse(&elf64(&[(0x1000, &[0; 4], 4)], &notes)).unwrap();
        assert_eq!(
            (image.entry, image.relocation()),
            (
                0x1000,
                Ok(Some(Relocation {
                    align: 0x1000,
                    min: 0,
                    max: 0xffff_ffff
                }))
            )
        );
    }

    #[test]
    fn alignment_that_is_no_power_of_two_forbids_moving_only() {
        let mut notes = note(b"Xen\0", 18, &0x1000_u32.to_le_bytes());
        notes.extend(note(b"Xen\0", 19, &0x3000_u32.to_le_bytes()));
        let image = parse(&elf64(&[(0x1000, &[0; 4], 4)], &notes)).unwrap();
        assert!(matches!(image.relocation(), Err(KernelError::BadElf(_))));
    }

    #[test]
    fn kernels_that_cannot_be_started_are_refused_with_the_reason() {
        let load: &[(u64, &[u8], u64)] = &[(0x1000, &[0; 4], 4)];
        assert_eq!(parse(&elf64(load, &[])), Err(KernelError::NotPvh));
        let entry = note(b"Xen\0", 18, &0x1000_u32.to_le_bytes());
        let wide = note(b"Xen\0", 18, &(1_u64 << 33).to_le_bytes());
        let outside = note(b"Xen\0", 18, &0x2000_u32.to_le_bytes());
        let broken = [
            elf64(load, &outside),
            elf64(load, &wide),
            elf64(&[(0xffff_fff0, &[0; 4], 0x20)], &entry),
            elf64(&[(0x1000, &[0; 4], 2)], &entry),
        ];
        for file in broken {
            assert!(matches!(parse(&file), Err(KernelError::BadElf(_))));
        }
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
            (0x10_0004, 0x10_0000..0x10_1000)
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
    fn missing_section_headers_are_noticed() {
        let mut image = kernel();
        let end = u64::try_from(image.len()).unwrap();
        image[40..48].copy_from_slice(&end.to_le_bytes());
        image[58] = 64;
        image[60] = 3;
        assert_eq!(
            parse(&image),
            Err(KernelError::BadElf("section headers are cut short"))
        );
        image.resize(image.len() + 3 * 64, 0);
        assert!(parse(&image).is_ok());
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
        assert!(matches!(parse(&far), Err(KernelError::BadElf(_))));
    }

    #[test]
    fn every_damaged_byte_is_survived() {
        let image = kernel();
        for at in 0..image.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = image.clone();
                damaged[at] = value;
                if let Ok(parsed) = parse(&damaged) {
                    for segment in parsed.segments {
                        assert!(damaged.get(segment.file).is_some());
                    }
                }
            }
        }
    }
}
