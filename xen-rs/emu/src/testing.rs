//! A small virtual CPU for tests: 1 MiB of RAM, a device window that records accesses, flat segments.

use alloc::vec;
use alloc::vec::Vec;

use crate::cpu::{Access, Cpu, Fault, Mode, Segment, SegmentAttributes, SegmentName};
use crate::emulate::{Outcome, emulate};

/// Where tests put code.
pub(crate) const CODE: u64 = 0x1000;
/// Start of the device window (one page).
pub(crate) const DEVICE: u64 = 0xfee0_0000;
/// RAM size in bytes.
pub(crate) const RAM: usize = 1 << 20;

/// The usual end of an instruction.
pub(crate) const DONE: Outcome = Outcome::Done {
    interrupt_shadow: false,
    single_step: false,
};

pub(crate) struct TestCpu {
    pub(crate) gprs: [u64; 16],
    pub(crate) rip: u64,
    pub(crate) rflags: u64,
    pub(crate) mode: Mode,
    pub(crate) cpl: u8,
    pub(crate) segments: [Segment; 7],
    pub(crate) ram: Vec<u8>,
    /// What the device answers to any read.
    pub(crate) device_value: u64,
    /// Linear address, length and value of device reads (value 0) and writes.
    pub(crate) device_log: Vec<(Access, u64, usize, u64)>,
    pub(crate) device_pending: bool,
    /// If set, each device access is pending once and answered when repeated; holds the answered ones.
    pub(crate) device_answers: Option<Vec<(Access, u64, usize, u64)>>,
    /// Linear pages that may not be written.
    pub(crate) read_only: Vec<u64>,
    /// Linear addresses from here on are not present.
    pub(crate) end: u64,
    pub(crate) port_log: Vec<(u16, u8, Option<u32>)>,
    pub(crate) port_value: u32,
    pub(crate) cr: [u64; 9],
    pub(crate) dr: [u64; 8],
    pub(crate) xmm: [[u8; 16]; 16],
}

impl TestCpu {
    pub(crate) fn new(mode: Mode) -> Self {
        let attributes = match mode {
            Mode::Long64 => 0x293,
            Mode::Protected32 => 0x493,
            Mode::Protected16 | Mode::Real | Mode::Vm86 => 0x093,
        };
        let limit = match mode {
            Mode::Real | Mode::Vm86 => 0xffff,
            _ => 0xffff_ffff,
        };
        let data = Segment {
            selector: 0x10,
            base: 0,
            limit,
            attributes: SegmentAttributes(attributes),
        };
        let mut segments = [data; 7];
        segments[SegmentName::Cs as usize].attributes.0 |= 0b1000;
        segments[SegmentName::Tr as usize] = Segment {
            selector: 0x40,
            base: 0x8000,
            limit: 0x67,
            attributes: SegmentAttributes(0x8b),
        };
        Self {
            gprs: [0; 16],
            rip: CODE,
            rflags: 2,
            mode,
            cpl: if mode == Mode::Vm86 { 3 } else { 0 },
            segments,
            ram: vec![0; RAM],
            device_value: 0x1122_3344_5566_7788,
            device_log: Vec::new(),
            device_pending: false,
            device_answers: None,
            read_only: Vec::new(),
            end: RAM as u64,
            port_log: Vec::new(),
            port_value: 0xa1b2_c3d4,
            cr: [0; 9],
            dr: [0; 8],
            xmm: [[0; 16]; 16],
        }
    }

    /// A 64-bit CPU that has run these bytes.
    pub(crate) fn run64(code: &[u8], prepare: impl FnOnce(&mut Self)) -> (Self, Outcome) {
        Self::run(Mode::Long64, code, prepare)
    }

    pub(crate) fn run(mode: Mode, code: &[u8], prepare: impl FnOnce(&mut Self)) -> (Self, Outcome) {
        let mut cpu = Self::new(mode);
        prepare(&mut cpu);
        let outcome = cpu.execute(code);
        (cpu, outcome)
    }

    /// Puts code at the instruction pointer and emulates one instruction.
    pub(crate) fn execute(&mut self, code: &[u8]) -> Outcome {
        let base = if self.mode == Mode::Long64 {
            0
        } else {
            self.segments[1].base
        };
        self.poke(base + self.rip, code);
        emulate(self)
    }

    pub(crate) fn poke(&mut self, at: u64, bytes: &[u8]) {
        let at = at as usize;
        self.ram[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn peek(&self, at: u64, len: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&self.ram[at as usize..at as usize + len]);
        u64::from_le_bytes(bytes)
    }

    fn page_fault(linear: u64, write: bool) -> Fault {
        Fault::Exception {
            vector: 14,
            error_code: Some(if write { 2 } else { 0 }),
            cr2: Some(linear),
        }
    }

    fn device_access(&mut self, access: (Access, u64, usize, u64)) -> Result<(), Fault> {
        if let Some(answers) = &mut self.device_answers {
            if answers.contains(&access) {
                return Ok(());
            }
            answers.push(access);
            self.device_log.push(access);
            return Err(Fault::Pending);
        }
        self.device_log.push(access);
        if self.device_pending {
            Err(Fault::Pending)
        } else {
            Ok(())
        }
    }

    fn check(&self, linear: u64, len: usize, write: bool) -> Result<usize, Fault> {
        let last = linear
            .checked_add(len as u64 - 1)
            .ok_or(Self::page_fault(linear, write))?;
        if last >= self.end {
            return Err(Self::page_fault(linear.max(self.end), write));
        }
        if write
            && self
                .read_only
                .iter()
                .any(|&page| page == linear >> 12 || page == last >> 12)
        {
            return Err(Self::page_fault(linear, true));
        }
        Ok(linear as usize)
    }
}

fn is_device(linear: u64) -> bool {
    linear & !0xfff == DEVICE
}

impl Cpu for TestCpu {
    fn gpr(&self, index: usize) -> u64 {
        self.gprs[index]
    }
    fn set_gpr(&mut self, index: usize, value: u64) {
        self.gprs[index] = value;
    }
    fn rip(&self) -> u64 {
        self.rip
    }
    fn set_rip(&mut self, value: u64) {
        self.rip = value;
    }
    fn rflags(&self) -> u64 {
        self.rflags
    }
    fn set_rflags(&mut self, value: u64) {
        self.rflags = value;
    }
    fn mode(&self) -> Mode {
        self.mode
    }
    fn cpl(&self) -> u8 {
        self.cpl
    }
    fn segment(&self, name: SegmentName) -> Segment {
        self.segments[name as usize]
    }
    fn load_segment(&mut self, name: SegmentName, selector: u16) -> Result<(), Fault> {
        if !matches!(self.mode, Mode::Real | Mode::Vm86) {
            return Err(Fault::Unhandleable("descriptor load"));
        }
        let segment = &mut self.segments[name as usize];
        segment.selector = selector;
        segment.base = u64::from(selector) << 4;
        Ok(())
    }
    fn fetch(&mut self, linear: u64, bytes: &mut [u8]) -> Result<usize, Fault> {
        self.check(linear, 1, false)?;
        let in_page = 0x1000 - (linear & 0xfff) as usize;
        let len = bytes.len().min(in_page);
        bytes[..len].copy_from_slice(&self.ram[linear as usize..linear as usize + len]);
        Ok(len)
    }
    fn read(
        &mut self,
        _: SegmentName,
        linear: u64,
        bytes: &mut [u8],
        access: Access,
    ) -> Result<(), Fault> {
        if is_device(linear) {
            self.device_access((access, linear, bytes.len(), 0))?;
            let value = u128::from(self.device_value) << 64 | u128::from(self.device_value);
            bytes.copy_from_slice(&value.to_le_bytes()[..bytes.len()]);
            return Ok(());
        }
        let at = self.check(linear, bytes.len(), access == Access::Modify)?;
        bytes.copy_from_slice(&self.ram[at..at + bytes.len()]);
        Ok(())
    }
    fn write(
        &mut self,
        _: SegmentName,
        linear: u64,
        bytes: &[u8],
        access: Access,
    ) -> Result<(), Fault> {
        if is_device(linear) {
            let mut value = [0; 8];
            let len = bytes.len().min(8);
            value[..len].copy_from_slice(&bytes[..len]);
            return self.device_access((access, linear, bytes.len(), u64::from_le_bytes(value)));
        }
        let at = self.check(linear, bytes.len(), true)?;
        self.ram[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn probe_write(&mut self, _: SegmentName, linear: u64, len: usize) -> Result<(), Fault> {
        if is_device(linear) {
            Ok(())
        } else {
            self.check(linear, len, true).map(|_| ())
        }
    }
    fn port_in(&mut self, port: u16, size: u8) -> Result<u32, Fault> {
        self.port_log.push((port, size, None));
        Ok(self.port_value)
    }
    fn port_out(&mut self, port: u16, size: u8, value: u32) -> Result<(), Fault> {
        self.port_log.push((port, size, Some(value)));
        Ok(())
    }
    fn read_cr(&mut self, number: u8) -> Result<u64, Fault> {
        Ok(self.cr[usize::from(number)])
    }
    fn write_cr(&mut self, number: u8, value: u64) -> Result<(), Fault> {
        self.cr[usize::from(number)] = value;
        Ok(())
    }
    fn read_dr(&mut self, number: u8) -> Result<u64, Fault> {
        Ok(self.dr[usize::from(number)])
    }
    fn write_dr(&mut self, number: u8, value: u64) -> Result<(), Fault> {
        self.dr[usize::from(number)] = value;
        Ok(())
    }
    fn commit(&mut self) {
        if let Some(answers) = &mut self.device_answers {
            answers.clear();
        }
    }
    fn read_xmm(&mut self, index: usize) -> Result<[u8; 16], Fault> {
        Ok(self.xmm[index])
    }
    fn write_xmm(&mut self, index: usize, value: [u8; 16]) -> Result<(), Fault> {
        self.xmm[index] = value;
        Ok(())
    }
}
