//! The MSI-X capability and its table. (PCI Local Bus 3.0, "MSI-X Capability and Table Structures".)
//!
//! dom0 sees a table of its own messages. An entry of the real table is programmed with a host message while MSI-X is enabled, the
//! function mask is clear and dom0 has the entry unmasked; a vector once bound stays bound through masking, until MSI-X is disabled.
//! As in Xen, a message written to an unmasked entry counts from its next unmasking: the standard leaves that case undefined.
//!
//! The real table can be reached only while its BAR decodes. Until then nothing is bound and the device's function mask is held set.

use alloc::vec;
use alloc::vec::Vec;

use super::bar::{BAR0, MemoryBar};
use super::lanes::Lanes;
use super::sbdf::Sbdf;
use super::seam::{ConfigSpace, MsiMessage, Note, Platform};
use crate::ids::Maddr;

/// Bits of the capability's first dword (message control is its upper half).
const ENABLE: u32 = 1 << 31;
const FUNCTION_MASK: u32 = 1 << 30;
const ENTRY_BYTES: u64 = 16;
const VECTOR_CONTROL: u64 = 12;

/// One function's MSI-X capability.
#[derive(Debug)]
pub struct Msix {
    sbdf: Sbdf,
    reg: u16,
    /// Configuration offset of the BAR that holds the table.
    bar: u16,
    /// Offset of the table in it.
    offset: u64,
    entries: Vec<Entry>,
    enabled: bool,
    function_masked: bool,
    /// The table lies inside a BAR the function has. If not, MSI-X cannot be enabled.
    sound: bool,
    /// Where the table is while its BAR decodes.
    table: Option<u64>,
    /// Entries of the real table may be unmasked with messages that are not ours.
    unknown: bool,
}

/// What dom0 put into an entry, and how far that has reached the device.
#[derive(Copy, Clone, Debug)]
struct Entry {
    guest: MsiMessage,
    masked: bool,
    bound: bool,
    /// The device does not have the host message for `guest`.
    stale: bool,
    /// The real entry is unmasked.
    open: bool,
}

impl Msix {
    /// Takes over the capability at `reg`; if firmware left it enabled it is switched off.
    pub(super) fn probe(
        sbdf: Sbdf,
        reg: u16,
        bars: &[MemoryBar],
        hw: &dyn ConfigSpace,
    ) -> Option<Self> {
        if reg + 12 > 0x100 {
            return None;
        }
        let control = hw.read(sbdf, reg, 4);
        let place = hw.read(sbdf, reg + 4, 4);
        if control & ENABLE != 0 {
            hw.write(sbdf, reg + 2, 2, (control & !ENABLE) >> 16);
        }
        let count = (control >> 16 & 0x7ff) as usize + 1;
        let fresh = Entry {
            guest: MsiMessage::default(),
            masked: true,
            bound: false,
            stale: true,
            open: false,
        };
        let mut msix = Self {
            sbdf,
            reg,
            bar: BAR0 + (place & 7) as u16 * 4,
            offset: u64::from(place & !7),
            entries: vec![fresh; count],
            enabled: false,
            function_masked: control & FUNCTION_MASK != 0,
            sound: false,
            table: None,
            unknown: true,
        };
        msix.check(bars);
        Some(msix)
    }

    /// Finds out again whether the table lies inside its BAR, whose size may have changed.
    pub(super) fn check(&mut self, bars: &[MemoryBar]) {
        let end = self.offset + self.table_bytes();
        self.sound = bars
            .iter()
            .any(|bar| bar.reg == self.bar && end <= bar.size);
    }

    /// Number of vectors.
    #[must_use]
    pub fn vectors(&self) -> usize {
        self.entries.len()
    }

    /// Whether dom0 has MSI-X enabled.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Offset in its BAR and length of the table, if it lies in the BAR at this configuration offset.
    pub(super) fn table_in(&self, bar: u16) -> Option<(u64, u64)> {
        (self.sound && bar == self.bar).then(|| (self.offset, self.table_bytes()))
    }

    fn table_bytes(&self) -> u64 {
        self.entries.len() as u64 * ENTRY_BYTES
    }

    /// The BAR with the table decodes at last; `table` is the table's address.
    pub(super) fn attach(&mut self, table: u64, platform: &mut Platform<'_>) {
        self.table = Some(table);
        if self.enabled {
            self.set_control(true, self.function_masked, platform);
        }
    }

    /// The BAR with the table stops decoding.
    pub(super) fn detach(&mut self) {
        self.table = None;
    }

    /// Value and mask of the bits which the model supplies for a dword; `None` if it is all the hardware's.
    pub(super) fn overlay(&self, dword: u16) -> Option<(u32, u32)> {
        (dword == self.reg).then(|| (self.control_bits(), ENABLE | FUNCTION_MASK))
    }

    fn control_bits(&self) -> u32 {
        (if self.enabled { ENABLE } else { 0 })
            | if self.function_masked {
                FUNCTION_MASK
            } else {
                0
            }
    }

    /// Carries out a write to the capability; `false` if the dword is not the model's.
    pub(super) fn write(&mut self, at: Lanes, value: u32, platform: &mut Platform<'_>) -> bool {
        if at.dword() != self.reg {
            return false;
        }
        if self.sound && at.mask() & ENABLE != 0 {
            let bits = at.place(value);
            self.set_control(bits & ENABLE != 0, bits & FUNCTION_MASK != 0, platform);
        }
        true
    }

    fn set_control(&mut self, enable: bool, mask: bool, platform: &mut Platform<'_>) {
        self.function_masked = mask;
        if !enable {
            self.enabled = false;
            self.write_control(platform);
            self.release(platform);
            return;
        }
        self.enabled = true;
        let hardware = platform.hw.read(self.sbdf, self.reg, 4);
        if hardware & ENABLE == 0 {
            // Enabled for the first time or forgotten in a reset. Some devices show their table only once MSI-X is enabled.
            platform.hw.write(
                self.sbdf,
                self.reg + 2,
                2,
                (hardware | ENABLE | FUNCTION_MASK) >> 16,
            );
            self.unknown = true;
        }
        if !mask {
            self.sync_all(platform);
        }
        self.write_control(platform);
    }

    fn write_control(&self, platform: &mut Platform<'_>) {
        let hold = if self.enabled && self.unknown {
            FUNCTION_MASK
        } else {
            0
        };
        let rest = platform.hw.read(self.sbdf, self.reg, 4) & !(ENABLE | FUNCTION_MASK);
        let control = rest | self.control_bits() | hold;
        platform.hw.write(self.sbdf, self.reg + 2, 2, control >> 16);
    }

    /// Gives all host vectors back. MSI-X is off in the device, or the device is gone.
    pub(super) fn release(&mut self, platform: &mut Platform<'_>) {
        for (index, entry) in self
            .entries
            .iter_mut()
            .enumerate()
            .filter(|(_, entry)| entry.bound)
        {
            platform.effects.disable_msi(self.sbdf, index as u16);
            (entry.bound, entry.stale) = (false, true);
        }
        self.unknown = true;
    }

    /// Reads the table as dom0 sees it; `offset` is from the table's start. All ones unless an aligned dword or quadword of it.
    pub(super) fn read_table(&self, offset: u64, size: u8) -> u64 {
        match size {
            4 if offset.is_multiple_of(4) => u64::from(self.read_dword(offset)),
            8 if offset.is_multiple_of(8) => {
                u64::from(self.read_dword(offset + 4)) << 32 | u64::from(self.read_dword(offset))
            }
            _ => u64::MAX,
        }
    }

    fn read_dword(&self, offset: u64) -> u32 {
        let Some(entry) = self.entries.get((offset / ENTRY_BYTES) as usize) else {
            return u32::MAX;
        };
        match offset % ENTRY_BYTES {
            0 => entry.guest.address as u32,
            4 => (entry.guest.address >> 32) as u32,
            8 => entry.guest.data,
            _ => u32::from(entry.masked),
        }
    }

    /// Writes the table as dom0 sees it. Dropped unless an aligned dword or quadword of it.
    pub(super) fn write_table(
        &mut self,
        offset: u64,
        size: u8,
        value: u64,
        platform: &mut Platform<'_>,
    ) {
        match size {
            4 if offset.is_multiple_of(4) => self.write_dword(offset, value as u32, platform),
            8 if offset.is_multiple_of(8) => {
                self.write_dword(offset, value as u32, platform);
                self.write_dword(offset + 4, (value >> 32) as u32, platform);
            }
            _ => {}
        }
    }

    fn write_dword(&mut self, offset: u64, value: u32, platform: &mut Platform<'_>) {
        let index = (offset / ENTRY_BYTES) as usize;
        let Some(entry) = self.entries.get_mut(index) else {
            return;
        };
        let address = entry.guest.address;
        match offset % ENTRY_BYTES {
            0 => entry.guest.address = (address >> 32 << 32) | u64::from(value & !3),
            4 => entry.guest.address = u64::from(value) << 32 | u64::from(address as u32),
            8 => entry.guest.data = value,
            _ => {
                entry.masked = value & 1 != 0;
                self.sync(index, platform);
                return;
            }
        }
        entry.stale = true;
    }

    /// Brings the real table in line with dom0's. At most 2048 entries, of which masked ones cost nothing after the first time.
    fn sync_all(&mut self, platform: &mut Platform<'_>) {
        let Some(table) = self.table else { return };
        if self.unknown {
            for (index, entry) in self.entries.iter_mut().enumerate() {
                write_dword(platform, table, index, VECTOR_CONTROL, 1);
                (entry.open, entry.stale) = (false, true);
            }
            self.unknown = false;
        }
        for index in 0..self.entries.len() {
            self.sync(index, platform);
        }
    }

    /// Brings one real entry in line with dom0's.
    fn sync(&mut self, index: usize, platform: &mut Platform<'_>) {
        let (Some(table), Some(entry)) = (self.table, self.entries.get_mut(index)) else {
            return;
        };
        if !self.enabled || self.unknown {
            return;
        }
        let wanted = !entry.masked && !self.function_masked;
        if entry.open && (entry.masked || (wanted && entry.stale)) {
            entry.open = false;
            write_dword(platform, table, index, VECTOR_CONTROL, 1);
        }
        if wanted
            && !entry.open
            && (!entry.stale || program(self.sbdf, table, index, entry, platform))
        {
            entry.open = true;
            write_dword(platform, table, index, VECTOR_CONTROL, 0);
        }
    }
}

/// Binds the entry to a host vector and writes the host's message to the real, masked entry; `false` if there is no vector.
fn program(
    sbdf: Sbdf,
    table: u64,
    index: usize,
    entry: &mut Entry,
    platform: &mut Platform<'_>,
) -> bool {
    let number = index as u16;
    let bound = match entry.bound {
        true => platform.effects.update_msi(sbdf, number, entry.guest),
        false => platform.effects.enable_msi(sbdf, number, entry.guest),
    };
    match bound {
        Ok(message) => {
            write_dword(platform, table, index, 0, message.address as u32);
            write_dword(platform, table, index, 4, (message.address >> 32) as u32);
            write_dword(platform, table, index, 8, message.data);
            (entry.bound, entry.stale) = (true, false);
            true
        }
        Err(error) => {
            platform.effects.note(
                sbdf,
                Note::MsiRefused {
                    entry: number,
                    error,
                },
            );
            false
        }
    }
}

fn write_dword(platform: &mut Platform<'_>, table: u64, index: usize, field: u64, value: u32) {
    platform.hw.write_mmio(
        Maddr(table + index as u64 * ENTRY_BYTES + field),
        4,
        u64::from(value),
    );
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Bench, FakeFunction, HERE, host_message};
    use super::super::{ConfigSpace, MsiMessage, Note, Sbdf};
    use crate::ids::Gpa;
    use std::vec::Vec;

    const BAR: u64 = 0xf000_0000;
    const TABLE: u64 = BAR + 0x1000;
    const ON: u32 = 0x8000;
    const ON_MASKED: u32 = 0xc000;

    fn function() -> FakeFunction {
        let mut function = FakeFunction::endpoint();
        function
            .bar32(0x10, BAR as u32, 0x4000)
            .capabilities(&[(0x60, 0x11)])
            .msix(0x60, 4, 0, 0x1000);
        function
    }

    fn bench() -> Bench {
        let mut bench = Bench::with(function());
        bench.write(4, 2, 6);
        bench
    }

    fn guest(index: u64) -> MsiMessage {
        MsiMessage {
            address: 0xfee0_1000,
            data: 0x40 + index as u32,
        }
    }

    fn set_message(bench: &mut Bench, index: u64, message: MsiMessage) {
        let at = TABLE + index * 16;
        assert!(bench.mmio_write(at, 8, message.address));
        assert!(bench.mmio_write(at + 8, 4, u64::from(message.data)));
    }

    fn set_mask(bench: &mut Bench, index: u64, masked: bool) {
        assert!(bench.mmio_write(TABLE + index * 16 + 12, 4, u64::from(masked)));
    }

    fn control(bench: &Bench) -> u32 {
        bench.hw.read(HERE, 0x62, 2) & 0xc000
    }

    /// Address, data and vector control in the device.
    fn real(bench: &Bench, index: u64) -> (MsiMessage, u32) {
        let at = TABLE + index * 16;
        let address = u64::from(bench.hw.dword(at + 4)) << 32 | u64::from(bench.hw.dword(at));
        (
            MsiMessage {
                address,
                data: bench.hw.dword(at + 8),
            },
            bench.hw.dword(at + 12),
        )
    }

    /// Enables as Linux does: function mask, entries, unmask.
    fn enabled(indices: &[u64]) -> Bench {
        let mut bench = bench();
        bench.write(0x62, 2, ON_MASKED);
        for index in indices {
            set_message(&mut bench, *index, guest(*index));
            set_mask(&mut bench, *index, false);
        }
        bench.write(0x62, 2, ON);
        bench
    }

    #[test]
    fn table_pages_are_left_out_of_the_mapping() {
        let bench = bench();
        assert_eq!(bench.mapped(), [0xf0000, 0xf0002, 0xf0003]);
        assert!(
            bench.vpci.traps(Gpa(TABLE))
                && bench.vpci.traps(Gpa(TABLE + 0xfff))
                && !bench.vpci.traps(Gpa(BAR))
        );
        let ranges: Vec<_> = bench.vpci.msix_table_ranges().collect();
        assert_eq!(ranges, [(HERE, Gpa(TABLE)..Gpa(TABLE + 64))]);
    }

    #[test]
    fn entry_is_programmed_when_enabled_and_unmasked() {
        let mut bench = bench();
        set_message(&mut bench, 1, guest(1));
        set_mask(&mut bench, 1, false);
        assert!(bench.effects.bound.is_empty());
        bench.write(0x62, 2, ON);
        assert_eq!(bench.effects.bound.len(), 1);
        assert_eq!(real(&bench, 1), (host_message(guest(1)), 0));
        assert_eq!(real(&bench, 0).1, 1);
        assert_eq!(control(&bench), ON);
        assert_eq!(bench.read(0x62, 2), ON | 3);
    }

    #[test]
    fn function_mask_holds_all_entries_back() {
        let mut bench = bench();
        bench.write(0x62, 2, ON_MASKED);
        set_message(&mut bench, 2, guest(2));
        set_mask(&mut bench, 2, false);
        assert!(bench.effects.bound.is_empty());
        assert_eq!(control(&bench), ON_MASKED);
        bench.write(0x63, 1, 0x80);
        assert_eq!(real(&bench, 2), (host_message(guest(2)), 0));
        assert_eq!(control(&bench), ON);
    }

    #[test]
    fn masking_keeps_the_vector() {
        let mut bench = enabled(&[0, 3]);
        set_mask(&mut bench, 3, true);
        assert_eq!((real(&bench, 3).1, bench.effects.bound.len()), (1, 2));
        set_mask(&mut bench, 3, false);
        assert_eq!(real(&bench, 3), (host_message(guest(3)), 0));
        assert_eq!(bench.effects.updates, 0);
        bench.write(0x62, 2, ON_MASKED);
        bench.write(0x62, 2, ON);
        assert_eq!((bench.effects.updates, bench.effects.bound.len()), (0, 2));
    }

    #[test]
    fn message_changed_while_masked_is_programmed_on_unmask() {
        let mut bench = enabled(&[0]);
        set_mask(&mut bench, 0, true);
        set_message(&mut bench, 0, guest(9));
        assert_eq!(bench.effects.bound[&(HERE, 0)], guest(0));
        set_mask(&mut bench, 0, false);
        assert_eq!(bench.effects.bound[&(HERE, 0)], guest(9));
        assert_eq!(real(&bench, 0), (host_message(guest(9)), 0));
    }

    #[test]
    fn message_changed_under_the_function_mask_is_programmed() {
        let mut bench = enabled(&[0]);
        bench.write(0x62, 2, ON_MASKED);
        set_message(&mut bench, 0, guest(9));
        bench.write(0x62, 2, ON);
        assert_eq!(real(&bench, 0), (host_message(guest(9)), 0));
    }

    #[test]
    fn disabling_gives_all_vectors_back_and_keeps_the_table() {
        let mut bench = enabled(&[0, 1, 2, 3]);
        assert_eq!(bench.effects.bound.len(), 4);
        bench.write(0x62, 2, 0);
        assert!(bench.effects.bound.is_empty());
        assert_eq!(control(&bench), 0);
        assert_eq!(bench.mmio_read(TABLE + 16, 8), Some(guest(1).address));
        assert_eq!(
            bench.mmio_read(TABLE + 24, 8),
            Some(u64::from(guest(1).data))
        );
        bench.write(0x62, 2, ON);
        assert_eq!(bench.effects.bound.len(), 4);
    }

    #[test]
    fn garbage_left_in_the_real_table_is_masked_before_use() {
        let bench = enabled(&[0]);
        assert_eq!(
            (1..4)
                .map(|index| real(&bench, index).1)
                .collect::<Vec<_>>(),
            [1, 1, 1]
        );
    }

    #[test]
    fn enabling_without_memory_decoding_waits_for_it() {
        let mut bench = enabled(&[0]);
        bench.write(0x62, 2, 0);
        bench.write(4, 2, 4);
        bench.write(0x62, 2, ON);
        assert_eq!(control(&bench), ON_MASKED);
        assert_eq!(bench.read(0x62, 2) & 0xc000, ON);
        assert!(bench.effects.bound.is_empty());
        bench.write(4, 2, 6);
        assert_eq!(control(&bench), ON);
        assert_eq!(real(&bench, 0), (host_message(guest(0)), 0));
    }

    #[test]
    fn reset_device_is_programmed_again() {
        let mut bench = enabled(&[0, 1]);
        bench.write(4, 2, 0);
        bench.hw.reset(HERE);
        bench.hw.memory.borrow_mut().clear();
        bench.write(0x10, 4, BAR as u32);
        bench.write(4, 2, 6);
        bench.write(0x62, 2, ON_MASKED);
        bench.write(0x62, 2, ON);
        assert_eq!(real(&bench, 1), (host_message(guest(1)), 0));
        assert_eq!((control(&bench), bench.effects.bound.len()), (ON, 2));
    }

    #[test]
    fn reset_behind_a_live_mapping_is_noticed_at_control() {
        let mut bench = enabled(&[0]);
        bench
            .hw
            .functions
            .borrow_mut()
            .get_mut(&HERE)
            .expect("it exists")
            .set(0x60, 0x0003_0011, 0xc000_0000);
        bench.hw.memory.borrow_mut().clear();
        bench.write(0x62, 2, ON);
        assert_eq!(real(&bench, 0), (host_message(guest(0)), 0));
    }

    #[test]
    fn entry_without_a_vector_stays_masked() {
        let mut bench = bench();
        bench.effects.vectors_left = Some(1);
        set_mask(&mut bench, 0, false);
        set_mask(&mut bench, 1, false);
        bench.write(0x62, 2, ON);
        assert_eq!((real(&bench, 0).1, real(&bench, 1).1), (0, 1));
        assert!(matches!(
            bench.effects.notes[..],
            [Note::MsiRefused { entry: 1, .. }]
        ));
    }

    #[test]
    fn odd_table_accesses_read_ones_and_write_nothing() {
        let mut bench = enabled(&[0]);
        for (at, size) in [
            (TABLE, 1),
            (TABLE, 2),
            (TABLE + 2, 4),
            (TABLE + 4, 8),
            (TABLE + 60, 8),
            (TABLE, 3),
            (TABLE, 0),
        ] {
            bench.mmio_write(at, size, 0);
            assert!(
                size == 0 || bench.mmio_read(at, size) == Some(u64::MAX),
                "{at:#x} {size}"
            );
        }
        assert_eq!(bench.mmio_read(TABLE, 4), Some(guest(0).address));
    }

    #[test]
    fn rest_of_the_page_is_the_devices() {
        let mut bench = bench();
        assert!(bench.mmio_write(TABLE + 64, 4, 0x1234_5678));
        assert_eq!(bench.hw.dword(TABLE + 64), 0x1234_5678);
        assert_eq!(bench.mmio_read(TABLE + 64, 2), Some(0x5678));
        assert_eq!(bench.mmio_read(TABLE + 0x800, 8), Some(0));
        assert_eq!(bench.mmio_read(TABLE + 0xffc, 8), Some(u64::MAX));
    }

    #[test]
    fn table_is_not_there_while_its_bar_does_not_decode() {
        let mut bench = bench();
        bench.write(4, 2, 4);
        assert!(bench.mapped().is_empty());
        assert_eq!(bench.mmio_read(TABLE, 4), None);
        assert!(!bench.mmio_write(TABLE, 4, 0) && !bench.vpci.traps(Gpa(TABLE)));
    }

    #[test]
    fn table_outside_its_bar_cannot_be_enabled() {
        let mut function = function();
        function.msix(0x60, 2048, 0, 0x1000);
        let mut bench = Bench::with(function);
        bench.write(4, 2, 2);
        bench.write(0x62, 2, ON);
        assert_eq!((bench.read(0x62, 2), control(&bench)), (2047, 0));
        assert_eq!(bench.mapped().len(), 4);
    }

    #[test]
    fn table_in_a_missing_bar_cannot_be_enabled() {
        for bir in [1, 5, 6, 7] {
            let mut function = function();
            function.msix(0x60, 4, bir, 0);
            let mut bench = Bench::with(function);
            bench.write(4, 2, 2);
            bench.write(0x62, 2, ON);
            assert_eq!(control(&bench), 0);
        }
    }

    #[test]
    fn table_over_memory_of_others_is_never_touched() {
        let mut bench = Bench::with(function());
        bench.effects.ram_end = 0x100;
        bench.write(0x10, 4, 0x4000);
        bench.write(4, 2, 2);
        bench.write(0x62, 2, ON);
        assert!(bench.hw.memory.borrow().is_empty() && bench.mmio_read(0x5000, 4).is_none());
    }

    #[test]
    fn table_page_shared_with_another_bar_traps_for_both() {
        let mut second = FakeFunction::endpoint();
        second.bar32(0x10, (TABLE + 0x400) as u32, 0x100);
        let there = Sbdf::new(0, 0, 4, 0);
        let mut bench = Bench::with(function());
        bench.add(there, second);
        bench.write_to(there, 4, 2, 2);
        assert_eq!(bench.mapped(), [0xf0001]);
        bench.write(4, 2, 2);
        assert_eq!(bench.mapped(), [0xf0000, 0xf0002, 0xf0003]);
        assert!(bench.mmio_write(TABLE + 0x400, 4, 7));
        bench.write(4, 2, 0);
        assert_eq!(bench.mmio_read(TABLE + 0x400, 4), Some(7));
        bench.write_to(there, 4, 2, 0);
        assert_eq!(bench.mmio_read(TABLE + 0x400, 4), None);
        assert!(bench.mapped().is_empty());
    }

    #[test]
    fn failed_mapping_leaves_nothing_behind() {
        let mut bench = Bench::with(function());
        bench.effects.maps_left = Some(1);
        bench.write(4, 2, 2);
        assert!(bench.mapped().is_empty() && bench.mmio_read(TABLE, 4).is_none());
        assert!(matches!(
            bench.effects.notes[..],
            [Note::MapRefused { reg: 0x10, .. }]
        ));
    }
}
