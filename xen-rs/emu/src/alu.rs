//! Addition, subtraction and logic with their flags, and the instructions made of them.

use crate::cpu::Fault;
use crate::emulate::{End, Run};
use crate::flags::{AF, CF, OF, PF, SF, STATUS, ZF};
use crate::width::Width;

/// A result truncated to its width, and the status flags that go with it.
pub(crate) type Computed = (u64, u64);

/// Two-operand instructions.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Adc,
    Sub,
    Sbb,
    And,
    Or,
    Xor,
    /// Subtraction for the flags only.
    Cmp,
    /// AND for the flags only.
    Test,
}

/// One-operand instructions.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Inc,
    Dec,
    Neg,
    Not,
}

/// ZF, SF and PF of a result.
pub(crate) const fn result_flags(width: Width, result: u64) -> u64 {
    let mut flags = 0;
    if result == 0 {
        flags |= ZF;
    }
    if result & width.sign() != 0 {
        flags |= SF;
    }
    if (result as u8).count_ones().is_multiple_of(2) {
        flags |= PF;
    }
    flags
}

/// `a + b + carry`.
pub(crate) const fn add(width: Width, a: u64, b: u64, carry: bool) -> Computed {
    let (a, b) = (width.truncate(a), width.truncate(b));
    let result = width.truncate(a.wrapping_add(b).wrapping_add(carry as u64));
    let carries = a & b | (a | b) & !result;
    (
        result,
        arithmetic_flags(
            width,
            result,
            carries,
            (a ^ result) & (b ^ result),
            a ^ b ^ result,
        ),
    )
}

/// `a - b - borrow`.
pub(crate) const fn subtract(width: Width, a: u64, b: u64, borrow: bool) -> Computed {
    let (a, b) = (width.truncate(a), width.truncate(b));
    let result = width.truncate(a.wrapping_sub(b).wrapping_sub(borrow as u64));
    let borrows = !a & b | (!a | b) & result;
    (
        result,
        arithmetic_flags(
            width,
            result,
            borrows,
            (a ^ b) & (a ^ result),
            a ^ b ^ result,
        ),
    )
}

/// Each of the last three arguments has the flag in question at the sign bit (for AF: at bit 4).
const fn arithmetic_flags(
    width: Width,
    result: u64,
    carries: u64,
    overflow: u64,
    half: u64,
) -> u64 {
    let mut flags = result_flags(width, result) | half & AF;
    if carries & width.sign() != 0 {
        flags |= CF;
    }
    if overflow & width.sign() != 0 {
        flags |= OF;
    }
    flags
}

impl Binary {
    fn compute(self, width: Width, a: u64, b: u64, carry: bool) -> Computed {
        let logic = |value: u64| {
            (
                width.truncate(value),
                result_flags(width, width.truncate(value)),
            )
        };
        match self {
            Self::Add => add(width, a, b, false),
            Self::Adc => add(width, a, b, carry),
            Self::Sub | Self::Cmp => subtract(width, a, b, false),
            Self::Sbb => subtract(width, a, b, carry),
            Self::And | Self::Test => logic(a & b),
            Self::Or => logic(a | b),
            Self::Xor => logic(a ^ b),
        }
    }
}

/// `op destination, source`.
pub(crate) fn binary(run: &mut Run<'_>, op: Binary) -> Result<End, Fault> {
    let carry = run.flags & CF != 0;
    if matches!(op, Binary::Cmp | Binary::Test) {
        let (width, a) = run.read_operand(0)?;
        let (_, b) = run.read_operand(1)?;
        run.set_status(STATUS, op.compute(width, a, b, carry).1);
        return Ok(End::Next);
    }
    let (_, b) = run.read_operand(1)?;
    run.modify(0, STATUS, |width, a| op.compute(width, a, b, carry))
}

/// `op destination`.
pub(crate) fn unary(run: &mut Run<'_>, op: Unary) -> Result<End, Fault> {
    let touched = match op {
        Unary::Inc | Unary::Dec => STATUS & !CF,
        Unary::Neg => STATUS,
        Unary::Not => 0,
    };
    run.modify(0, touched, |width, a| match op {
        Unary::Inc => add(width, a, 1, false),
        Unary::Dec => subtract(width, a, 1, false),
        Unary::Neg => subtract(width, 0, a, false),
        Unary::Not => (width.truncate(!a), 0),
    })
}

#[cfg(test)]
mod tests {
    use crate::Mode;
    use crate::flags::{AF, CF, OF, PF, SF, STATUS, ZF};
    use crate::testing::{DONE, TestCpu};

    /// Ripple-carry adder over single bits: sum, carry out, carry into the top bit, carry out of bit 3.
    fn ripple(bits: u32, a: u64, b: u64, mut carry: bool) -> (u64, u64) {
        let (mut sum, mut into_top, mut half) = (0u64, false, false);
        let mut ones_in_low_byte = 0;
        for bit in 0..bits {
            let (x, y) = (a >> bit & 1 == 1, b >> bit & 1 == 1);
            if bit == bits - 1 {
                into_top = carry;
            }
            if x ^ y ^ carry {
                sum |= 1 << bit;
                ones_in_low_byte += u32::from(bit < 8);
            }
            carry = [x, y, carry].iter().filter(|&&set| set).count() >= 2;
            if bit == 3 {
                half = carry;
            }
        }
        let mut flags = 0;
        for (flag, set) in [
            (CF, carry),
            (OF, carry != into_top),
            (AF, half),
            (ZF, sum == 0),
            (SF, sum >> (bits - 1) == 1),
            (PF, ones_in_low_byte % 2 == 0),
        ] {
            flags |= if set { flag } else { 0 };
        }
        (sum, flags)
    }

    /// `a - b - borrow` is `a + !b + !borrow` with inverted carries.
    fn ripple_down(bits: u32, a: u64, b: u64, borrow: bool) -> (u64, u64) {
        let (sum, flags) = ripple(bits, a, !b, !borrow);
        (sum, flags ^ (CF | AF))
    }

    const EDGES: [u64; 14] = [
        0, 1, 2, 7, 8, 0xf, 0x10, 0x55, 0x7f, 0x80, 0x81, 0xaa, 0xfe, 0xff,
    ];

    /// Runs `op [rbx], cl` and returns result and status flags.
    fn byte_op(cpu: &mut TestCpu, opcode: u8, a: u64, b: u64, carry: bool) -> (u64, u64) {
        cpu.gprs[3] = 0x2000;
        cpu.gprs[1] = b;
        cpu.rip = crate::testing::CODE;
        cpu.rflags = 2 | u64::from(carry);
        cpu.ram[0x2000] = a as u8;
        assert_eq!(cpu.execute(&[opcode, 0x0b]), DONE);
        (cpu.peek(0x2000, 1), cpu.rflags & STATUS)
    }

    #[test]
    fn byte_arithmetic_agrees_with_a_ripple_adder() {
        let mut cpu = TestCpu::new(Mode::Long64);
        for a in 0..=0xff {
            for b in EDGES {
                for carry in [false, true] {
                    assert_eq!(
                        byte_op(&mut cpu, 0x00, a, b, carry),
                        ripple(8, a, b, false),
                        "add {a} {b}"
                    );
                    assert_eq!(
                        byte_op(&mut cpu, 0x10, a, b, carry),
                        ripple(8, a, b, carry),
                        "adc {a} {b}"
                    );
                    assert_eq!(
                        byte_op(&mut cpu, 0x28, a, b, carry),
                        ripple_down(8, a, b, false),
                        "sub {a} {b}"
                    );
                    assert_eq!(
                        byte_op(&mut cpu, 0x18, a, b, carry),
                        ripple_down(8, a, b, carry),
                        "sbb {a} {b}"
                    );
                    let compared = byte_op(&mut cpu, 0x38, a, b, carry);
                    assert_eq!(compared, (a, ripple_down(8, a, b, false).1), "cmp {a} {b}");
                }
            }
        }
    }

    #[test]
    fn wide_arithmetic_agrees_with_a_ripple_adder() {
        let values = [
            0,
            1,
            0x7fff,
            0x8000,
            0xffff,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            1 << 63,
            !0 >> 1,
            !0,
            0x123_4567_89ab_cdef,
        ];
        for (prefix, bits) in [(&[0x66][..], 16), (&[], 32), (&[0x48], 64)] {
            let mask = u64::MAX >> (64 - bits);
            for a in values {
                for b in values {
                    let (a, b) = (a & mask, b & mask);
                    for (opcode, model) in
                        [(0x11, ripple as fn(_, _, _, _) -> _), (0x19, ripple_down)]
                    {
                        let mut code = prefix.to_vec();
                        code.extend([opcode, 0x0b]);
                        let (cpu, outcome) = TestCpu::run64(&code, |cpu| {
                            cpu.gprs[3] = 0x2000;
                            cpu.gprs[1] = b;
                            cpu.rflags |= CF;
                            cpu.poke(0x2000, &a.to_le_bytes());
                        });
                        assert_eq!(outcome, DONE);
                        let found = (cpu.peek(0x2000, 8) & mask, cpu.rflags & STATUS);
                        assert_eq!(
                            found,
                            model(bits, a, b, true),
                            "{opcode:x} {bits} {a:x} {b:x}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn logic_clears_carry_and_overflow() {
        let mut cpu = TestCpu::new(Mode::Long64);
        for (opcode, expected) in [(0x20, 0x80), (0x08, 0xf3), (0x30, 0x73), (0x84, 0xf0)] {
            cpu.rflags = STATUS;
            let (value, flags) = byte_op(&mut cpu, opcode, 0xf0, 0x83, true);
            assert_eq!(value, expected, "{opcode:x}");
            let result = if opcode == 0x84 {
                0x80u8
            } else {
                expected as u8
            };
            let parity = if result.count_ones() % 2 == 0 { PF } else { 0 };
            let sign = if result & 0x80 != 0 { SF } else { 0 };
            assert_eq!(flags, parity | sign, "{opcode:x}");
        }
    }

    #[test]
    fn increment_and_decrement_keep_carry() {
        let (cpu, outcome) = TestCpu::run64(&[0xfe, 0x03], |cpu| {
            cpu.gprs[3] = 0x2000;
            cpu.ram[0x2000] = 0x7f;
            cpu.rflags |= CF;
        });
        assert_eq!((outcome, cpu.peek(0x2000, 1)), (DONE, 0x80));
        assert_eq!(cpu.rflags & STATUS, CF | OF | SF | AF);
        let (cpu, _) = TestCpu::run64(&[0xfe, 0x0b], |cpu| cpu.gprs[3] = 0x2000);
        assert_eq!(cpu.peek(0x2000, 1), 0xff);
        assert_eq!(cpu.rflags & STATUS, SF | AF | PF);
    }

    #[test]
    fn negate_sets_carry_unless_zero_and_not_touches_no_flag() {
        let (cpu, _) = TestCpu::run64(&[0x48, 0xf7, 0x1b], |cpu| {
            cpu.gprs[3] = 0x2000;
            cpu.poke(0x2000, &5u64.to_le_bytes());
        });
        assert_eq!(cpu.peek(0x2000, 8), 5u64.wrapping_neg());
        assert_eq!(cpu.rflags & (CF | SF | OF), CF | SF);
        let (cpu, _) = TestCpu::run64(&[0x48, 0xf7, 0x13], |cpu| {
            cpu.gprs[3] = 0x2000;
            cpu.rflags |= STATUS;
        });
        assert_eq!(cpu.peek(0x2000, 8), u64::MAX);
        assert_eq!(cpu.rflags & STATUS, STATUS);
    }

    #[test]
    fn small_immediates_are_sign_extended() {
        let (cpu, _) = TestCpu::run64(&[0x48, 0x83, 0x03, 0xff], |cpu| {
            cpu.gprs[3] = 0x2000;
            cpu.poke(0x2000, &1u64.to_le_bytes());
        });
        assert_eq!(cpu.peek(0x2000, 8), 0);
        assert_eq!(cpu.rflags & (ZF | CF), ZF | CF);
    }
}
