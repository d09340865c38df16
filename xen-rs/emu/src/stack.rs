//! PUSH and POP.

use iced_x86::OpKind;

use crate::cpu::{Access, Fault, Mode, SegmentName};
use crate::emulate::{End, Run};
use crate::operand::{RSP, segment_name};
use crate::width::Width;

impl Run<'_> {
    /// Width of the stack pointer.
    fn stack_width(&self) -> Width {
        match self.mode {
            Mode::Long64 => Width::Qword,
            _ if self.cpu.segment(SegmentName::Ss).attributes.is_big() => Width::Dword,
            _ => Width::Word,
        }
    }

    /// Bytes this instruction pushes or pops.
    fn stack_operand(&self) -> Result<Width, Fault> {
        let bytes = self.ins.stack_pointer_increment().unsigned_abs() as usize;
        Width::of_bytes(bytes).ok_or(Fault::Unhandleable("stack operand size not covered"))
    }
}

fn segment_operand(run: &Run<'_>) -> Option<SegmentName> {
    match run.ins.op0_kind() {
        OpKind::Register => segment_name(run.ins.op0_register()),
        _ => None,
    }
}

/// PUSH of a register, immediate, memory operand or segment register.
pub(crate) fn push(run: &mut Run<'_>) -> Result<End, Fault> {
    let width = run.stack_operand()?;
    let pointer = run.stack_width();
    let top = pointer.truncate(run.cpu.gpr(RSP).wrapping_sub(width.bytes() as u64));
    let linear = run.linear(SegmentName::Ss, top, width.bytes(), true)?;
    let value = match segment_operand(run) {
        Some(name) => u64::from(run.cpu.segment(name).selector),
        None => {
            let place = run.operand(0, Access::Read)?;
            run.cpu
                .probe_write(SegmentName::Ss, linear, width.bytes())?;
            run.load(place, Access::Read)?
        }
    };
    run.write_memory(SegmentName::Ss, linear, width, value, Access::Write)?;
    run.set_gpr_part(RSP, pointer, top);
    Ok(End::Next)
}

/// POP to a register, memory operand or segment register. An address based on RSP sees the popped stack pointer.
pub(crate) fn pop(run: &mut Run<'_>) -> Result<End, Fault> {
    let width = run.stack_operand()?;
    let pointer = run.stack_width();
    let top = pointer.truncate(run.cpu.gpr(RSP));
    let linear = run.linear(SegmentName::Ss, top, width.bytes(), false)?;
    let segment = segment_operand(run);
    if segment == Some(SegmentName::Cs) {
        return Err(Fault::invalid_opcode());
    }
    let value = run.read_memory(SegmentName::Ss, linear, width, Access::Read)?;
    let popped = top.wrapping_add(width.bytes() as u64);
    if let Some(name) = segment {
        run.cpu.load_segment(name, value as u16)?;
        run.set_gpr_part(RSP, pointer, popped);
        return Ok(if name == SegmentName::Ss {
            End::StackShadow
        } else {
            End::Next
        });
    }
    run.popped = width.bytes() as u64;
    let place = run.operand(0, Access::Write)?;
    let old = run.cpu.gpr(RSP);
    run.set_gpr_part(RSP, pointer, popped);
    // `pop rsp` leaves the popped value: the pointer moves first.
    if let Err(fault) = run.store(place, value, Access::Write) {
        run.cpu.set_gpr(RSP, old);
        return Err(fault);
    }
    Ok(End::Next)
}

#[cfg(test)]
mod tests {
    use crate::testing::{DEVICE, DONE, TestCpu};
    use crate::{Fault, Mode, Outcome};

    #[test]
    fn push_of_a_device_register_checks_the_stack_first() {
        let code = [0xff, 0x33]; // push qword [rbx]
        let (cpu, outcome) =
            TestCpu::run64(&code, |cpu| (cpu.gprs[3], cpu.gprs[4]) = (DEVICE, 0x3000));
        assert_eq!(
            (outcome, cpu.gprs[4], cpu.peek(0x2ff8, 8)),
            (DONE, 0x2ff8, 0x1122_3344_5566_7788)
        );
        let (cpu, outcome) = TestCpu::run64(&code, |cpu| {
            (cpu.gprs[3], cpu.gprs[4]) = (DEVICE, 0x3000);
            cpu.read_only.push(2);
        });
        assert!(matches!(
            outcome,
            Outcome::Fault(Fault::Exception { vector: 14, .. })
        ));
        assert_eq!((cpu.gprs[4], cpu.device_log.len()), (0x3000, 0));
    }

    #[test]
    fn pop_into_memory_based_on_the_stack_pointer_uses_the_popped_pointer() {
        // pop qword [rsp + 8]
        let (cpu, outcome) = TestCpu::run64(&[0x8f, 0x44, 0x24, 8], |cpu| {
            cpu.gprs[4] = 0x3000;
            cpu.poke(0x3000, &0x42u64.to_le_bytes());
        });
        assert_eq!(
            (outcome, cpu.gprs[4], cpu.peek(0x3010, 8)),
            (DONE, 0x3008, 0x42)
        );
    }

    #[test]
    fn pop_that_cannot_store_leaves_the_stack_pointer() {
        let (cpu, outcome) = TestCpu::run64(&[0x8f, 0x03], |cpu| {
            (cpu.gprs[3], cpu.gprs[4]) = (0x2000, 0x3000);
            cpu.read_only.push(2);
        });
        assert!(matches!(
            outcome,
            Outcome::Fault(Fault::Exception { vector: 14, .. })
        ));
        assert_eq!(cpu.gprs[4], 0x3000);
    }

    #[test]
    fn pop_of_the_stack_pointer_keeps_the_popped_value() {
        let (cpu, _) = TestCpu::run64(&[0x5c], |cpu| {
            cpu.gprs[4] = 0x3000;
            cpu.poke(0x3000, &0x1234u64.to_le_bytes());
        });
        assert_eq!(cpu.gprs[4], 0x1234);
    }

    #[test]
    fn sixteen_bit_stacks_wrap_and_keep_the_upper_part() {
        let (cpu, outcome) = TestCpu::run(Mode::Real, &[0x6a, 0xfe], |cpu| {
            cpu.gprs[4] = 0xabcd_0000;
            cpu.segments[2].base = 0x2_0000;
        });
        assert_eq!(
            (outcome, cpu.gprs[4], cpu.peek(0x2_fffe, 2)),
            (DONE, 0xabcd_fffe, 0xfffe)
        );
    }

    #[test]
    fn pop_of_a_segment_register_in_real_mode_loads_its_base() {
        let prepare = |cpu: &mut TestCpu| {
            cpu.gprs[4] = 0x2000;
            cpu.poke(0x2000, &[0x00, 0x30]);
        };
        let (cpu, outcome) = TestCpu::run(Mode::Real, &[0x07], prepare); // pop es
        assert_eq!(
            (outcome, cpu.segments[0].base, cpu.gprs[4]),
            (DONE, 0x3_0000, 0x2002)
        );
        let (cpu, outcome) = TestCpu::run(Mode::Real, &[0x17], prepare); // pop ss
        assert_eq!(
            outcome,
            Outcome::Done {
                interrupt_shadow: true,
                single_step: false
            }
        );
        assert_eq!((cpu.segments[2].base, cpu.gprs[4]), (0x3_0000, 0x2002));
    }
}
