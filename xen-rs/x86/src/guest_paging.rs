//! Walking a guest's own page tables (AMD APM volume 2, "Page Translation and Protection"; Intel SDM volume 3, "Paging").
//!
//! Pure: guest-physical words come through a closure. The walk sets accessed and dirty bits as hardware does.

use xen_core::ids::Gpa;

/// Control state that decides how linear addresses translate.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct PagingState {
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER.
    pub efer: u64,
    /// RFLAGS, for AC.
    pub rflags: u64,
}

/// Kind of access.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessKind {
    /// A write.
    pub write: bool,
    /// At privilege level 3.
    pub user: bool,
    /// An instruction fetch.
    pub fetch: bool,
    /// An implicit supervisor access (descriptor tables), which SMAP always checks.
    pub implicit: bool,
}

/// The error code of the page fault the guest would get.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PageFault(pub u32);

/// Access to table entries.
pub trait Tables {
    /// Reads a word of 4 or 8 bytes.
    fn read(&mut self, at: Gpa, size: u8) -> Option<u64>;
    /// Sets accessed and dirty bits if the word still is `old`; failures do not matter.
    fn set_bits(&mut self, at: Gpa, size: u8, old: u64, bits: u64);
}

const CR0_WP: u64 = 1 << 16;
const CR0_PG: u64 = 1 << 31;
const CR4_PSE: u64 = 1 << 4;
const CR4_PAE: u64 = 1 << 5;
const CR4_LA57: u64 = 1 << 12;
const CR4_SMEP: u64 = 1 << 20;
const CR4_SMAP: u64 = 1 << 21;
const EFER_LMA: u64 = 1 << 10;
const EFER_NXE: u64 = 1 << 11;
const RFLAGS_AC: u64 = 1 << 18;
const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;
const USER: u64 = 4;
const ACCESSED: u64 = 0x20;
const DIRTY: u64 = 0x40;
const LARGE: u64 = 0x80;
const NO_EXECUTE: u64 = 1 << 63;
/// Bit of an error code: the entry has a bit set that must not be.
const RESERVED: u64 = 1 << 3;
/// Pages of 1 GiB: entries of higher levels are never pages.
const LARGEST_LEVEL: u32 = 2;
const FRAME: u64 = 0x000f_ffff_ffff_f000;

struct Format {
    levels: u32,
    size: u8,
    index_bits: u32,
}

impl PagingState {
    /// The same without the flags that have no part in translation, for comparing.
    #[must_use]
    pub const fn relevant(self) -> Self {
        Self {
            rflags: self.rflags & RFLAGS_AC,
            ..self
        }
    }

    fn format(&self) -> Option<Format> {
        Some(
            match (
                self.cr0 & CR0_PG != 0,
                self.cr4 & CR4_PAE != 0,
                self.efer & EFER_LMA != 0,
            ) {
                (false, ..) => return None,
                (_, _, true) => Format {
                    levels: if self.cr4 & CR4_LA57 != 0 { 5 } else { 4 },
                    size: 8,
                    index_bits: 9,
                },
                (_, true, _) => Format {
                    levels: 3,
                    size: 8,
                    index_bits: 9,
                },
                _ => Format {
                    levels: 2,
                    size: 4,
                    index_bits: 10,
                },
            },
        )
    }

    /// Guest-physical address of `linear` for this access.
    ///
    /// # Errors
    /// The page fault the guest would get.
    pub fn translate<T: Tables + ?Sized>(
        &self,
        linear: u64,
        access: AccessKind,
        tables: &mut T,
    ) -> Result<Gpa, PageFault> {
        let Some(format) = self.format() else {
            return Ok(Gpa(linear & 0xffff_ffff));
        };
        let linear = if self.efer & EFER_LMA == 0 {
            linear & 0xffff_ffff
        } else {
            linear
        };
        let (mut base, mut rights) = (self.root(&format), WRITABLE | USER);
        let mut no_execute = false;
        for level in (0..format.levels).rev() {
            let shift = 12 + level * format.index_bits;
            let index = linear >> shift & ((1 << format.index_bits) - 1);
            let at = Gpa(base + index * u64::from(format.size));
            let word = tables
                .read(at, format.size)
                .ok_or_else(|| self.fault(0, access))?;
            if word & PRESENT == 0 {
                return Err(self.fault(0, access));
            }
            // The four top entries of PAE carry no rights.
            let is_pointer_table = format.levels == 3 && level == 2;
            if !is_pointer_table {
                rights &= word;
                no_execute |=
                    format.size == 8 && word & NO_EXECUTE != 0 && self.efer & EFER_NXE != 0;
            }
            let large = self
                .is_large(&format, level, word)
                .ok_or_else(|| self.fault(PRESENT | RESERVED, access))?;
            if level > 0 && !large {
                if !is_pointer_table && word & ACCESSED == 0 {
                    tables.set_bits(at, format.size, word, ACCESSED);
                }
                base = word & if format.size == 8 { FRAME } else { 0xffff_f000 };
                continue;
            }
            self.check(rights, no_execute, access)?;
            let bits = ACCESSED | if access.write { DIRTY } else { 0 };
            if word & bits != bits {
                tables.set_bits(at, format.size, word, bits);
            }
            let mask = (1u64 << shift) - 1;
            let frame = if format.size == 8 {
                word & FRAME
            } else {
                word & 0xffff_f000 | if large { (word >> 13 & 0xff) << 32 } else { 0 }
            };
            return Ok(Gpa(frame & !mask | linear & mask));
        }
        Err(self.fault(0, access))
    }

    /// Whether an entry above the lowest level is a page itself. `None` if it says so where there are no pages.
    const fn is_large(&self, format: &Format, level: u32, word: u64) -> Option<bool> {
        let is_pointer_table = format.levels == 3 && level == 2;
        let is_large = level > 0
            && !is_pointer_table
            && word & LARGE != 0
            && (format.size == 8 || self.cr4 & CR4_PSE != 0);
        if is_large && level > LARGEST_LEVEL {
            None
        } else {
            Some(is_large)
        }
    }

    fn root(&self, format: &Format) -> u64 {
        match format.levels {
            2 => self.cr3 & 0xffff_f000,
            3 => self.cr3 & 0xffff_ffe0,
            _ => self.cr3 & FRAME,
        }
    }

    fn check(&self, rights: u64, no_execute: bool, access: AccessKind) -> Result<(), PageFault> {
        let user_page = rights & USER != 0;
        let denied = if access.user {
            !user_page || (access.write && rights & WRITABLE == 0)
        } else {
            let smap =
                self.cr4 & CR4_SMAP != 0 && (access.implicit || self.rflags & RFLAGS_AC == 0);
            (access.write && rights & WRITABLE == 0 && self.cr0 & CR0_WP != 0)
                || (user_page && access.fetch && self.cr4 & CR4_SMEP != 0)
                || (user_page && !access.fetch && smap)
        };
        if denied || (access.fetch && no_execute) {
            Err(self.fault(PRESENT, access))
        } else {
            Ok(())
        }
    }

    fn fault(&self, present: u64, access: AccessKind) -> PageFault {
        let fetch = access.fetch && (self.efer & EFER_NXE != 0 || self.cr4 & CR4_SMEP != 0);
        PageFault(
            present as u32
                | (u32::from(access.write) << 1)
                | (u32::from(access.user) << 2)
                | (u32::from(fetch) << 4),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Memory(BTreeMap<u64, u64>);

    impl Tables for Memory {
        fn read(&mut self, at: Gpa, _: u8) -> Option<u64> {
            (at.0 < 0x10_0000).then(|| self.0.get(&at.0).copied().unwrap_or(0))
        }
        fn set_bits(&mut self, at: Gpa, _: u8, old: u64, bits: u64) {
            self.0.insert(at.0, old | bits);
        }
    }

    fn long_mode() -> PagingState {
        PagingState {
            cr0: CR0_PG | CR0_WP | 1,
            cr3: 0x1000,
            cr4: CR4_PAE,
            efer: EFER_LMA | EFER_NXE,
            rflags: 2,
        }
    }

    fn mapped(leaf: u64) -> Memory {
        let mut memory = Memory::default();
        for (at, word) in [
            (0x1000, 0x2007),
            (0x2000, 0x3007),
            (0x3000, 0x4007),
            (0x4008, leaf),
        ] {
            memory.0.insert(at, word);
        }
        memory
    }

    #[test]
    fn a_write_sets_accessed_and_dirty_bits() {
        let mut memory = mapped(0x9007);
        let write = AccessKind {
            write: true,
            ..AccessKind::default()
        };
        assert_eq!(
            long_mode().translate(0x1234, write, &mut memory),
            Ok(Gpa(0x9234))
        );
        assert_eq!(memory.0[&0x4008], 0x9067);
        assert_eq!(memory.0[&0x1000], 0x2027);
    }

    #[test]
    fn smap_refuses_user_pages_unless_ac_is_set() {
        let mut state = long_mode();
        state.cr4 |= CR4_SMAP;
        let read = AccessKind::default();
        assert_eq!(
            state.translate(0x1000, read, &mut mapped(0x9007)),
            Err(PageFault(1))
        );
        state.rflags |= RFLAGS_AC;
        assert_eq!(
            state.translate(0x1000, read, &mut mapped(0x9007)),
            Ok(Gpa(0x9000))
        );
    }

    #[test]
    fn kernel_writes_to_read_only_pages_fault_with_write_protection() {
        let write = AccessKind {
            write: true,
            ..AccessKind::default()
        };
        assert_eq!(
            long_mode().translate(0x1000, write, &mut mapped(0x9005)),
            Err(PageFault(3))
        );
    }

    #[test]
    fn entries_above_a_gigabyte_are_never_pages() {
        let read = AccessKind::default();
        let mut memory = mapped(0x9007);
        memory.0.insert(0x2000, 0x87);
        assert_eq!(
            long_mode().translate(0x1234, read, &mut memory),
            Ok(Gpa(0x1234))
        );
        memory.0.insert(0x1000, 0x2087);
        assert_eq!(
            long_mode().translate(0x1234, read, &mut memory),
            Err(PageFault(9))
        );
    }

    #[test]
    fn tables_outside_memory_are_a_fault() {
        let mut memory = Memory::default();
        memory.0.insert(0x1000, 0x00f0_0000_0000_0007);
        assert_eq!(
            long_mode().translate(0, AccessKind::default(), &mut memory),
            Err(PageFault(0))
        );
    }

    #[test]
    fn without_paging_linear_is_physical() {
        let state = PagingState::default();
        assert_eq!(
            state.translate(0x1234, AccessKind::default(), &mut Memory::default()),
            Ok(Gpa(0x1234))
        );
    }
}
