//! SSE moves between memory and an XMM register: compilers and memcpy use them on device windows.

use iced_x86::{Mnemonic, OpKind, Register};

use crate::cpu::{Access, Fault};
use crate::emulate::{End, Run};

const CR0_EM: u64 = 1 << 2;
const CR0_TS: u64 = 1 << 3;
const CR4_OSFXSR: u64 = 1 << 9;

/// What a move does with the register's bytes beyond the memory operand.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum VectorMove {
    /// Whole register, or a load that clears the rest.
    Plain,
    /// Whole register, memory operand aligned to 16 bytes.
    Aligned,
    /// The low 8 bytes; a load keeps the others.
    Low,
    /// The high 8 bytes; a load keeps the others.
    High,
}

impl VectorMove {
    pub(crate) fn of(mnemonic: Mnemonic) -> Option<Self> {
        use Mnemonic as M;
        Some(match mnemonic {
            M::Movups
            | M::Movupd
            | M::Movdqu
            | M::Lddqu
            | M::Movss
            | M::Movsd
            | M::Movd
            | M::Movq => Self::Plain,
            M::Movaps
            | M::Movapd
            | M::Movdqa
            | M::Movntps
            | M::Movntpd
            | M::Movntdq
            | M::Movntdqa => Self::Aligned,
            M::Movlps | M::Movlpd => Self::Low,
            M::Movhps | M::Movhpd => Self::High,
            _ => return None,
        })
    }
}

/// One move; register to register is not covered, no device is involved in it.
pub(crate) fn mov(run: &mut Run<'_>, kind: VectorMove) -> Result<End, Fault> {
    let not_covered = Fault::Unhandleable("vector operands not covered");
    let (register, loads) = match (run.ins.op0_kind(), run.ins.op1_kind()) {
        (OpKind::Register, OpKind::Memory) => (run.ins.op0_register(), true),
        (OpKind::Memory, OpKind::Register) => (run.ins.op1_register(), false),
        _ => return Err(not_covered),
    };
    let len = run.ins.memory_size().size();
    if !register.is_xmm() || !matches!(len, 4 | 8 | 16) {
        return Err(not_covered);
    }
    check_available(run)?;
    let access = if loads { Access::Read } else { Access::Write };
    let (name, linear) = run.memory_address(0, len, access)?;
    if kind == VectorMove::Aligned && !linear.is_multiple_of(16) {
        return Err(Fault::general_protection(run.mode));
    }
    let index = xmm_index(register);
    let first = if kind == VectorMove::High { 8 } else { 0 };
    let mut value = match (kind, loads) {
        (VectorMove::Plain | VectorMove::Aligned, true) => [0; 16],
        _ => run.cpu.read_xmm(index)?,
    };
    let part = value.get_mut(first..first + len).ok_or(not_covered)?;
    if loads {
        run.cpu.read(name, linear, part, access)?;
        run.cpu.write_xmm(index, value)?;
    } else {
        run.cpu.write(name, linear, part, access)?;
    }
    Ok(End::Next)
}

/// #UD or #NM if the guest has not enabled SSE (APM volume 2, "Enabling SSE Instructions").
fn check_available(run: &mut Run<'_>) -> Result<(), Fault> {
    let cr0 = run.cpu.read_cr(0)?;
    if cr0 & CR0_EM != 0 || run.cpu.read_cr(4)? & CR4_OSFXSR == 0 {
        return Err(Fault::invalid_opcode());
    }
    if cr0 & CR0_TS != 0 {
        Err(Fault::bare(7))
    } else {
        Ok(())
    }
}

fn xmm_index(register: Register) -> usize {
    register.number() & 15
}

#[cfg(test)]
mod tests {
    use super::{CR0_EM, CR0_TS, CR4_OSFXSR};
    use crate::testing::{DEVICE, DONE, TestCpu};
    use crate::{Access, Fault, Mode, Outcome};

    fn run(code: &[u8], prepare: impl FnOnce(&mut TestCpu)) -> (TestCpu, Outcome) {
        TestCpu::run64(code, |cpu| {
            cpu.cr[4] = CR4_OSFXSR;
            cpu.gprs[3] = DEVICE;
            cpu.xmm[9] = [0xcc; 16];
            prepare(cpu);
        })
    }

    #[test]
    fn whole_register_moves_are_one_16_byte_access() {
        let (cpu, outcome) = run(&[0x44, 0x0f, 0x11, 0x0b], |_| ()); // movups [rbx], xmm9
        assert_eq!(outcome, DONE);
        assert_eq!(
            cpu.device_log,
            [(Access::Write, DEVICE, 16, 0xcccc_cccc_cccc_cccc)]
        );
        let (cpu, _) = run(&[0xf3, 0x44, 0x0f, 0x6f, 0x0b], |_| ()); // movdqu xmm9, [rbx]
        assert_eq!(
            u128::from_le_bytes(cpu.xmm[9]),
            0x1122_3344_5566_7788_1122_3344_5566_7788
        );
    }

    #[test]
    fn scalar_loads_clear_the_rest_and_half_loads_keep_it() {
        let (cpu, _) = run(&[0xf2, 0x44, 0x0f, 0x10, 0x0b], |_| ()); // movsd xmm9, [rbx]
        assert_eq!(u128::from_le_bytes(cpu.xmm[9]), 0x1122_3344_5566_7788);
        let (cpu, _) = run(&[0x66, 0x44, 0x0f, 0x6e, 0x0b], |_| ()); // movd xmm9, [rbx]
        assert_eq!(u128::from_le_bytes(cpu.xmm[9]), 0x5566_7788);
        let (cpu, _) = run(&[0x44, 0x0f, 0x16, 0x0b], |_| ()); // movhps xmm9, [rbx]
        assert_eq!(
            u128::from_le_bytes(cpu.xmm[9]),
            0x1122_3344_5566_7788_cccc_cccc_cccc_cccc
        );
    }

    #[test]
    fn aligned_moves_demand_alignment() {
        let code = [0x66, 0x44, 0x0f, 0x7f, 0x0b]; // movdqa [rbx], xmm9
        assert_eq!(run(&code, |_| ()).1, DONE);
        let (cpu, outcome) = run(&code, |cpu| cpu.gprs[3] += 8);
        assert_eq!(
            outcome,
            Outcome::Fault(Fault::general_protection(Mode::Long64))
        );
        assert!(cpu.device_log.is_empty());
    }

    #[test]
    fn disabled_sse_is_an_exception() {
        let code = [0x0f, 0x11, 0x0b];
        assert_eq!(
            run(&code, |cpu| cpu.cr[0] = CR0_TS).1,
            Outcome::Fault(Fault::bare(7))
        );
        assert_eq!(
            run(&code, |cpu| cpu.cr[0] = CR0_EM).1,
            Outcome::Fault(Fault::invalid_opcode())
        );
        assert_eq!(
            run(&code, |cpu| cpu.cr[4] = 0).1,
            Outcome::Fault(Fault::invalid_opcode())
        );
    }

    #[test]
    fn mmx_registers_are_unhandleable() {
        assert!(matches!(
            run(&[0x0f, 0x6f, 0x0b], |_| ()).1,
            Outcome::Fault(Fault::Unhandleable(_))
        ));
    }
}
