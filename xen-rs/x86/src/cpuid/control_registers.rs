//! Which values of CR0, CR4, EFER and XCR0 a domain's policy allows.
//!
//! Semantics: AMD APM vol. 2, "System-Control Registers"; reserved bits are those whose feature the policy lacks.

use super::feature::Feature;
use super::policy::CpuPolicy;
use super::xstate;

const CR0_PE: u64 = 1 << 0;
const CR0_ET: u64 = 1 << 4;
const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;
const CR0_PG: u64 = 1 << 31;
/// PE, MP, EM, TS, ET, NE, WP, AM, NW, CD, PG.
const CR0_DEFINED: u64 = 0x3f | 1 << 16 | 1 << 18 | CR0_NW | CR0_CD | CR0_PG;

const CR4_PAE: u64 = 1 << 5;
const CR4_PCE: u64 = 1 << 8;
/// CR4 bits with the feature each needs.
const CR4_BITS: &[(Feature, u64)] = &[
    // VME and PVI.
    (Feature::VME, 0b11),
    (Feature::TSC, 1 << 2),
    (Feature::DE, 1 << 3),
    (Feature::PSE, 1 << 4),
    (Feature::PAE, CR4_PAE),
    (Feature::MCE, 1 << 6),
    (Feature::MCA, 1 << 6),
    (Feature::PGE, 1 << 7),
    (Feature::FXSR, 1 << 9),
    (Feature::SSE, 1 << 10),
    (Feature::UMIP, 1 << 11),
    (Feature::FSGSBASE, 1 << 16),
    (Feature::PCID, 1 << 17),
    (Feature::XSAVE, 1 << 18),
    (Feature::SMEP, 1 << 20),
    (Feature::SMAP, 1 << 21),
    (Feature::PKU, 1 << 22),
];

const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// EFER bits with the feature each needs.
const EFER_BITS: &[(Feature, u64)] = &[
    (Feature::SYSCALL, 1 << 0),
    (Feature::LM, EFER_LME | EFER_LMA),
    (Feature::NX, 1 << 11),
    (Feature::FFXSR, 1 << 14),
    (Feature::AUTO_IBRS, 1 << 21),
];

impl CpuPolicy {
    /// CR4 bits the guest may set.
    #[must_use]
    pub fn cr4_bits(&self) -> u64 {
        CR4_PCE | self.bits(CR4_BITS)
    }

    /// EFER bits the guest may set.
    #[must_use]
    pub fn efer_bits(&self) -> u64 {
        self.bits(EFER_BITS)
    }

    /// Whether EFER can have this value while CR0 has that one.
    #[must_use]
    pub fn is_efer_valid(&self, efer: u64, cr0: u64) -> bool {
        let active_without_cause =
            efer & EFER_LMA != 0 && (efer & EFER_LME == 0 || cr0 & CR0_PG == 0);
        efer & !self.efer_bits() == 0 && !active_without_cause
    }

    /// Whether a vCPU can run with these values together.
    #[must_use]
    pub fn is_state_valid(&self, cr0: u64, cr4: u64, efer: u64) -> bool {
        let is_long = cr0 & CR0_PG != 0 && efer & EFER_LME != 0;
        is_cr0_valid(cr0)
            && cr4 & !self.cr4_bits() == 0
            && self.is_efer_valid(efer, cr0)
            && (!is_long || cr4 & CR4_PAE != 0)
    }

    /// Whether XCR0 may be set to this.
    #[must_use]
    pub fn is_xcr0_valid(&self, xcr0: u64) -> bool {
        xcr0 & !self.xcr0_max() == 0 && xstate::is_consistent(xcr0)
    }

    fn bits(&self, table: &[(Feature, u64)]) -> u64 {
        table
            .iter()
            .filter(|(feature, _)| self.has(*feature))
            .fold(0, |bits, (_, adds)| bits | adds)
    }
}

/// Whether CR0 can have this value at rest: no reserved bit, ET set, no paging without protection,
/// no write-back policy change (NW) with the cache on.
#[must_use]
pub const fn is_cr0_valid(cr0: u64) -> bool {
    cr0 & !CR0_DEFINED == 0
        && cr0 & CR0_ET != 0
        && cr0 & (CR0_PE | CR0_PG) != CR0_PG
        && cr0 & (CR0_CD | CR0_NW) != CR0_NW
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::system;

    #[test]
    fn reserved_bits_follow_the_policy() {
        let mut policy = system().for_domain();
        assert_eq!(policy.cr4_bits(), 0x77_0fff);
        assert_eq!(policy.efer_bits() & 0xfff, 0xd01);
        let mut set = policy.featureset();
        set.remove(Feature::SMAP);
        set.remove(Feature::NX);
        policy.set_featureset(&set);
        assert_eq!(policy.cr4_bits(), 0x57_0fff);
        assert!(!policy.is_efer_valid(1 << 11, 0));
    }

    #[test]
    fn long_mode_is_active_only_with_paging() {
        let policy = system().for_domain();
        assert!(policy.is_efer_valid(EFER_LME, 0));
        assert!(policy.is_efer_valid(EFER_LME | EFER_LMA, CR0_PG));
        assert!(!policy.is_efer_valid(EFER_LME | EFER_LMA, 0));
        assert!(!policy.is_efer_valid(EFER_LMA, CR0_PG));
    }

    #[test]
    fn long_mode_needs_pae() {
        let policy = system().for_domain();
        let cr0 = CR0_PG | CR0_PE | CR0_ET;
        assert!(policy.is_state_valid(cr0, CR4_PAE, EFER_LME | EFER_LMA));
        assert!(!policy.is_state_valid(cr0, 0, EFER_LME | EFER_LMA));
        assert!(policy.is_state_valid(cr0, 0, 0));
        assert!(!policy.is_state_valid(cr0, 1 << 13, 0));
    }

    #[test]
    fn cr0_is_checked() {
        assert!(is_cr0_valid(0x11) && is_cr0_valid(0x8005_0033));
        assert!(is_cr0_valid(0x6000_0010) && !is_cr0_valid(0x2000_0011));
        assert!(!is_cr0_valid(0x1) && !is_cr0_valid(0x8000_0010) && !is_cr0_valid(1 << 32 | 0x11));
    }

    #[test]
    fn xcr0_is_checked_against_the_policy() {
        let policy = system().for_domain();
        assert!(policy.is_xcr0_valid(0x207) && !policy.is_xcr0_valid(0xe7));
    }
}
