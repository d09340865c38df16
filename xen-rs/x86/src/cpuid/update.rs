//! `XEN_DOMCTL_set_cpu_policy`: merging what a toolstack sends into a domain's policy.
//!
//! Semantics: Xen 4.20, `domctl.c` and `lib/x86`. Leaves not sent keep their values; data beyond the maximum's leaf counts, an unknown
//! leaf or MSR, and another vendor's processor are refused; unknown or unavailable features are silently dropped.

use xen_abi::arch_x86::{CpuidLeaf, MsrEntry, XEN_CPUID_NO_SUBLEAF};
use xen_abi::errno::Errno;

use super::leaf::Leaf;
use super::policy::{BASIC_LEAVES, CpuPolicy, EXTENDED, EXTENDED_LEAVES};
use super::serialise::{
    HYPERVISOR_LEAF, HYPERVISOR2_LEAF, MAX_SERIALISED_LEAVES, MAX_SERIALISED_MSRS,
    MSR_ARCH_CAPABILITIES, MSR_PLATFORM_INFO,
};
use super::system::SystemPolicies;

/// Value of the `err_*` fields that name nothing.
const NONE: u32 = u32::MAX;
/// Last extended leaf there is room for.
const EXTENDED_LAST: u32 = EXTENDED + EXTENDED_LEAVES as u32 - 1;

/// Why a policy was refused, in the form of `xen_domctl_cpu_policy`'s `err_*` fields: all ones where nothing is named.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// What to return.
    pub errno: Errno,
    /// Leaf at fault.
    pub leaf: u32,
    /// Its subleaf.
    pub subleaf: u32,
    /// MSR at fault.
    pub msr: u32,
}

impl PolicyError {
    const fn of(errno: Errno) -> Self {
        Self {
            errno,
            leaf: NONE,
            subleaf: NONE,
            msr: NONE,
        }
    }

    const fn leaf(errno: Errno, leaf: u32, subleaf: u32) -> Self {
        Self {
            leaf,
            subleaf,
            ..Self::of(errno)
        }
    }

    const fn msr(errno: Errno, msr: u32) -> Self {
        Self {
            msr,
            ..Self::of(errno)
        }
    }
}

impl From<PolicyError> for (Errno, u32, u32, u32) {
    /// Errno, leaf, subleaf, MSR.
    fn from(error: PolicyError) -> Self {
        (error.errno, error.leaf, error.subleaf, error.msr)
    }
}

impl CpuPolicy {
    /// This policy with `leaves` and `msrs` merged in, checked and made consistent. The caller installs it.
    ///
    /// # Errors
    /// `E2BIG` too many entries, `ERANGE` unknown leaf or MSR, `EINVAL` non-zero MSR flags, leaf counts or MSR bits beyond the maximum,
    /// or a vendor other than the host's, `EOVERFLOW` MSR value too wide.
    pub fn updated(
        &self,
        leaves: &[CpuidLeaf],
        msrs: &[MsrEntry],
        system: &SystemPolicies,
    ) -> Result<Self, PolicyError> {
        if leaves.len() > MAX_SERIALISED_LEAVES || msrs.len() > MAX_SERIALISED_MSRS {
            return Err(PolicyError::of(Errno::E2BIG));
        }
        let mut policy = self.clone();
        for leaf in leaves {
            policy.merge_leaf(leaf)?;
        }
        for msr in msrs {
            policy.merge_msr(msr)?;
        }
        policy.clear_out_of_range();
        policy.audit(&system.hvm_max)?;
        policy.recalculate(system);
        Ok(policy)
    }

    fn merge_leaf(&mut self, from: &CpuidLeaf) -> Result<(), PolicyError> {
        let out_of_range = PolicyError::leaf(Errno::ERANGE, from.leaf, from.subleaf);
        let plain = from.subleaf == XEN_CPUID_NO_SUBLEAF;
        let subleaf = from.subleaf as usize;
        let slot = match from.leaf {
            4 => self.cache.get_mut(subleaf),
            7 => self.feature.get_mut(subleaf),
            0xb => self.topology.get_mut(subleaf),
            0xd => self.xstate.get_mut(subleaf),
            leaf if leaf < BASIC_LEAVES as u32 && plain => self.basic.get_mut(leaf as usize),
            EXTENDED..=EXTENDED_LAST if plain => {
                self.extended.get_mut((from.leaf - EXTENDED) as usize)
            }
            HYPERVISOR_LEAF if plain => {
                // Only the low byte counts.
                self.hypervisor_limit = from.a as u8;
                return Ok(());
            }
            HYPERVISOR2_LEAF if plain => {
                self.hypervisor2_limit = from.a as u8;
                return Ok(());
            }
            _ => None,
        };
        *slot.ok_or(out_of_range)? = Leaf::new([from.a, from.b, from.c, from.d]);
        Ok(())
    }

    fn merge_msr(&mut self, from: &MsrEntry) -> Result<(), PolicyError> {
        if from.flags != 0 {
            return Err(PolicyError::msr(Errno::EINVAL, from.idx));
        }
        match from.idx {
            MSR_PLATFORM_INFO => {
                let too_wide = |_| PolicyError::msr(Errno::EOVERFLOW, from.idx);
                self.platform_info = u32::try_from(from.val).map_err(too_wide)?;
            }
            MSR_ARCH_CAPABILITIES => self.arch_capabilities = from.val,
            _ => return Err(PolicyError::msr(Errno::ERANGE, from.idx)),
        }
        Ok(())
    }

    fn audit(&self, max: &Self) -> Result<(), PolicyError> {
        let refuse = |leaf, subleaf| Err(PolicyError::leaf(Errno::EINVAL, leaf, subleaf));
        // Hypercalls use the vendor's own instruction, so a guest that believed in another vendor could not make any.
        if self.max_basic() > max.max_basic() || self.vendor() != max.vendor() {
            refuse(0, XEN_CPUID_NO_SUBLEAF)
        } else if self.max_feature() > max.max_feature() {
            refuse(7, 0)
        } else if self.extended[0].a > max.extended[0].a {
            refuse(EXTENDED, XEN_CPUID_NO_SUBLEAF)
        } else if self.platform_info & !max.platform_info != 0 {
            Err(PolicyError::msr(Errno::EINVAL, MSR_PLATFORM_INFO))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::system;
    use crate::cpuid::{Feature, HYPERCALL_PAGE_MSR};

    fn leaf(leaf: u32, subleaf: u32, [a, b, c, d]: [u32; 4]) -> CpuidLeaf {
        CpuidLeaf {
            leaf,
            subleaf,
            a,
            b,
            c,
            d,
        }
    }

    #[test]
    fn sending_back_a_policy_changes_nothing() {
        let system = system();
        let policy = system.for_domain();
        let sent = policy.updated(&policy.leaves(), &policy.msrs(), &system);
        assert_eq!(sent, Ok(policy));
    }

    #[test]
    fn sending_nothing_is_accepted() {
        let system = system();
        let policy = system.for_domain();
        assert_eq!(policy.updated(&[], &[], &system), Ok(policy));
    }

    #[test]
    fn a_hidden_feature_takes_its_dependents_and_their_state_along() {
        let system = system();
        let policy = system.for_domain();
        let mut leaves = policy.leaves();
        leaves[1].c &= !Feature::AVX.mask();
        let policy = policy.updated(&leaves, &[], &system).unwrap();
        assert!(!policy.has(Feature::AVX2) && policy.has(Feature::PKU));
        assert_eq!(policy.xcr0_max(), 0x203);
    }

    #[test]
    fn features_the_host_lacks_are_dropped_silently() {
        let system = system();
        let policy = system.for_domain();
        let all = leaf(7, 0, [0, u32::MAX, u32::MAX, u32::MAX]);
        let updated = policy.updated(&[all], &[], &system).unwrap();
        assert!(!updated.has(Feature::AVX512F) && !updated.has(Feature::AMX_TILE));
        assert!(updated.has(Feature::AVX2));
    }

    #[test]
    fn an_opt_in_feature_can_be_asked_for() {
        let system = system();
        let itsc = leaf(
            0x8000_0007,
            XEN_CPUID_NO_SUBLEAF,
            [0, 0, 0, Feature::ITSC.mask()],
        );
        let updated = system.for_domain().updated(&[itsc], &[], &system).unwrap();
        assert!(updated.has(Feature::ITSC));
    }

    #[test]
    fn unknown_leaves_and_subleaves_are_erange_and_named() {
        let system = system();
        let policy = system.for_domain();
        for (at, sub) in [
            (0xe, XEN_CPUID_NO_SUBLEAF),
            (1, 0),
            (4, 6),
            (7, 3),
            (0xb, 2),
            (0xd, 63),
            (0x8000_0022, XEN_CPUID_NO_SUBLEAF),
            (HYPERVISOR_LEAF, 0),
            (u32::MAX, u32::MAX),
        ] {
            let refused = policy.updated(&[leaf(at, sub, [0; 4])], &[], &system);
            assert_eq!(refused, Err(PolicyError::leaf(Errno::ERANGE, at, sub)));
        }
    }

    #[test]
    fn more_leaves_than_the_maximum_are_einval_and_named() {
        let system = system();
        let policy = system.for_domain();
        let mut first = policy.leaves()[0];
        first.a = 0xe;
        let refused = policy.updated(&[first], &[], &system).unwrap_err();
        assert_eq!(
            refused,
            PolicyError::leaf(Errno::EINVAL, 0, XEN_CPUID_NO_SUBLEAF)
        );
        let refused = policy
            .updated(&[leaf(7, 0, [3, 0, 0, 0])], &[], &system)
            .unwrap_err();
        assert_eq!(refused, PolicyError::leaf(Errno::EINVAL, 7, 0));
    }

    #[test]
    fn another_vendor_is_refused() {
        let system = system();
        let intel = leaf(
            0,
            XEN_CPUID_NO_SUBLEAF,
            [0xd, 0x756e_6547, 0x6c65_746e, 0x4965_6e69],
        );
        let refused = system
            .for_domain()
            .updated(&[intel], &[], &system)
            .unwrap_err();
        assert_eq!((refused.errno, refused.leaf), (Errno::EINVAL, 0));
    }

    #[test]
    fn bad_msrs_are_named() {
        let system = system();
        let policy = system.for_domain();
        let send = |idx, flags, val| {
            let refused = policy.updated(&[], &[MsrEntry { idx, flags, val }], &system);
            refused
                .map(|_| ())
                .map_err(|error| (error.errno, error.msr))
        };
        assert_eq!(
            send(HYPERCALL_PAGE_MSR, 0, 0),
            Err((Errno::ERANGE, HYPERCALL_PAGE_MSR))
        );
        assert_eq!(send(0xce, 1, 0), Err((Errno::EINVAL, 0xce)));
        assert_eq!(send(0xce, 0, 1 << 32), Err((Errno::EOVERFLOW, 0xce)));
        assert_eq!(send(0xce, 0, 1), Err((Errno::EINVAL, 0xce)));
        assert_eq!(send(0xce, 0, 1 << 31), Ok(()));
    }

    #[test]
    fn too_many_entries_are_e2big() {
        let system = system();
        let policy = system.for_domain();
        let many = [leaf(7, 0, [0; 4]); MAX_SERIALISED_LEAVES + 1];
        assert_eq!(
            policy.updated(&many, &[], &system).unwrap_err().errno,
            Errno::E2BIG
        );
    }

    #[test]
    fn hostile_leaf_contents_are_survived() {
        let system = system();
        let policy = system.for_domain();
        let mut leaves = policy.leaves();
        for entry in leaves
            .iter_mut()
            .skip(1)
            .filter(|entry| entry.leaf != EXTENDED)
        {
            (entry.b, entry.c, entry.d) = (u32::MAX, u32::MAX, u32::MAX);
            entry.a |= if entry.leaf == 7 { 0 } else { u32::MAX };
        }
        let updated = policy.updated(&leaves, &[], &system).unwrap();
        assert_eq!(
            updated.featureset().0[0] & !system.hvm_max.featureset().0[0],
            0
        );
        assert_eq!(updated.physical_address_bits(), 48);
    }
}
