//! vPCI: the PCI devices of a PVH dom0 that owns them all.
//!
//! dom0 reaches configuration space through ports 0xcf8/0xcfc and through ECAM; both trap and end here. Nearly everything is the
//! hardware's own answer. The model keeps what the hypervisor must decide: memory decoding (BARs appear in dom0's p2m at gfn == mfn while
//! it is on), and MSI and MSI-X, whose messages must reach host vectors. Semantics follow Xen 4.20's `xen/drivers/vpci`.
//!
//! Everything is a pure state machine: real registers are behind [`Hardware`], what happens to dom0's p2m and to host vectors behind
//! [`Effects`]. The adapter that implements these owns one [`Vpci`] behind one lock, which is held during its callbacks.
//!
//! | file | concept |
//! |---|---|
//! | `sbdf`, `ports`, `ecam` | names of functions, and the two ways to address their registers |
//! | `lanes` | accesses of any width as byte lanes of dwords |
//! | `seam` | the traits |
//! | `device`, `bar`, `capability`, `msi`, `msix` | one function |
//! | `windows` | which pages are mapped and which trap, over all functions |
//! | `discovery` | finding functions |

mod bar;
mod capability;
mod device;
mod discovery;
mod ecam;
#[cfg(test)]
mod fake;
mod lanes;
mod msi;
mod msix;
mod ports;
mod sbdf;
mod seam;
mod windows;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;

use xen_abi::errno::Errno;

pub use bar::{BarKind, MemoryBar, MemoryBars};
pub use device::PciDevice;
pub use ecam::EcamWindow;
pub use msi::Msi;
pub use msix::Msix;
pub use ports::{ADDRESS_PORT, ConfigAddressPort, DATA_PORT};
pub use sbdf::Sbdf;
pub use seam::{ConfigSpace, Effects, Hardware, Mmio, MsiMessage, Note};

use crate::ids::{Gpa, Maddr, PAGE_SIZE};
use seam::Platform;
use windows::Windows;

/// Bytes of a function's configuration space.
const CONFIG_BYTES: u16 = 4096;
/// More windows than any firmware describes.
const MAX_ECAM_WINDOWS: usize = 64;

/// All PCI functions of dom0.
#[derive(Debug, Default)]
pub struct Vpci {
    devices: BTreeMap<Sbdf, PciDevice>,
    /// The hypervisor's own functions; dom0 sees nothing there.
    hidden: BTreeSet<Sbdf>,
    /// The hypervisor's own functions; dom0 reads them and its writes vanish.
    read_only: BTreeSet<Sbdf>,
    windows: Windows,
    address_port: ConfigAddressPort,
    ecam: Vec<EcamWindow>,
}

impl Vpci {
    /// No devices, no ECAM.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The model of a function.
    #[must_use]
    pub fn device(&self, sbdf: Sbdf) -> Option<&PciDevice> {
        self.devices.get(&sbdf)
    }

    /// All functions known, in order.
    pub fn devices(&self) -> impl Iterator<Item = (Sbdf, &PciDevice)> {
        self.devices.iter().map(|(sbdf, device)| (*sbdf, device))
    }

    /// Reads configuration space. `size` is 1, 2 or 4 at any offset; anything else, and what does not exist, reads as ones.
    ///
    /// Reading the vendor identifier of an unknown function looks whether one has appeared there since, by hotplug or bus renumbering.
    pub fn read(
        &mut self,
        sbdf: Sbdf,
        reg: u16,
        size: u8,
        hw: &dyn Hardware,
        effects: &mut dyn Effects,
    ) -> u32 {
        let ones = u32::MAX >> (32 - 8 * u32::from(size.clamp(1, 4)));
        if !is_access(reg, size) {
            return ones;
        }
        if self.read_only.contains(&sbdf) {
            return lanes::split(reg, size).fold(0, |all, part| {
                all | hw.read(sbdf, part.reg, part.size) << part.done_bits
            });
        }
        if reg < 4 && !self.devices.contains_key(&sbdf) && !self.add_device(sbdf, hw, effects) {
            let id = self.identify_absent(sbdf, hw);
            return if reg + u16::from(size) <= 4 {
                id >> (8 * reg) & ones
            } else {
                ones
            };
        }
        match self.devices.get(&sbdf) {
            Some(device) => lanes::split(reg, size)
                .fold(0, |all, part| all | device.read(part, hw) << part.done_bits),
            None => ones,
        }
    }

    /// Vendor and device identifier of a function that is not dom0's: ones, except that dom0 may wait for one that is in reset.
    fn identify_absent(&self, sbdf: Sbdf, hw: &dyn ConfigSpace) -> u32 {
        let retry = !self.hidden.contains(&sbdf) && hw.read(sbdf, 0, 4) == device::RETRY;
        if retry { device::RETRY } else { u32::MAX }
    }

    /// Writes configuration space. `size` is 1, 2 or 4 at any offset; anything else, and writes to unknown functions, vanish.
    pub fn write(
        &mut self,
        sbdf: Sbdf,
        reg: u16,
        size: u8,
        value: u32,
        hw: &dyn Hardware,
        effects: &mut dyn Effects,
    ) {
        let Some(device) = self.devices.get_mut(&sbdf).filter(|_| is_access(reg, size)) else {
            return;
        };
        for part in lanes::split(reg, size) {
            device.write(
                part,
                value >> part.done_bits,
                &mut self.windows,
                &mut Platform { hw, effects },
            );
        }
    }

    /// A read from an I/O port; `None` if the port is not for configuration accesses.
    pub fn port_read(
        &mut self,
        port: u16,
        size: u8,
        hw: &dyn Hardware,
        effects: &mut dyn Effects,
    ) -> Option<u32> {
        match port {
            ADDRESS_PORT => self.address_port.read(size),
            DATA_PORT..=0xcff => Some(match self.address_port.decode(port, size) {
                Some((sbdf, reg)) => self.read(sbdf, reg, size, hw, effects),
                None => u32::MAX,
            }),
            _ => None,
        }
    }

    /// A write to an I/O port; `false` if the port is not for configuration accesses.
    pub fn port_write(
        &mut self,
        port: u16,
        size: u8,
        value: u32,
        hw: &dyn Hardware,
        effects: &mut dyn Effects,
    ) -> bool {
        match port {
            ADDRESS_PORT => self.address_port.write(size, value),
            DATA_PORT..=0xcff => {
                if let Some((sbdf, reg)) = self.address_port.decode(port, size) {
                    self.write(sbdf, reg, size, value, hw, effects);
                }
                true
            }
            _ => false,
        }
    }

    /// Adds an ECAM window, from MCFG or `PHYSDEVOP_pci_mmcfg_reserved`; its pages must not be in dom0's p2m.
    ///
    /// # Errors
    /// `EINVAL` if it is no range of addresses, `EEXIST` if it is known already, `ENOSPC` if there are too many.
    pub fn add_ecam(&mut self, window: EcamWindow) -> Result<(), Errno> {
        window.range().ok_or(Errno::EINVAL)?;
        if self.ecam.contains(&window) {
            return Err(Errno::EEXIST);
        }
        if self.ecam.len() >= MAX_ECAM_WINDOWS {
            return Err(Errno::ENOSPC);
        }
        self.ecam.push(window);
        Ok(())
    }

    /// The function and register an address means.
    #[must_use]
    pub fn decode_ecam(&self, at: Gpa) -> Option<(Sbdf, u16)> {
        self.ecam.iter().find_map(|window| window.decode(at))
    }

    /// A read that faulted in dom0's p2m: ECAM, or a page with an MSI-X table. `None` if the address is neither.
    pub fn mmio_read(
        &mut self,
        at: Gpa,
        size: u8,
        hw: &dyn Hardware,
        effects: &mut dyn Effects,
    ) -> Option<u64> {
        let Some((sbdf, reg)) = self.decode_ecam(at) else {
            return self.msix_read(at, size, hw);
        };
        if size != 8 {
            return Some(u64::from(self.read(sbdf, reg, size, hw, effects)));
        }
        let low = self.read(sbdf, reg, 4, hw, effects);
        let high = self.read(sbdf, reg + 4, 4, hw, effects);
        Some(u64::from(high) << 32 | u64::from(low))
    }

    /// A write that faulted in dom0's p2m: ECAM, or a page with an MSI-X table. `false` if the address is neither.
    pub fn mmio_write(
        &mut self,
        at: Gpa,
        size: u8,
        value: u64,
        hw: &dyn Hardware,
        effects: &mut dyn Effects,
    ) -> bool {
        let Some((sbdf, reg)) = self.decode_ecam(at) else {
            return self.msix_write(at, size, value, hw, effects);
        };
        if size == 8 {
            self.write(sbdf, reg, 4, value as u32, hw, effects);
            self.write(sbdf, reg + 4, 4, (value >> 32) as u32, hw, effects);
        } else {
            self.write(sbdf, reg, size, value as u32, hw, effects);
        }
        true
    }

    /// The MSI-X tables of functions that decode, as byte ranges. The pages they touch must trap.
    pub fn msix_table_ranges(&self) -> impl Iterator<Item = (Sbdf, Range<Gpa>)> {
        self.windows
            .tables()
            .map(|(sbdf, span)| (sbdf, Gpa(span.start)..Gpa(span.start + span.bytes)))
    }

    /// Whether the page of this byte must stay out of dom0's p2m because accesses to it belong here.
    #[must_use]
    pub fn traps(&self, at: Gpa) -> bool {
        self.decode_ecam(at).is_some() || self.windows.traps(at)
    }

    /// A read that faulted, in a page with an MSI-X table. Outside the table it is the device's own answer. `None` if no BAR is there.
    pub fn msix_read(&self, at: Gpa, size: u8, hw: &dyn Hardware) -> Option<u64> {
        match self.windows.table_at(at.0, size) {
            Some((sbdf, span)) => {
                let msix = self.devices.get(&sbdf).and_then(PciDevice::msix)?;
                Some(
                    at.0.checked_sub(span.start)
                        .map_or(u64::MAX, |offset| msix.read_table(offset, size)),
                )
            }
            None if !self.windows.covers(at) => None,
            None if is_inside_page(at, size) => Some(hw.read_mmio(Maddr(at.0), size)),
            None => Some(u64::MAX),
        }
    }

    /// A write that faulted, in a page with an MSI-X table. Outside the table it goes to the device. `false` if no BAR is there.
    pub fn msix_write(
        &mut self,
        at: Gpa,
        size: u8,
        value: u64,
        hw: &dyn Hardware,
        effects: &mut dyn Effects,
    ) -> bool {
        let Some((sbdf, span)) = self.windows.table_at(at.0, size) else {
            let covered = self.windows.covers(at);
            if covered && is_inside_page(at, size) {
                hw.write_mmio(Maddr(at.0), size, value);
            }
            return covered;
        };
        let msix = self.devices.get_mut(&sbdf).and_then(PciDevice::msix_mut);
        if let (Some(msix), Some(offset)) = (msix, at.0.checked_sub(span.start)) {
            msix.write_table(offset, size, value, &mut Platform { hw, effects });
        }
        true
    }
}

/// Whether the model can carry out a configuration access.
fn is_access(reg: u16, size: u8) -> bool {
    matches!(size, 1 | 2 | 4) && reg <= CONFIG_BYTES - u16::from(size)
}

fn is_inside_page(at: Gpa, size: u8) -> bool {
    matches!(size, 1 | 2 | 4 | 8) && at.page_offset() + usize::from(size) <= PAGE_SIZE
}

#[cfg(test)]
mod tests {
    use super::fake::{Bench, FakeFunction, HERE};
    use super::*;

    const ECAM: EcamWindow = EcamWindow {
        base: Gpa(0xb000_0000),
        segment: 0,
        start_bus: 0,
        end_bus: 255,
    };

    fn bench() -> Bench {
        let mut function = FakeFunction::endpoint();
        function
            .bar32(0x10, 0xf000_0000, 0x1000)
            .set(0x40, 0x1122_3344, 0)
            .set(0x44, 0x5566_7788, u32::MAX);
        function.set(0xffc, 0xaabb_ccdd, u32::MAX);
        let mut bench = Bench::with(function);
        bench.vpci.add_ecam(ECAM).expect("the window is sound");
        bench
    }

    fn ecam(reg: u64) -> u64 {
        ECAM.base.0 + (u64::from(HERE.0) << 12) + reg
    }

    #[test]
    fn unknown_functions_read_ones_of_the_width() {
        let mut bench = bench();
        let there = Sbdf::new(0, 9, 9, 1);
        let mut read = |reg, size| {
            bench
                .vpci
                .read(there, reg, size, &bench.hw, &mut bench.effects)
        };
        assert_eq!(
            (read(0, 4), read(0, 2), read(8, 1)),
            (u32::MAX, 0xffff, 0xff)
        );
        bench.write_to(there, 4, 2, 2);
        assert!(bench.config_writes().is_empty());
    }

    #[test]
    fn function_in_reset_is_seen_as_such_and_taken_up_later() {
        let mut bench = bench();
        let there = Sbdf::new(0, 5, 0, 0);
        let mut function = FakeFunction::endpoint();
        function.set(0, 0xffff_0001, 0);
        bench.hw.functions.borrow_mut().insert(there, function);
        let Bench { vpci, hw, effects } = &mut bench;
        assert_eq!(vpci.read(there, 0, 4, hw, effects), 0xffff_0001);
        assert_eq!(vpci.read(there, 0, 2, hw, effects), 1);
        assert!(vpci.device(there).is_none());
        hw.functions
            .borrow_mut()
            .insert(there, FakeFunction::endpoint());
        assert_eq!(vpci.read(there, 0, 4, hw, effects), 0xabcd_1234);
    }

    /// Many accesses from a fixed sequence; the fakes assert that frames and vectors are neither taken nor given back twice.
    #[test]
    fn arbitrary_accesses_keep_frames_and_vectors_balanced() {
        let mut function = FakeFunction::endpoint();
        function
            .bar32(0x10, 0xf000_0000, 0x4000)
            .bar64(0x14, 0x80_0000_0000, 0x2000);
        function.set(0x30, 0xf100_0000, 0xffff_f001).capabilities(&[
            (0x50, 0x05),
            (0x70, 0x11),
            (0x80, 0x10),
        ]);
        function
            .msi(0x50)
            .msix(0x70, 16, 0, 0x1000)
            .set(0x100, 0x0001_0015, 0)
            .set(0x108, 0, u32::MAX);
        let mut bench = Bench::with(function);
        let mut state = 0x1234_5678_9abc_def1u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let registers = [0x04, 0x10, 0x14, 0x18, 0x30, 0x50, 0x54, 0x5c, 0x70, 0x108];
        let values = [
            0,
            2,
            6,
            u32::MAX,
            0xf000_0000,
            0xf000_3001,
            0x8000_0000,
            0xc000_0000,
            0x0001_0000,
            0x80,
        ];
        for _ in 0..20_000 {
            let (pick, size) = (next(), [1, 2, 4, 8][next() as usize % 4]);
            let reg = registers[pick as usize % 10] + (pick >> 32) as u16 % 4;
            let value = if pick & 1 << 40 == 0 {
                values[(pick >> 16) as usize % 10]
            } else {
                next() as u32
            };
            match pick >> 60 {
                0 => bench.hw.reset(HERE),
                1..=3 => drop(bench.mmio_write(
                    0xf000_1000 + (pick >> 20) % 0x110,
                    size,
                    u64::from(value),
                )),
                4 => drop(bench.mmio_read(0xf000_1000 + (pick >> 20) % 0x110, size)),
                5 => drop(bench.read(reg, size)),
                _ => bench.write(reg, size, value),
            }
        }
        assert!(
            bench
                .vpci
                .remove_device(HERE, &bench.hw, &mut bench.effects)
        );
        assert!(bench.effects.mapped.is_empty() && bench.effects.bound.is_empty());
    }

    #[test]
    fn strange_widths_and_offsets_are_harmless() {
        let mut bench = bench();
        for reg in [0, 1, 0x10, 0x3fe, 0xffd, 0xfff, 0x1000, u16::MAX] {
            for size in 0..=u8::MAX {
                bench.write(reg, size, u32::MAX);
                bench.read(reg, size);
            }
        }
        assert_eq!(bench.read(0xffd, 4), u32::MAX);
        assert_eq!(bench.read(0x40, 3), 0xff_ffff);
    }

    #[test]
    fn legacy_ports_reach_registers() {
        let mut bench = bench();
        let Bench { vpci, hw, effects } = &mut bench;
        assert!(vpci.port_write(
            ADDRESS_PORT,
            4,
            0x8000_0000 | HERE.0 << 8 | 0x44,
            hw,
            effects
        ));
        assert_eq!(
            vpci.port_read(ADDRESS_PORT, 4, hw, effects),
            Some(0x8000_1844)
        );
        assert!(vpci.port_write(0xcfe, 2, 0x9988, hw, effects));
        assert_eq!(vpci.port_read(0xcfc, 4, hw, effects), Some(0x9988_7788));
        assert!(!vpci.port_write(0xcf9, 1, 6, hw, effects));
        assert_eq!(vpci.port_read(0xcf9, 1, hw, effects), None);
        assert!(!vpci.port_write(ADDRESS_PORT, 1, 0, hw, effects));
        assert!(vpci.port_write(ADDRESS_PORT, 4, 0x44, hw, effects));
        assert_eq!(vpci.port_read(0xcfc, 4, hw, effects), Some(u32::MAX));
    }

    #[test]
    fn ecam_reaches_all_4096_bytes() {
        let mut bench = bench();
        assert_eq!(bench.mmio_read(ecam(0xffc), 4), Some(0xaabb_ccdd));
        assert!(bench.mmio_write(ecam(0xfff), 1, 0x11));
        assert_eq!(bench.mmio_read(ecam(0xffc), 4), Some(0x11bb_ccdd));
    }

    #[test]
    fn quadword_is_two_dwords() {
        let mut bench = bench();
        assert_eq!(bench.mmio_read(ecam(0x40), 8), Some(0x5566_7788_1122_3344));
        assert!(bench.mmio_write(ecam(0x40), 8, 0x0102_0304_0506_0708));
        assert_eq!(
            bench.config_writes(),
            [(0x40, 4, 0x0506_0708), (0x44, 4, 0x0102_0304)]
        );
        assert_eq!(bench.mmio_read(ecam(0xffc), 8), Some(0xffff_ffff_aabb_ccdd));
        assert_eq!(bench.mmio_read(ecam(0xfff), 8), Some(u64::MAX));
    }

    #[test]
    fn ecam_pages_trap_and_windows_are_checked() {
        let mut bench = bench();
        assert!(bench.vpci.traps(Gpa(ecam(0))) && !bench.vpci.traps(Gpa(ECAM.base.0 - 1)));
        assert_eq!(bench.vpci.add_ecam(ECAM), Err(Errno::EEXIST));
        assert_eq!(
            bench.vpci.add_ecam(EcamWindow {
                start_bus: 2,
                end_bus: 1,
                ..ECAM
            }),
            Err(Errno::EINVAL)
        );
        for segment in 1..64 {
            bench
                .vpci
                .add_ecam(EcamWindow { segment, ..ECAM })
                .expect("there is room");
        }
        assert_eq!(
            bench.vpci.add_ecam(EcamWindow {
                segment: 64,
                ..ECAM
            }),
            Err(Errno::ENOSPC)
        );
    }

    #[test]
    fn addresses_that_are_not_ours_are_left_alone() {
        let mut bench = bench();
        assert_eq!(bench.mmio_read(u64::MAX, 8), None);
        assert_eq!(bench.mmio_read(0xf000_0000, 4), None);
        assert!(!bench.mmio_write(u64::MAX, 8, 0));
    }
}
