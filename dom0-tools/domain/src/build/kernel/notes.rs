//! ELF notes of a kernel (`xen/include/public/elfnote.h`): entry point, name of the system, features.

use xen_abi::elfnote::{
    XEN_ELFNOTE_GUEST_OS, XEN_ELFNOTE_NAME, XEN_ELFNOTE_PHYS32_ENTRY,
    XEN_ELFNOTE_SUPPORTED_FEATURES,
};

use super::KernelError;
use super::little_endian::{u32_at, u64_at};

/// `XENFEAT_linux_rsdp_unrestricted`: Linux accepts an RSDP anywhere.
const FEATURE_RSDP_UNRESTRICTED: u32 = 15;

/// What the notes say.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct XenNotes {
    /// Physical address of the 32-bit entry point.
    pub entry: Option<u32>,
    /// Feature bits 0 to 31.
    pub features: u32,
    /// The system is Linux.
    pub linux: bool,
}

impl XenNotes {
    /// Whether the RSDP may lie anywhere: old Linux looks for it in the BIOS area only.
    pub fn accepts_rsdp_anywhere(&self) -> bool {
        !self.linux || self.features & (1 << FEATURE_RSDP_UNRESTRICTED) != 0
    }

    /// Reads one note segment. `align` is the segment's: 8 pads to 8 bytes, anything else to 4.
    pub(super) fn read(&mut self, mut segment: &[u8], align: u64) -> Result<(), KernelError> {
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
        match note.kind {
            XEN_ELFNOTE_PHYS32_ENTRY => {
                let malformed = KernelError::BadElf("PHYS32_ENTRY note is malformed");
                self.entry = Some(number(note.desc).ok_or(malformed)?);
            }
            XEN_ELFNOTE_SUPPORTED_FEATURES => self.features = number(note.desc).unwrap_or(0),
            XEN_ELFNOTE_GUEST_OS => self.linux = note.desc.strip_suffix(&[0]) == Some(b"linux"),
            _ => {}
        }
        Ok(())
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
