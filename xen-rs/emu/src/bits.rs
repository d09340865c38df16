//! Bit tests. A bit number in a register reaches memory beyond the named operand.

use iced_x86::OpKind;

use crate::cpu::{Access, Fault};
use crate::emulate::{End, Run};
use crate::flags::CF;

/// What happens to the tested bit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum BitOp {
    Test,
    Set,
    Reset,
    Complement,
}

/// `op base, bit`: CF gets the old bit.
pub(crate) fn bit(run: &mut Run<'_>, op: BitOp) -> Result<End, Fault> {
    let width = run.operand_width(0)?;
    let (index_width, index) = run.read_operand(1)?;
    let access = if op == BitOp::Test {
        Access::Read
    } else {
        Access::Modify
    };
    let place = if run.ins.op_kind(0) == OpKind::Memory && run.ins.op_kind(1) == OpKind::Register {
        let units = (index_width.sign_extend(index) as i64) >> width.bits().trailing_zeros();
        let bytes = units.wrapping_mul(width.bytes() as i64);
        run.memory_operand(bytes as u64, access)?
    } else {
        run.operand(0, access)?
    };
    let mask = 1u64 << (index & u64::from(width.bits() - 1));
    let old = run.load(place, access)?;
    match op {
        BitOp::Test => {}
        BitOp::Set => run.store(place, old | mask, access)?,
        BitOp::Reset => run.store(place, old & !mask, access)?,
        BitOp::Complement => run.store(place, old ^ mask, access)?,
    }
    run.set_status(CF, if old & mask != 0 { CF } else { 0 });
    Ok(End::Next)
}

#[cfg(test)]
mod tests {
    use crate::flags::CF;
    use crate::testing::{DONE, TestCpu};
    use crate::{Access, Mode};

    #[test]
    fn a_register_bit_number_reaches_beyond_the_operand_in_both_directions() {
        for (bit, at, mask) in [
            (5u64, 0x2000u64, 0x20),
            (77, 0x2008, 1 << 13),
            (0u64.wrapping_sub(1), 0x1ffc, 1 << 31),
        ] {
            // bts dword [rbx], ecx
            let (cpu, outcome) = TestCpu::run64(&[0x0f, 0xab, 0x0b], |cpu| {
                (cpu.gprs[3], cpu.gprs[1]) = (0x2000, bit)
            });
            assert_eq!(
                (outcome, cpu.peek(at, 4), cpu.rflags & CF),
                (DONE, mask, 0),
                "bit {bit:x}"
            );
        }
        // bts qword [rbx], rcx
        let (cpu, _) = TestCpu::run64(&[0x48, 0x0f, 0xab, 0x0b], |cpu| {
            (cpu.gprs[3], cpu.gprs[1]) = (0x2000, 0u64.wrapping_sub(64));
        });
        assert_eq!(cpu.peek(0x1ff8, 8), 1);
    }

    #[test]
    fn a_negative_16_bit_number_wraps_in_16_bit_addresses() {
        // bts [bx], cx
        let (cpu, outcome) = TestCpu::run(Mode::Real, &[0x0f, 0xab, 0x0f], |cpu| {
            (cpu.gprs[3], cpu.gprs[1]) = (0, 0xffff);
            cpu.segments[3].base = 0x2_0000;
        });
        assert_eq!((outcome, cpu.peek(0x2_fffe, 2)), (DONE, 0x8000));
    }

    #[test]
    fn an_immediate_bit_number_stays_inside() {
        let prepare = |cpu: &mut TestCpu| {
            cpu.gprs[3] = 0x2000;
            cpu.poke(0x2000, &[0xff; 4]);
        };
        let (cpu, _) = TestCpu::run64(&[0x0f, 0xba, 0x33, 33], prepare); // btr dword [rbx], 33
        assert_eq!((cpu.peek(0x2000, 8), cpu.rflags & CF), (0xffff_fffd, CF));
        let (cpu, _) = TestCpu::run64(&[0x0f, 0xba, 0x3b, 0xff], prepare); // btc dword [rbx], 255
        assert_eq!((cpu.peek(0x2000, 8), cpu.rflags & CF), (0x7fff_ffff, CF));
    }

    #[test]
    fn a_plain_test_only_reads() {
        let device = crate::testing::DEVICE;
        let (cpu, _) = TestCpu::run64(&[0x0f, 0xa3, 0x0b], |cpu| {
            (cpu.gprs[3], cpu.gprs[1]) = (device, 3)
        });
        assert_eq!(
            (cpu.device_log, cpu.rflags & CF),
            ([(Access::Read, device, 4, 0)].to_vec(), CF)
        );
    }
}
