//! Where everything lies in a PVH guest's physical address space (`tools/libs/light/libxl_dom.c`, `libxl_x86.c` and
//! `tools/libs/guest/xg_dom_x86.c` of Xen 4.20).
//!
//! RAM runs from 0 up to the ACPI tables at most; the rest of it begins at 4 GiB. The special pages for rings end at 0xff000000.

use std::ops::Range;

use xen_abi::hvm::e820::{E820_ACPI, E820_RAM, E820_RESERVED};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// First byte of the ACPI tables, and of the hole in RAM.
pub const ACPI_START: u64 = 0xfc00_0000;
/// Where systems that do not look at the start info search for the RSDP: the end of the BIOS area.
pub const BIOS_RSDP: u64 = 0x10_0000 - 64;
/// Frame of the first special page.
pub const SPECIAL_FIRST: u64 = 0xf_eff8;
/// Special pages.
pub const SPECIAL_COUNT: u64 = 8;

const FOUR_GIB: u64 = 1 << 32;

/// The pages between RAM and 4 GiB that tools and guest share.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Special {
    /// `HVM_PARAM_PAGING_RING_PFN`.
    Paging = 0,
    /// `HVM_PARAM_MONITOR_RING_PFN`.
    Monitor = 1,
    /// `HVM_PARAM_SHARING_RING_PFN`.
    Sharing = 2,
    /// `HVM_PARAM_BUFIOREQ_PFN`.
    BufferedIo = 3,
    /// `HVM_PARAM_STORE_PFN`.
    Store = 4,
    /// `HVM_PARAM_IOREQ_PFN`.
    Io = 5,
    /// `HVM_PARAM_IDENT_PT`.
    IdentityMap = 6,
    /// `HVM_PARAM_CONSOLE_PFN`.
    Console = 7,
}

impl Special {
    /// Its frame.
    #[must_use]
    pub const fn gfn(self) -> u64 {
        SPECIAL_FIRST + self as u64
    }
}

/// A guest's RAM.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// End of RAM below the hole.
    pub low_end: u64,
    /// End of RAM above 4 GiB; 4 GiB where there is none.
    pub high_end: u64,
}

/// One entry of the memory map: start, size, `E820_*`.
pub type MapEntry = (u64, u64, u32);

impl Layout {
    /// Lays out whole pages of `kib`.
    #[must_use]
    pub const fn of(kib: u64) -> Self {
        let bytes = (kib / 4) * PAGE;
        if bytes <= ACPI_START {
            Self {
                low_end: bytes,
                high_end: FOUR_GIB,
            }
        } else {
            Self {
                low_end: ACPI_START,
                high_end: FOUR_GIB + (bytes - ACPI_START),
            }
        }
    }

    /// RAM below and above the hole; the second may be empty.
    #[must_use]
    pub const fn ram(&self) -> [Range<u64>; 2] {
        [0..self.low_end, FOUR_GIB..self.high_end]
    }

    /// The memory map, by address. `acpi_pages` lie at [`ACPI_START`]; with `bios_rsdp` the BIOS area's last page is ACPI's, too.
    #[must_use]
    pub fn memory_map(&self, acpi_pages: u64, bios_rsdp: bool) -> Vec<MapEntry> {
        let mut map = Vec::new();
        let page = BIOS_RSDP & !(PAGE - 1);
        if bios_rsdp {
            map.push((0, page, E820_RAM));
            map.push((page, PAGE, E820_ACPI));
            map.push((
                page + PAGE,
                self.low_end.saturating_sub(page + PAGE),
                E820_RAM,
            ));
        } else {
            map.push((0, self.low_end, E820_RAM));
        }
        map.push((ACPI_START, acpi_pages * PAGE, E820_ACPI));
        map.push((SPECIAL_FIRST * PAGE, SPECIAL_COUNT * PAGE, E820_RESERVED));
        map.push((FOUR_GIB, self.high_end - FOUR_GIB, E820_RAM));
        map.retain(|(_, size, _)| *size != 0);
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_guest_has_its_memory_below_the_hole() {
        let layout = Layout::of(256 << 10);
        assert_eq!(layout.ram(), [0..256 << 20, FOUR_GIB..FOUR_GIB]);
        assert_eq!(
            layout.memory_map(3, false),
            [
                (0, 256 << 20, E820_RAM),
                (0xfc00_0000, 0x3000, E820_ACPI),
                (0xfeff_8000, 0x8000, E820_RESERVED),
            ]
        );
    }

    #[test]
    fn memory_that_does_not_fit_below_the_hole_continues_at_4_gib() {
        let layout = Layout::of(6 << 20);
        assert_eq!(layout.low_end, 0xfc00_0000);
        assert_eq!(layout.high_end - FOUR_GIB + layout.low_end, 6 << 30);
        let map = layout.memory_map(3, false);
        assert_eq!(
            map.last(),
            Some(&(FOUR_GIB, (6 << 30) - 0xfc00_0000, E820_RAM))
        );
    }

    #[test]
    fn rsdp_in_the_bios_area_takes_a_page_out_of_ram() {
        let map = Layout::of(256 << 10).memory_map(3, true);
        assert_eq!(map[0], (0, 0xff000, E820_RAM));
        assert_eq!(map[1], (0xff000, 0x1000, E820_ACPI));
        assert_eq!(map[2], (0x10_0000, (256 << 20) - 0x10_0000, E820_RAM));
    }
}
