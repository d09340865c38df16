//! IN and OUT, and the permission check all port instructions share.

use iced_x86::OpKind;

use crate::cpu::{Access, Fault, Mode, SegmentName};
use crate::emulate::{End, Run};
use crate::flags;
use crate::operand::{RAX, RDX};
use crate::width::Width;

/// IN `accumulator, port`.
pub(crate) fn input(run: &mut Run<'_>) -> Result<End, Fault> {
    let width = run.operand_width(0)?;
    let port = port_operand(run, 1)?;
    check_permission(run, port, width)?;
    let value = run.cpu.port_in(port, width.bytes() as u8)?;
    run.set_gpr_part(RAX, width, u64::from(value));
    Ok(End::Next)
}

/// OUT `port, accumulator`.
pub(crate) fn output(run: &mut Run<'_>) -> Result<End, Fault> {
    let width = run.operand_width(1)?;
    let port = port_operand(run, 0)?;
    check_permission(run, port, width)?;
    let value = width.truncate(run.cpu.gpr(RAX)) as u32;
    run.cpu.port_out(port, width.bytes() as u8, value)?;
    Ok(End::Next)
}

fn port_operand(run: &Run<'_>, index: u32) -> Result<u16, Fault> {
    match run.ins.op_kind(index) {
        OpKind::Register => Ok(run.cpu.gpr(RDX) as u16),
        OpKind::Immediate8 => Ok(u16::from(run.ins.immediate8())),
        _ => Err(Fault::Unhandleable("port operand not covered")),
    }
}

/// IOPL first, then the permission bitmap of the task state segment (APM volume 2, "I/O-Permission Bitmap").
pub(crate) fn check_permission(run: &mut Run<'_>, port: u16, width: Width) -> Result<(), Fault> {
    let by_level = match run.mode {
        Mode::Real => true,
        Mode::Vm86 => false,
        Mode::Protected16 | Mode::Protected32 | Mode::Long64 => run.cpl() <= flags::iopl(run.flags),
    };
    if by_level || is_permitted_by_bitmap(run, port, width)? {
        Ok(())
    } else {
        Err(Fault::general_protection(run.mode))
    }
}

fn is_permitted_by_bitmap(run: &mut Run<'_>, port: u16, width: Width) -> Result<bool, Fault> {
    const BITMAP_BASE_FIELD: u64 = 0x66;
    let task = run.cpu.segment(SegmentName::Tr);
    let is_32bit_or_64bit = matches!(task.attributes.kind(), 0x9 | 0xb);
    let limit = u64::from(task.limit);
    if !task.attributes.is_present() || !is_32bit_or_64bit || limit < BITMAP_BASE_FIELD + 1 {
        return Ok(false);
    }
    let mut read = |offset: u64| {
        let linear = task.base.wrapping_add(offset);
        let linear = if run.mode == Mode::Long64 {
            linear
        } else {
            linear & 0xffff_ffff
        };
        run.read_memory(SegmentName::Tr, linear, Width::Word, Access::System)
    };
    let first = read(BITMAP_BASE_FIELD)? + u64::from(port / 8);
    // The processor always reads two bytes, hence the byte of ones that ends every bitmap.
    if first + 1 > limit {
        return Ok(false);
    }
    let denied = read(first)?;
    let asked = ((1u64 << width.bytes()) - 1) << (port % 8);
    Ok(denied & asked == 0)
}

#[cfg(test)]
mod tests {
    use crate::testing::{DONE, TestCpu};
    use crate::{Fault, Mode, Outcome};

    #[test]
    fn input_fills_the_accumulator_by_width() {
        for (code, port, size, rax) in [
            (&[0xe4, 0x71][..], 0x71, 1, 0xffff_ffff_ffff_ffd4u64),
            (&[0xec], 0xcf8, 1, 0xffff_ffff_ffff_ffd4),
            (&[0x66, 0xed], 0xcf8, 2, 0xffff_ffff_ffff_c3d4),
            (&[0xed], 0xcf8, 4, 0xa1b2_c3d4),
        ] {
            let (cpu, outcome) = TestCpu::run64(code, |cpu| {
                (cpu.gprs[0], cpu.gprs[2]) = (u64::MAX, 0xffff_0cf8)
            });
            assert_eq!((outcome, cpu.gprs[0]), (DONE, rax), "{code:x?}");
            assert_eq!(cpu.port_log, [(port, size, None)]);
        }
    }

    #[test]
    fn output_sends_the_accumulator_by_width() {
        for (code, size, value) in [
            (&[0xee][..], 1, 0x44),
            (&[0x66, 0xef], 2, 0x3344),
            (&[0xef], 4, 0x1122_3344),
        ] {
            let (cpu, outcome) = TestCpu::run64(code, |cpu| {
                (cpu.gprs[0], cpu.gprs[2]) = (0xffff_ffff_1122_3344, 0x80)
            });
            assert_eq!(
                (outcome, cpu.port_log),
                (DONE, [(0x80, size, Some(value))].to_vec()),
                "{code:x?}"
            );
        }
    }

    /// User code with a permission bitmap at offset 68h of the task segment, all ports denied but those in `allowed`.
    fn user(mode: Mode, code: &[u8], limit: u32, allowed: core::ops::Range<u16>) -> Outcome {
        TestCpu::run(mode, code, |cpu| {
            (cpu.cpl, cpu.gprs[2]) = (3, 0x3f8);
            cpu.segments[6].limit = limit;
            cpu.poke(0x8066, &[0x68, 0]);
            cpu.poke(0x8068, &[0xff; 0x100]);
            for port in allowed {
                cpu.ram[0x8068 + usize::from(port / 8)] &= !(1 << (port % 8));
            }
        })
        .1
    }

    #[test]
    fn user_code_needs_its_bitmap_for_every_byte_of_the_port() {
        for mode in [Mode::Protected32, Mode::Long64, Mode::Vm86] {
            let denied = Outcome::Fault(Fault::general_protection(mode));
            assert_eq!(user(mode, &[0xec], 0x168, 0x3f8..0x3f9), DONE);
            assert_eq!(user(mode, &[0xec], 0x168, 0x3f9..0x3ff), denied);
            let word = if mode == Mode::Vm86 {
                &[0xed][..]
            } else {
                &[0x66, 0xed]
            };
            assert_eq!(user(mode, word, 0x168, 0x3f8..0x3f9), denied);
            assert_eq!(user(mode, word, 0x168, 0x3f8..0x3fa), DONE);
            assert_eq!(
                user(mode, &[0x6e], 0x168, 0x3f9..0x3ff),
                denied,
                "string instructions too"
            );
        }
    }

    #[test]
    fn a_bitmap_cut_by_the_segment_limit_denies() {
        let denied = Outcome::Fault(Fault::general_protection(Mode::Long64));
        let last_byte = 0x68 + 0x3f8 / 8 + 1;
        assert_eq!(user(Mode::Long64, &[0xec], last_byte, 0x3f8..0x3f9), DONE);
        assert_eq!(
            user(Mode::Long64, &[0xec], last_byte - 1, 0x3f8..0x3f9),
            denied
        );
    }

    #[test]
    fn io_privilege_level_lets_user_code_through_except_in_virtual_8086_mode() {
        for (mode, expected) in [
            (Mode::Protected32, DONE),
            (
                Mode::Vm86,
                Outcome::Fault(Fault::general_protection(Mode::Vm86)),
            ),
        ] {
            let (_, outcome) = TestCpu::run(mode, &[0xec], |cpu| {
                cpu.cpl = 3;
                cpu.rflags |= 0x3000;
                cpu.poke(0x8066, &[0xff, 0xff]);
            });
            assert_eq!(outcome, expected);
        }
    }
}
