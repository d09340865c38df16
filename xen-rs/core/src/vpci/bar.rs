//! Memory base address registers: found and sized once, while the function does not decode.
//!
//! The hardware register is the only truth about a BAR's address. dom0 reads and, while decoding is off, writes it directly, so sizing
//! by the guest and its restoring of BARs after a function reset work without help; the address is read back when decoding starts.
//! (PCI Local Bus 3.0, "Address Maps"; PCI-to-PCI Bridge 1.2 for the offsets of type 1 headers.)

use arrayvec::ArrayVec;

use super::sbdf::Sbdf;
use super::seam::ConfigSpace;

/// Command register.
pub(super) const COMMAND: u16 = 0x04;
/// Memory decode enable, in the command register.
pub(super) const COMMAND_MEMORY: u32 = 1 << 1;
/// First BAR.
pub(super) const BAR0: u16 = 0x10;
/// Enable bit of an expansion ROM BAR.
pub(super) const ROM_ENABLE: u32 = 1;

const MEMORY_ADDRESS: u32 = !0xf;
const ROM_ADDRESS: u32 = !0x7ff;
const CLASS_HOST_BRIDGE: u32 = 0x0600;

/// What kind of register a BAR is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// 32-bit memory, or memory below 1 MiB.
    Memory32,
    /// 64-bit memory: two registers.
    Memory64,
    /// Expansion ROM, with its own enable bit.
    Rom,
}

/// A memory BAR that a function implements.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct MemoryBar {
    /// Configuration offset of the (low) register.
    pub reg: u16,
    /// Layout.
    pub kind: BarKind,
    /// Bytes it decodes: a power of two.
    pub size: u64,
    /// dom0 wrote all ones to the low or high register while the function decodes, and expects to read the size.
    sizing: [bool; 2],
}

/// The BARs of a function: up to six and the ROM.
pub type MemoryBars = ArrayVec<MemoryBar, 7>;

/// Where a header type keeps its BARs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct BarLayout {
    pub bars: u16,
    pub rom: Option<u16>,
}

impl MemoryBar {
    /// The dword of this BAR at `dword`: 0 low, 1 high.
    pub(super) fn half(&self, dword: u16) -> Option<usize> {
        match dword.checked_sub(self.reg) {
            Some(0) => Some(0),
            Some(4) if self.kind == BarKind::Memory64 => Some(1),
            _ => None,
        }
    }

    /// Address bits of one half.
    pub(super) fn address_mask(&self, half: usize) -> u32 {
        match (half, self.kind) {
            (0, BarKind::Rom) => ROM_ADDRESS,
            (0, _) => MEMORY_ADDRESS,
            _ => u32::MAX,
        }
    }

    /// The address programmed now, and for a ROM whether it is enabled.
    pub(super) fn read(&self, sbdf: Sbdf, hw: &dyn ConfigSpace) -> (u64, bool) {
        let low = hw.read(sbdf, self.reg, 4);
        let high = if self.kind == BarKind::Memory64 {
            hw.read(sbdf, self.reg + 4, 4)
        } else {
            0
        };
        let address = u64::from(high) << 32 | u64::from(low & self.address_mask(0));
        (
            address & !(self.size - 1),
            self.kind != BarKind::Rom || low & ROM_ENABLE != 0,
        )
    }

    /// Remembers whether dom0's last write to this half, made while the function decodes, asked for the size.
    pub(super) fn set_sizing(&mut self, half: usize, sizing: bool) {
        self.sizing[half] = sizing;
    }

    /// What a half reads instead of the hardware's value, while dom0 sizes the BAR of a function that decodes.
    pub(super) fn sizing_value(&self, half: usize) -> Option<u32> {
        let ones = !(self.size - 1) >> (32 * half);
        self.sizing[half].then_some(ones as u32 & self.address_mask(half))
    }
}

/// Finds and sizes the memory BARs of a function. Memory decoding is off meanwhile, except on host bridges, where it may be what
/// makes RAM reachable.
pub(super) fn probe(sbdf: Sbdf, layout: BarLayout, hw: &dyn ConfigSpace) -> MemoryBars {
    let command = hw.read(sbdf, COMMAND, 2);
    let host_bridge = hw.read(sbdf, 0x0a, 2) == CLASS_HOST_BRIDGE;
    let pause = command & COMMAND_MEMORY != 0 && !host_bridge;
    if pause {
        hw.write(sbdf, COMMAND, 2, command & !COMMAND_MEMORY);
    }
    let bars = size_all(sbdf, layout, hw);
    if pause {
        hw.write(sbdf, COMMAND, 2, command);
    }
    bars
}

fn size_all(sbdf: Sbdf, layout: BarLayout, hw: &dyn ConfigSpace) -> MemoryBars {
    let mut bars = MemoryBars::new();
    let mut index = 0;
    while index < layout.bars {
        let reg = BAR0 + index * 4;
        let low = hw.read(sbdf, reg, 4);
        // A 64-bit BAR in the last slot has no upper half: the device is broken, and half a register is all there is.
        let wide = low & 1 == 0 && low & 6 == 4 && index + 1 < layout.bars;
        let kind = if wide {
            BarKind::Memory64
        } else {
            BarKind::Memory32
        };
        if low & 1 == 0 {
            bars.extend(size_one(sbdf, reg, kind, hw));
        }
        index += if wide { 2 } else { 1 };
    }
    bars.extend(
        layout
            .rom
            .and_then(|reg| size_one(sbdf, reg, BarKind::Rom, hw)),
    );
    bars
}

fn size_one(sbdf: Sbdf, reg: u16, kind: BarKind, hw: &dyn ConfigSpace) -> Option<MemoryBar> {
    let low = match kind {
        BarKind::Rom => ones_read_back(sbdf, reg, ROM_ADDRESS, hw) & ROM_ADDRESS,
        _ => ones_read_back(sbdf, reg, u32::MAX, hw) & MEMORY_ADDRESS,
    };
    let high = if kind == BarKind::Memory64 {
        ones_read_back(sbdf, reg + 4, u32::MAX, hw)
    } else {
        0
    };
    let writable = u64::from(high) << 32 | u64::from(low);
    let size = writable & writable.wrapping_neg();
    (size != 0).then_some(MemoryBar {
        reg,
        kind,
        size,
        sizing: [false; 2],
    })
}

/// What a register reads after all ones were written to it; its value is restored.
fn ones_read_back(sbdf: Sbdf, reg: u16, ones: u32, hw: &dyn ConfigSpace) -> u32 {
    let original = hw.read(sbdf, reg, 4);
    hw.write(sbdf, reg, 4, ones);
    let seen = hw.read(sbdf, reg, 4);
    hw.write(sbdf, reg, 4, original);
    seen
}
