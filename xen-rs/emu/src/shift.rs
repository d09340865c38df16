//! Shifts and rotates.
//!
//! The manuals leave some flags undefined (OF for counts above 1, AF); here OF is what the last single-bit step would give
//! and AF is cleared. A masked count of zero changes no flag.

use crate::alu::{Computed, result_flags};
use crate::cpu::Fault;
use crate::emulate::{End, Run};
use crate::flags::{CF, OF, STATUS};
use crate::width::Width;

/// Instructions shifting one operand by a count.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Rol,
    Ror,
    Rcl,
    Rcr,
    Shl,
    Shr,
    Sar,
}

/// `op destination, count`.
pub(crate) fn shift(run: &mut Run<'_>, op: Shift) -> Result<End, Fault> {
    let (_, count) = run.read_operand(1)?;
    let carry = run.flags & CF != 0;
    let width = run.operand_width(0)?;
    let count = masked(width, count);
    let touched = match op {
        _ if count == 0 => 0,
        Shift::Rol | Shift::Ror | Shift::Rcl | Shift::Rcr => CF | OF,
        Shift::Shl | Shift::Shr | Shift::Sar => STATUS,
    };
    run.modify(0, touched, |width, value| match op {
        _ if count == 0 => (value, 0),
        Shift::Rol | Shift::Ror => rotate(width, value, count, op == Shift::Rol),
        Shift::Rcl | Shift::Rcr => {
            rotate_through_carry(width, value, count, carry, op == Shift::Rcl)
        }
        Shift::Shl => shift_left(width, value, count),
        Shift::Shr | Shift::Sar => shift_right(width, value, count, op == Shift::Sar),
    })
}

/// SHLD and SHRD: `op destination, filler, count`.
pub(crate) fn double(run: &mut Run<'_>, left: bool) -> Result<End, Fault> {
    let (width, filler) = run.read_operand(1)?;
    let (_, count) = run.read_operand(2)?;
    let count = masked(width, count);
    let touched = if count == 0 { 0 } else { STATUS };
    run.modify(0, touched, |width, value| match count {
        0 => (value, 0),
        _ if left => double_left(width, value, filler, count),
        _ => double_right(width, value, filler, count),
    })
}

/// The processor uses five bits of the count, six for 64-bit operands.
const fn masked(width: Width, count: u64) -> u32 {
    (count
        & if matches!(width, Width::Qword) {
            63
        } else {
            31
        }) as u32
}

const fn carry_overflow(carry: bool, overflow: bool) -> u64 {
    (if carry { CF } else { 0 }) | (if overflow { OF } else { 0 })
}

/// Whether the two highest bits differ: the sign changed in the last step to the right.
const fn top_bits_differ(width: Width, value: u64) -> bool {
    (value ^ value << 1) & width.sign() != 0
}

fn rotate(width: Width, value: u64, count: u32, left: bool) -> Computed {
    let bits = width.bits();
    let to_left = if left {
        count % bits
    } else {
        (bits - count % bits) % bits
    };
    let twice = u128::from(value) << bits | u128::from(value);
    let result = width.truncate((twice << to_left >> bits) as u64);
    if left {
        let carry = result & 1 != 0;
        (
            result,
            carry_overflow(carry, (result & width.sign() != 0) != carry),
        )
    } else {
        (
            result,
            carry_overflow(result & width.sign() != 0, top_bits_differ(width, result)),
        )
    }
}

fn rotate_through_carry(width: Width, value: u64, count: u32, carry: bool, left: bool) -> Computed {
    let ring = width.bits() + 1;
    let steps = count % ring;
    let to_left = if left { steps } else { (ring - steps) % ring };
    let mask = (1u128 << ring) - 1;
    let start = u128::from(carry) << width.bits() | u128::from(value);
    let turned = (start << to_left | start >> (ring - to_left)) & mask;
    let result = width.truncate(turned as u64);
    let carry = turned >> width.bits() & 1 != 0;
    let overflow = if left {
        (result & width.sign() != 0) != carry
    } else {
        top_bits_differ(width, result)
    };
    (result, carry_overflow(carry, overflow))
}

fn shift_left(width: Width, value: u64, count: u32) -> Computed {
    let wide = u128::from(value) << count;
    let result = width.truncate(wide as u64);
    let carry = wide >> width.bits() & 1 != 0;
    (
        result,
        result_flags(width, result) | carry_overflow(carry, (result & width.sign() != 0) != carry),
    )
}

fn shift_right(width: Width, value: u64, count: u32, signed: bool) -> Computed {
    let wide = if signed {
        i128::from(width.sign_extend(value) as i64)
    } else {
        i128::from(width.truncate(value))
    };
    let result = width.truncate((wide >> count) as u64);
    let carry = wide >> (count - 1) & 1 != 0;
    let overflow = !signed && top_bits_differ(width, result);
    (
        result,
        result_flags(width, result) | carry_overflow(carry, overflow),
    )
}

/// A 16-bit count above 16 (undefined in the manuals) goes on with the destination's own bits.
fn double_left(width: Width, value: u64, filler: u64, count: u32) -> Computed {
    let bits = width.bits();
    let (result, carry) = if width == Width::Word {
        let ring = u128::from(value) << 32 | u128::from(filler) << 16 | u128::from(value);
        ((ring << count >> 32) as u64, ring >> (48 - count) & 1 != 0)
    } else {
        let pair = u128::from(value) << bits | u128::from(filler);
        (
            (pair << count >> bits) as u64,
            value >> (bits - count) & 1 != 0,
        )
    };
    let result = width.truncate(result);
    let overflow = (result ^ value) & width.sign() != 0;
    (
        result,
        result_flags(width, result) | carry_overflow(carry, overflow),
    )
}

fn double_right(width: Width, value: u64, filler: u64, count: u32) -> Computed {
    let bits = width.bits();
    let mut pair = u128::from(filler) << bits | u128::from(value);
    if width == Width::Word {
        pair |= u128::from(value) << 32;
    }
    let result = width.truncate((pair >> count) as u64);
    let carry = pair >> (count - 1) & 1 != 0;
    let overflow = (result ^ value) & width.sign() != 0;
    (
        result,
        result_flags(width, result) | carry_overflow(carry, overflow),
    )
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use crate::Mode;
    use crate::flags::{AF, CF, OF, PF, SF, STATUS, ZF};
    use crate::testing::{CODE, DONE, TestCpu};

    /// Lowest bit first.
    fn to_bits(value: u64, bits: u32) -> Vec<bool> {
        (0..bits).map(|bit| value >> bit & 1 == 1).collect()
    }

    fn from_bits(bits: &[bool]) -> u64 {
        bits.iter()
            .enumerate()
            .map(|(at, &bit)| u64::from(bit) << at)
            .sum()
    }

    /// One-bit steps on a list of bits; `op` is the reg field of the encoding.
    fn model(op: u8, bits: u32, value: u64, count: u32, carry: bool) -> (u64, u64) {
        let mut list = to_bits(value, bits);
        let (mut carry, mut overflow) = (carry, false);
        for _ in 0..count {
            let before = *list.last().unwrap();
            if matches!(op, 0 | 2 | 4) {
                let out = list.pop().unwrap();
                list.insert(
                    0,
                    match op {
                        0 => out,
                        2 => carry,
                        _ => false,
                    },
                );
                carry = out;
                overflow = *list.last().unwrap() != carry;
            } else {
                let out = list.remove(0);
                list.push(match op {
                    1 => out,
                    3 => carry,
                    7 => before,
                    _ => false,
                });
                carry = out;
                overflow = *list.last().unwrap() != before;
            }
        }
        let result = from_bits(&list);
        let mut flags = if carry { CF } else { 0 } | if overflow { OF } else { 0 };
        if op >= 4 {
            flags |=
                if result == 0 { ZF } else { 0 } | if result >> (bits - 1) == 1 { SF } else { 0 };
            flags |= if (result & 0xff).count_ones().is_multiple_of(2) {
                PF
            } else {
                0
            };
        }
        (result, flags)
    }

    #[test]
    fn shifts_and_rotates_agree_with_single_bit_steps() {
        let values = [
            0u64,
            1,
            0x80,
            0x81,
            0x7fff,
            0x8000_0001,
            0xdead_beef_0bad_f00d,
            u64::MAX,
            1 << 63,
        ];
        let mut cpu = TestCpu::new(Mode::Long64);
        for (prefix, opcode, bits) in [
            (&[][..], 0xd2, 8),
            (&[0x66], 0xd3, 16),
            (&[], 0xd3, 32),
            (&[0x48], 0xd3, 64),
        ] {
            let mask = u64::MAX >> (64 - bits);
            for op in [0, 1, 2, 3, 4, 5, 7] {
                for value in values {
                    for count in 0..if bits == 64 { 64 } else { 32 } {
                        let carry = count % 2 == 0;
                        let mut code = vec![];
                        code.extend_from_slice(prefix);
                        code.extend([opcode, 0x03 | op << 3]);
                        (cpu.gprs[3], cpu.gprs[1], cpu.rip) =
                            (0x2000, u64::from(count) | 0xc0, CODE);
                        cpu.rflags = 2 | AF | u64::from(carry);
                        cpu.poke(0x2000, &value.to_le_bytes());
                        assert_eq!(cpu.execute(&code), DONE);
                        let (result, flags) = model(op, bits, value & mask, count, carry);
                        assert_eq!(
                            cpu.peek(0x2000, 8),
                            value & !mask | result,
                            "/{op} {bits} {value:x} by {count}"
                        );
                        let defined = match (count, op) {
                            (0, _) => continue,
                            (_, 0..4) => CF | OF,
                            _ => STATUS & !AF,
                        };
                        assert_eq!(
                            cpu.rflags & defined,
                            flags & defined,
                            "/{op} {bits} {value:x} by {count}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_count_of_zero_keeps_all_flags() {
        for op in [0, 2, 4, 7] {
            let (cpu, _) = TestCpu::run64(&[0xc0, 0x03 | op << 3, 0x20], |cpu| {
                cpu.gprs[3] = 0x2000;
                cpu.ram[0x2000] = 0x80;
                cpu.rflags |= STATUS;
            });
            assert_eq!(
                (cpu.rflags & STATUS, cpu.peek(0x2000, 1)),
                (STATUS, 0x80),
                "/{op}"
            );
        }
    }

    #[test]
    fn double_shifts_fill_from_the_other_operand() {
        for (prefix, bits) in [(&[0x66][..], 16), (&[], 32), (&[0x48], 64)] {
            let mask = u64::MAX >> (64 - bits);
            let (value, filler) = (0xdead_beef_0bad_f00d & mask, 0x1234_5678_9abc_def1 & mask);
            for count in 1..bits.min(32) {
                for left in [true, false] {
                    let mut code = prefix.to_vec();
                    code.extend([0x0f, if left { 0xa4 } else { 0xac }, 0x0b, count as u8]);
                    let (cpu, outcome) = TestCpu::run64(&code, |cpu| {
                        (cpu.gprs[3], cpu.gprs[1]) = (0x2000, filler);
                        cpu.poke(0x2000, &value.to_le_bytes());
                    });
                    let (result, carry) = if left {
                        (
                            value << count | filler >> (bits - count),
                            value >> (bits - count) & 1,
                        )
                    } else {
                        (
                            value >> count | filler << (bits - count),
                            value >> (count - 1) & 1,
                        )
                    };
                    assert_eq!(
                        (outcome, cpu.peek(0x2000, 8)),
                        (DONE, result & mask),
                        "{bits} by {count} {left}"
                    );
                    assert_eq!(cpu.rflags & CF, carry, "{bits} by {count} {left}");
                }
            }
        }
    }
}
