//! From segment and offset to a linear address, with the checks the processor does on the way.
//!
//! APM volume 2, "Segment Protection" and "Canonical Address Form".

use crate::cpu::{Fault, Mode, Segment, SegmentName};
use crate::emulate::Run;

impl Run<'_> {
    /// Linear address of `len` bytes (at least 1) at `offset`. #SS for the stack segment, #GP for others.
    pub(crate) fn linear(
        &self,
        name: SegmentName,
        offset: u64,
        len: usize,
        write: bool,
    ) -> Result<u64, Fault> {
        let last = len.saturating_sub(1) as u64;
        let linear = if self.mode == Mode::Long64 {
            let base = match name {
                SegmentName::Fs | SegmentName::Gs => self.cpu.segment(name).base,
                _ => 0,
            };
            let first = base.wrapping_add(offset);
            let bits = self.cpu.linear_bits();
            (is_canonical(first, bits) && is_canonical(first.wrapping_add(last), bits))
                .then_some(first)
        } else {
            let segment = self.cpu.segment(name);
            let allowed = self.is_usable(&segment, write) && is_within(&segment, offset, last);
            allowed.then_some(segment.base.wrapping_add(offset) & 0xffff_ffff)
        };
        let linear = linear.ok_or(match name {
            SegmentName::Ss => Fault::stack(self.mode),
            _ => Fault::general_protection(self.mode),
        })?;
        if self.mode != Mode::Long64 && linear + last > 0xffff_ffff {
            return Err(Fault::Unhandleable("access wraps around 4 GiB"));
        }
        Ok(linear)
    }

    /// Type checks exist in protected mode only.
    fn is_usable(&self, segment: &Segment, write: bool) -> bool {
        let attributes = segment.attributes;
        match self.mode {
            Mode::Real | Mode::Vm86 | Mode::Long64 => true,
            Mode::Protected16 | Mode::Protected32 => {
                attributes.is_present()
                    && if write {
                        attributes.is_writable()
                    } else {
                        attributes.is_readable()
                    }
            }
        }
    }
}

/// Whether bits `bits - 1` to 63 are all equal.
pub(crate) const fn is_canonical(linear: u64, bits: u32) -> bool {
    let unused = 64u32.saturating_sub(bits);
    if unused > 63 {
        return false;
    }
    ((linear << unused) as i64 >> unused) as u64 == linear
}

fn is_within(segment: &Segment, offset: u64, last: u64) -> bool {
    let limit = u64::from(segment.limit);
    let Some(end) = offset.checked_add(last) else {
        return false;
    };
    if segment.attributes.is_expand_down() {
        let top = if segment.attributes.is_big() {
            0xffff_ffff
        } else {
            0xffff
        };
        offset > limit && end <= top
    } else {
        end <= limit
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{DEVICE, DONE, RAM, TestCpu};
    use crate::{Fault, Mode, Outcome};

    const STORE: [u8; 2] = [0x88, 0x0b]; // mov [rbx], cl
    const STORE_ON_STACK: [u8; 3] = [0x88, 0x4d, 0]; // mov [rbp], cl

    fn protected(code: &[u8], prepare: impl FnOnce(&mut TestCpu)) -> Outcome {
        TestCpu::run(Mode::Protected32, code, |cpu| {
            (cpu.gprs[3], cpu.gprs[5]) = (0x2000, 0x2000);
            prepare(cpu);
        })
        .1
    }

    #[test]
    fn accesses_beyond_the_limit_fault_by_segment() {
        let general = Outcome::Fault(Fault::general_protection(Mode::Protected32));
        let stack = Outcome::Fault(Fault::stack(Mode::Protected32));
        assert_eq!(
            protected(&STORE, |cpu| cpu.segments[3].limit = 0x2000),
            DONE
        );
        assert_eq!(
            protected(&STORE, |cpu| cpu.segments[3].limit = 0x1fff),
            general
        );
        assert_eq!(
            protected(&[0x89, 0x0b], |cpu| cpu.segments[3].limit = 0x2002),
            general
        );
        assert_eq!(
            protected(&STORE_ON_STACK, |cpu| cpu.segments[2].limit = 0x1fff),
            stack
        );
    }

    #[test]
    fn expand_down_segments_are_valid_above_their_limit() {
        let general = Outcome::Fault(Fault::general_protection(Mode::Protected32));
        let expand_down = |limit| {
            move |cpu: &mut TestCpu| {
                cpu.segments[3].attributes.0 |= 0b100;
                cpu.segments[3].limit = limit;
            }
        };
        assert_eq!(protected(&STORE, expand_down(0x1fff)), DONE);
        assert_eq!(protected(&STORE, expand_down(0x2000)), general);
    }

    #[test]
    fn segment_types_are_checked_in_protected_mode_only() {
        let general = Outcome::Fault(Fault::general_protection(Mode::Protected32));
        assert_eq!(
            protected(&STORE, |cpu| cpu.segments[3].attributes.0 &= !0b10),
            general,
            "read-only"
        );
        assert_eq!(
            protected(&STORE, |cpu| cpu.segments[3].attributes.0 &= !0x80),
            general,
            "unusable"
        );
        assert_eq!(
            protected(&[0x2e, 0x88, 0x0b], |_| ()),
            general,
            "code is not writable"
        );
        assert_eq!(
            protected(&[0x2e, 0x8a, 0x0b], |cpu| cpu.segments[1].attributes.0 &=
                !0b10),
            general,
            "execute-only"
        );
        let (_, outcome) =
            TestCpu::run(Mode::Real, &[0x2e, 0x88, 0x0f], |cpu| cpu.gprs[3] = 0x2000);
        assert_eq!(outcome, DONE);
    }

    #[test]
    fn real_mode_faults_have_no_error_code() {
        let (_, outcome) = TestCpu::run(Mode::Real, &[0x89, 0x0f], |cpu| cpu.gprs[3] = 0xffff);
        assert_eq!(outcome, Outcome::Fault(Fault::bare(13)));
        let (_, outcome) = TestCpu::run(Mode::Vm86, &[0x89, 0x0f], |cpu| cpu.gprs[3] = 0xffff);
        assert_eq!(
            outcome,
            Outcome::Fault(Fault::general_protection(Mode::Vm86))
        );
    }

    #[test]
    fn real_mode_uses_the_cached_limit() {
        // mov [ebx], cl with a limit left over from protected mode
        let (cpu, outcome) = TestCpu::run(Mode::Real, &[0x67, 0x88, 0x0b], |cpu| {
            cpu.gprs[3] = DEVICE;
            cpu.segments[3].limit = 0xffff_ffff;
        });
        assert_eq!((outcome, cpu.device_log.len()), (DONE, 1));
    }

    #[test]
    fn non_canonical_addresses_fault_in_64_bit_mode() {
        for (address, ok) in [
            (0x7fff_ffff_ffff, false),
            (0x8000_0000_0000, false),
            (RAM as u64 - 2, true),
        ] {
            let (_, outcome) = TestCpu::run64(&[0x66, 0x89, 0x0b], |cpu| cpu.gprs[3] = address);
            let expected = if ok {
                DONE
            } else {
                Outcome::Fault(Fault::general_protection(Mode::Long64))
            };
            assert_eq!(outcome, expected, "{address:x}");
        }
        let (_, outcome) = TestCpu::run64(&STORE_ON_STACK, |cpu| cpu.gprs[5] = 1 << 47);
        assert_eq!(outcome, Outcome::Fault(Fault::stack(Mode::Long64)));
    }

    #[test]
    fn only_fs_and_gs_have_a_base_in_64_bit_mode() {
        let (cpu, _) = TestCpu::run64(&[0x88, 0x0b], |cpu| {
            (cpu.gprs[3], cpu.gprs[1], cpu.segments[3].base) = (0x2000, 7, 0x5000);
            cpu.segments[3].limit = 0;
        });
        assert_eq!(cpu.peek(0x2000, 1), 7);
    }
}
