//! The emulator's view of a running vCPU.

use x86_emu::{Access, Cpu, Fault, Mode, Outcome, Segment, SegmentAttributes, SegmentName};
use xen_core::ids::{Gpa, PAGE_SIZE};

use super::backend::Backend;
use super::entry::{Next, Running};
use super::linear::{LinearSpace, Unreachable};
use super::{control, debug, mmio, port};
use crate::guest_paging::{AccessKind, PageFault};

const PAGE_FAULT: u8 = 14;
const GENERAL_PROTECTION: u8 = 13;
const UNDEFINED: u8 = 6;

/// Does one instruction for the guest.
pub fn emulate(running: &mut Running<'_>) -> Next {
    let outcome = x86_emu::emulate(&mut Adapter { running });
    match outcome {
        Outcome::Done {
            interrupt_shadow,
            single_step,
        } => {
            running.state.hw.set_interrupt_shadow(interrupt_shadow);
            if single_step {
                let (dr6, dr7) = running.state.hw.debug_control();
                running.state.hw.set_debug_control(dr6 | 1 << 14, dr7);
                running.state.inject_exception(1, None);
            }
            Next::Resume
        }
        Outcome::Again | Outcome::Fault(Fault::Pending) => Next::Resume,
        Outcome::Fault(Fault::Exception {
            vector,
            error_code,
            cr2,
        }) => {
            if let Some(address) = cr2 {
                running.state.hw.set_cr(2, address);
            }
            running.state.inject_exception(vector, error_code);
            Next::Resume
        }
        Outcome::Fault(Fault::Unhandleable(_)) if running.state.hw.cpl() == 3 => {
            running.fault(UNDEFINED, None)
        }
        Outcome::Fault(Fault::Unhandleable(why)) => running.crash(why),
    }
}

/// What is read to recognise an instruction: a legal one is shorter.
pub const WINDOW: usize = 16;

/// Copies instruction bytes at RIP; how many are readable.
#[inline]
pub fn fetch(running: &mut Running<'_>, mode: Mode, bytes: &mut [u8; WINDOW]) -> Option<usize> {
    let given = running.state.hw.fetched().len();
    if given > 0 {
        let len = given.min(bytes.len());
        bytes[..len].copy_from_slice(&running.state.hw.fetched()[..len]);
        return Some(len);
    }
    let hw = &running.state.hw;
    let rip = hw.rip();
    let linear = if mode == Mode::Long64 {
        rip
    } else {
        hw.segment(SegmentName::Cs).base.wrapping_add(rip) & 0xffff_ffff
    };
    if linear as usize & (PAGE_SIZE - 1) <= PAGE_SIZE - WINDOW {
        let access = fetch_access(running);
        *bytes = LinearSpace::new(running.hv, running.domain, running.state)
            .bytes_in_page(linear, access)
            .ok()?;
        return Some(WINDOW);
    }
    fetch_at(running, linear, bytes).ok()
}

fn fetch_access(running: &Running<'_>) -> AccessKind {
    AccessKind {
        fetch: true,
        user: running.state.hw.cpl() == 3,
        ..AccessKind::default()
    }
}

fn translate(running: &mut Running<'_>, linear: u64, access: AccessKind) -> Result<Gpa, PageFault> {
    LinearSpace::new(running.hv, running.domain, running.state).translate(linear, access)
}

fn page_fault(linear: u64, fault: PageFault) -> Fault {
    Fault::Exception {
        vector: PAGE_FAULT,
        error_code: Some(fault.0),
        cr2: Some(linear),
    }
}

fn fetch_at(running: &mut Running<'_>, linear: u64, bytes: &mut [u8]) -> Result<usize, Fault> {
    let access = fetch_access(running);
    let mut space = LinearSpace::new(running.hv, running.domain, running.state);
    let mut done = 0;
    while done < bytes.len() {
        let at = linear.wrapping_add(done as u64);
        let len = (PAGE_SIZE - (at as usize & (PAGE_SIZE - 1))).min(bytes.len() - done);
        match space.read_in_page(at, access, &mut bytes[done..done + len]) {
            Ok(()) => done += len,
            Err(_) if done > 0 => break,
            Err(Unreachable::Fault(fault)) => return Err(page_fault(at, fault)),
            Err(Unreachable::NoMemory) => {
                return Err(Fault::Unhandleable("instruction outside memory"));
            }
        }
    }
    Ok(done)
}

struct Adapter<'a, 'b> {
    running: &'a mut Running<'b>,
}

impl Adapter<'_, '_> {
    fn access_kind(&self, access: Access) -> AccessKind {
        let system = access == Access::System;
        AccessKind {
            write: matches!(access, Access::Write | Access::Modify),
            user: self.running.state.hw.cpl() == 3 && !system,
            fetch: false,
            implicit: system,
        }
    }

    /// Splits an access at page borders; all pages are translated before any is touched.
    fn each_page(
        &mut self,
        linear: u64,
        len: usize,
        access: Access,
        mut touch: impl FnMut(&mut Running<'_>, Gpa, usize, usize),
    ) -> Result<(), Fault> {
        let kind = self.access_kind(access);
        let first_len = (PAGE_SIZE - (linear as usize & (PAGE_SIZE - 1))).min(len);
        let first =
            translate(self.running, linear, kind).map_err(|fault| page_fault(linear, fault))?;
        let second = if first_len < len {
            let at = linear.wrapping_add(first_len as u64);
            Some(translate(self.running, at, kind).map_err(|fault| page_fault(at, fault))?)
        } else {
            None
        };
        touch(self.running, first, 0, first_len);
        if let Some(gpa) = second {
            touch(self.running, gpa, first_len, len - first_len);
        }
        Ok(())
    }
}

/// Reads RAM, or a device in pieces of at most eight bytes.
fn read_physical(running: &mut Running<'_>, gpa: Gpa, bytes: &mut [u8]) {
    let memory = running.hv.is_memory(running.domain, gpa.gfn());
    if memory && running.hv.read_guest(running.domain, gpa, bytes).is_ok() {
        return;
    }
    let mut at = gpa.0;
    for chunk in bytes.chunks_mut(8) {
        let mut done = 0;
        while done < chunk.len() {
            let size = device_width(at, chunk.len() - done);
            let value = mmio::read(running, Gpa(at), size as u8).to_le_bytes();
            chunk[done..done + size].copy_from_slice(&value[..size]);
            (done, at) = (done + size, at + size as u64);
        }
    }
}

fn write_physical(running: &mut Running<'_>, gpa: Gpa, bytes: &[u8]) {
    let memory = running.hv.is_memory(running.domain, gpa.gfn());
    if memory {
        // A page that went away or became read-only meanwhile swallows the write.
        let _ = running.hv.write_guest(running.domain, gpa, bytes);
        return;
    }
    let (mut at, mut done) = (gpa.0, 0);
    while done < bytes.len() {
        let size = device_width(at, bytes.len() - done);
        let mut value = [0; 8];
        value[..size].copy_from_slice(&bytes[done..done + size]);
        mmio::write(running, Gpa(at), size as u8, u64::from_le_bytes(value));
        (done, at) = (done + size, at + size as u64);
    }
}

/// The widest aligned access that fits.
fn device_width(at: u64, len: usize) -> usize {
    [8, 4, 2]
        .into_iter()
        .find(|&size| size <= len && at.is_multiple_of(size as u64))
        .unwrap_or(1)
}

impl Cpu for Adapter<'_, '_> {
    fn gpr(&self, index: usize) -> u64 {
        self.running.state.registers.0[index]
    }

    fn set_gpr(&mut self, index: usize, value: u64) {
        self.running.state.registers.0[index] = value;
    }

    fn rip(&self) -> u64 {
        self.running.state.hw.rip()
    }

    fn set_rip(&mut self, value: u64) {
        self.running.state.hw.set_rip(value);
    }

    fn rflags(&self) -> u64 {
        self.running.state.hw.rflags()
    }

    fn set_rflags(&mut self, value: u64) {
        self.running.state.hw.set_rflags(value);
    }

    fn mode(&self) -> Mode {
        self.running.mode()
    }

    fn cpl(&self) -> u8 {
        self.running.state.hw.cpl()
    }

    fn segment(&self, name: SegmentName) -> Segment {
        self.running.state.hw.segment(name)
    }

    fn load_segment(&mut self, name: SegmentName, selector: u16) -> Result<(), Fault> {
        match self.mode() {
            Mode::Real | Mode::Vm86 => {
                let old = self.running.state.hw.segment(name);
                let new = Segment {
                    selector,
                    base: u64::from(selector) << 4,
                    attributes: SegmentAttributes(old.attributes.0),
                    ..old
                };
                self.running.state.hw.set_segment(name, new);
                Ok(())
            }
            _ => Err(Fault::Unhandleable(
                "segment load in protected mode next to a device access",
            )),
        }
    }

    fn fetch(&mut self, linear: u64, bytes: &mut [u8]) -> Result<usize, Fault> {
        fetch_at(self.running, linear, bytes)
    }

    fn read(
        &mut self,
        _: SegmentName,
        linear: u64,
        bytes: &mut [u8],
        access: Access,
    ) -> Result<(), Fault> {
        let len = bytes.len();
        self.each_page(linear, len, access, |running, gpa, from, len| {
            read_physical(running, gpa, &mut bytes[from..from + len])
        })
    }

    fn write(
        &mut self,
        _: SegmentName,
        linear: u64,
        bytes: &[u8],
        access: Access,
    ) -> Result<(), Fault> {
        let len = bytes.len();
        self.each_page(linear, len, access, |running, gpa, from, len| {
            write_physical(running, gpa, &bytes[from..from + len])
        })
    }

    fn probe_write(&mut self, _: SegmentName, linear: u64, len: usize) -> Result<(), Fault> {
        self.each_page(linear, len, Access::Write, |_, _, _, _| {})
    }

    fn port_in(&mut self, port: u16, size: u8) -> Result<u32, Fault> {
        Ok(port::input(self.running, port, size))
    }

    fn port_out(&mut self, port: u16, size: u8, value: u32) -> Result<(), Fault> {
        port::output(self.running, port, size, value);
        Ok(())
    }

    fn read_cr(&mut self, index: u8) -> Result<u64, Fault> {
        Ok(match index {
            8 => u64::from(self.running.state.vlapic.cr8()),
            _ => self.running.state.hw.cr(index),
        })
    }

    fn write_cr(&mut self, index: u8, value: u64) -> Result<(), Fault> {
        let is_valid = match index {
            2 => {
                self.running.state.hw.set_cr(2, value);
                true
            }
            8 if value <= 0xf => {
                self.running.state.vlapic.set_cr8(value as u8);
                true
            }
            8 => false,
            _ => control::write(self.running, index, value).is_some(),
        };
        if is_valid {
            return Ok(());
        }
        Err(Fault::Exception {
            vector: GENERAL_PROTECTION,
            error_code: (self.mode() != Mode::Real).then_some(0),
            cr2: None,
        })
    }

    fn read_dr(&mut self, number: u8) -> Result<u64, Fault> {
        debug::read(self.running, number)
    }

    fn write_dr(&mut self, number: u8, value: u64) -> Result<(), Fault> {
        debug::write(self.running, number, value)
    }
}
