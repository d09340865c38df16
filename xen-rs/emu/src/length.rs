//! Length of an intercepted instruction whose opcode is known, without a decoder.
//!
//! SVM processors without next-RIP saving leave the exit handler to find out how long the instruction was. What it was is
//! known from the exit code, so looking for exactly that opcode behind optional prefixes is enough. A guest may have changed
//! the code since; then nothing matches and the caller must not skip anything.
//!
//! Encodings: APM volume 3, "Opcode and Operand Encodings" and "Instruction Prefixes".

use crate::cpu::Mode;

/// Longest legal instruction in bytes.
pub(crate) const MAX_LENGTH: usize = 15;

/// The instruction an exit code stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the manual's mnemonics")]
pub enum Expected {
    Cpuid,
    Vmmcall,
    Vmcall,
    Rdmsr,
    Wrmsr,
    Rdtsc,
    Rdtscp,
    Rdpmc,
    Hlt,
    Pause,
    Xsetbv,
    Monitor,
    Mwait,
    Invd,
    /// WBINVD or WBNOINVD.
    Wbinvd,
    Clts,
    Invlpg,
    Invlpga,
    Lmsw,
    Smsw,
    /// MOV from a control register.
    MovFromCr,
    /// MOV to a control register.
    MovToCr,
    /// MOV from a debug register.
    MovFromDr,
    /// MOV to a debug register.
    MovToDr,
    Int3,
    Into,
    /// INT with an immediate vector.
    Int,
    /// INT1, also called ICEBP.
    Int1,
}

/// How an opcode is recognised and how many bytes it has.
#[derive(Copy, Clone)]
enum Form {
    /// These bytes and no more.
    Fixed(Opcode),
    /// Opcode, then one byte that is part of the instruction whatever it is.
    Followed(Opcode),
    /// 0F 01 with this value in the ModRM byte's reg field; registers allowed or not.
    Group7 { reg: u8, register: bool },
}

/// Up to three opcode bytes, lowest first, so that one masked compare recognises them.
#[derive(Copy, Clone)]
struct Opcode {
    value: u32,
    len: u8,
}

impl Opcode {
    const fn new<const N: usize>(bytes: [u8; N]) -> Self {
        let mut value = 0;
        let mut at = N;
        while at > 0 {
            at -= 1;
            value = value << 8 | bytes[at] as u32;
        }
        Self {
            value,
            len: N as u8,
        }
    }

    #[inline]
    const fn starts(self, word: u32) -> bool {
        (word ^ self.value) << (32 - 8 * self.len as u32) == 0
    }

    fn is_at(self, bytes: &[u8]) -> bool {
        let len = usize::from(self.len);
        bytes.get(..len) == self.value.to_le_bytes().get(..len)
    }
}

impl Expected {
    #[inline]
    const fn form(self) -> Form {
        match self {
            Self::Cpuid => Form::Fixed(Opcode::new([0x0f, 0xa2])),
            Self::Vmmcall => Form::Fixed(Opcode::new([0x0f, 0x01, 0xd9])),
            Self::Vmcall => Form::Fixed(Opcode::new([0x0f, 0x01, 0xc1])),
            Self::Rdmsr => Form::Fixed(Opcode::new([0x0f, 0x32])),
            Self::Wrmsr => Form::Fixed(Opcode::new([0x0f, 0x30])),
            Self::Rdtsc => Form::Fixed(Opcode::new([0x0f, 0x31])),
            Self::Rdtscp => Form::Fixed(Opcode::new([0x0f, 0x01, 0xf9])),
            Self::Rdpmc => Form::Fixed(Opcode::new([0x0f, 0x33])),
            Self::Hlt => Form::Fixed(Opcode::new([0xf4])),
            Self::Pause => Form::Fixed(Opcode::new([0x90])),
            Self::Xsetbv => Form::Fixed(Opcode::new([0x0f, 0x01, 0xd1])),
            Self::Monitor => Form::Fixed(Opcode::new([0x0f, 0x01, 0xc8])),
            Self::Mwait => Form::Fixed(Opcode::new([0x0f, 0x01, 0xc9])),
            Self::Invd => Form::Fixed(Opcode::new([0x0f, 0x08])),
            Self::Wbinvd => Form::Fixed(Opcode::new([0x0f, 0x09])),
            Self::Clts => Form::Fixed(Opcode::new([0x0f, 0x06])),
            Self::Invlpg => Form::Group7 {
                reg: 7,
                register: false,
            },
            Self::Invlpga => Form::Fixed(Opcode::new([0x0f, 0x01, 0xdf])),
            Self::Lmsw => Form::Group7 {
                reg: 6,
                register: true,
            },
            Self::Smsw => Form::Group7 {
                reg: 4,
                register: true,
            },
            // These ignore the ModRM byte's mod field: the operand is always a register.
            Self::MovFromCr => Form::Followed(Opcode::new([0x0f, 0x20])),
            Self::MovFromDr => Form::Followed(Opcode::new([0x0f, 0x21])),
            Self::MovToCr => Form::Followed(Opcode::new([0x0f, 0x22])),
            Self::MovToDr => Form::Followed(Opcode::new([0x0f, 0x23])),
            Self::Int3 => Form::Fixed(Opcode::new([0xcc])),
            Self::Into => Form::Fixed(Opcode::new([0xce])),
            Self::Int => Form::Followed(Opcode::new([0xcd])),
            Self::Int1 => Form::Fixed(Opcode::new([0xf1])),
        }
    }
}

/// Length in bytes of the instruction at the start of `bytes` if it is the `expected` one; `bytes` may hold more or be cut
/// short at the end of readable memory. `None` on any mismatch, missing byte, or more than 15 bytes.
#[must_use]
#[inline]
pub fn expected_length(bytes: &[u8], mode: Mode, expected: Expected) -> Option<u8> {
    if let Form::Fixed(opcode) = expected.form()
        && expected != Expected::Pause
        && let Some(word) = bytes.first_chunk()
        && opcode.starts(u32::from_le_bytes(*word))
    {
        return Some(opcode.len);
    }
    prefixed_length(bytes, mode, expected)
}

fn prefixed_length(bytes: &[u8], mode: Mode, expected: Expected) -> Option<u8> {
    let prefixes = skip_prefixes(bytes, mode)?;
    let rest = bytes.get(prefixes.len..)?;
    let is_control_move = matches!(expected, Expected::MovFromCr | Expected::MovToCr);
    // LOCK is invalid except as the alternative way to name CR8.
    if prefixes.lock && !is_control_move {
        return None;
    }
    // F3 makes PAUSE out of NOP; REX.B would make it an exchange with R8.
    if expected == Expected::Pause && (!prefixes.rep || prefixes.rex & 1 != 0) {
        return None;
    }
    let len = match expected.form() {
        Form::Fixed(opcode) => opcode.is_at(rest).then_some(usize::from(opcode.len))?,
        Form::Followed(opcode) => {
            let len = usize::from(opcode.len) + 1;
            (opcode.is_at(rest) && rest.len() >= len).then_some(len)?
        }
        Form::Group7 { reg, register } => {
            group7_length(rest, reg, register, prefixes.address_bits(mode))?
        }
    };
    let len = prefixes.len + len;
    (len <= MAX_LENGTH).then_some(len as u8)
}

/// The prefixes in front of an opcode.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefixes {
    /// How many bytes they take.
    pub(crate) len: usize,
    address_size: bool,
    rep: bool,
    lock: bool,
    rex: u8,
}

impl Prefixes {
    const fn address_bits(self, mode: Mode) -> u32 {
        match (mode.bits(), self.address_size) {
            (64, true) | (32, false) | (16, true) => 32,
            (64, false) => 64,
            _ => 16,
        }
    }
}

/// Skips legacy and REX prefixes. `None` if there is no opcode within 15 bytes.
pub(crate) fn skip_prefixes(bytes: &[u8], mode: Mode) -> Option<Prefixes> {
    let mut prefixes = Prefixes::default();
    for &byte in bytes.iter().take(MAX_LENGTH) {
        // A REX prefix counts only directly before the opcode.
        let rex = core::mem::take(&mut prefixes.rex);
        match byte {
            0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x66 => {}
            0x67 => prefixes.address_size = true,
            // Of F2 and F3 the last one counts.
            0xf2 => prefixes.rep = false,
            0xf3 => prefixes.rep = true,
            0xf0 => prefixes.lock = true,
            0x40..=0x4f if mode == Mode::Long64 => prefixes.rex = byte,
            _ => {
                prefixes.rex = rex;
                return Some(prefixes);
            }
        }
        prefixes.len += 1;
    }
    None
}

fn group7_length(rest: &[u8], reg: u8, register: bool, address_bits: u32) -> Option<usize> {
    let &[0x0f, 0x01, modrm, ..] = rest else {
        return None;
    };
    if modrm >> 3 & 7 != reg {
        return None;
    }
    let tail = match modrm >> 6 {
        3 => register.then_some(0)?,
        mode => memory_tail(mode, modrm & 7, rest.get(3).copied(), address_bits)?,
    };
    let len = 3 + tail;
    (rest.len() >= len).then_some(len)
}

/// Bytes behind the ModRM byte of a memory operand: SIB and displacement.
fn memory_tail(mode: u8, rm: u8, sib: Option<u8>, address_bits: u32) -> Option<usize> {
    if address_bits == 16 {
        return Some(match (mode, rm) {
            (0, 6) | (2, _) => 2,
            (0, _) => 0,
            _ => 1,
        });
    }
    let (sib_len, base) = if rm == 4 { (1, sib? & 7) } else { (0, rm) };
    Some(match (mode, base) {
        (0, 5) | (2, _) => sib_len + 4,
        (0, _) => sib_len,
        _ => sib_len + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderError, DecoderOptions};

    const FIXED: &[(Expected, &[u8])] = &[
        (Expected::Cpuid, &[0x0f, 0xa2]),
        (Expected::Vmmcall, &[0x0f, 0x01, 0xd9]),
        (Expected::Vmcall, &[0x0f, 0x01, 0xc1]),
        (Expected::Rdmsr, &[0x0f, 0x32]),
        (Expected::Wrmsr, &[0x0f, 0x30]),
        (Expected::Rdtsc, &[0x0f, 0x31]),
        (Expected::Rdtscp, &[0x0f, 0x01, 0xf9]),
        (Expected::Rdpmc, &[0x0f, 0x33]),
        (Expected::Hlt, &[0xf4]),
        (Expected::Pause, &[0xf3, 0x90]),
        (Expected::Xsetbv, &[0x0f, 0x01, 0xd1]),
        (Expected::Monitor, &[0x0f, 0x01, 0xc8]),
        (Expected::Mwait, &[0x0f, 0x01, 0xc9]),
        (Expected::Invd, &[0x0f, 0x08]),
        (Expected::Wbinvd, &[0x0f, 0x09]),
        (Expected::Clts, &[0x0f, 0x06]),
        (Expected::Invlpga, &[0x0f, 0x01, 0xdf]),
        (Expected::Invlpg, &[0x0f, 0x01, 0x38]),
        (Expected::Lmsw, &[0x0f, 0x01, 0xf0]),
        (Expected::Smsw, &[0x0f, 0x01, 0xe0]),
        (Expected::MovFromCr, &[0x0f, 0x20, 0xc0]),
        (Expected::MovFromDr, &[0x0f, 0x21, 0xc0]),
        (Expected::MovToCr, &[0x0f, 0x22, 0xd8]),
        (Expected::MovToDr, &[0x0f, 0x23, 0xf8]),
        (Expected::Int3, &[0xcc]),
        (Expected::Into, &[0xce]),
        (Expected::Int, &[0xcd, 0x80]),
        (Expected::Int1, &[0xf1]),
    ];

    fn padded(parts: &[&[u8]]) -> ([u8; 32], usize) {
        let mut bytes = [0x90; 32];
        let mut len = 0;
        for part in parts {
            bytes[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        (bytes, len)
    }

    #[test]
    fn every_opcode_matches_only_itself() {
        for &(expected, code) in FIXED {
            let (bytes, len) = padded(&[code]);
            for &(other, _) in FIXED {
                let found = expected_length(&bytes, Mode::Protected32, other);
                assert_eq!(
                    found,
                    (other == expected).then_some(len as u8),
                    "{other:?} on {expected:?}"
                );
            }
        }
    }

    #[test]
    fn an_opcode_at_the_end_of_readable_memory_still_matches_and_a_cut_one_does_not() {
        for &(expected, code) in FIXED {
            assert_eq!(
                expected_length(code, Mode::Long64, expected),
                Some(code.len() as u8),
                "{expected:?}"
            );
            assert_eq!(
                expected_length(&code[..code.len() - 1], Mode::Long64, expected),
                None,
                "{expected:?}"
            );
        }
    }

    #[test]
    fn prefixes_count_up_to_fifteen_bytes() {
        for prefixes in 0..=15 {
            let (bytes, _) = padded(&[&[0x66; 15][..prefixes], &[0x0f, 0xa2]]);
            let expected = (prefixes <= 13).then_some(prefixes as u8 + 2);
            assert_eq!(
                expected_length(&bytes, Mode::Long64, Expected::Cpuid),
                expected
            );
        }
    }

    #[test]
    fn rex_is_a_prefix_in_64_bit_mode_only() {
        let bytes = [0x48, 0x0f, 0xa2, 0x90];
        assert_eq!(
            expected_length(&bytes, Mode::Long64, Expected::Cpuid),
            Some(3)
        );
        assert_eq!(
            expected_length(&bytes, Mode::Protected32, Expected::Cpuid),
            None
        );
    }

    #[test]
    fn lock_is_accepted_for_cr8_only() {
        assert_eq!(
            expected_length(
                &[0xf0, 0x0f, 0x20, 0xc0],
                Mode::Protected32,
                Expected::MovFromCr
            ),
            Some(4)
        );
        assert_eq!(
            expected_length(
                &[0xf0, 0x0f, 0xa2, 0x90],
                Mode::Protected32,
                Expected::Cpuid
            ),
            None
        );
    }

    #[test]
    fn nop_and_exchange_with_r8_are_not_pause() {
        assert_eq!(
            expected_length(&[0x90, 0x90, 0x90, 0x90], Mode::Long64, Expected::Pause),
            None
        );
        assert_eq!(
            expected_length(&[0xf3, 0x41, 0x90], Mode::Long64, Expected::Pause),
            None
        );
        assert_eq!(
            expected_length(&[0xf3, 0x66, 0x90], Mode::Long64, Expected::Pause),
            Some(3)
        );
    }

    #[test]
    fn mod_field_of_control_register_moves_is_ignored() {
        assert_eq!(
            expected_length(&[0x0f, 0x22, 0x04, 0x25], Mode::Long64, Expected::MovToCr),
            Some(3)
        );
    }

    #[test]
    fn invlpg_on_a_register_is_something_else() {
        assert_eq!(
            expected_length(&[0x0f, 0x01, 0xf8, 0x90], Mode::Long64, Expected::Invlpg),
            None
        );
    }

    /// The decoder is the independent model for the memory forms.
    #[test]
    fn memory_forms_have_the_decoders_length() {
        let modes = [Mode::Real, Mode::Protected32, Mode::Long64];
        for mode in modes {
            for prefix in [&[][..], &[0x67], &[0x65, 0x67]] {
                for reg in [4u8, 6, 7] {
                    for rest in 0..=0x3fff_u32 {
                        let modrm = (rest as u8 & 7) | ((rest >> 3 & 3) as u8) << 6 | reg << 3;
                        let sib = (rest >> 5) as u8;
                        let (bytes, _) = padded(&[prefix, &[0x0f, 0x01, modrm, sib, 1, 2, 3, 4]]);
                        let expected = [Expected::Smsw, Expected::Lmsw, Expected::Invlpg]
                            [[4, 6, 7].iter().position(|&r| r == reg).unwrap()];
                        let mut decoder =
                            Decoder::new(mode.bits(), &bytes[..15], DecoderOptions::NONE);
                        let decoded = decoder.decode();
                        if modrm >= 0xc0 && reg == 7 {
                            continue;
                        }
                        assert_eq!(decoder.last_error(), DecoderError::None);
                        assert_eq!(
                            expected_length(&bytes, mode, expected),
                            Some(decoded.len() as u8),
                            "{bytes:x?} {mode:?}"
                        );
                    }
                }
            }
        }
    }
}
