//! The unpacked kernel: loadable segments by physical address, and the notes that make it a PVH kernel.
//!
//! Both ELF classes are read; the file may be malformed. Virtual addresses and section headers are ignored. Source: System V ABI, "Program
//! Header"; `xen/include/public/elfnote.h`.

use std::ops::Range;

use super::KernelError;
use super::little_endian::{bytes_at, u16_at, u32_at, u64_at};
use super::notes::XenNotes;

/// Longest note segment, in bytes.
const NOTES_MAX: usize = 64 << 10;
/// Most program headers read.
const HEADERS_MAX: u16 = 64;
/// Kernels are entered in 32-bit mode: all of one is below 4 GiB.
const LIMIT: u64 = 1 << 32;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const CLASS: usize = 4;
const DATA: usize = 5;
const MACHINE: usize = 18;
const LITTLE_ENDIAN: u8 = 1;
const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;

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
    /// From its first byte to its last.
    pub extent: Range<u64>,
    /// Physical address of the 32-bit entry point.
    pub entry: u32,
    /// All notes.
    pub notes: XenNotes,
}

/// A program header, of either class.
struct ProgramHeader {
    kind: u32,
    offset: u64,
    physical: u64,
    file_size: u64,
    memory_size: u64,
    align: u64,
}

/// Reads an ELF kernel.
///
/// # Errors
/// [`KernelError::BadElf`], [`KernelError::NotPvh`].
pub fn parse(file: &[u8]) -> Result<Image, KernelError> {
    let mut segments = Vec::new();
    let mut notes = XenNotes::default();
    for header in program_headers(file)? {
        match header.kind {
            PT_LOAD if header.memory_size != 0 => segments.push(segment(file, &header)?),
            PT_NOTE => {
                let bytes = file.get(file_range(file, &header)?).unwrap_or(&[]);
                notes.read(bytes.get(..NOTES_MAX).unwrap_or(bytes), header.align)?;
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
    Ok(Image {
        segments,
        extent,
        entry,
        notes,
    })
}

/// Where the class keeps its fields: offset of the table's place, of the entry's size, and the smallest entry.
struct Class {
    wide: bool,
    table_at: usize,
    entry_size_at: usize,
    entry_size_min: u16,
}

fn class(file: &[u8]) -> Result<Class, KernelError> {
    if !file.starts_with(b"\x7fELF") {
        return Err(KernelError::BadElf("it does not begin with a magic number"));
    }
    match file.get(CLASS) {
        Some(1) => Ok(Class {
            wide: false,
            table_at: 28,
            entry_size_at: 42,
            entry_size_min: 32,
        }),
        Some(2) => Ok(Class {
            wide: true,
            table_at: 32,
            entry_size_at: 54,
            entry_size_min: 56,
        }),
        _ => Err(KernelError::BadElf("neither 32 nor 64 bits")),
    }
}

fn program_headers(file: &[u8]) -> Result<Vec<ProgramHeader>, KernelError> {
    let cut = KernelError::BadElf("program headers are cut short");
    let class = class(file)?;
    if file.get(DATA) != Some(&LITTLE_ENDIAN) {
        return Err(KernelError::BadElf("not little-endian"));
    }
    if !matches!(u16_at(file, MACHINE), Some(EM_386 | EM_X86_64)) {
        return Err(KernelError::BadElf("not for x86"));
    }
    let table = if class.wide {
        u64_at(file, class.table_at)
    } else {
        u32_at(file, class.table_at).map(u64::from)
    };
    let table = table.and_then(|at| usize::try_from(at).ok());
    let (Some(table), Some(entry_size), Some(count)) = (
        table,
        u16_at(file, class.entry_size_at),
        u16_at(file, class.entry_size_at + 2),
    ) else {
        return Err(cut);
    };
    if entry_size < class.entry_size_min {
        return Err(KernelError::BadElf("program headers are too small"));
    }
    if count > HEADERS_MAX {
        return Err(KernelError::BadElf("too many program headers"));
    }
    (0..usize::from(count))
        .map(|index| {
            let at = table.checked_add(index * usize::from(entry_size))?;
            program_header(file.get(at..)?, class.wide)
        })
        .collect::<Option<_>>()
        .ok_or(cut)
}

fn program_header(data: &[u8], wide: bool) -> Option<ProgramHeader> {
    if wide {
        let _: [u8; 56] = bytes_at(data, 0)?;
        return Some(ProgramHeader {
            kind: u32_at(data, 0)?,
            offset: u64_at(data, 8)?,
            physical: u64_at(data, 24)?,
            file_size: u64_at(data, 32)?,
            memory_size: u64_at(data, 40)?,
            align: u64_at(data, 48)?,
        });
    }
    let word = |at| u32_at(data, at).map(u64::from);
    Some(ProgramHeader {
        kind: u32_at(data, 0)?,
        offset: word(4)?,
        physical: word(12)?,
        file_size: word(16)?,
        memory_size: word(20)?,
        align: word(28)?,
    })
}

fn file_range(file: &[u8], header: &ProgramHeader) -> Result<Range<usize>, KernelError> {
    let outside = KernelError::BadElf("segment lies outside the file");
    let end = header.offset.checked_add(header.file_size);
    let end = end
        .and_then(|end| usize::try_from(end).ok())
        .filter(|end| *end <= file.len())
        .ok_or(outside)?;
    // At most the end, which fits.
    Ok(header.offset as usize..end)
}

fn segment(file: &[u8], header: &ProgramHeader) -> Result<Segment, KernelError> {
    if header.file_size > header.memory_size {
        return Err(KernelError::BadElf(
            "segment is larger in the file than in memory",
        ));
    }
    let end = header.physical.checked_add(header.memory_size);
    let end = end
        .filter(|end| *end <= LIMIT)
        .ok_or(KernelError::BadElf("segment lies above 4 GiB"))?;
    Ok(Segment {
        file: file_range(file, header)?,
        memory: header.physical..end,
    })
}

fn extent(segments: &[Segment]) -> Option<Range<u64>> {
    let start = segments.iter().map(|segment| segment.memory.start).min()?;
    let end = segments.iter().map(|segment| segment.memory.end).max()?;
    Some(start..end)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One note, padded to 4 bytes.
    pub(crate) fn note(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
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
    pub(crate) fn elf64(loads: &[(u64, &[u8], u64)], notes: &[u8]) -> Vec<u8> {
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

    /// A small kernel like Linux: two segments from 16 MiB.
    pub(crate) fn kernel() -> Vec<u8> {
        let mut notes = note(b"GNU\0", 3, b"odd");
        notes.extend(note(b"Xen\0", 6, b"linux\0"));
        notes.extend(note(b"Xen\0", 18, &0x100_0010_u64.to_le_bytes()));
        notes.extend(note(b"Xen\0", 17, &0x8801_u32.to_le_bytes()));
        elf64(
            &[
                (0x100_0000, &[1; 0x40], 0x40),
                (0x120_0000, &[2; 0x20], 0x5000),
            ],
            &notes,
        )
    }

    #[test]
    fn kernel_is_read_with_entry_extent_and_features() {
        let image = parse(&kernel()).unwrap();
        assert_eq!(image.entry, 0x100_0010);
        assert_eq!(image.extent, 0x100_0000..0x120_5000);
        assert_eq!(image.segments.len(), 2);
        assert_eq!(image.segments[1].memory, 0x120_0000..0x120_5000);
        assert_eq!(image.segments[1].file.len(), 0x20);
        assert!(image.notes.linux && image.notes.accepts_rsdp_anywhere());
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
            (0x10_0004, 0x10_0000..0x10_0100)
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
