//! One PCI function as dom0 sees it: the hardware's registers, except those that decide what is mapped or who is interrupted.

use core::ops::Range;

use xen_abi::errno::Errno;

use super::bar::{
    self, BarKind, BarLayout, COMMAND, COMMAND_MEMORY, MemoryBar, MemoryBars, ROM_ENABLE,
};
use super::capability;
use super::lanes::Lanes;
use super::msi::Msi;
use super::msix::Msix;
use super::sbdf::Sbdf;
use super::seam::{ConfigSpace, Note, Platform};
use super::windows::{Frames, TableSpan, Windows};

const HEADER_TYPE: u16 = 0x0e;
/// Offsets in the SR-IOV capability, and a bit of its control register.
const SRIOV_CONTROL: u16 = 0x08;
const SRIOV_VFS: u16 = 0x0c;
const SRIOV_VF_ENABLE: u32 = 1;
/// What a function answers that has not finished its reset (PCI Express Base 5.0, "Configuration Request Retry Status").
pub(super) const RETRY: u32 = 0xffff_0001;

/// A function found on the bus.
#[derive(Debug)]
pub struct PciDevice {
    sbdf: Sbdf,
    bars: MemoryBars,
    /// Memory decoding is on and the BARs are mapped.
    decoding: bool,
    msi: Option<Msi>,
    msix: Option<Msix>,
    /// Registers of the resizable BAR capability.
    resizing: Range<u16>,
    /// The SR-IOV capability. It offers no virtual functions: their BARs and MSI-X tables are not modelled.
    sriov: Option<u16>,
    /// dom0 may have changed BAR sizes since they were last found out.
    resized: bool,
}

impl PciDevice {
    /// Looks at a function and takes over what is the model's; interrupts that firmware left enabled are switched off. `None` if no
    /// function answers.
    #[must_use]
    pub fn probe(sbdf: Sbdf, hw: &dyn ConfigSpace) -> Option<Self> {
        if !is_present(hw.read(sbdf, 0, 4)) {
            return None;
        }
        let (layout, head) = header(sbdf, hw);
        let bars = bar::probe(sbdf, layout, hw);
        let mut device = Self {
            sbdf,
            bars,
            decoding: false,
            msi: None,
            msix: None,
            resizing: 0..0,
            sriov: None,
            resized: false,
        };
        let Some(head) = head else {
            return Some(device);
        };
        let mut express = false;
        for (reg, id) in capability::list(sbdf, head, hw) {
            match id {
                capability::ID_MSI if device.msi.is_none() => {
                    device.msi = Msi::probe(sbdf, reg, hw)
                }
                capability::ID_MSIX if device.msix.is_none() => {
                    device.msix = Msix::probe(sbdf, reg, &device.bars, hw)
                }
                capability::ID_EXPRESS if !express => {
                    express = true;
                    device.resizing = resizable_bars(sbdf, hw);
                    device.sriov = capability::find_extended(sbdf, capability::EXT_ID_SRIOV, hw);
                }
                _ => {}
            }
        }
        Some(device)
    }

    /// The memory BARs, in the order of their registers; the ROM is last.
    #[must_use]
    pub fn bars(&self) -> &[MemoryBar] {
        &self.bars
    }

    /// The MSI capability.
    #[must_use]
    pub fn msi(&self) -> Option<&Msi> {
        self.msi.as_ref()
    }

    /// The MSI-X capability.
    #[must_use]
    pub fn msix(&self) -> Option<&Msix> {
        self.msix.as_ref()
    }

    /// The MSI-X capability, for accesses to its table.
    pub(super) fn msix_mut(&mut self) -> Option<&mut Msix> {
        self.msix.as_mut()
    }

    /// Whether memory decoding is on.
    #[must_use]
    pub fn is_decoding(&self) -> bool {
        self.decoding
    }

    /// Maps the BARs of a function that firmware left decoding.
    pub(super) fn start(&mut self, windows: &mut Windows, platform: &mut Platform<'_>) {
        if self.hardware_decodes(platform) {
            self.map_bars(windows, platform);
            self.attach_table(windows, platform);
        }
    }

    /// Gives back all that the function holds: it is gone.
    pub(super) fn stop(&mut self, windows: &mut Windows, platform: &mut Platform<'_>) {
        self.unmap_bars(windows, platform);
        if let Some(msi) = &mut self.msi {
            msi.release(platform);
        }
        if let Some(msix) = &mut self.msix {
            msix.release(platform);
        }
    }

    /// Reads part of one dword.
    pub(super) fn read(&self, at: Lanes, hw: &dyn ConfigSpace) -> u32 {
        let (value, own) = self.overlay(at.dword()).unwrap_or((0, 0));
        if own & at.mask() == at.mask() {
            return at.extract(value);
        }
        let hardware = at.place(hw.read(self.sbdf, at.reg, at.size));
        at.extract((hardware & !own) | (value & own))
    }

    /// Writes part of one dword.
    pub(super) fn write(
        &mut self,
        at: Lanes,
        value: u32,
        windows: &mut Windows,
        platform: &mut Platform<'_>,
    ) {
        let dword = at.dword();
        if dword == COMMAND {
            return self.write_command(at, value, windows, platform);
        }
        let found = self
            .bars
            .iter()
            .enumerate()
            .find_map(|(index, bar)| Some((index, bar.half(dword)?)));
        if let Some((index, half)) = found {
            return self.write_bar(index, half, at, value, windows, platform);
        }
        let taken = self
            .msi
            .as_mut()
            .is_some_and(|msi| msi.write(at, value, platform))
            || self
                .msix
                .as_mut()
                .is_some_and(|msix| msix.write(at, value, platform));
        if !taken {
            self.resized |= self.resizing.contains(&dword);
            let control = self.sriov.is_some_and(|reg| dword == reg + SRIOV_CONTROL);
            let refused = if control {
                at.extract(SRIOV_VF_ENABLE)
            } else {
                0
            };
            self.pass(at, value & !refused, platform);
        }
    }

    fn overlay(&self, dword: u16) -> Option<(u32, u32)> {
        let bar = || {
            let (bar, half) = self
                .bars
                .iter()
                .find_map(|bar| Some((bar, bar.half(dword)?)))?;
            Some((bar.sizing_value(half)?, bar.address_mask(half)))
        };
        let msi = || self.msi.as_ref()?.overlay(dword);
        let msix = || self.msix.as_ref()?.overlay(dword);
        let sriov = || (dword == self.sriov? + SRIOV_VFS).then_some((0, u32::MAX));
        bar().or_else(msi).or_else(msix).or_else(sriov)
    }

    fn pass(&self, at: Lanes, value: u32, platform: &mut Platform<'_>) {
        platform
            .hw
            .write(self.sbdf, at.reg, at.size, at.extract(at.place(value)));
    }

    /// The status register shares the dword; its bits are cleared by ones, so the write goes on with exactly the guest's bytes.
    fn write_command(
        &mut self,
        at: Lanes,
        value: u32,
        windows: &mut Windows,
        platform: &mut Platform<'_>,
    ) {
        let decode = if at.mask() & COMMAND_MEMORY == 0 {
            self.decoding
        } else {
            at.place(value) & COMMAND_MEMORY != 0
        };
        match (self.decoding, decode) {
            (false, true) => {
                self.map_bars(windows, platform);
                self.pass(at, value, platform);
                self.attach_table(windows, platform);
            }
            (true, false) => {
                self.unmap_bars(windows, platform);
                self.pass(at, value, platform);
            }
            _ => self.pass(at, value, platform),
        }
    }

    fn write_bar(
        &mut self,
        index: usize,
        half: usize,
        at: Lanes,
        value: u32,
        windows: &mut Windows,
        platform: &mut Platform<'_>,
    ) {
        if self.decoding && !self.hardware_decodes(platform) {
            // A function reset cleared the command register; dom0 is restoring the BARs.
            self.unmap_bars(windows, platform);
        }
        if !self.decoding {
            self.bars[index].set_sizing(half, false);
            return self.pass(at, value, platform);
        }
        if self.bars[index].kind == BarKind::Rom {
            return self.write_rom(index, at, value, windows, platform);
        }
        self.write_live_bar(index, half, at, value, platform);
    }

    /// A BAR that decodes does not move. Being asked for its size is another matter: host bridges are sized while they decode.
    fn write_live_bar(
        &mut self,
        index: usize,
        half: usize,
        at: Lanes,
        value: u32,
        platform: &mut Platform<'_>,
    ) {
        let bar = &mut self.bars[index];
        let address = bar.address_mask(half);
        let current = platform.hw.read(self.sbdf, at.dword(), 4);
        let sizing = at.merge(0, value) & address == address;
        bar.set_sizing(half, sizing);
        if !sizing && (at.merge(current, value) ^ current) & address != 0 {
            platform
                .effects
                .note(self.sbdf, Note::BarWriteWhileDecoding { reg: bar.reg });
        }
    }

    /// A ROM has its own enable bit and may move while that is clear.
    fn write_rom(
        &mut self,
        index: usize,
        at: Lanes,
        value: u32,
        windows: &mut Windows,
        platform: &mut Platform<'_>,
    ) {
        let reg = self.bars[index].reg;
        if windows.is_mapped((self.sbdf, reg)) {
            if at.mask() & ROM_ENABLE == 0 || at.place(value) & ROM_ENABLE != 0 {
                let current = platform.hw.read(self.sbdf, reg, 4);
                if (at.merge(current, value) ^ current) & self.bars[index].address_mask(0) != 0 {
                    platform
                        .effects
                        .note(self.sbdf, Note::BarWriteWhileDecoding { reg });
                }
                return;
            }
            windows.unmap((self.sbdf, reg), platform.effects);
        }
        self.pass(at, value, platform);
        self.map_bar(index, windows, platform);
    }

    fn hardware_decodes(&self, platform: &Platform<'_>) -> bool {
        platform.hw.read(self.sbdf, COMMAND, 2) & COMMAND_MEMORY != 0
    }

    fn map_bars(&mut self, windows: &mut Windows, platform: &mut Platform<'_>) {
        if core::mem::take(&mut self.resized) {
            self.size_again(platform);
        }
        self.decoding = true;
        for index in 0..self.bars.len() {
            self.map_bar(index, windows, platform);
        }
    }

    fn map_bar(&mut self, index: usize, windows: &mut Windows, platform: &mut Platform<'_>) {
        let bar = &mut self.bars[index];
        bar.set_sizing(0, false);
        bar.set_sizing(1, false);
        let (address, enabled) = bar.read(self.sbdf, platform.hw);
        if !enabled || address == 0 {
            return;
        }
        let table = self.msix.as_ref().and_then(|msix| msix.table_in(bar.reg));
        let mapped = Frames::of(address, bar.size)
            .ok_or(Errno::ERANGE)
            .and_then(|frames| {
                let span = table.map(|(offset, bytes)| TableSpan {
                    start: address + offset,
                    bytes,
                });
                windows.map((self.sbdf, bar.reg), frames, span, platform.effects)
            });
        if let Err(error) = mapped {
            platform.effects.note(
                self.sbdf,
                Note::MapRefused {
                    reg: bar.reg,
                    error,
                },
            );
        }
    }

    /// Lets MSI-X use its table, which can be reached from now on.
    fn attach_table(&mut self, windows: &Windows, platform: &mut Platform<'_>) {
        if let (Some(msix), Some(span)) = (&mut self.msix, windows.table_of(self.sbdf)) {
            msix.attach(span.start, platform);
        }
    }

    fn unmap_bars(&mut self, windows: &mut Windows, platform: &mut Platform<'_>) {
        self.decoding = false;
        if let Some(msix) = &mut self.msix {
            msix.detach();
        }
        for bar in &mut self.bars {
            bar.set_sizing(0, false);
            bar.set_sizing(1, false);
            windows.unmap((self.sbdf, bar.reg), platform.effects);
        }
    }

    fn size_again(&mut self, platform: &mut Platform<'_>) {
        self.bars = bar::probe(self.sbdf, header(self.sbdf, platform.hw).0, platform.hw);
        if let Some(msix) = &mut self.msix {
            msix.check(&self.bars);
        }
    }
}

/// Whether a vendor and device identifier is a function's; the exceptions are what absent ones read as on various bridges, and those not
/// ready to be looked at.
pub(super) fn is_present(id: u32) -> bool {
    !matches!(id, 0 | 0x0000_ffff | 0xffff_0000 | RETRY) && id & 0xffff != 0xffff
}

/// Where the header type has its BARs and the head of the capability list.
fn header(sbdf: Sbdf, hw: &dyn ConfigSpace) -> (BarLayout, Option<u16>) {
    match hw.read(sbdf, HEADER_TYPE, 1) & 0x7f {
        0 => (
            BarLayout {
                bars: 6,
                rom: Some(0x30),
            },
            Some(0x34),
        ),
        1 => (
            BarLayout {
                bars: 2,
                rom: Some(0x38),
            },
            Some(0x34),
        ),
        2 => (BarLayout { bars: 1, rom: None }, Some(0x14)),
        _ => (BarLayout { bars: 0, rom: None }, None),
    }
}

/// The registers of the resizable BAR capability, if there is one.
fn resizable_bars(sbdf: Sbdf, hw: &dyn ConfigSpace) -> Range<u16> {
    match capability::find_extended(sbdf, capability::EXT_ID_RESIZABLE_BAR, hw) {
        Some(reg) => reg..reg + 4 + 6 * 8,
        None => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Bench, FakeFunction, HERE};
    use super::super::{BarKind, Note, Sbdf};
    use std::vec::Vec;

    const MEMORY: u32 = 2;

    fn with_bars() -> FakeFunction {
        let mut function = FakeFunction::endpoint();
        function.bar32(0x10, 0xf000_0000, 0x2000);
        function.bar64(0x14, 0x80_0000_0000, 0x4000);
        function.set(0x1c, 0xc001, !0x1f & 0xffff);
        function
            .bar32(0x30, 0, 0x1000)
            .set(0x30, 0xf100_0000, 0xffff_f001);
        function
    }

    #[test]
    fn bars_are_sized_with_decoding_off_and_restored() {
        let mut function = with_bars();
        function.set(4, MEMORY, 0x547);
        let mut bench = Bench::with(function);
        let bars: Vec<_> = bench
            .vpci
            .device(HERE)
            .expect("it is there")
            .bars()
            .iter()
            .map(|bar| (bar.reg, bar.kind, bar.size))
            .collect();
        assert_eq!(
            bars,
            [
                (0x10, BarKind::Memory32, 0x2000),
                (0x14, BarKind::Memory64, 0x4000),
                (0x30, BarKind::Rom, 0x1000)
            ]
        );
        assert_eq!(bench.read(0x10, 4), 0xf000_0000);
        assert_eq!(bench.read(0x18, 4), 0x80);
        assert_eq!(bench.read(4, 2), MEMORY);
    }

    #[test]
    fn huge_and_unimplemented_64_bit_bars_are_sized() {
        let mut function = FakeFunction::endpoint();
        function
            .bar64(0x10, 0x100_0000_0000, 1 << 38)
            .bar64(0x18, 0, 1 << 20)
            .set(0x18, 0xc, 0)
            .set(0x1c, 0, 0);
        let bench = Bench::with(function);
        let bars = bench.vpci.device(HERE).expect("it is there").bars();
        assert_eq!(
            bars.iter().map(|bar| bar.size).collect::<Vec<_>>(),
            [1 << 38]
        );
    }

    #[test]
    fn wide_bar_in_the_last_slot_is_taken_as_narrow() {
        let mut function = FakeFunction::endpoint();
        function.set(0x24, 0xf000_0004, 0xffff_f000);
        let bench = Bench::with(function);
        assert_eq!(
            bench.vpci.device(HERE).expect("it is there").bars()[0].kind,
            BarKind::Memory32
        );
    }

    #[test]
    fn decoding_left_on_by_firmware_maps_at_once() {
        let mut function = FakeFunction::endpoint();
        function
            .bar32(0x10, 0xf000_0000, 0x2000)
            .set(4, MEMORY, 0x547);
        assert_eq!(Bench::with(function).mapped(), [0xf0000, 0xf0001]);
    }

    #[test]
    fn decode_bit_maps_and_unmaps() {
        let mut bench = Bench::with(with_bars());
        assert!(bench.mapped().is_empty());
        bench.write(4, 2, 6);
        let bar64 = (0x800_0000..0x800_0004).collect::<Vec<u64>>();
        assert_eq!(bench.mapped(), [&[0xf0000, 0xf0001][..], &bar64].concat());
        assert_eq!(bench.read(4, 2), 6);
        bench.write(4, 1, 4);
        assert!(bench.mapped().is_empty());
        assert_eq!(bench.read(4, 2), 4);
    }

    #[test]
    fn command_write_reaches_hardware_with_the_guests_width() {
        let mut function = with_bars();
        function.set(4, 0xf900_0000, 0x547);
        let mut bench = Bench::with(function);
        bench.write(4, 2, 0x0002);
        bench.write(5, 1, 0x04);
        assert_eq!(bench.config_writes(), [(4, 2, 0x0002), (5, 1, 0x04)]);
        assert_eq!(bench.read(6, 2), 0xf900);
        bench.write(4, 4, 0x0800_0006);
        assert_eq!(bench.config_writes(), [(4, 4, 0x0800_0006)]);
        assert_eq!(bench.read(6, 2), 0xf100);
        assert_eq!(bench.read(4, 2), 6);
    }

    #[test]
    fn guest_sizes_a_bar_that_does_not_decode() {
        let mut bench = Bench::with(with_bars());
        bench.write(0x14, 4, u32::MAX);
        bench.write(0x18, 4, u32::MAX);
        assert_eq!(bench.read(0x14, 4), 0xffff_c00c);
        assert_eq!(bench.read(0x18, 4), 0xffff_ffff);
        bench.write(0x14, 4, 0x4000_0000);
        bench.write(0x18, 4, 0x1);
        bench.write(4, 2, 2);
        assert!(bench.effects.mapped.contains(&0x14_0000));
    }

    #[test]
    fn io_bar_passes_through() {
        let mut bench = Bench::with(with_bars());
        bench.write(4, 2, 3);
        bench.write(0x1c, 4, 0xd001);
        assert_eq!(bench.read(0x1c, 4), 0xd001);
    }

    #[test]
    fn bar_that_decodes_does_not_move() {
        let mut bench = Bench::with(with_bars());
        bench.write(4, 2, 2);
        bench.config_writes();
        bench.write(0x10, 4, 0xe000_0000);
        bench.write(0x13, 1, 0xe0);
        bench.write(0x10, 4, 0xf000_0000);
        assert_eq!(
            bench.effects.notes,
            [Note::BarWriteWhileDecoding { reg: 0x10 }; 2]
        );
        assert_eq!(bench.read(0x10, 4), 0xf000_0000);
        assert!(bench.config_writes().is_empty());
    }

    #[test]
    fn bar_that_decodes_tells_its_size() {
        let mut bench = Bench::with(with_bars());
        bench.write(4, 2, 2);
        bench.write(0x14, 4, u32::MAX);
        bench.write(0x18, 4, u32::MAX);
        assert_eq!(
            (bench.read(0x14, 4), bench.read(0x18, 4)),
            (0xffff_c00c, 0xffff_ffff)
        );
        assert_eq!(bench.read(0x17, 1), 0xff);
        bench.write(0x14, 4, 0);
        bench.write(0x18, 4, 0x80);
        assert_eq!((bench.read(0x14, 4), bench.read(0x18, 4)), (0xc, 0x80));
        assert!(bench.effects.mapped.contains(&0x800_0000));
    }

    #[test]
    fn rom_is_mapped_by_both_enable_bits() {
        let mut bench = Bench::with(with_bars());
        bench.write(0x30, 4, 0xf100_0001);
        assert!(!bench.effects.mapped.contains(&0xf1000));
        bench.write(4, 2, 2);
        assert!(bench.effects.mapped.contains(&0xf1000));
        bench.write(0x30, 4, 0xf200_0001);
        assert_eq!(
            bench.effects.notes,
            [Note::BarWriteWhileDecoding { reg: 0x30 }]
        );
        bench.write(0x30, 4, 0xf200_0000);
        assert!(!bench.effects.mapped.contains(&0xf1000));
        bench.write(0x30, 1, 1);
        assert!(bench.effects.mapped.contains(&0xf2000));
        assert_eq!(bench.read(0x30, 4), 0xf200_0001);
    }

    #[test]
    fn misaligned_write_is_cut_into_what_each_register_gets() {
        let mut bench = Bench::with(with_bars());
        bench.write(2, 4, 0x0002_ffff);
        assert_eq!(bench.config_writes(), [(2, 2, 0xffff), (4, 2, 2)]);
        assert!(bench.effects.mapped.contains(&0xf0000));
        assert_eq!(bench.read(2, 4), 0x0002_abcd);
        assert_eq!(bench.read(1, 2), 0xcd12);
    }

    #[test]
    fn bar_over_memory_of_others_is_not_mapped() {
        let mut bench = Bench::with(with_bars());
        bench.effects.ram_end = 0x100;
        bench.write(0x10, 4, 0x2000);
        bench.write(4, 2, 2);
        assert!(matches!(
            bench.effects.notes[..],
            [Note::MapRefused { reg: 0x10, .. }]
        ));
        assert!(!bench.effects.mapped.contains(&2));
        assert!(bench.effects.mapped.contains(&0x800_0000));
    }

    #[test]
    fn bar_without_address_is_not_mapped() {
        let mut bench = Bench::with(with_bars());
        bench.write(0x10, 4, 0);
        bench.write(4, 2, 2);
        assert!(!bench.effects.mapped.contains(&0) && bench.effects.notes.is_empty());
    }

    #[test]
    fn bar_beyond_physical_addresses_is_not_mapped() {
        let mut bench = Bench::with(with_bars());
        bench.write(0x14, 4, u32::MAX);
        bench.write(0x18, 4, u32::MAX);
        bench.write(4, 2, 2);
        assert!(matches!(
            bench.effects.notes[..],
            [Note::MapRefused { reg: 0x14, .. }]
        ));
        assert_eq!(bench.mapped(), [0xf0000, 0xf0001]);
        bench.write(4, 2, 0);
        bench.write(0x18, 4, 0xf_ffff);
        bench.write(4, 2, 2);
        assert!(bench.effects.mapped.contains(&0xff_ffff_ffff));
    }

    #[test]
    fn bars_can_be_restored_after_a_reset() {
        let mut bench = Bench::with(with_bars());
        bench.write(4, 2, 2);
        bench.hw.reset(HERE);
        bench.write(0x10, 4, 0xe000_0000);
        assert!(bench.mapped().is_empty());
        assert_eq!(bench.read(0x10, 4), 0xe000_0000);
        bench.write(4, 2, 2);
        assert_eq!(bench.mapped(), [0xe0000, 0xe0001]);
    }

    #[test]
    fn resized_bar_is_mapped_at_its_new_size() {
        let mut function = FakeFunction::endpoint();
        function
            .bar32(0x10, 0xf000_0000, 0x1000)
            .capabilities(&[(0x40, 0x10)]);
        function.set(0x100, 0x0001_0015, 0).set(0x108, 0, 0x1f00);
        let mut bench = Bench::with(function);
        bench.write(0x108, 4, 0x100);
        bench
            .hw
            .functions
            .borrow_mut()
            .get_mut(&HERE)
            .expect("it exists")
            .bar32(0x10, 0xf000_0000, 0x4000);
        bench.write(4, 2, 2);
        assert_eq!(bench.mapped(), [0xf0000, 0xf0001, 0xf0002, 0xf0003]);
    }

    #[test]
    fn sriov_offers_no_virtual_functions() {
        let mut function = FakeFunction::endpoint();
        function.capabilities(&[(0x40, 0x10)]);
        function
            .set(0x100, 0x1400_0001, 0)
            .set(0x140, 0x0001_0010, 0);
        function
            .set(0x148, 0, 0x1f)
            .set(0x14c, 0x0008_0008, 0)
            .set(0x150, 0, 0xffff);
        let mut bench = Bench::with(function);
        assert_eq!(bench.read(0x14c, 4), 0);
        bench.write(0x148, 2, 0x19);
        bench.write(0x150, 2, 4);
        assert_eq!((bench.read(0x148, 2), bench.read(0x150, 2)), (0x18, 4));
    }

    #[test]
    fn extended_capability_loop_ends() {
        let mut function = FakeFunction::endpoint();
        function
            .capabilities(&[(0x40, 0x10)])
            .set(0x100, 0x1000_0001, 0);
        let mut bench = Bench::with(function);
        assert_eq!(bench.read(0x100, 4), 0x1000_0001);
    }

    #[test]
    fn bridge_has_two_bars_and_its_own_rom() {
        let mut function = FakeFunction::endpoint();
        function
            .set(0x0c, 0x0001_0000, 0)
            .bar32(0x10, 0xf000_0000, 0x1000)
            .set(0x18, 0, u32::MAX)
            .set(0x20, 0, 0xfff0_fff0);
        function.set(0x38, 0xf100_0001, 0xffff_f801);
        let mut bench = Bench::with(function);
        bench.write(4, 2, 7);
        assert_eq!(bench.mapped(), [0xf0000, 0xf1000]);
        bench.write(0x20, 4, 0xe010_e000);
        bench.write(0x18, 4, 0x00_02_01_00);
        assert_eq!(
            (bench.read(0x20, 4), bench.read(0x18, 4)),
            (0xe010_e000, 0x0002_0100)
        );
    }

    #[test]
    fn capability_loop_ends() {
        let mut function = FakeFunction::endpoint();
        function
            .capabilities(&[(0x40, 0x09), (0x48, 0x05)])
            .set(0x48, 0x0000_4005, 0);
        let bench = Bench::with(function);
        assert!(
            bench
                .vpci
                .device(HERE)
                .expect("it is there")
                .msi()
                .is_some()
        );
    }

    #[test]
    fn capability_beyond_the_first_256_bytes_is_none() {
        let mut function = FakeFunction::endpoint();
        function.capabilities(&[(0xf8, 0x05), (0xfc, 0x11)]);
        let bench = Bench::with(function);
        let device = bench.vpci.device(HERE).expect("it is there");
        assert!(device.msi().is_none() && device.msix().is_none());
    }

    #[test]
    fn page_shared_by_two_functions_stays_until_both_are_off() {
        let mut first = FakeFunction::endpoint();
        first.bar32(0x10, 0xf000_0000, 0x100);
        let mut second = FakeFunction::endpoint();
        second.bar32(0x10, 0xf000_0100, 0x100);
        let mut bench = Bench::with(first);
        let there = Sbdf::new(0, 0, 4, 0);
        bench.add(there, second);
        bench.write(4, 2, 2);
        bench.write_to(there, 4, 2, 2);
        bench.write(4, 2, 0);
        assert_eq!(bench.mapped(), [0xf0000]);
        bench.write_to(there, 4, 2, 0);
        assert!(bench.mapped().is_empty());
    }
}
