//! Moves, exchanges and compare-and-exchange.

use iced_x86::{OpKind, Register};

use crate::alu::subtract;
use crate::control;
use crate::cpu::{Access, Fault, SegmentName};
use crate::emulate::{End, Run};
use crate::flags::{CF, OF, PF, SF, STATUS, ZF};
use crate::operand::{Place, RAX, RBX, RCX, RDX, segment_name};
use crate::width::Width;

/// MOV in all forms, and MOVNTI.
pub(crate) fn mov(run: &mut Run<'_>) -> Result<End, Fault> {
    let (to, from) = (run.ins.op0_register(), run.ins.op1_register());
    if to.is_cr() || from.is_cr() || to.is_dr() || from.is_dr() {
        return control::mov(run);
    }
    if let Some(name) = segment_name(to) {
        return mov_to_segment(run, name);
    }
    let value = match segment_name(from) {
        Some(name) => u64::from(run.cpu.segment(name).selector),
        None => run.read_operand(1)?.1,
    };
    run.write_operand(0, value)?;
    Ok(End::Next)
}

fn mov_to_segment(run: &mut Run<'_>, name: SegmentName) -> Result<End, Fault> {
    if name == SegmentName::Cs {
        return Err(Fault::invalid_opcode());
    }
    let (_, selector) = run.read_operand(1)?;
    run.cpu.load_segment(name, selector as u16)?;
    Ok(if name == SegmentName::Ss {
        End::StackShadow
    } else {
        End::Next
    })
}

/// MOVZX, and with `signed` MOVSX and MOVSXD.
pub(crate) fn extend(run: &mut Run<'_>, signed: bool) -> Result<End, Fault> {
    let (width, value) = run.read_operand(1)?;
    let value = if signed {
        width.sign_extend(value)
    } else {
        value
    };
    run.write_operand(0, value)?;
    Ok(End::Next)
}

/// MOVBE.
pub(crate) fn mov_big_endian(run: &mut Run<'_>) -> Result<End, Fault> {
    let (width, value) = run.read_operand(1)?;
    run.write_operand(0, value.swap_bytes() >> (64 - width.bits()))?;
    Ok(End::Next)
}

/// LEA: no memory is touched and no segment checked.
pub(crate) fn lea(run: &mut Run<'_>) -> Result<End, Fault> {
    let (_, offset) = run.effective_address()?;
    run.set_register(run.ins.op0_register(), offset)?;
    Ok(End::Next)
}

/// XCHG: locked on memory whether prefixed or not.
pub(crate) fn exchange(run: &mut Run<'_>) -> Result<End, Fault> {
    let (memory, other) = if run.ins.op_kind(1) == OpKind::Memory {
        (1, 0)
    } else {
        (0, 1)
    };
    let place = run.operand(memory, Access::Modify)?;
    let register = run.operand(other, Access::Modify)?;
    let new = run.load(register, Access::Read)?;
    let old = run.load(place, Access::Modify)?;
    run.store(place, new, Access::Modify)?;
    run.store(register, old, Access::Modify)?;
    Ok(End::Next)
}

/// XADD: the source gets the old destination first, so that `xadd eax, eax` doubles.
pub(crate) fn exchange_add(run: &mut Run<'_>) -> Result<End, Fault> {
    let place = run.operand(0, Access::Modify)?;
    let (width, addend) = run.read_operand(1)?;
    let old = run.load(place, Access::Modify)?;
    let (sum, flags) = crate::alu::add(width, old, addend, false);
    if let Place::Memory { .. } = place {
        run.store(place, sum, Access::Modify)?;
        run.set_register(run.ins.op1_register(), old)?;
    } else {
        run.set_register(run.ins.op1_register(), old)?;
        run.store(place, sum, Access::Modify)?;
    }
    run.set_status(STATUS, flags);
    Ok(End::Next)
}

/// CMPXCHG. On a mismatch the old value is written back to memory, as the processor does.
pub(crate) fn compare_exchange(run: &mut Run<'_>) -> Result<End, Fault> {
    let place = run.operand(0, Access::Modify)?;
    let (width, new) = run.read_operand(1)?;
    let old = run.load(place, Access::Modify)?;
    let (difference, flags) = subtract(width, run.cpu.gpr(RAX), old, false);
    if difference == 0 {
        run.store(place, new, Access::Modify)?;
    } else {
        if let Place::Memory { .. } = place {
            run.store(place, old, Access::Modify)?;
        }
        run.set_gpr_part(RAX, width, old);
    }
    run.set_status(STATUS, flags);
    Ok(End::Next)
}

/// CMPXCHG8B (`half` of 4 bytes) and CMPXCHG16B (8 bytes): only ZF changes.
pub(crate) fn compare_exchange_pair(run: &mut Run<'_>, half: Width) -> Result<End, Fault> {
    let len = 2 * half.bytes();
    let (name, linear) = run.memory_address(0, len, Access::Modify)?;
    if half == Width::Qword && !linear.is_multiple_of(16) {
        return Err(Fault::general_protection(run.mode));
    }
    let mut bytes = [0; 16];
    let (used, _) = bytes.split_at_mut(len);
    run.cpu.read(name, linear, used, Access::Modify)?;
    let old = u128::from_le_bytes(bytes);
    let pair = |run: &Run<'_>, high: usize, low: usize| {
        u128::from(half.truncate(run.cpu.gpr(high))) << half.bits()
            | u128::from(half.truncate(run.cpu.gpr(low)))
    };
    let equal = pair(run, RDX, RAX) == old;
    let stored = if equal { pair(run, RCX, RBX) } else { old };
    let bytes = stored.to_le_bytes();
    let (used, _) = bytes.split_at(len);
    run.cpu.write(name, linear, used, Access::Modify)?;
    if !equal {
        run.set_gpr_part(RAX, half, old as u64);
        run.set_gpr_part(RDX, half, (old >> half.bits()) as u64);
    }
    run.set_status(ZF, if equal { ZF } else { 0 });
    Ok(End::Next)
}

/// CLFLUSH, CLFLUSHOPT and CLWB: only the address is checked.
pub(crate) fn touch(run: &mut Run<'_>) -> Result<End, Fault> {
    if run.ins.op0_kind() == OpKind::Memory {
        run.memory_address(0, 1, Access::Read)?;
    }
    Ok(End::Next)
}

/// SETcc.
pub(crate) fn set_if(run: &mut Run<'_>, condition: Condition) -> Result<End, Fault> {
    let holds = condition.holds(run.flags);
    run.write_operand(0, u64::from(holds))?;
    Ok(End::Next)
}

/// CMOVcc: the source is read and a 32-bit destination zero-extended even when the condition fails.
pub(crate) fn move_if(run: &mut Run<'_>, condition: Condition) -> Result<End, Fault> {
    let (_, value) = run.read_operand(1)?;
    let to: Register = run.ins.op0_register();
    let value = if condition.holds(run.flags) {
        value
    } else {
        run.register(to)?
    };
    run.set_register(to, value)?;
    Ok(End::Next)
}

/// A condition as the low four opcode bits encode it: three bits name it, the lowest inverts it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition(pub u8);

impl Condition {
    pub(crate) const fn holds(self, flags: u64) -> bool {
        let less = (flags & SF != 0) != (flags & OF != 0);
        let plain = match self.0 >> 1 & 7 {
            0 => flags & OF != 0,
            1 => flags & CF != 0,
            2 => flags & ZF != 0,
            3 => flags & (CF | ZF) != 0,
            4 => flags & SF != 0,
            5 => flags & PF != 0,
            6 => less,
            _ => less || flags & ZF != 0,
        };
        plain != (self.0 & 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    use crate::flags::{CF, OF, PF, SF, ZF};
    use crate::testing::{CODE, DEVICE, DONE, TestCpu};
    use crate::{Access, Fault, Mode, Outcome};

    /// Runs 64-bit code with RBX pointing at the device and RCX a pattern.
    fn on_device(code: &[u8]) -> TestCpu {
        let (cpu, outcome) = TestCpu::run64(code, |cpu| {
            cpu.gprs[3] = DEVICE;
            cpu.gprs[1] = 0x8899_aabb_ccdd_eeff;
        });
        assert_eq!(outcome, DONE, "{code:x?}");
        assert_eq!(cpu.rip, CODE + code.len() as u64);
        cpu
    }

    #[test]
    fn stores_have_the_operands_width() {
        for (code, len, value) in [
            (&[0x88, 0x0b][..], 1, 0xff),                    // mov [rbx], cl
            (&[0x88, 0x2b], 1, 0xee),                        // mov [rbx], ch
            (&[0x66, 0x89, 0x0b], 2, 0xeeff),                // mov [rbx], cx
            (&[0x89, 0x0b], 4, 0xccdd_eeff),                 // mov [rbx], ecx
            (&[0x48, 0x89, 0x0b], 8, 0x8899_aabb_ccdd_eeff), // mov [rbx], rcx
            (&[0x0f, 0xc3, 0x0b], 4, 0xccdd_eeff),           // movnti [rbx], ecx
            (&[0xc6, 0x03, 0x12], 1, 0x12),                  // mov byte [rbx], 12h
            (&[0x48, 0xc7, 0x03, 0, 0, 0, 0x80], 8, 0xffff_ffff_8000_0000), // mov qword [rbx], -80000000h
            (&[0x0f, 0x38, 0xf1, 0x0b], 4, 0xffee_ddcc),                    // movbe [rbx], ecx
            (&[0x66, 0x8c, 0x1b], 2, 0x10),                                 // mov [rbx], ds
        ] {
            assert_eq!(
                on_device(code).device_log,
                [(Access::Write, DEVICE, len, value)],
                "{code:x?}"
            );
        }
    }

    #[test]
    fn loads_fill_registers_as_the_width_demands() {
        for (code, len, rcx) in [
            (&[0x8a, 0x0b][..], 1, 0x8899_aabb_ccdd_ee88), // mov cl, [rbx]
            (&[0x8a, 0x2b], 1, 0x8899_aabb_ccdd_88ff),     // mov ch, [rbx]
            (&[0x66, 0x8b, 0x0b], 2, 0x8899_aabb_ccdd_7788), // mov cx, [rbx]
            (&[0x8b, 0x0b], 4, 0x5566_7788),               // mov ecx, [rbx]
            (&[0x48, 0x8b, 0x0b], 8, 0x1122_3344_5566_7788), // mov rcx, [rbx]
            (&[0x0f, 0xb6, 0x0b], 1, 0x88),                // movzx ecx, byte [rbx]
            (&[0x48, 0x0f, 0xbe, 0x0b], 1, 0xffff_ffff_ffff_ff88), // movsx rcx, byte [rbx]
            (&[0x66, 0x0f, 0xbe, 0x0b], 1, 0x8899_aabb_ccdd_ff88), // movsx cx, byte [rbx]
            (&[0x48, 0x63, 0x0b], 4, 0x5566_7788),         // movsxd rcx, [rbx]
            (&[0x66, 0x0f, 0x38, 0xf0, 0x0b], 2, 0x8899_aabb_ccdd_8877), // movbe cx, [rbx]
        ] {
            let cpu = on_device(code);
            assert_eq!(
                cpu.device_log,
                [(Access::Read, DEVICE, len, 0)],
                "{code:x?}"
            );
            assert_eq!(cpu.gprs[1], rcx, "{code:x?}");
        }
    }

    #[test]
    fn offset_forms_use_the_accumulator() {
        let cpu = on_device(&[0x48, 0xa1, 0, 0, 0xe0, 0xfe, 0, 0, 0, 0]);
        assert_eq!(cpu.gprs[0], 0x1122_3344_5566_7788);
        let cpu = on_device(&[0x67, 0xa2, 8, 0, 0xe0, 0xfe]);
        assert_eq!(cpu.device_log, [(Access::Write, DEVICE + 8, 1, 0)]);
    }

    #[test]
    fn addresses_combine_base_index_scale_and_displacement() {
        let (cpu, outcome) = TestCpu::run64(&[0x42, 0x8b, 0x4c, 0xa3, 0x10], |cpu| {
            cpu.gprs[3] = DEVICE; // mov ecx, [rbx + r12*4 + 10h]
            cpu.gprs[12] = 0x20;
        });
        assert_eq!((outcome, cpu.device_log[0].1), (DONE, DEVICE + 0x90));
        // mov ecx, [ebx - 8]: the sum is cut to 32 bits
        let (cpu, _) = TestCpu::run64(&[0x67, 0x8b, 0x4b, 0xf8], |cpu| {
            cpu.gprs[3] = 0xffff_0000_0000_0000 | (DEVICE + 8)
        });
        assert_eq!(cpu.device_log[0].1, DEVICE);
        // mov ecx, [rip + 100h]
        let (cpu, _) = TestCpu::run64(&[0x8b, 0x0d, 0, 1, 0, 0], |cpu| {
            cpu.poke(CODE + 0x106, &[1, 2, 3, 4])
        });
        assert_eq!(cpu.gprs[1], 0x0403_0201);
        // mov ecx, gs:[rbx]
        let (cpu, _) = TestCpu::run64(&[0x65, 0x8b, 0x0b], |cpu| {
            cpu.segments[5].base = DEVICE - 0x10;
            cpu.gprs[3] = 0x20;
        });
        assert_eq!(cpu.device_log[0].1, DEVICE + 0x10);
    }

    #[test]
    fn sixteen_bit_addresses_wrap() {
        // mov al, [bx + si + 2]
        let (cpu, outcome) = TestCpu::run(Mode::Real, &[0x8a, 0x40, 2], |cpu| {
            cpu.gprs[3] = 0xfff0;
            cpu.gprs[6] = 0x20;
            cpu.segments[3].base = 0x4_0000;
            cpu.ram[0x4_0012] = 0x77;
        });
        assert_eq!((outcome, cpu.gprs[0]), (DONE, 0x77));
    }

    #[test]
    fn lea_touches_no_memory() {
        let (cpu, outcome) =
            TestCpu::run64(&[0x8d, 0x4b, 1], |cpu| cpu.gprs[3] = 0x8000_0000_ffff_ffff);
        assert_eq!((outcome, cpu.gprs[1]), (DONE, 0));
    }

    #[test]
    fn exchange_swaps_in_either_operand_order() {
        let cpu = on_device(&[0x48, 0x87, 0x0b]);
        assert_eq!(cpu.gprs[1], 0x1122_3344_5566_7788);
        assert_eq!(
            cpu.device_log,
            [
                (Access::Modify, DEVICE, 8, 0),
                (Access::Modify, DEVICE, 8, 0x8899_aabb_ccdd_eeff)
            ]
        );
    }

    #[test]
    fn exchange_add_doubles_when_both_operands_are_one_register() {
        let (cpu, _) = TestCpu::run64(&[0x0f, 0xc1, 0xc0], |cpu| cpu.gprs[0] = 21);
        assert_eq!(cpu.gprs[0], 42);
        let (cpu, _) = TestCpu::run64(&[0xf0, 0x0f, 0xc1, 0x0b], |cpu| {
            cpu.gprs[3] = 0x2000;
            cpu.gprs[1] = 2;
            cpu.poke(0x2000, &[0xff, 0xff, 0xff, 0xff]);
        });
        assert_eq!((cpu.peek(0x2000, 4), cpu.gprs[1]), (1, 0xffff_ffff));
        assert_ne!(cpu.rflags & CF, 0);
    }

    #[test]
    fn compare_exchange_stores_on_a_match_and_loads_on_a_mismatch() {
        let code = [0xf0, 0x0f, 0xb1, 0x0b];
        let prepare = |expected: u64| {
            move |cpu: &mut TestCpu| {
                cpu.gprs[0] = expected;
                cpu.gprs[1] = 9;
                cpu.gprs[3] = 0x2000;
                cpu.poke(0x2000, &[7, 0, 0, 0, 0xee]);
            }
        };
        let (cpu, _) = TestCpu::run64(&code, prepare(7));
        assert_eq!((cpu.peek(0x2000, 5), cpu.rflags & ZF), (0xee_0000_0009, ZF));
        let (cpu, _) = TestCpu::run64(&code, prepare(0xffff_ffff_0000_0006));
        assert_eq!(
            (cpu.peek(0x2000, 4), cpu.gprs[0], cpu.rflags & ZF),
            (7, 7, 0)
        );
    }

    #[test]
    fn pair_exchanges_work_for_8_and_16_bytes() {
        let (cpu, outcome) = TestCpu::run64(&[0x0f, 0xc7, 0x0b], |cpu| {
            (cpu.gprs[3], cpu.gprs[1]) = (0x2000, 0x55);
            (cpu.gprs[0], cpu.gprs[2]) = (0x1111_1111, 0x2222_2222);
            cpu.poke(0x2000, &0x2222_2222_1111_1111u64.to_le_bytes());
        });
        assert_eq!(
            (outcome, cpu.peek(0x2000, 8), cpu.rflags & ZF),
            (DONE, 0x55_0000_2000, ZF)
        );
        let (cpu, _) = TestCpu::run64(&[0x48, 0x0f, 0xc7, 0x0b], |cpu| {
            cpu.gprs[3] = 0x2000;
            cpu.poke(0x2000, &1u64.to_le_bytes());
            cpu.poke(0x2008, &2u64.to_le_bytes());
        });
        assert_eq!((cpu.gprs[0], cpu.gprs[2], cpu.rflags & ZF), (1, 2, 0));
        let (_, outcome) = TestCpu::run64(&[0x48, 0x0f, 0xc7, 0x0b], |cpu| cpu.gprs[3] = 0x2008);
        assert_eq!(
            outcome,
            Outcome::Fault(Fault::general_protection(Mode::Long64))
        );
    }

    #[test]
    fn conditions_follow_the_flags() {
        let holds: [fn(u64) -> bool; 8] = [
            |f| f & OF != 0,
            |f| f & CF != 0,
            |f| f & ZF != 0,
            |f| f & CF != 0 || f & ZF != 0,
            |f| f & SF != 0,
            |f| f & PF != 0,
            |f| (f & SF != 0) ^ (f & OF != 0),
            |f| f & ZF != 0 || (f & SF != 0) ^ (f & OF != 0),
        ];
        for choice in 0..32u64 {
            let bit = |n: u64, flag: u64| if choice >> n & 1 == 1 { flag } else { 0 };
            let flags = bit(0, CF) | bit(1, PF) | bit(2, ZF) | bit(3, SF) | bit(4, OF);
            for code in 0..16u8 {
                let expected = holds[usize::from(code / 2)](flags) != (code % 2 == 1);
                let (cpu, _) = TestCpu::run64(&[0x0f, 0x90 | code, 0x03], |cpu| {
                    (cpu.gprs[3], cpu.rflags) = (0x2000, flags);
                });
                assert_eq!(
                    cpu.peek(0x2000, 1),
                    u64::from(expected),
                    "setcc {code:x} {flags:x}"
                );
            }
        }
    }

    #[test]
    fn a_failed_conditional_move_still_reads_and_zero_extends() {
        let cpu = on_device(&[0x0f, 0x44, 0x0b]);
        assert_eq!((cpu.gprs[1], cpu.device_log.len()), (0xccdd_eeff, 1));
        let cpu = on_device(&[0x0f, 0x45, 0x0b]);
        assert_eq!(cpu.gprs[1], 0x5566_7788);
    }

    #[test]
    fn loading_ss_holds_off_interrupts_and_the_single_step_trap() {
        let (cpu, outcome) = TestCpu::run(Mode::Real, &[0x8e, 0xd0], |cpu| {
            cpu.gprs[0] = 0x1234;
            cpu.rflags |= crate::flags::TF;
        });
        assert_eq!(
            outcome,
            Outcome::Done {
                interrupt_shadow: true,
                single_step: false
            }
        );
        assert_eq!(
            (cpu.segments[2].selector, cpu.segments[2].base),
            (0x1234, 0x1_2340)
        );
    }

    #[test]
    fn a_pending_device_leaves_everything_as_it_was() {
        let (cpu, outcome) = TestCpu::run64(&[0x48, 0x87, 0x0b], |cpu| {
            (cpu.gprs[3], cpu.gprs[1], cpu.device_pending) = (DEVICE, 5, true);
        });
        assert_eq!(outcome, Outcome::Fault(Fault::Pending));
        assert_eq!((cpu.rip, cpu.gprs[1], cpu.rflags), (CODE, 5, 2));
    }
}
