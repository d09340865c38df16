//! The hypervisor's own page tables: its image with write or execute but never both, all RAM at the direct map, device registers uncached.
#![allow(unsafe_code, reason = "switches page tables")]

use xen_core::hal::MachineMemory;
use xen_core::ids::{Maddr, Mfn};
use xen_core::lock::{Lock, Rank};
use xen_core::paging::{Entry, Format, OutOfTables, PageTable, TableFrames};

use crate::cpu::instructions;
use crate::direct_map::{BASE, DIRECT_MAP, MMIO_BASE, MMIO_BYTES, Registers};
use crate::dom0::PhysRange;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;
const UNCACHED: u64 = 0x18;
const ACCESSED_DIRTY: u64 = 0x60;
const LARGE: u64 = 0x80;
const NO_EXECUTE: u64 = 1 << 63;
const FRAME: u64 = 0x000f_ffff_ffff_f000;
const CANONICAL: u64 = (1 << 48) - 1;

/// A mapping of the hypervisor's: frame and the attribute bits of the word.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct HostLeaf {
    mfn: Mfn,
    bits: u64,
}

/// Long-mode page tables (AMD APM volume 2, "Long-Mode Page Translation").
pub struct HostFormat;

impl Format for HostFormat {
    type Leaf = HostLeaf;

    fn leaf(leaf: HostLeaf, level: u32) -> u64 {
        PRESENT
            | ACCESSED_DIRTY
            | leaf.bits
            | leaf.mfn.maddr().0
            | if level > 0 { LARGE } else { 0 }
    }

    fn table(at: Mfn) -> u64 {
        PRESENT | WRITABLE | ACCESSED_DIRTY | at.maddr().0
    }

    fn decode(word: u64, level: u32) -> Entry<HostLeaf> {
        let mfn = Mfn((word & FRAME) >> 12);
        if word & PRESENT == 0 {
            Entry::Empty
        } else if level == 0 || word & LARGE != 0 {
            Entry::Leaf(HostLeaf {
                mfn,
                bits: word & (WRITABLE | UNCACHED | NO_EXECUTE),
            })
        } else {
            Entry::Table(mfn)
        }
    }

    fn advance(leaf: HostLeaf, frames: u64) -> HostLeaf {
        HostLeaf {
            mfn: Mfn(leaf.mfn.0 + frames),
            ..leaf
        }
    }
}

/// Frames set aside at boot for the hypervisor, taken from the top down.
pub struct BootFrames {
    range: PhysRange,
}

impl BootFrames {
    /// A pool in free RAM.
    #[must_use]
    pub const fn new(range: PhysRange) -> Self {
        Self { range }
    }

    /// `len` bytes, page aligned.
    pub fn take(&mut self, len: u64) -> Option<Maddr> {
        let len = len.next_multiple_of(4096);
        let start = self.range.end.checked_sub(len)?;
        (start >= self.range.start).then(|| {
            self.range.end = start;
            Maddr(start)
        })
    }

    /// What is left.
    #[must_use]
    pub const fn rest(&self) -> PhysRange {
        self.range
    }
}

impl TableFrames for BootFrames {
    fn allocate_table(&mut self) -> Option<Mfn> {
        let frame = self.take(4096)?.mfn();
        DIRECT_MAP.zero(frame);
        Some(frame)
    }
}

/// Bounds of the image's parts, physical and virtual alike.
#[derive(Copy, Clone, Debug)]
pub struct ImageLayout {
    /// First byte.
    pub start: u64,
    /// End of code.
    pub text_end: u64,
    /// End of read-only data.
    pub rodata_end: u64,
    /// End.
    pub end: u64,
}

struct Space {
    table: PageTable<HostFormat>,
    spare: BootFrames,
    /// Width of physical addresses.
    address_bits: u32,
}

static SPACE: Lock<Option<Space>> = Lock::new(Rank::Irq, None);

/// Builds the tables over `ram_end` bytes of RAM and switches to them. `pool` gives the table frames; a few stay in hand for device windows.
///
/// # Errors
/// [`OutOfTables`] when the pool is too small.
pub fn enter(image: &ImageLayout, ram_end: u64, pool: &mut BootFrames) -> Result<(), OutOfTables> {
    let root = pool.allocate_table().ok_or(OutOfTables)?;
    let mut table = PageTable::<HostFormat>::new(root);
    let mut map =
        |from: u64, to: u64, target: u64, bits: u64, level: u32, pool: &mut BootFrames| {
            let step = 4096u64 << (9 * level);
            for at in (from..to).step_by(step as usize) {
                let leaf = HostLeaf {
                    mfn: Maddr(at - from + target).mfn(),
                    bits,
                };
                table.map(&DIRECT_MAP, pool, (at & CANONICAL) >> 12, level, leaf)?;
            }
            Ok(())
        };
    map(image.start, image.text_end, image.start, 0, 0, pool)?;
    map(
        image.text_end,
        image.rodata_end,
        image.text_end,
        NO_EXECUTE,
        0,
        pool,
    )?;
    map(
        image.rodata_end,
        image.end,
        image.rodata_end,
        WRITABLE | NO_EXECUTE,
        0,
        pool,
    )?;
    map(
        BASE,
        BASE + ram_end.next_multiple_of(2 << 20),
        0,
        WRITABLE | NO_EXECUTE,
        1,
        pool,
    )?;
    let spare = pool.take(256 * 4096).ok_or(OutOfTables)?;
    // SAFETY: code, data, stack and the direct map stay where they are.
    unsafe { instructions::set_cr3(root.maddr().0) };
    crate::direct_map::set_end(ram_end);
    *SPACE.lock() = Some(Space {
        table,
        spare: BootFrames::new(PhysRange::from_len(spare.0, 256 * 4096)),
        address_bits: address_bits(),
    });
    Ok(())
}

/// The root of the hypervisor's tables, for other CPUs.
#[must_use]
pub fn root() -> u64 {
    SPACE
        .lock()
        .as_ref()
        .map_or(0, |space| space.table.root().maddr().0)
}

/// The pages of `len` bytes at `at`. dom0 chooses where its devices are, so that may be anywhere: `None` beyond what the window has room for
/// or the processor, which has `address_bits`, can address.
fn register_pages(at: u64, len: u64, address_bits: u32) -> Option<impl Iterator<Item = u64>> {
    let limit = MMIO_BYTES.min(1u64.checked_shl(address_bits).unwrap_or(u64::MAX));
    let end = at.checked_add(len).filter(|end| *end <= limit)?;
    Some((at & !4095..end).step_by(4096))
}

/// Width of the processor's physical addresses (AMD APM volume 3, "CPUID Fn8000_0008_EAX").
fn address_bits() -> u32 {
    const SIZES: u32 = 0x8000_0008;
    if instructions::cpuid(0x8000_0000, 0).eax < SIZES {
        36
    } else {
        instructions::cpuid(SIZES, 0).eax & 0xff
    }
}

/// Makes `len` bytes of device registers at `at` readable and writable, uncached. Mapping a page again is harmless.
///
/// # Errors
/// [`OutOfTables`] when the frames kept for this are used up, or when nothing can be there.
pub fn map_mmio(at: Maddr, len: u64) -> Result<Registers, OutOfTables> {
    let mut guard = SPACE.lock();
    let space = guard.as_mut().ok_or(OutOfTables)?;
    for page in register_pages(at.0, len, space.address_bits).ok_or(OutOfTables)? {
        let leaf = HostLeaf {
            mfn: Maddr(page).mfn(),
            bits: WRITABLE | UNCACHED | NO_EXECUTE,
        };
        let number = ((MMIO_BASE + page) & CANONICAL) >> 12;
        space
            .table
            .map(&DIRECT_MAP, &mut space.spare, number, 0, leaf)?;
    }
    Ok(Registers::mapped(at.0, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(at: u64, len: u64, address_bits: u32) -> Option<alloc::vec::Vec<u64>> {
        register_pages(at, len, address_bits).map(Iterator::collect)
    }

    #[test]
    fn registers_are_mapped_by_whole_pages() {
        assert_eq!(pages(0xfee0_0020, 4, 48).unwrap(), [0xfee0_0000]);
        assert_eq!(pages(0xffc, 8, 48).unwrap(), [0, 0x1000]);
    }

    #[test]
    fn registers_where_nothing_can_be_are_refused() {
        let top = 1 << 40;
        assert_eq!(pages(top - 4096, 4096, 40).unwrap(), [top - 4096]);
        assert_eq!(pages(top, 4096, 40), None);
        assert_eq!(pages(MMIO_BYTES - 4096, 4096, 52).unwrap().len(), 1);
        assert_eq!(pages(MMIO_BYTES, 4096, 52), None);
        assert_eq!(pages(!4095, 4096, 52), None);
    }
}
