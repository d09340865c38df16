//! A bus of registers with writable masks, and effects that are written down.

use core::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::vec;
use std::vec::Vec;

use xen_abi::errno::Errno;

use super::{ConfigSpace, Effects, Mmio, MsiMessage, Note, Sbdf};
use crate::ids::{Maddr, Mfn};

/// Configuration registers of one function.
pub(super) struct FakeFunction {
    data: Vec<u8>,
    writable: Vec<u8>,
    clear_by_one: Vec<u8>,
}

impl FakeFunction {
    /// An endpoint without BARs or capabilities; command register writable, status cleared by ones.
    pub fn endpoint() -> Self {
        let mut function = Self {
            data: vec![0; 4096],
            writable: vec![0; 4096],
            clear_by_one: vec![0; 4096],
        };
        function.set(0x00, 0xabcd_1234, 0);
        function.set(0x04, 0, 0x0000_0547);
        function.clear_by_one[7] = 0xf9;
        function
    }

    /// Sets a dword and which of its bits can be written.
    pub fn set(&mut self, reg: usize, value: u32, writable: u32) -> &mut Self {
        self.data[reg..reg + 4].copy_from_slice(&value.to_le_bytes());
        self.writable[reg..reg + 4].copy_from_slice(&writable.to_le_bytes());
        self
    }

    /// A 32-bit memory BAR.
    pub fn bar32(&mut self, reg: usize, address: u32, size: u32) -> &mut Self {
        self.set(reg, address, !(size - 1))
    }

    /// A 64-bit prefetchable memory BAR.
    pub fn bar64(&mut self, reg: usize, address: u64, size: u64) -> &mut Self {
        let mask = !(size - 1);
        self.set(reg, address as u32 | 0xc, mask as u32).set(
            reg + 4,
            (address >> 32) as u32,
            (mask >> 32) as u32,
        )
    }

    /// Links the capabilities at `regs` into a list; each keeps its identifier.
    pub fn capabilities(&mut self, list: &[(u8, u8)]) -> &mut Self {
        self.data[6] |= 0x10;
        self.data[0x34] = list.first().map_or(0, |entry| entry.0);
        for (index, (reg, id)) in list.iter().enumerate() {
            self.data[usize::from(*reg)] = *id;
            self.data[usize::from(*reg) + 1] = list.get(index + 1).map_or(0, |entry| entry.0);
        }
        self
    }

    /// A maskable 64-bit MSI capability for 8 messages.
    pub fn msi(&mut self, reg: usize) -> &mut Self {
        let control = u32::from(self.data[reg]) | u32::from(self.data[reg + 1]) << 8 | 0x0186 << 16;
        self.set(reg, control, 0x0071 << 16)
            .set(reg + 4, 0, !3)
            .set(reg + 8, 0, u32::MAX);
        self.set(reg + 12, 0, 0xffff).set(reg + 16, 0, 0xff)
    }

    /// An MSI-X capability with a table of `vectors` at `offset` of BAR `bir`.
    pub fn msix(&mut self, reg: usize, vectors: u32, bir: u32, offset: u32) -> &mut Self {
        let control =
            u32::from(self.data[reg]) | u32::from(self.data[reg + 1]) << 8 | (vectors - 1) << 16;
        self.set(reg, control, 0xc000 << 16)
            .set(reg + 4, offset | bir, 0)
            .set(reg + 8, (offset + 0x800) | bir, 0)
    }

    /// What a function level reset does.
    pub fn reset(&mut self) {
        for (data, writable) in self.data.iter_mut().zip(&self.writable) {
            *data &= !*writable;
        }
    }
}

/// The machine: functions, device memory, and every write in order.
#[derive(Default)]
pub(super) struct FakeHardware {
    pub functions: RefCell<BTreeMap<Sbdf, FakeFunction>>,
    pub memory: RefCell<BTreeMap<u64, u8>>,
    pub config_writes: RefCell<Vec<(Sbdf, u16, u8, u32)>>,
    pub config_reads: RefCell<u64>,
}

impl FakeHardware {
    pub fn with(sbdf: Sbdf, function: FakeFunction) -> Self {
        let hw = Self::default();
        hw.functions.borrow_mut().insert(sbdf, function);
        hw
    }

    pub fn reset(&self, sbdf: Sbdf) {
        self.functions
            .borrow_mut()
            .get_mut(&sbdf)
            .expect("the function exists")
            .reset();
    }

    pub fn dword(&self, at: u64) -> u32 {
        self.read_mmio(Maddr(at), 4) as u32
    }
}

impl ConfigSpace for FakeHardware {
    fn read(&self, sbdf: Sbdf, reg: u16, size: u8) -> u32 {
        assert!(
            matches!(size, 1 | 2 | 4) && reg.is_multiple_of(u16::from(size)) && reg < 4096,
            "the model keeps its side of the contract"
        );
        *self.config_reads.borrow_mut() += 1;
        let functions = self.functions.borrow();
        let Some(function) = functions.get(&sbdf) else {
            return u32::MAX >> (32 - 8 * u32::from(size));
        };
        (0..usize::from(size)).fold(0, |all, byte| {
            all | u32::from(function.data[usize::from(reg) + byte]) << (8 * byte)
        })
    }

    fn write(&self, sbdf: Sbdf, reg: u16, size: u8, value: u32) {
        assert!(
            matches!(size, 1 | 2 | 4) && reg.is_multiple_of(u16::from(size)) && reg < 4096,
            "the model keeps its side of the contract"
        );
        self.config_writes
            .borrow_mut()
            .push((sbdf, reg, size, value));
        let mut functions = self.functions.borrow_mut();
        let Some(function) = functions.get_mut(&sbdf) else {
            return;
        };
        for byte in 0..usize::from(size) {
            let (at, new) = (usize::from(reg) + byte, (value >> (8 * byte)) as u8);
            let kept =
                function.data[at] & !function.writable[at] & !(new & function.clear_by_one[at]);
            function.data[at] = kept | (new & function.writable[at]);
        }
    }
}

impl Mmio for FakeHardware {
    fn read_mmio(&self, at: Maddr, size: u8) -> u64 {
        let memory = self.memory.borrow();
        (0..u64::from(size)).fold(0, |all, byte| {
            all | u64::from(*memory.get(&(at.0 + byte)).unwrap_or(&0)) << (8 * byte)
        })
    }

    fn write_mmio(&self, at: Maddr, size: u8, value: u64) {
        let mut memory = self.memory.borrow_mut();
        for byte in 0..u64::from(size) {
            memory.insert(at.0 + byte, (value >> (8 * byte)) as u8);
        }
    }
}

/// Effects as state: dom0's p2m and the vectors in use.
#[derive(Default)]
pub(super) struct FakeEffects {
    pub mapped: BTreeSet<u64>,
    pub bound: BTreeMap<(Sbdf, u16), MsiMessage>,
    pub notes: Vec<Note>,
    pub updates: usize,
    /// Frames below this are RAM.
    pub ram_end: u64,
    /// Vectors left; `None` is plenty.
    pub vectors_left: Option<usize>,
    /// Mappings that still succeed; `None` is all.
    pub maps_left: Option<usize>,
}

/// The host message for a guest message: recognisable, and different.
pub(super) fn host_message(guest: MsiMessage) -> MsiMessage {
    MsiMessage {
        address: 0xfee0_0000 | (guest.address & 0xf_f000),
        data: guest.data ^ 0x80,
    }
}

impl Effects for FakeEffects {
    fn check_mmio(&self, first: Mfn, _count: u64) -> Result<(), Errno> {
        if first.0 < self.ram_end {
            Err(Errno::EPERM)
        } else {
            Ok(())
        }
    }

    fn map_mmio(&mut self, first: Mfn, count: u64) -> Result<(), Errno> {
        if let Some(left) = &mut self.maps_left {
            *left = left.checked_sub(1).ok_or(Errno::ENOMEM)?;
        }
        for frame in first.0..first.0 + count {
            assert!(self.mapped.insert(frame), "frame {frame:#x} is mapped once");
        }
        Ok(())
    }

    fn unmap_mmio(&mut self, first: Mfn, count: u64) {
        for frame in first.0..first.0 + count {
            self.mapped.remove(&frame);
        }
    }

    fn enable_msi(
        &mut self,
        sbdf: Sbdf,
        entry: u16,
        guest: MsiMessage,
    ) -> Result<MsiMessage, Errno> {
        if let Some(left) = &mut self.vectors_left {
            *left = left.checked_sub(1).ok_or(Errno::ENOSPC)?;
        }
        assert!(
            self.bound.insert((sbdf, entry), guest).is_none(),
            "entry {entry} is bound once"
        );
        Ok(host_message(guest))
    }

    fn update_msi(
        &mut self,
        sbdf: Sbdf,
        entry: u16,
        guest: MsiMessage,
    ) -> Result<MsiMessage, Errno> {
        assert!(
            self.bound.insert((sbdf, entry), guest).is_some(),
            "entry {entry} is bound"
        );
        self.updates += 1;
        Ok(host_message(guest))
    }

    fn disable_msi(&mut self, sbdf: Sbdf, entry: u16) {
        assert!(
            self.bound.remove(&(sbdf, entry)).is_some(),
            "entry {entry} is bound"
        );
    }

    fn note(&mut self, _sbdf: Sbdf, note: Note) {
        self.notes.push(note);
    }
}

/// A model with its hardware and effects, and one function at 00:03.0.
pub(super) struct Bench {
    pub vpci: super::Vpci,
    pub hw: FakeHardware,
    pub effects: FakeEffects,
}

/// Where [`Bench::with`] puts its function.
pub(super) const HERE: Sbdf = Sbdf::new(0, 0, 3, 0);

impl Bench {
    pub fn with(function: FakeFunction) -> Self {
        let mut bench = Self {
            vpci: super::Vpci::new(),
            hw: FakeHardware::with(HERE, function),
            effects: FakeEffects::default(),
        };
        assert!(bench.vpci.add_device(HERE, &bench.hw, &mut bench.effects));
        bench.hw.config_writes.borrow_mut().clear();
        bench
    }

    pub fn add(&mut self, sbdf: Sbdf, function: FakeFunction) {
        self.hw.functions.borrow_mut().insert(sbdf, function);
        assert!(self.vpci.add_device(sbdf, &self.hw, &mut self.effects));
    }

    pub fn read(&mut self, reg: u16, size: u8) -> u32 {
        self.vpci.read(HERE, reg, size, &self.hw, &mut self.effects)
    }

    pub fn write(&mut self, reg: u16, size: u8, value: u32) {
        self.write_to(HERE, reg, size, value);
    }

    pub fn write_to(&mut self, sbdf: Sbdf, reg: u16, size: u8, value: u32) {
        self.vpci
            .write(sbdf, reg, size, value, &self.hw, &mut self.effects);
    }

    pub fn mmio_read(&mut self, at: u64, size: u8) -> Option<u64> {
        self.vpci
            .mmio_read(crate::ids::Gpa(at), size, &self.hw, &mut self.effects)
    }

    pub fn mmio_write(&mut self, at: u64, size: u8, value: u64) -> bool {
        self.vpci.mmio_write(
            crate::ids::Gpa(at),
            size,
            value,
            &self.hw,
            &mut self.effects,
        )
    }

    pub fn mapped(&self) -> Vec<u64> {
        self.effects.mapped.iter().copied().collect()
    }

    pub fn config_writes(&self) -> Vec<(u16, u8, u32)> {
        self.hw
            .config_writes
            .take()
            .into_iter()
            .map(|(_, reg, size, value)| (reg, size, value))
            .collect()
    }
}
