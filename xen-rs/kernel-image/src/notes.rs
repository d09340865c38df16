//! ELF notes of a kernel (`xen/include/public/elfnote.h`): entry point, permission to move it, name of the system, features.
//!
//! `xmas_elf` hands out only the first note of a segment, and those of ELF64 only, so the list is walked here.

use xen_abi::elfnote::{
    XEN_ELFNOTE_GUEST_OS, XEN_ELFNOTE_NAME, XEN_ELFNOTE_PHYS32_ENTRY, XEN_ELFNOTE_PHYS32_RELOC,
    XEN_ELFNOTE_SUPPORTED_FEATURES,
};
use xen_abi::features::{XENFEAT_DOM0, XENFEAT_LINUX_RSDP_UNRESTRICTED};

use crate::KernelError;
use crate::little_endian::{u32_at, u64_at};

/// Alignment when neither the note nor the program headers give one.
const DEFAULT_ALIGN: u64 = 0x20_0000;
const PAGE: u64 = 4096;

/// Where a kernel may be moved to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Alignment of its start in bytes, a power of two.
    pub align: u64,
    /// Lowest address of its first byte.
    pub min: u64,
    /// Highest address of its last byte.
    pub max: u64,
}

/// What the notes say.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct XenNotes {
    /// Physical address of the 32-bit entry point.
    pub entry: Option<u32>,
    /// Feature bits 0 to 31, when given.
    pub features: Option<u32>,
    /// The system is Linux.
    pub linux: bool,
    /// The relocation note's words, when there is one.
    reloc: Option<[Option<u32>; 3]>,
}

impl XenNotes {
    /// Whether the kernel excludes being dom0. One without the note is let through, as in Xen.
    #[must_use]
    pub fn denies_dom0(&self) -> bool {
        self.features
            .is_some_and(|bits| bits & (1 << XENFEAT_DOM0) == 0)
    }

    /// Whether the RSDP may lie anywhere: old Linux looks for it in the BIOS area only.
    #[must_use]
    pub fn accepts_rsdp_anywhere(&self) -> bool {
        let bits = self.features.unwrap_or(0);
        !self.linux || bits & (1 << XENFEAT_LINUX_RSDP_UNRESTRICTED) != 0
    }

    /// Reads one note segment. `align` is the segment's: 8 pads to 8 bytes, anything else to 4.
    pub(crate) fn read(&mut self, mut segment: &[u8], align: u64) -> Result<(), KernelError> {
        let align = if align == 8 { 8 } else { 4 };
        while !segment.is_empty() {
            let (note, rest) = split(segment, align)
                .ok_or(KernelError::BadElf("note reaches beyond its segment"))?;
            if note.name == XEN_ELFNOTE_NAME {
                self.take(&note)?;
            }
            segment = rest;
        }
        Ok(())
    }

    fn take(&mut self, note: &Note<'_>) -> Result<(), KernelError> {
        let desc = note.desc;
        match note.kind {
            XEN_ELFNOTE_PHYS32_ENTRY => {
                let malformed = KernelError::BadElf("PHYS32_ENTRY note is malformed");
                self.entry = Some(number(desc).ok_or(malformed)?);
            }
            XEN_ELFNOTE_SUPPORTED_FEATURES => self.features = number(desc),
            XEN_ELFNOTE_GUEST_OS => self.linux = desc.strip_suffix(&[0]) == Some(b"linux"),
            XEN_ELFNOTE_PHYS32_RELOC => {
                self.reloc = Some([u32_at(desc, 0), u32_at(desc, 4), u32_at(desc, 8)]);
            }
            _ => {}
        }
        Ok(())
    }

    /// The relocation note with its defaults; `segment_align` is the largest alignment of a loadable segment.
    pub(crate) fn relocation(&self, segment_align: u64) -> Result<Option<Relocation>, KernelError> {
        let Some([align, min, max]) = self.reloc else {
            return Ok(None);
        };
        let fallback = if segment_align >= PAGE {
            segment_align
        } else {
            DEFAULT_ALIGN
        };
        let align = align.map_or(fallback, u64::from);
        if !align.is_power_of_two() {
            return Err(KernelError::BadElf(
                "PHYS32_RELOC alignment is not a power of two",
            ));
        }
        let min = u64::from(min.unwrap_or(0));
        let max = u64::from(max.unwrap_or(u32::MAX));
        Ok(Some(Relocation {
            align: align.max(PAGE),
            min,
            max,
        }))
    }
}

/// One note.
struct Note<'a> {
    kind: u32,
    name: &'a [u8],
    desc: &'a [u8],
}

/// The first note and what follows it; `None` when it is cut short.
fn split(data: &[u8], align: usize) -> Option<(Note<'_>, &[u8])> {
    let name_len = u32_at(data, 0)? as usize;
    let desc_len = u32_at(data, 4)? as usize;
    let kind = u32_at(data, 8)?;
    let name = data.get(12..)?.get(..name_len)?;
    let desc_at = name_len.checked_add(12)?.checked_next_multiple_of(align)?;
    let desc = data.get(desc_at..)?.get(..desc_len)?;
    let end = desc_at
        .checked_add(desc_len)?
        .checked_next_multiple_of(align)?;
    // The last note may lack its padding.
    Some((Note { kind, name, desc }, data.get(end..).unwrap_or(&[])))
}

/// A numeric descriptor of 4 or 8 bytes whose value fits 32 bits.
fn number(desc: &[u8]) -> Option<u32> {
    match desc.len() {
        4 => u32_at(desc, 0),
        8 => u32::try_from(u64_at(desc, 0)?).ok(),
        _ => None,
    }
}
