//! Operands: where they are, reading and writing them.

use iced_x86::{OpKind, Register};

use crate::alu::Computed;
use crate::cpu::{Access, Fault, SegmentName};
use crate::emulate::{End, Run};
use crate::flags::STATUS;
use crate::width::Width;

/// Index of RAX for [`crate::Cpu::gpr`].
pub(crate) const RAX: usize = 0;
/// Index of RCX.
pub(crate) const RCX: usize = 1;
/// Index of RDX.
pub(crate) const RDX: usize = 2;
/// Index of RBX.
pub(crate) const RBX: usize = 3;
/// Index of RSP.
pub(crate) const RSP: usize = 4;
/// Index of RSI.
pub(crate) const RSI: usize = 6;
/// Index of RDI.
pub(crate) const RDI: usize = 7;

/// Where an operand lives. Memory has passed the segment checks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Register(Register),
    Memory {
        name: SegmentName,
        linear: u64,
        width: Width,
    },
    Immediate(u64),
}

/// General register number and the bit its part starts at (8 for AH, CH, DH, BH).
fn part(register: Register) -> Option<(usize, u32, Width)> {
    let width = Width::of_bytes(register.size())?;
    let full = register.full_register();
    if !full.is_gpr64() {
        return None;
    }
    let high = matches!(
        register,
        Register::AH | Register::CH | Register::DH | Register::BH
    );
    Some((full.number(), if high { 8 } else { 0 }, width))
}

/// Segment register an instruction names.
pub(crate) const fn segment_name(register: Register) -> Option<SegmentName> {
    Some(match register {
        Register::ES => SegmentName::Es,
        Register::CS => SegmentName::Cs,
        Register::SS => SegmentName::Ss,
        Register::DS => SegmentName::Ds,
        Register::FS => SegmentName::Fs,
        Register::GS => SegmentName::Gs,
        _ => return None,
    })
}

const NOT_COVERED: Fault = Fault::Unhandleable("operand kind not covered");

impl Run<'_> {
    /// Reads part of a general register.
    pub(crate) fn register(&self, register: Register) -> Result<u64, Fault> {
        let (index, shift, width) = part(register).ok_or(NOT_COVERED)?;
        Ok(width.truncate(self.cpu.gpr(index) >> shift))
    }

    /// Writes part of a general register. Cannot fail once [`Run::operand`] has resolved it.
    pub(crate) fn set_register(&mut self, register: Register, value: u64) -> Result<(), Fault> {
        let (index, shift, width) = part(register).ok_or(NOT_COVERED)?;
        let old = self.cpu.gpr(index);
        let new = if shift == 8 {
            old & !0xff00 | (value & 0xff) << 8
        } else {
            width.merge(old, value)
        };
        self.cpu.set_gpr(index, new);
        Ok(())
    }

    /// Writes the low `width` of general register `index`.
    pub(crate) fn set_gpr_part(&mut self, index: usize, width: Width, value: u64) {
        let old = self.cpu.gpr(index);
        self.cpu.set_gpr(index, width.merge(old, value));
    }

    /// Width of a register or memory operand.
    pub(crate) fn operand_width(&self, index: u32) -> Result<Width, Fault> {
        let bytes = match self.ins.op_kind(index) {
            OpKind::Register => self.ins.op_register(index).size(),
            _ => self.ins.memory_size().size(),
        };
        Width::of_bytes(bytes).ok_or(NOT_COVERED)
    }

    /// Finds an operand; `access` is what will be done to it.
    pub(crate) fn operand(&self, index: u32, access: Access) -> Result<Place, Fault> {
        match self.ins.op_kind(index) {
            OpKind::Register => {
                let register = self.ins.op_register(index);
                part(register).ok_or(NOT_COVERED)?;
                Ok(Place::Register(register))
            }
            OpKind::Memory => self.memory_operand(0, access),
            _ => self
                .ins
                .try_immediate(index)
                .map(Place::Immediate)
                .map_err(|_| NOT_COVERED),
        }
    }

    /// Finds the memory operand, moved by `displacement` bytes.
    pub(crate) fn memory_operand(&self, displacement: u64, access: Access) -> Result<Place, Fault> {
        let width = Width::of_bytes(self.ins.memory_size().size()).ok_or(NOT_COVERED)?;
        let (name, linear) = self.memory_address(displacement, width.bytes(), access)?;
        Ok(Place::Memory {
            name,
            linear,
            width,
        })
    }

    /// Segment and linear address of `len` bytes at the memory operand, moved by `displacement` bytes.
    pub(crate) fn memory_address(
        &self,
        displacement: u64,
        len: usize,
        access: Access,
    ) -> Result<(SegmentName, u64), Fault> {
        let name = segment_name(self.ins.memory_segment()).ok_or(NOT_COVERED)?;
        let (width, offset) = self.effective_address()?;
        let offset = width.truncate(offset.wrapping_add(displacement));
        let write = matches!(access, Access::Write | Access::Modify);
        Ok((name, self.linear(name, offset, len, write)?))
    }

    /// Address width and offset of the memory operand.
    pub(crate) fn effective_address(&self) -> Result<(Width, u64), Fault> {
        let (base, index) = (self.ins.memory_base(), self.ins.memory_index());
        let width = match (base, index) {
            (Register::None, Register::None) => {
                Width::of_bytes(self.ins.memory_displ_size() as usize)
            }
            (Register::None, _) => Width::of_bytes(index.size()),
            _ => Width::of_bytes(base.size()),
        };
        let width = width.ok_or(NOT_COVERED)?;
        let mut offset = self.ins.memory_displacement64();
        // The decoder has already added the instruction pointer to a displacement relative to it.
        if !matches!(base, Register::None | Register::RIP | Register::EIP) {
            offset = offset.wrapping_add(self.register(base)?);
            if base.full_register().number() == RSP {
                offset = offset.wrapping_add(self.popped);
            }
        }
        if index != Register::None {
            let scale = u64::from(self.ins.memory_index_scale());
            offset = offset.wrapping_add(self.register(index)?.wrapping_mul(scale));
        }
        Ok((width, width.truncate(offset)))
    }

    /// Value at a place, zero-extended (an immediate comes sign-extended).
    pub(crate) fn load(&mut self, place: Place, access: Access) -> Result<u64, Fault> {
        match place {
            Place::Register(register) => self.register(register),
            Place::Immediate(value) => Ok(value),
            Place::Memory {
                name,
                linear,
                width,
            } => self.read_memory(name, linear, width, access),
        }
    }

    /// Puts a value at a place.
    pub(crate) fn store(&mut self, place: Place, value: u64, access: Access) -> Result<(), Fault> {
        match place {
            Place::Register(register) => self.set_register(register, value),
            Place::Immediate(_) => Err(NOT_COVERED),
            Place::Memory {
                name,
                linear,
                width,
            } => self.write_memory(name, linear, width, value, access),
        }
    }

    pub(crate) fn read_memory(
        &mut self,
        name: SegmentName,
        linear: u64,
        width: Width,
        access: Access,
    ) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        let (used, _) = bytes.split_at_mut(width.bytes());
        self.cpu.read(name, linear, used, access)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn write_memory(
        &mut self,
        name: SegmentName,
        linear: u64,
        width: Width,
        value: u64,
        access: Access,
    ) -> Result<(), Fault> {
        let bytes = value.to_le_bytes();
        let (used, _) = bytes.split_at(width.bytes());
        self.cpu.write(name, linear, used, access)
    }

    /// Width and value of a source operand. An immediate has the width of the first operand.
    pub(crate) fn read_operand(&mut self, index: u32) -> Result<(Width, u64), Fault> {
        let place = self.operand(index, Access::Read)?;
        let width = match place {
            Place::Immediate(_) => self.operand_width(0)?,
            _ => self.operand_width(index)?,
        };
        Ok((width, self.load(place, Access::Read)?))
    }

    /// Overwrites a destination operand.
    pub(crate) fn write_operand(&mut self, index: u32, value: u64) -> Result<(), Fault> {
        let place = self.operand(index, Access::Write)?;
        self.store(place, value, Access::Write)
    }

    /// Read-modify-write of a destination operand; `touched` are the flags the computation defines.
    pub(crate) fn modify(
        &mut self,
        index: u32,
        touched: u64,
        compute: impl FnOnce(Width, u64) -> Computed,
    ) -> Result<End, Fault> {
        let width = self.operand_width(index)?;
        let place = self.operand(index, Access::Modify)?;
        let old = self.load(place, Access::Modify)?;
        let (result, flags) = compute(width, old);
        self.store(place, result, Access::Modify)?;
        self.set_status(touched, flags);
        Ok(End::Next)
    }

    /// Replaces the `touched` status flags.
    pub(crate) fn set_status(&mut self, touched: u64, flags: u64) {
        let touched = touched & STATUS;
        self.flags = self.flags & !touched | flags & touched;
    }
}
