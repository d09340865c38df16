//! String instructions, single and repeated.
//!
//! A repeated instruction does at most [`MAX_ITERATIONS`] elements per call, so that a guest cannot hold the hypervisor; it
//! then goes back to the guest with the registers advanced and the instruction pointer still on it, which is what an
//! interrupted repeat looks like on hardware.

use iced_x86::OpKind;

use crate::alu::subtract;
use crate::cpu::{Access, Fault, SegmentName};
use crate::emulate::{End, Run};
use crate::flags::{DF, STATUS, TF, ZF};
use crate::operand::{RAX, RCX, RDI, RDX, RSI, segment_name};
use crate::port;
use crate::width::Width;

/// Elements one call to [`crate::emulate`] moves at most.
pub const MAX_ITERATIONS: u32 = 64;

/// The seven string instructions.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum StringOp {
    Move,
    Store,
    Load,
    Compare,
    Scan,
    In,
    Out,
}

/// Runs one element, or as many as the repeat prefix, the count and the budget allow.
pub(crate) fn string(run: &mut Run<'_>, op: StringOp) -> Result<End, Fault> {
    let element = Element::of(run, op)?;
    let repeat = run.ins.has_rep_prefix() || run.ins.has_repne_prefix();
    if !repeat {
        if matches!(op, StringOp::In | StringOp::Out) {
            port::check_permission(run, run.cpu.gpr(RDX) as u16, element.width)?;
        }
        element.step(run)?;
        return Ok(End::Next);
    }
    let address = element.address;
    if address.truncate(run.cpu.gpr(RCX)) == 0 {
        return Ok(End::Next);
    }
    if matches!(op, StringOp::In | StringOp::Out) {
        port::check_permission(run, run.cpu.gpr(RDX) as u16, element.width)?;
    }
    // A single-stepped repeat traps after every iteration.
    let budget = if run.flags & TF != 0 {
        1
    } else {
        MAX_ITERATIONS
    };
    for _ in 0..budget {
        element.step(run)?;
        let left = address.truncate(run.cpu.gpr(RCX).wrapping_sub(1));
        run.set_gpr_part(RCX, address, left);
        run.cpu.set_rflags(run.flags);
        run.cpu.commit();
        if left == 0 || element.ends_repeat(run) {
            return Ok(End::Next);
        }
    }
    Ok(End::Again)
}

/// One iteration's parameters, constant over a repeat.
struct Element {
    op: StringOp,
    width: Width,
    /// Width of the index and count registers.
    address: Width,
    source: SegmentName,
}

impl Element {
    fn of(run: &Run<'_>, op: StringOp) -> Result<Self, Fault> {
        let not_covered = Fault::Unhandleable("string operand not covered");
        let address = (0..run.ins.op_count()).find_map(|index| match run.ins.op_kind(index) {
            OpKind::MemorySegSI | OpKind::MemoryESDI => Some(Width::Word),
            OpKind::MemorySegESI | OpKind::MemoryESEDI => Some(Width::Dword),
            OpKind::MemorySegRSI | OpKind::MemoryESRDI => Some(Width::Qword),
            _ => None,
        });
        Ok(Self {
            op,
            width: Width::of_bytes(run.ins.memory_size().size()).ok_or(not_covered)?,
            address: address.ok_or(not_covered)?,
            source: segment_name(run.ins.memory_segment()).unwrap_or(SegmentName::Ds),
        })
    }

    fn ends_repeat(&self, run: &Run<'_>) -> bool {
        let equal = run.flags & ZF != 0;
        match self.op {
            StringOp::Compare | StringOp::Scan => equal == run.ins.has_repne_prefix(),
            _ => false,
        }
    }

    /// One element: all accesses that can fail, then the registers.
    fn step(&self, run: &mut Run<'_>) -> Result<(), Fault> {
        match self.op {
            StringOp::Move => {
                let to = self.destination(run, true)?;
                let from = self.source(run)?;
                run.cpu
                    .probe_write(SegmentName::Es, to, self.width.bytes())?;
                let value = run.read_memory(self.source, from, self.width, Access::Read)?;
                run.write_memory(SegmentName::Es, to, self.width, value, Access::Write)?;
            }
            StringOp::Store => {
                let to = self.destination(run, true)?;
                run.write_memory(
                    SegmentName::Es,
                    to,
                    self.width,
                    run.cpu.gpr(RAX),
                    Access::Write,
                )?;
            }
            StringOp::Load => {
                let from = self.source(run)?;
                let value = run.read_memory(self.source, from, self.width, Access::Read)?;
                run.set_gpr_part(RAX, self.width, value);
            }
            StringOp::Compare => {
                let from = self.source(run)?;
                let to = self.destination(run, false)?;
                let left = run.read_memory(self.source, from, self.width, Access::Read)?;
                let right = run.read_memory(SegmentName::Es, to, self.width, Access::Read)?;
                run.set_status(STATUS, subtract(self.width, left, right, false).1);
            }
            StringOp::Scan => {
                let to = self.destination(run, false)?;
                let right = run.read_memory(SegmentName::Es, to, self.width, Access::Read)?;
                run.set_status(
                    STATUS,
                    subtract(self.width, run.cpu.gpr(RAX), right, false).1,
                );
            }
            StringOp::In => self.port_in(run)?,
            StringOp::Out => {
                let from = self.source(run)?;
                let value = run.read_memory(self.source, from, self.width, Access::Read)?;
                run.cpu.port_out(
                    run.cpu.gpr(RDX) as u16,
                    self.width.bytes() as u8,
                    value as u32,
                )?;
            }
        }
        self.advance(run);
        Ok(())
    }

    fn port_in(&self, run: &mut Run<'_>) -> Result<(), Fault> {
        let to = self.destination(run, true)?;
        run.cpu
            .probe_write(SegmentName::Es, to, self.width.bytes())?;
        let value = run
            .cpu
            .port_in(run.cpu.gpr(RDX) as u16, self.width.bytes() as u8)?;
        run.write_memory(
            SegmentName::Es,
            to,
            self.width,
            u64::from(value),
            Access::Write,
        )
    }

    fn source(&self, run: &Run<'_>) -> Result<u64, Fault> {
        let offset = self.address.truncate(run.cpu.gpr(RSI));
        run.linear(self.source, offset, self.width.bytes(), false)
    }

    fn destination(&self, run: &Run<'_>, write: bool) -> Result<u64, Fault> {
        let offset = self.address.truncate(run.cpu.gpr(RDI));
        run.linear(SegmentName::Es, offset, self.width.bytes(), write)
    }

    fn advance(&self, run: &mut Run<'_>) {
        let bytes = self.width.bytes() as u64;
        let step = if run.flags & DF != 0 {
            bytes.wrapping_neg()
        } else {
            bytes
        };
        let (uses_source, uses_destination) = match self.op {
            StringOp::Move | StringOp::Compare => (true, true),
            StringOp::Load | StringOp::Out => (true, false),
            StringOp::Store | StringOp::Scan | StringOp::In => (false, true),
        };
        if uses_source {
            run.set_gpr_part(RSI, self.address, run.cpu.gpr(RSI).wrapping_add(step));
        }
        if uses_destination {
            run.set_gpr_part(RDI, self.address, run.cpu.gpr(RDI).wrapping_add(step));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MAX_ITERATIONS;
    use crate::flags::{CF, DF, TF, ZF};
    use crate::testing::{CODE, DEVICE, DONE, TestCpu};
    use crate::{Access, Fault, Mode, Outcome};

    #[test]
    fn repeated_move_from_a_device_fills_memory() {
        let (cpu, outcome) = TestCpu::run64(&[0xf3, 0xa5], |cpu| {
            (cpu.gprs[1], cpu.gprs[6], cpu.gprs[7]) = (3, DEVICE, 0x2000);
        });
        assert_eq!(outcome, DONE);
        assert_eq!(
            (cpu.gprs[1], cpu.gprs[6], cpu.gprs[7]),
            (0, DEVICE + 12, 0x200c)
        );
        assert_eq!(cpu.peek(0x2000, 8), 0x5566_7788_5566_7788);
        assert_eq!(cpu.device_log.len(), 3);
    }

    #[test]
    fn a_long_repeat_stops_after_its_budget_with_registers_advanced() {
        let budget = u64::from(MAX_ITERATIONS);
        let (mut cpu, outcome) = TestCpu::run64(&[0xf3, 0xaa], |cpu| {
            (cpu.gprs[1], cpu.gprs[7], cpu.gprs[0]) = (budget + 10, 0x2000, 0xab);
        });
        assert_eq!((outcome, cpu.rip), (Outcome::Again, CODE));
        assert_eq!((cpu.gprs[1], cpu.gprs[7]), (10, 0x2000 + budget));
        assert_eq!(crate::emulate(&mut cpu), DONE);
        assert_eq!((cpu.gprs[1], cpu.rip), (0, CODE + 2));
        assert!(
            cpu.ram[0x2000..0x2000 + MAX_ITERATIONS as usize + 10]
                .iter()
                .all(|&byte| byte == 0xab)
        );
        assert_eq!(cpu.ram[0x2000 + MAX_ITERATIONS as usize + 10], 0);
    }

    #[test]
    fn a_count_of_zero_does_nothing_even_for_ports() {
        let (cpu, outcome) = TestCpu::run(Mode::Protected32, &[0xf3, 0x6c], |cpu| {
            (cpu.gprs[1], cpu.cpl) = (0xffff_ffff_0000_0000, 3);
        });
        assert_eq!((outcome, cpu.port_log.len(), cpu.rip), (DONE, 0, CODE + 2));
    }

    #[test]
    fn direction_flag_moves_down() {
        let (cpu, _) = TestCpu::run64(&[0xf3, 0x48, 0xab], |cpu| {
            (cpu.gprs[1], cpu.gprs[7], cpu.gprs[0]) = (2, 0x2008, 0x11);
            cpu.rflags |= DF;
        });
        assert_eq!(
            (cpu.gprs[7], cpu.peek(0x2000, 8), cpu.peek(0x2008, 8)),
            (0x1ff8, 0x11, 0x11)
        );
    }

    #[test]
    fn a_fault_in_a_later_iteration_keeps_the_earlier_ones() {
        let (cpu, outcome) = TestCpu::run64(&[0xf3, 0xa4], |cpu| {
            (cpu.gprs[1], cpu.gprs[6], cpu.gprs[7]) = (10, DEVICE, 0x2ffe);
            cpu.read_only.push(3);
        });
        assert_eq!(
            outcome,
            Outcome::Fault(Fault::Exception {
                vector: 14,
                error_code: Some(2),
                cr2: Some(0x3000)
            })
        );
        assert_eq!(
            (cpu.gprs[1], cpu.gprs[6], cpu.gprs[7], cpu.rip),
            (8, DEVICE + 2, 0x3000, CODE)
        );
        assert_eq!(
            cpu.device_log.len(),
            2,
            "the device must not be read for a byte that cannot be stored"
        );
    }

    #[test]
    fn compare_stops_at_the_first_difference() {
        let (cpu, outcome) = TestCpu::run64(&[0xf3, 0xa6], |cpu| {
            (cpu.gprs[1], cpu.gprs[6], cpu.gprs[7]) = (5, 0x2000, 0x3000);
            cpu.poke(0x2000, b"abcde");
            cpu.poke(0x3000, b"abxde");
        });
        assert_eq!((outcome, cpu.gprs[1], cpu.gprs[6]), (DONE, 2, 0x2003));
        assert_eq!(cpu.rflags & (ZF | CF), CF);
    }

    #[test]
    fn scan_stops_at_the_first_match() {
        let (cpu, outcome) = TestCpu::run64(&[0xf2, 0xae], |cpu| {
            (cpu.gprs[1], cpu.gprs[7], cpu.gprs[0]) = (9, 0x2000, u64::from(b'c'));
            cpu.poke(0x2000, b"abcde");
        });
        assert_eq!((outcome, cpu.gprs[1], cpu.gprs[7]), (DONE, 6, 0x2003));
        assert_eq!(cpu.rflags & ZF, ZF);
    }

    #[test]
    fn load_uses_the_overriding_segment_and_store_never_does() {
        let (cpu, _) = TestCpu::run(Mode::Real, &[0x26, 0xac], |cpu| {
            cpu.segments[0].base = 0x3_0000;
            cpu.ram[0x3_0000] = 0x5a;
        });
        assert_eq!((cpu.gprs[0], cpu.gprs[6]), (0x5a, 1));
        let (cpu, _) = TestCpu::run(Mode::Real, &[0x2e, 0xaa], |cpu| {
            cpu.segments[0].base = 0x3_0000;
            cpu.gprs[0] = 0x77;
        });
        assert_eq!(cpu.peek(0x3_0000, 1), 0x77);
    }

    #[test]
    fn sixteen_bit_index_registers_wrap_and_keep_their_upper_parts() {
        let (cpu, _) = TestCpu::run(Mode::Real, &[0xaa], |cpu| cpu.gprs[7] = 0x1234_ffff);
        assert_eq!(cpu.gprs[7], 0x1234_0000);
    }

    #[test]
    fn single_stepping_traps_after_each_iteration() {
        let (mut cpu, outcome) = TestCpu::run64(&[0xf3, 0xaa], |cpu| {
            (cpu.gprs[1], cpu.gprs[7]) = (2, 0x2000);
            cpu.rflags |= TF;
        });
        let stepped = Outcome::Done {
            interrupt_shadow: false,
            single_step: true,
        };
        assert_eq!((outcome, cpu.gprs[1], cpu.rip), (stepped, 1, CODE));
        assert_eq!(
            (crate::emulate(&mut cpu), cpu.gprs[1], cpu.rip),
            (stepped, 0, CODE + 2)
        );
    }

    #[test]
    fn repeated_port_input_fills_memory_and_does_not_lose_a_value() {
        let (cpu, outcome) = TestCpu::run64(&[0xf3, 0x66, 0x6d], |cpu| {
            (cpu.gprs[1], cpu.gprs[2], cpu.gprs[7]) = (4, 0x1f0, 0x2ffc);
            cpu.read_only.push(3);
        });
        assert!(matches!(
            outcome,
            Outcome::Fault(Fault::Exception { vector: 14, .. })
        ));
        assert_eq!(cpu.port_log, [(0x1f0, 2, None); 2]);
        assert_eq!(
            (cpu.peek(0x2ffc, 4), cpu.gprs[1], cpu.gprs[7]),
            (0xc3d4_c3d4, 2, 0x3000)
        );
    }

    #[test]
    fn repeated_port_output_sends_memory_in_order() {
        let (cpu, outcome) = TestCpu::run(Mode::Protected32, &[0xf3, 0x6e], |cpu| {
            (cpu.gprs[1], cpu.gprs[2], cpu.gprs[6]) = (3, 0x3f8, 0x2000);
            cpu.poke(0x2000, b"xen");
        });
        assert_eq!(outcome, DONE);
        assert_eq!(
            cpu.port_log,
            b"xen".map(|byte| (0x3f8, 1, Some(u32::from(byte))))
        );
    }

    #[test]
    fn device_to_device_moves_record_both_sides() {
        let (cpu, _) = TestCpu::run64(&[0xa4], |cpu| {
            (cpu.gprs[6], cpu.gprs[7]) = (DEVICE, DEVICE + 4)
        });
        assert_eq!(
            cpu.device_log,
            [
                (Access::Read, DEVICE, 1, 0),
                (Access::Write, DEVICE + 4, 1, 0x88)
            ]
        );
    }
}
