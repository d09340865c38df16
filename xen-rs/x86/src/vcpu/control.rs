//! Writes of control registers, which only the policy and the processor's own rules may refuse.
//!
//! [`Control`] is pure: the values before a write become those after it, or nothing for #GP. The processor would check less: it knows
//! what it can do itself, not what the domain's policy shows.
//!
//! Semantics: AMD APM volume 2, "System-Control Registers", "Enabling and Activating Long Mode", "Leaving Long Mode", "TLB Management" and
//! "Consistency Checks" of VMRUN. The four page-directory pointers of PAE paging are not reloaded: nested paging reads them from memory
//! ("Nested Paging", "Legacy PAE Mode").

use x86_emu::{Mode, SegmentName};

use super::backend::Backend;
use super::entry::{Next, Running};
use super::exit::Done;
use crate::cpuid::CpuPolicy;
use crate::domain::X86Domain;

const CR0_PE: u64 = 1 << 0;
const CR0_ET: u64 = 1 << 4;
const CR0_WP: u64 = 1 << 16;
const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;
const CR0_PG: u64 = 1 << 31;
/// PE, MP, EM, TS, NE, WP, AM, NW, CD, PG; other bits of the low half ignore writes.
const CR0_WRITABLE: u64 = 0x2f | CR0_WP | 1 << 18 | CR0_NW | CR0_CD | CR0_PG;
const CR3_KEEP_TLB: u64 = 1 << 63;
const CR3_PCID: u64 = 0xfff;
const CR4_PAE: u64 = 1 << 5;
const CR4_PCIDE: u64 = 1 << 17;
/// PSE, PAE, PGE, LA57, SMEP, SMAP, PKE: cached translations may have been made under the other value.
const CR4_CACHED: u64 = 0xb0 | 1 << 12 | 1 << 20 | 1 << 21 | 1 << 22;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;

/// What the rules about control registers look at.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER as the guest sees it.
    pub efer: u64,
    /// CS.L.
    pub is_code_long: bool,
}

impl Control {
    /// After a write of CR0, CR3 or CR4; `None`: #GP.
    #[must_use]
    pub fn written(self, number: u8, value: u64, policy: &CpuPolicy) -> Option<Self> {
        match number {
            0 => self.with_cr0(value),
            3 => self.with_cr3(value, policy.physical_address_bits()),
            _ => self.with_cr4(value, policy.cr4_bits()),
        }
    }

    fn with_cr0(self, value: u64) -> Option<Self> {
        let cr0 = value & CR0_WRITABLE | CR0_ET;
        let has = |bit| cr0 & bit != 0;
        if value >> 32 != 0 || (has(CR0_PG) && !has(CR0_PE)) || (has(CR0_NW) && !has(CR0_CD)) {
            return None;
        }
        let mut efer = self.efer;
        match (self.cr0 & CR0_PG != 0, has(CR0_PG)) {
            (false, true) if efer & EFER_LME != 0 => {
                if self.cr4 & CR4_PAE == 0 || self.is_code_long {
                    return None;
                }
                efer |= EFER_LMA;
            }
            (true, false) => {
                // The processor would let 64-bit code do this and shut down; #GP is what Intel documents.
                let is_64_bit = efer & EFER_LMA != 0 && self.is_code_long;
                if is_64_bit || self.cr4 & CR4_PCIDE != 0 {
                    return None;
                }
                efer &= !EFER_LMA;
            }
            _ => {}
        }
        Some(Self { cr0, efer, ..self })
    }

    fn with_cr3(self, value: u64, address_bits: u32) -> Option<Self> {
        let cr3 = if self.cr4 & CR4_PCIDE != 0 {
            value & !CR3_KEEP_TLB
        } else {
            value
        };
        let is_valid = cr3.checked_shr(address_bits).unwrap_or(0) == 0;
        is_valid.then_some(Self { cr3, ..self })
    }

    fn with_cr4(self, cr4: u64, allowed: u64) -> Option<Self> {
        let is_long = self.efer & EFER_LMA != 0;
        let sets_pcide = cr4 & !self.cr4 & CR4_PCIDE != 0;
        let is_valid = cr4 & !allowed == 0
            && (!is_long || cr4 & CR4_PAE != 0)
            && (!sets_pcide || (is_long && self.cr3 & CR3_PCID == 0));
        is_valid.then_some(Self { cr4, ..self })
    }

    /// Whether translations cached before `self` became `after` by a write of CR0 or CR4 may be wrong now.
    #[must_use]
    pub const fn invalidates_translations(self, after: Self) -> bool {
        let cr0 = self.cr0 ^ after.cr0;
        let cr4 = self.cr4 ^ after.cr4;
        cr0 & (CR0_PG | CR0_WP) != 0
            || cr4 & CR4_CACHED != 0
            || self.cr4 & !after.cr4 & CR4_PCIDE != 0
    }
}

/// The guest writes CR0, CR3 or CR4; `None`: #GP.
pub fn write(running: &mut Running<'_>, number: u8, value: u64) -> Option<()> {
    let hw = &mut running.state.hw;
    let before = Control {
        cr0: hw.cr(0),
        cr3: hw.cr(3),
        cr4: hw.cr(4),
        efer: hw.efer(),
        is_code_long: hw.segment(SegmentName::Cs).attributes.is_long(),
    };
    let policy = X86Domain::of(running.domain).policy.read();
    let after = before.written(number, value, &policy)?;
    drop(policy);
    hw.set_cr(0, after.cr0);
    hw.set_cr(3, after.cr3);
    hw.set_cr(4, after.cr4);
    hw.set_efer(after.efer);
    if number == 3 || before.invalidates_translations(after) {
        running.state.forget_translations();
    }
    Some(())
}

/// MOV from general register `source` to CR0 or CR4, decoded by the processor.
pub fn write_exit(running: &mut Running<'_>, number: u8, source: u8) -> Done {
    let whole = running.state.registers.0[usize::from(source & 0xf)];
    let value = if running.mode() == Mode::Long64 {
        whole
    } else {
        whole & 0xffff_ffff
    };
    match write(running, number, value) {
        Some(()) => Done::Skip(Next::Resume),
        None => Done::Fault(13, Some(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::system;

    const PAGING: u64 = CR0_PG | CR0_WP | CR0_PE | CR0_ET;
    const CR4_PGE: u64 = 1 << 7;

    fn protected() -> Control {
        Control {
            cr0: CR0_PE | CR0_ET,
            cr3: 0x1000,
            cr4: CR4_PAE,
            efer: 0,
            is_code_long: false,
        }
    }

    fn long() -> Control {
        Control {
            cr0: PAGING,
            efer: EFER_LME | EFER_LMA,
            is_code_long: true,
            ..protected()
        }
    }

    fn write(before: Control, number: u8, value: u64) -> Option<Control> {
        before.written(number, value, &system().for_domain())
    }

    #[test]
    fn cr0_ignores_reserved_bits_of_the_low_half_and_keeps_et() {
        let after = write(protected(), 0, 1 | 1 << 6 | 1 << 17 | 1 << 28).unwrap();
        assert_eq!(after.cr0, CR0_PE | CR0_ET);
    }

    #[test]
    fn cr0_values_that_no_processor_takes_fault() {
        for bad in [1 << 32 | 1, CR0_PG, CR0_PE | CR0_NW] {
            assert_eq!(write(protected(), 0, bad), None, "{bad:#x}");
        }
        assert!(write(protected(), 0, CR0_PE | CR0_NW | CR0_CD).is_some());
    }

    #[test]
    fn paging_with_lme_activates_long_mode() {
        let ready = Control {
            efer: EFER_LME,
            ..protected()
        };
        assert_eq!(write(ready, 0, PAGING).unwrap().efer, EFER_LME | EFER_LMA);
        assert_eq!(write(protected(), 0, PAGING).unwrap().efer, 0);
        assert_eq!(write(Control { cr4: 0, ..ready }, 0, PAGING), None);
        let is_code_long = true;
        assert_eq!(
            write(
                Control {
                    is_code_long,
                    ..ready
                },
                0,
                PAGING
            ),
            None
        );
    }

    #[test]
    fn paging_ends_only_in_compatibility_mode() {
        assert_eq!(write(long(), 0, CR0_PE), None);
        let compatibility = Control {
            is_code_long: false,
            ..long()
        };
        assert_eq!(write(compatibility, 0, CR0_PE).unwrap().efer, EFER_LME);
        let tagged = Control {
            cr4: CR4_PAE | CR4_PCIDE,
            ..compatibility
        };
        assert_eq!(write(tagged, 0, CR0_PE), None);
    }

    #[test]
    fn cr4_bits_without_their_feature_fault() {
        let policy = system().for_domain();
        for bit in 0..64 {
            // PCIDE has rules of its own.
            if 1 << bit == CR4_PCIDE {
                continue;
            }
            let taken = write(long(), 4, CR4_PAE | 1 << bit).is_some();
            assert_eq!(taken, policy.cr4_bits() & 1 << bit != 0, "bit {bit}");
        }
    }

    #[test]
    fn long_mode_needs_pae() {
        assert_eq!(write(long(), 4, 0), None);
        assert!(write(protected(), 4, 0).is_some());
    }

    #[test]
    fn process_tags_start_in_long_mode_with_tag_0() {
        let wanted = CR4_PAE | CR4_PCIDE;
        assert!(write(long(), 4, wanted).is_some());
        assert_eq!(write(protected(), 4, wanted), None);
        assert_eq!(
            write(
                Control {
                    cr3: 0x1001,
                    ..long()
                },
                4,
                wanted
            ),
            None
        );
    }

    #[test]
    fn cr3_has_address_bits_only() {
        assert_eq!(write(long(), 3, 0x5018).unwrap().cr3, 0x5018);
        assert_eq!(write(long(), 3, CR3_KEEP_TLB | 0x5001), None);
        let tagged = Control {
            cr4: CR4_PAE | CR4_PCIDE,
            ..long()
        };
        assert_eq!(write(tagged, 3, CR3_KEEP_TLB | 0x5001).unwrap().cr3, 0x5001);
        assert_eq!(write(tagged, 3, 1 << 52), None);
    }

    #[test]
    fn translations_go_when_their_rules_change() {
        let flushes = |before: Control, number, value| {
            before.invalidates_translations(write(before, number, value).unwrap())
        };
        assert!(flushes(protected(), 0, PAGING));
        assert!(flushes(long(), 0, PAGING & !CR0_WP));
        assert!(flushes(long(), 4, CR4_PAE | CR4_PGE));
        // TS; OSFXSR.
        assert!(!flushes(long(), 0, PAGING | 8));
        assert!(!flushes(long(), 4, CR4_PAE | 1 << 9));
        let tagged = Control {
            cr4: CR4_PAE | CR4_PCIDE,
            ..long()
        };
        assert!(flushes(tagged, 4, CR4_PAE));
        assert!(!flushes(long(), 4, CR4_PAE | CR4_PCIDE));
    }
}
