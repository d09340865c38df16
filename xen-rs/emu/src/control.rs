//! Control and debug registers, and the interrupt flag.
//!
//! The adapter checks values (reserved bits, mode switches); privilege and register numbers are checked here.

use iced_x86::Register;

use crate::cpu::{Access, Fault, Mode};
use crate::emulate::{End, Run};
use crate::flags;
use crate::width::Width;

const CR0_TS: u64 = 1 << 3;
const CR4_VME: u64 = 1 << 0;
const CR4_PVI: u64 = 1 << 1;
const CR4_DE: u64 = 1 << 3;
const CR4_UMIP: u64 = 1 << 11;

impl Run<'_> {
    /// Privilege level that counts: virtual-8086 code is always at 3, real mode at 0.
    pub(crate) fn cpl(&self) -> u8 {
        match self.mode {
            Mode::Real => 0,
            Mode::Vm86 => 3,
            _ => self.cpu.cpl(),
        }
    }

    fn require_kernel(&self) -> Result<(), Fault> {
        if self.cpl() == 0 {
            Ok(())
        } else {
            Err(Fault::general_protection(self.mode))
        }
    }

    /// Control and debug registers are moved whole: 8 bytes in 64-bit mode, 4 elsewhere, whatever the prefixes.
    fn control_width(&self) -> Width {
        if self.mode == Mode::Long64 {
            Width::Qword
        } else {
            Width::Dword
        }
    }
}

/// MOV to or from a control or debug register.
pub(crate) fn mov(run: &mut Run<'_>) -> Result<End, Fault> {
    let (to, from) = (run.ins.op0_register(), run.ins.op1_register());
    let special = if to.is_cr() || to.is_dr() { to } else { from };
    let number = special.number() as u8;
    let writes = special == to;
    if special.is_cr() {
        mov_control(run, number, writes)
    } else {
        mov_debug(run, number, writes)
    }
}

fn mov_control(run: &mut Run<'_>, number: u8, writes: bool) -> Result<End, Fault> {
    if !matches!(number, 0 | 2 | 3 | 4 | 8) {
        return Err(Fault::invalid_opcode());
    }
    run.require_kernel()?;
    let width = run.control_width();
    if writes {
        let value = width.truncate(run.cpu.gpr(general(run.ins.op1_register())));
        run.cpu.write_cr(number, value)?;
    } else {
        let value = run.cpu.read_cr(number)?;
        run.set_gpr_part(general(run.ins.op0_register()), width, value);
    }
    Ok(End::Next)
}

fn mov_debug(run: &mut Run<'_>, number: u8, writes: bool) -> Result<End, Fault> {
    // DR4 and DR5 are DR6 and DR7 unless debugging extensions make them invalid.
    let number = match number {
        4 | 5 if run.cpu.read_cr(4)? & CR4_DE != 0 => return Err(Fault::invalid_opcode()),
        4 | 5 => number + 2,
        0..=7 => number,
        _ => return Err(Fault::invalid_opcode()),
    };
    run.require_kernel()?;
    let width = run.control_width();
    if writes {
        let value = width.truncate(run.cpu.gpr(general(run.ins.op1_register())));
        if number >= 6 && value > 0xffff_ffff {
            return Err(Fault::general_protection(run.mode));
        }
        run.cpu.write_dr(number, value)?;
    } else {
        let value = run.cpu.read_dr(number)?;
        run.set_gpr_part(general(run.ins.op0_register()), width, value);
    }
    Ok(End::Next)
}

fn general(register: Register) -> usize {
    register.full_register().number() & 15
}

/// CLTS.
pub(crate) fn clear_task_switched(run: &mut Run<'_>) -> Result<End, Fault> {
    run.require_kernel()?;
    let cr0 = run.cpu.read_cr(0)?;
    run.cpu.write_cr(0, cr0 & !CR0_TS)?;
    Ok(End::Next)
}

/// LMSW: loads PE, MP, EM and TS; PE cannot be cleared.
pub(crate) fn load_status_word(run: &mut Run<'_>) -> Result<End, Fault> {
    run.require_kernel()?;
    let place = run.operand(0, Access::Read)?;
    let word = run.load(place, Access::Read)?;
    let cr0 = run.cpu.read_cr(0)?;
    run.cpu.write_cr(0, cr0 & !0xe | word & 0xf)?;
    Ok(End::Next)
}

/// SMSW: 16 bits to memory, CR0's low bits to a register of any width.
pub(crate) fn store_status_word(run: &mut Run<'_>) -> Result<End, Fault> {
    if run.cpl() != 0 && run.cpu.read_cr(4)? & CR4_UMIP != 0 {
        return Err(Fault::general_protection(run.mode));
    }
    let cr0 = run.cpu.read_cr(0)?;
    run.write_operand(0, cr0)?;
    Ok(End::Next)
}

/// CLI and STI. Virtual interrupt flags are not done.
pub(crate) fn set_interrupt_flag(run: &mut Run<'_>, enable: bool) -> Result<End, Fault> {
    if run.cpl() > flags::iopl(run.flags) && run.mode != Mode::Real {
        let virtual_flag = if run.mode == Mode::Vm86 {
            CR4_VME
        } else {
            CR4_PVI
        };
        return Err(if run.cpu.read_cr(4)? & virtual_flag != 0 {
            Fault::Unhandleable("virtual interrupt flag")
        } else {
            Fault::general_protection(run.mode)
        });
    }
    let was_enabled = run.flags & flags::IF != 0;
    if enable {
        run.flags |= flags::IF;
    } else {
        run.flags &= !flags::IF;
    }
    Ok(if enable && !was_enabled {
        End::InterruptShadow
    } else {
        End::Next
    })
}

#[cfg(test)]
mod tests {
    use super::{CR0_TS, CR4_DE, CR4_UMIP, CR4_VME};
    use crate::flags::{IF, TF};
    use crate::testing::{CODE, DEVICE, DONE, TestCpu};
    use crate::{Fault, Mode, Outcome};

    const PROTECTION: Outcome = Outcome::Fault(Fault::general_protection(Mode::Long64));
    const INVALID: Outcome = Outcome::Fault(Fault::invalid_opcode());

    #[test]
    fn control_registers_move_whole() {
        let (cpu, outcome) = TestCpu::run64(&[0x0f, 0x22, 0xd9], |cpu| {
            cpu.gprs[1] = 0x8000_0000_1234_5000
        });
        assert_eq!(
            (outcome, cpu.cr[3], cpu.rip),
            (DONE, 0x8000_0000_1234_5000, CODE + 3)
        );
        let (cpu, _) = TestCpu::run64(&[0x41, 0x0f, 0x20, 0xc1], |cpu| cpu.cr[0] = 0x8005_0033);
        assert_eq!(cpu.gprs[9], 0x8005_0033);
        let (cpu, _) = TestCpu::run(Mode::Real, &[0x0f, 0x22, 0xc0], |cpu| {
            cpu.gprs[0] = 0xffff_0000_0000_0011
        });
        assert_eq!(cpu.cr[0], 0x11);
    }

    #[test]
    fn cr8_has_two_spellings() {
        let (cpu, outcome) = TestCpu::run64(&[0x44, 0x0f, 0x22, 0xc0], |cpu| cpu.gprs[0] = 5);
        assert_eq!((outcome, cpu.cr[8]), (DONE, 5));
        let (cpu, outcome) = TestCpu::run(Mode::Protected32, &[0xf0, 0x0f, 0x22, 0xc0], |cpu| {
            cpu.gprs[0] = 6
        });
        assert_eq!((outcome, cpu.cr[8]), (DONE, 6));
    }

    #[test]
    fn the_mod_field_is_ignored() {
        let (cpu, outcome) = TestCpu::run64(&[0x0f, 0x22, 0x18], |cpu| cpu.gprs[0] = 0x7000);
        assert_eq!((outcome, cpu.cr[3]), (DONE, 0x7000));
    }

    #[test]
    fn user_code_and_missing_registers_fault() {
        for code in [
            [0x0f, 0x20, 0xc0],
            [0x0f, 0x22, 0xc0],
            [0x0f, 0x21, 0xf8],
            [0x0f, 0x23, 0xf8],
            [0x0f, 0x01, 0xf0],
        ] {
            assert_eq!(
                TestCpu::run64(&code, |cpu| cpu.cpl = 3).1,
                PROTECTION,
                "{code:x?}"
            );
        }
        assert_eq!(
            TestCpu::run64(&[0x0f, 0x06], |cpu| cpu.cpl = 3).1,
            PROTECTION
        );
        assert_eq!(
            TestCpu::run64(&[0x0f, 0x20, 0xc8], |_| ()).1,
            INVALID,
            "cr1"
        );
        assert_eq!(
            TestCpu::run64(&[0x44, 0x0f, 0x21, 0xc0], |_| ()).1,
            INVALID,
            "dr8"
        );
    }

    #[test]
    fn debug_registers_4_and_5_are_aliases_without_debugging_extensions() {
        let (cpu, _) = TestCpu::run64(&[0x0f, 0x23, 0xe8], |cpu| cpu.gprs[0] = 0x400);
        assert_eq!(cpu.dr[7], 0x400);
        assert_eq!(
            TestCpu::run64(&[0x0f, 0x23, 0xe8], |cpu| cpu.cr[4] = CR4_DE).1,
            INVALID
        );
    }

    #[test]
    fn upper_halves_of_dr6_and_dr7_must_be_zero() {
        assert_eq!(
            TestCpu::run64(&[0x0f, 0x23, 0xf8], |cpu| cpu.gprs[0] = 1 << 32).1,
            PROTECTION
        );
        let (cpu, outcome) = TestCpu::run64(&[0x0f, 0x23, 0xc0], |cpu| cpu.gprs[0] = 1 << 40);
        assert_eq!((outcome, cpu.dr[0]), (DONE, 1 << 40));
    }

    #[test]
    fn status_word_cannot_clear_protection() {
        let (cpu, _) = TestCpu::run64(&[0x0f, 0x01, 0xf0], |cpu| cpu.cr[0] = 0x8000_000f);
        assert_eq!(cpu.cr[0], 0x8000_0001);
        let (cpu, _) = TestCpu::run64(&[0x0f, 0x06], |cpu| cpu.cr[0] = 0x8000_0001 | CR0_TS);
        assert_eq!(cpu.cr[0], 0x8000_0001);
    }

    #[test]
    fn status_word_stores_by_destination() {
        let prepare = |cpu: &mut TestCpu| {
            (cpu.cr[0], cpu.gprs[0], cpu.gprs[3]) = (0x8005_0033, u64::MAX, DEVICE)
        };
        assert_eq!(
            TestCpu::run64(&[0x66, 0x0f, 0x01, 0xe0], prepare).0.gprs[0],
            0xffff_ffff_ffff_0033
        );
        assert_eq!(
            TestCpu::run64(&[0x0f, 0x01, 0xe0], prepare).0.gprs[0],
            0x8005_0033
        );
        let (cpu, _) = TestCpu::run64(&[0x0f, 0x01, 0x23], prepare);
        assert_eq!((cpu.device_log[0].2, cpu.device_log[0].3), (2, 0x33));
        assert_eq!(
            TestCpu::run64(&[0x0f, 0x01, 0xe0], |cpu| (cpu.cpl, cpu.cr[4]) =
                (3, CR4_UMIP))
            .1,
            PROTECTION
        );
    }

    #[test]
    fn enabling_interrupts_casts_a_shadow_once() {
        let (cpu, outcome) = TestCpu::run64(&[0xfb], |cpu| cpu.rflags |= TF);
        assert_eq!(
            outcome,
            Outcome::Done {
                interrupt_shadow: true,
                single_step: true
            }
        );
        assert_ne!(cpu.rflags & IF, 0);
        assert_eq!(TestCpu::run64(&[0xfb], |cpu| cpu.rflags |= IF).1, DONE);
        let (cpu, outcome) = TestCpu::run64(&[0xfa], |cpu| cpu.rflags |= IF);
        assert_eq!((outcome, cpu.rflags & IF), (DONE, 0));
    }

    #[test]
    fn interrupt_flag_needs_privilege() {
        assert_eq!(TestCpu::run64(&[0xfa], |cpu| cpu.cpl = 3).1, PROTECTION);
        let (_, outcome) = TestCpu::run(Mode::Vm86, &[0xfa], |cpu| cpu.cr[4] = CR4_VME);
        assert!(matches!(outcome, Outcome::Fault(Fault::Unhandleable(_))));
    }
}
