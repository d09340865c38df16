//! Fetch, decode, dispatch, and the common end of every instruction.

use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction, Mnemonic};

use crate::alu::{self, Binary, Unary};
use crate::bits::{self, BitOp};
use crate::cpu::{Cpu, Fault, Mode, SegmentName};
use crate::data::{self, Condition};
use crate::length::{MAX_LENGTH, skip_prefixes};
use crate::shift::{self, Shift};
use crate::string::{self, StringOp};
use crate::vector::{self, VectorMove};
use crate::width::Width;
use crate::{control, flags, port, stack};

/// What became of one instruction.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All effects are in the [`Cpu`]. (A single-stepped repeat is done after each iteration, with the instruction pointer
    /// still on it until the last.)
    Done {
        /// The next instruction boundary does not take interrupts. Replaces any earlier shadow.
        interrupt_shadow: bool,
        /// The guest gets a #DB with DR6.BS set, as a trap.
        single_step: bool,
    },
    /// A repeated string instruction used up its budget: let the guest run (or be preempted), it will exit again.
    Again,
    /// The instruction did not complete.
    Fault(Fault),
}

/// How an instruction's handler ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Go on behind it.
    Next,
    /// Go on behind it, interrupts held off (STI).
    InterruptShadow,
    /// Go on behind it, interrupts and debug traps held off (load of SS).
    StackShadow,
    /// Stay on it: more elements to move.
    Again,
}

/// One instruction in flight. Handlers do everything that can fail before they change a register; `flags` are committed at
/// the end.
pub(crate) struct Run<'a> {
    pub(crate) cpu: &'a mut dyn Cpu,
    pub(crate) ins: Instruction,
    pub(crate) mode: Mode,
    pub(crate) flags: u64,
    /// Bytes a POP has taken off the stack before its own operand's address is computed.
    pub(crate) popped: u64,
}

/// Builds the decoder's tables, which allocates; later decoding does not. Call once at boot.
pub fn warm_up() {
    let nop = [0x90];
    let decoded = Decoder::new(64, &nop, DecoderOptions::NONE).decode();
    debug_assert_eq!(decoded.mnemonic(), Mnemonic::Nop);
}

/// Emulates the instruction at the instruction pointer.
pub fn emulate(cpu: &mut dyn Cpu) -> Outcome {
    match fetch_and_run(cpu) {
        Ok(outcome) => outcome,
        Err(fault) => Outcome::Fault(fault),
    }
}

fn fetch_and_run(cpu: &mut dyn Cpu) -> Result<Outcome, Fault> {
    let (mode, flags) = (cpu.mode(), cpu.rflags());
    let ins = fetch(cpu, mode)?;
    let mut run = Run {
        cpu,
        ins,
        mode,
        flags,
        popped: 0,
    };
    let end = dispatch(&mut run)?;
    Ok(finish(run, end, flags & flags::TF != 0))
}

fn finish(run: Run<'_>, end: End, stepping: bool) -> Outcome {
    if end == End::Again {
        return if stepping {
            Outcome::Done {
                interrupt_shadow: false,
                single_step: true,
            }
        } else {
            Outcome::Again
        };
    }
    run.cpu.set_rflags(run.flags & !flags::RF);
    run.cpu.set_rip(run.ins.next_ip());
    run.cpu.commit();
    Outcome::Done {
        interrupt_shadow: end != End::Next,
        single_step: stepping && end != End::StackShadow,
    }
}

/// Reads and decodes the instruction, fetching a second page only if the first does not hold all of it.
fn fetch(cpu: &mut dyn Cpu, mode: Mode) -> Result<Instruction, Fault> {
    let rip = cpu.rip();
    let code = cpu.segment(SegmentName::Cs);
    let start = if mode == Mode::Long64 {
        rip
    } else {
        code.base.wrapping_add(rip) & 0xffff_ffff
    };
    let mut bytes = [0; MAX_LENGTH];
    let mut len = 0;
    loop {
        let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) else {
            return Err(Fault::general_protection(mode));
        };
        let room = rest.len();
        let got = cpu.fetch(start.wrapping_add(len as u64), rest)?.min(room);
        if got == 0 {
            return Err(Fault::Unhandleable("no instruction bytes"));
        }
        len += got;
        let read = bytes.get(..len).unwrap_or(&bytes);
        let mut decoder = Decoder::with_ip(mode.bits(), read, rip, DecoderOptions::AMD);
        let ins = decoder.decode();
        match decoder.last_error() {
            DecoderError::None => return check_code_limit(ins, mode, rip, code.limit),
            DecoderError::NoMoreBytes => {}
            _ => return Err(undecodable(read, mode)),
        }
    }
}

fn check_code_limit(
    ins: Instruction,
    mode: Mode,
    rip: u64,
    limit: u32,
) -> Result<Instruction, Fault> {
    let last = rip.saturating_add(ins.len() as u64 - 1);
    if mode != Mode::Long64 && last > u64::from(limit) {
        return Err(Fault::general_protection(mode));
    }
    Ok(ins)
}

/// The decoder leaves out AVX and XOP, which are valid but not emulated; anything else it refuses is invalid, or nothing but
/// prefixes and so too long.
fn undecodable(bytes: &[u8], mode: Mode) -> Fault {
    let Some(prefixes) = skip_prefixes(bytes, mode) else {
        return Fault::general_protection(mode);
    };
    match bytes.get(prefixes.len) {
        Some(0xc4 | 0xc5 | 0x62 | 0x8f) => Fault::Unhandleable("vector instruction"),
        _ => Fault::invalid_opcode(),
    }
}

fn dispatch(run: &mut Run<'_>) -> Result<End, Fault> {
    match run.ins.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movnti => data::mov(run),
        Mnemonic::Movzx => data::extend(run, false),
        Mnemonic::Movsx | Mnemonic::Movsxd => data::extend(run, true),
        Mnemonic::Movbe => data::mov_big_endian(run),
        Mnemonic::Lea => data::lea(run),
        Mnemonic::Xchg => data::exchange(run),
        Mnemonic::Xadd => data::exchange_add(run),
        Mnemonic::Cmpxchg => data::compare_exchange(run),
        Mnemonic::Cmpxchg8b => data::compare_exchange_pair(run, Width::Dword),
        Mnemonic::Cmpxchg16b => data::compare_exchange_pair(run, Width::Qword),
        Mnemonic::Push => stack::push(run),
        Mnemonic::Pop => stack::pop(run),
        Mnemonic::In => port::input(run),
        Mnemonic::Out => port::output(run),
        Mnemonic::Clts => control::clear_task_switched(run),
        Mnemonic::Lmsw => control::load_status_word(run),
        Mnemonic::Smsw => control::store_status_word(run),
        Mnemonic::Sti => control::set_interrupt_flag(run, true),
        Mnemonic::Cli => control::set_interrupt_flag(run, false),
        Mnemonic::Nop => Ok(End::Next),
        Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 => Err(Fault::invalid_opcode()),
        other => dispatch_family(run, other),
    }
}

fn dispatch_family(run: &mut Run<'_>, mnemonic: Mnemonic) -> Result<End, Fault> {
    match mnemonic {
        Mnemonic::Add => alu::binary(run, Binary::Add),
        Mnemonic::Adc => alu::binary(run, Binary::Adc),
        Mnemonic::Sub => alu::binary(run, Binary::Sub),
        Mnemonic::Sbb => alu::binary(run, Binary::Sbb),
        Mnemonic::And => alu::binary(run, Binary::And),
        Mnemonic::Or => alu::binary(run, Binary::Or),
        Mnemonic::Xor => alu::binary(run, Binary::Xor),
        Mnemonic::Cmp => alu::binary(run, Binary::Cmp),
        Mnemonic::Test => alu::binary(run, Binary::Test),
        Mnemonic::Inc => alu::unary(run, Unary::Inc),
        Mnemonic::Dec => alu::unary(run, Unary::Dec),
        Mnemonic::Neg => alu::unary(run, Unary::Neg),
        Mnemonic::Not => alu::unary(run, Unary::Not),
        Mnemonic::Rol => shift::shift(run, Shift::Rol),
        Mnemonic::Ror => shift::shift(run, Shift::Ror),
        Mnemonic::Rcl => shift::shift(run, Shift::Rcl),
        Mnemonic::Rcr => shift::shift(run, Shift::Rcr),
        Mnemonic::Shl | Mnemonic::Sal => shift::shift(run, Shift::Shl),
        Mnemonic::Shr => shift::shift(run, Shift::Shr),
        Mnemonic::Sar => shift::shift(run, Shift::Sar),
        Mnemonic::Shld => shift::double(run, true),
        Mnemonic::Shrd => shift::double(run, false),
        Mnemonic::Bt => bits::bit(run, BitOp::Test),
        Mnemonic::Bts => bits::bit(run, BitOp::Set),
        Mnemonic::Btr => bits::bit(run, BitOp::Reset),
        Mnemonic::Btc => bits::bit(run, BitOp::Complement),
        Mnemonic::Clflush | Mnemonic::Clflushopt | Mnemonic::Clwb => data::touch(run),
        // Two string instructions share their names with vector ones.
        other => match string_op(other).filter(|_| run.ins.is_string_instruction()) {
            Some(op) => string::string(run, op),
            None => match VectorMove::of(other) {
                Some(kind) => vector::mov(run, kind),
                None => dispatch_conditional(run, other),
            },
        },
    }
}

fn string_op(mnemonic: Mnemonic) -> Option<StringOp> {
    use Mnemonic as M;
    Some(match mnemonic {
        M::Movsb | M::Movsw | M::Movsd | M::Movsq => StringOp::Move,
        M::Stosb | M::Stosw | M::Stosd | M::Stosq => StringOp::Store,
        M::Lodsb | M::Lodsw | M::Lodsd | M::Lodsq => StringOp::Load,
        M::Cmpsb | M::Cmpsw | M::Cmpsd | M::Cmpsq => StringOp::Compare,
        M::Scasb | M::Scasw | M::Scasd | M::Scasq => StringOp::Scan,
        M::Insb | M::Insw | M::Insd => StringOp::In,
        M::Outsb | M::Outsw | M::Outsd => StringOp::Out,
        _ => return None,
    })
}

fn dispatch_conditional(run: &mut Run<'_>, mnemonic: Mnemonic) -> Result<End, Fault> {
    use Mnemonic as M;
    const SET: [M; 16] = [
        M::Seto,
        M::Setno,
        M::Setb,
        M::Setae,
        M::Sete,
        M::Setne,
        M::Setbe,
        M::Seta,
        M::Sets,
        M::Setns,
        M::Setp,
        M::Setnp,
        M::Setl,
        M::Setge,
        M::Setle,
        M::Setg,
    ];
    const MOVE: [M; 16] = [
        M::Cmovo,
        M::Cmovno,
        M::Cmovb,
        M::Cmovae,
        M::Cmove,
        M::Cmovne,
        M::Cmovbe,
        M::Cmova,
        M::Cmovs,
        M::Cmovns,
        M::Cmovp,
        M::Cmovnp,
        M::Cmovl,
        M::Cmovge,
        M::Cmovle,
        M::Cmovg,
    ];
    let place = |table: &[M; 16]| table.iter().position(|&entry| entry == mnemonic);
    if let Some(code) = place(&SET) {
        data::set_if(run, Condition(code as u8))
    } else if let Some(code) = place(&MOVE) {
        data::move_if(run, Condition(code as u8))
    } else {
        Err(Fault::Unhandleable("instruction not covered"))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::testing::{CODE, DEVICE, DONE, RAM, TestCpu};
    use crate::{SegmentAttributes, expected_length};

    fn fault(outcome: Outcome) -> Fault {
        match outcome {
            Outcome::Fault(fault) => fault,
            other => panic!("no fault but {other:?}"),
        }
    }

    #[test]
    fn an_instruction_across_pages_is_fetched_in_two_parts() {
        let (cpu, outcome) = TestCpu::run64(&[0x48, 0xc7, 0x03, 1, 0, 0, 0], |cpu| {
            (cpu.rip, cpu.gprs[3]) = (0x1ffd, DEVICE);
        });
        assert_eq!((outcome, cpu.rip, cpu.device_log.len()), (DONE, 0x2004, 1));
    }

    #[test]
    fn an_unreadable_second_page_faults_only_when_needed() {
        let (cpu, outcome) = TestCpu::run64(&[0x89, 0x0b], |cpu| {
            (cpu.rip, cpu.gprs[3]) = (RAM as u64 - 2, DEVICE)
        });
        assert_eq!((outcome, cpu.rip), (DONE, RAM as u64));
        let (_, outcome) = TestCpu::run64(&[0x48, 0x89], |cpu| cpu.rip = RAM as u64 - 2);
        let expected = Fault::Exception {
            vector: 14,
            error_code: Some(0),
            cr2: Some(RAM as u64),
        };
        assert_eq!(fault(outcome), expected);
    }

    #[test]
    fn code_beyond_its_limit_is_a_protection_fault() {
        let (cpu, outcome) = TestCpu::run(Mode::Protected32, &[0x89, 0x0b], |cpu| {
            cpu.gprs[3] = DEVICE;
            cpu.segments[1].limit = CODE as u32;
        });
        assert_eq!(
            (fault(outcome), cpu.rip),
            (Fault::general_protection(Mode::Protected32), CODE)
        );
    }

    #[test]
    fn code_addresses_include_the_segment_base_outside_64_bit_mode() {
        let (cpu, outcome) = TestCpu::run(Mode::Real, &[0xc6, 0x07, 0x5a], |cpu| {
            (cpu.rip, cpu.gprs[3]) = (0x10, 0x200);
            cpu.segments[1].base = 0x2_0000;
            cpu.segments[3].base = 0x3_0000;
        });
        assert_eq!(
            (outcome, cpu.rip, cpu.peek(0x3_0200, 1)),
            (DONE, 0x13, 0x5a)
        );
    }

    #[test]
    fn invalid_overlong_and_uncovered_code_are_told_apart() {
        for (code, expected) in [
            (&[0x0f, 0x0b][..], Fault::invalid_opcode()),   // ud2
            (&[0xf0, 0x89, 0x0b], Fault::invalid_opcode()), // lock mov
            (&[0x66; 15], Fault::general_protection(Mode::Long64)),
            (
                &[0xc5, 0xfc, 0x11, 0x03],
                Fault::Unhandleable("vector instruction"),
            ), // vmovups [rbx], ymm0
            (
                &[0xd9, 0x03],
                Fault::Unhandleable("instruction not covered"),
            ), // fld [rbx]
        ] {
            let (cpu, outcome) = TestCpu::run64(code, |_| ());
            assert_eq!((fault(outcome), cpu.rip), (expected, CODE), "{code:x?}");
        }
    }

    #[test]
    fn completion_clears_rf_and_reports_the_single_step() {
        let (cpu, outcome) = TestCpu::run64(&[0x89, 0x0b], |cpu| {
            cpu.gprs[3] = DEVICE;
            cpu.rflags |= flags::RF | flags::TF;
        });
        assert_eq!(
            outcome,
            Outcome::Done {
                interrupt_shadow: false,
                single_step: true
            }
        );
        assert_eq!(cpu.rflags, 2 | flags::TF);
    }

    #[test]
    fn mode_follows_from_the_control_state() {
        let of = |cr0, efer, rflags, code| Mode::of(cr0, efer, rflags, SegmentAttributes(code));
        assert_eq!(of(0, 0, 2, 0x93), Mode::Real);
        assert_eq!(of(1, 0, 2 | flags::VM, 0xf3), Mode::Vm86);
        assert_eq!(of(1, 0, 2, 0x9b), Mode::Protected16);
        assert_eq!(of(1, 0, 2, 0x49b), Mode::Protected32);
        assert_eq!(
            of(1, 0, 2, 0x29b),
            Mode::Protected16,
            "L means nothing outside long mode"
        );
        assert_eq!(of(0x8000_0001, 0x500, 2, 0x29b), Mode::Long64);
        assert_eq!(of(0x8000_0001, 0x500, 2, 0x49b), Mode::Protected32);
    }

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        /// Addresses that work, device addresses, small numbers and rubbish.
        fn register(&mut self) -> u64 {
            let value = self.next();
            match value >> 60 {
                0..=3 => value & 0xffff,
                4..=7 => DEVICE + (value & 0xfff),
                8..=9 => RAM as u64 - (value & 0xf),
                10 => value & 0xffff_ffff,
                11 => 0u64.wrapping_sub(value & 0x1f),
                12 => value & 7,
                _ => value,
            }
        }
    }

    /// What a fault must leave alone: general, control and debug registers, instruction pointer, flags.
    fn state(cpu: &TestCpu) -> (Vec<u64>, [[u8; 16]; 16]) {
        let mut words = vec![cpu.rip, cpu.rflags];
        words.extend(cpu.gprs.iter().chain(&cpu.cr).chain(&cpu.dr));
        (words, cpu.xmm)
    }

    #[test]
    fn random_code_never_panics_and_faults_change_nothing() {
        const MODES: [Mode; 5] = [
            Mode::Real,
            Mode::Vm86,
            Mode::Protected16,
            Mode::Protected32,
            Mode::Long64,
        ];
        const PREFIXES: [u8; 8] = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x48, 0x4d, 0x36];
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut done, mut faulted) = (0u32, 0u32);
        for mode in MODES {
            let mut cpu = TestCpu::new(mode);
            for _ in 0..30_000 {
                cpu.gprs.fill_with(|| random.register());
                cpu.rflags = random.next() & 0x4_7fd5 | 2;
                cpu.cpl = if mode == Mode::Vm86 {
                    3
                } else {
                    (random.next() & 3) as u8
                };
                cpu.cr[4] = random.next() & 0xa0b;
                cpu.rip = if random.next() & 15 == 0 {
                    RAM as u64 - 3
                } else {
                    CODE
                };
                if matches!(mode, Mode::Real | Mode::Vm86) {
                    cpu.rip &= 0xfff;
                    cpu.segments[1].base = 0x1000;
                }
                cpu.device_pending = random.next() & 7 == 0;
                let mut code = random.next().to_le_bytes();
                if random.next() & 3 == 0 {
                    code[0] = PREFIXES[(random.next() & 7) as usize];
                }
                let opcode = (random.next() & 1) as usize;
                if random.next() & 1 == 0 {
                    code[opcode] = 0x0f;
                }
                let start = cpu.segments[1].base * u64::from(mode != Mode::Long64) + cpu.rip;
                let room = (RAM as u64 - start).min(8) as usize;
                cpu.poke(start, &code[..room]);
                let before = state(&cpu);
                match emulate(&mut cpu) {
                    Outcome::Fault(_) => {
                        let repeats = code[..3].iter().any(|byte| matches!(byte, 0xf2 | 0xf3));
                        assert!(repeats || state(&cpu) == before, "{code:x?} in {mode:?}");
                        faulted += 1;
                    }
                    _ => done += 1,
                }
                cpu.device_log.clear();
                cpu.port_log.clear();
            }
        }
        assert!(
            done > 20_000 && faulted > 20_000,
            "{done} done, {faulted} faulted"
        );
    }

    /// Emulates until the instruction is done; returns how often a device had to answer first.
    fn run_with_slow_device(code: &[u8], prepare: impl FnOnce(&mut TestCpu)) -> (TestCpu, usize) {
        let mut cpu = TestCpu::new(Mode::Long64);
        cpu.device_answers = Some(vec![]);
        prepare(&mut cpu);
        let mut outcome = cpu.execute(code);
        let mut waits = 0;
        while outcome == Outcome::Fault(Fault::Pending) {
            waits += 1;
            assert_eq!(cpu.rip, CODE);
            outcome = emulate(&mut cpu);
        }
        assert_eq!(outcome, DONE);
        (cpu, waits)
    }

    #[test]
    fn a_slow_device_sees_each_access_once() {
        let (cpu, waits) = run_with_slow_device(&[0x83, 0x03, 0x01], |cpu| cpu.gprs[3] = DEVICE); // add dword [rbx], 1
        assert_eq!(
            (waits, cpu.device_log.len(), cpu.device_log[1].3),
            (2, 2, 0x5566_7789)
        );
        let (cpu, waits) = run_with_slow_device(&[0xf3, 0xa4], |cpu| {
            (cpu.gprs[1], cpu.gprs[6], cpu.gprs[7]) = (3, DEVICE, DEVICE + 0x100);
        });
        assert_eq!((waits, cpu.device_log.len(), cpu.gprs[1]), (6, 6, 0));
    }

    #[test]
    fn both_services_agree_on_length() {
        let code = [0x2e, 0x0f, 0x22, 0xd8];
        let (cpu, outcome) = TestCpu::run(Mode::Protected32, &code, |cpu| cpu.gprs[0] = 0x5000);
        assert_eq!((outcome, cpu.cr[3]), (DONE, 0x5000));
        let len = expected_length(&code, Mode::Protected32, crate::Expected::MovToCr);
        assert_eq!(len.map(u64::from), Some(cpu.rip - CODE));
    }
}
