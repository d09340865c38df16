//! The system policies: what the host is, the most a domain can have, and what it gets by default.
//!
//! Owner: built once at boot, constant afterwards. PV domains do not exist here, so neither do their policies.
//!
//! Semantics: Xen 4.20, `cpu-policy.c` and `XEN_SYSCTL_get_cpu_policy`.

use xen_abi::errno::Errno;

use super::feature::{Feature, OFFERABLE, OFFERED};
use super::featureset::Featureset;
use super::host::{self, Virtualisable};
use super::leaf::{HostCpuid, Leaf};
use super::policy::{BASIC_LEAVES, CpuPolicy, EXTENDED, EXTENDED_LEAVES, FEATURE_LEAVES};
use super::recalculate::recalculate_xstate;
use super::vendor::Vendor;

/// MSR_PLATFORM_INFO: CPUID may be made to fault. Always possible, since CPUID exits.
const CPUID_FAULTING: u32 = 1 << 31;

/// Policies that belong to the machine rather than to a domain.
#[derive(Clone, Debug)]
pub struct SystemPolicies {
    /// As read.
    pub raw: CpuPolicy,
    /// Known and enabled.
    pub host: CpuPolicy,
    /// The most an HVM or PVH domain can have.
    pub hvm_max: CpuPolicy,
    /// What an HVM or PVH domain has unless told otherwise.
    pub hvm_default: CpuPolicy,
    /// Width in bits of guest physical addresses.
    pub gpa_bits: u32,
}

impl SystemPolicies {
    /// Reads the host's CPUID and derives the others.
    #[must_use]
    pub fn new(cpuid: &impl HostCpuid, can: &Virtualisable) -> Self {
        let raw = host::raw(cpuid, can.arch_capabilities);
        let host = host::host(&raw, can);
        let hvm_max = hvm_max(&raw, &host, can);
        let hvm_default = hvm_default(&raw, &host, &hvm_max);
        Self {
            raw,
            host,
            hvm_max,
            hvm_default,
            gpa_bits: can.gpa_bits,
        }
    }

    /// The policy with `index` of `XEN_SYSCTL_get_cpu_policy`.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for the PV policies (2 and 4), `EINVAL` for an unknown index.
    pub const fn by_policy_index(&self, index: u32) -> Result<&CpuPolicy, Errno> {
        match index {
            0 => Ok(&self.raw),
            1 => Ok(&self.host),
            3 => Ok(&self.hvm_max),
            5 => Ok(&self.hvm_default),
            2 | 4 => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The features with `index` of `XEN_SYSCTL_get_cpu_featureset`, whose order differs from [`Self::by_policy_index`].
    ///
    /// # Errors
    /// `EOPNOTSUPP` for the PV featuresets (2 and 4), `EINVAL` for an unknown index.
    pub fn featureset(&self, index: u32) -> Result<Featureset, Errno> {
        let policy = match index {
            0 => &self.raw,
            1 => &self.host,
            3 => &self.hvm_default,
            5 => &self.hvm_max,
            2 | 4 => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::EINVAL),
        };
        Ok(policy.featureset())
    }

    /// The policy of a new domain.
    #[must_use]
    pub fn for_domain(&self) -> CpuPolicy {
        let mut policy = self.hvm_default.clone();
        policy.recalculate(self);
        policy
    }

    /// The policy of dom0: it never migrates, so it may rely on an invariant TSC.
    #[must_use]
    pub fn for_dom0(&self) -> CpuPolicy {
        let mut policy = self.hvm_default.clone();
        let mut set = policy.featureset();
        set.set(Feature::ITSC, self.host.has(Feature::ITSC));
        policy.set_featureset(&set);
        policy.recalculate(self);
        policy
    }
}

fn hvm_max(raw: &CpuPolicy, host: &CpuPolicy, can: &Virtualisable) -> CpuPolicy {
    let mut policy = host.clone();
    // A guest from elsewhere may have more leaves, as long as they hold nothing the host lacks.
    policy.basic[0].a = BASIC_LEAVES as u32 - 1;
    policy.feature[0].a = FEATURE_LEAVES as u32 - 1;
    policy.extended[0].a = EXTENDED | (EXTENDED_LEAVES as u32 - 1);

    let mut set = host.featureset();
    set.intersect(&OFFERABLE);
    // The local APIC is emulated, whatever the host's is like; EFER.LMSLE never works.
    for feature in [Feature::APIC, Feature::X2APIC, Feature::NO_LMSL] {
        set.insert(feature);
    }
    if host.vendor().is_amd_like() {
        set.set(Feature::SEP, raw.has(Feature::SEP));
    }
    for (feature, possible) in [
        (Feature::IBRSB, can.spec_ctrl),
        (Feature::IBRS, can.spec_ctrl),
        (Feature::RDTSCP, can.tsc_aux),
        (Feature::RDPID, can.tsc_aux),
        (Feature::DBEXT, can.breakpoint_masks),
        (Feature::INVPCID, can.invpcid),
        (Feature::XSAVES, can.xsaves),
    ] {
        if !possible {
            set.remove(feature);
        }
    }
    // With an architectural control guests need no other.
    let needed = !host.has(Feature::AMD_SSBD);
    set.set(Feature::VIRT_SSBD, can.virtual_ssbd && needed);
    widen(&mut set, host.vendor());
    common(&mut set, host);
    set.drop_unsupported();
    policy.set_featureset(&set);
    recalculate_xstate(&mut policy, &raw.xstate);
    policy.extended[0xa] = Leaf::EMPTY;
    policy.platform_info = CPUID_FAULTING;
    policy
}

/// Adds bits that say something about the machines a domain may have come from, or that are the toolstack's to choose.
fn widen(set: &mut Featureset, vendor: Vendor) {
    match vendor {
        Vendor::Intel => {
            for feature in [
                Feature::ARCH_CAPS,
                Feature::RSBA,
                Feature::RRSBA,
                Feature::MD_CLEAR,
                Feature::FB_CLEAR,
                Feature::RFDS_CLEAR,
            ] {
                set.insert(feature);
            }
            if set.has(Feature::RTM) {
                set.insert(Feature::RTM_ALWAYS_ABORT);
            }
        }
        Vendor::Amd => set.insert(Feature::VERW_CLEAR),
        Vendor::Hygon | Vendor::Unknown => {}
    }
    set.insert(Feature::HTT);
    set.insert(Feature::CMP_LEGACY);
}

/// What both guest policies have beyond the host.
fn common(set: &mut Featureset, host: &CpuPolicy) {
    set.insert(Feature::HYPERVISOR);
    // Harmless where the hardware has no threads, and migration gets simpler.
    if set.has(Feature::IBRSB) {
        set.insert(Feature::STIBP);
    }
    if set.has(Feature::IBRS) {
        set.insert(Feature::AMD_STIBP);
    }
    // AMD's bit offers IBPB alone.
    if host.has(Feature::IBRSB) {
        set.insert(Feature::IBPB);
    }
}

fn hvm_default(raw: &CpuPolicy, host: &CpuPolicy, max: &CpuPolicy) -> CpuPolicy {
    let mut policy = max.clone();
    policy.basic[0].a = host.max_basic();
    policy.feature[0].a = host.max_feature();
    policy.extended[0].a = host.extended[0].a;

    let mut set = max.featureset();
    set.intersect(&OFFERED);
    common(&mut set, host);
    set.set(Feature::VIRT_SSBD, max.has(Feature::VIRT_SSBD));
    // The maximum has these whatever the host is like; here they mean the host.
    for feature in [
        Feature::MD_CLEAR,
        Feature::FB_CLEAR,
        Feature::RFDS_CLEAR,
        Feature::VERW_CLEAR,
        Feature::HTT,
        Feature::CMP_LEGACY,
    ] {
        if !host.has(feature) {
            set.remove(feature);
        }
    }
    set.drop_unsupported();
    if set.has(Feature::ARCH_CAPS) && (host.has(Feature::RSBA) || host.has(Feature::RRSBA)) {
        set.insert(if set.has(Feature::EIBRS) {
            Feature::RRSBA
        } else {
            Feature::RSBA
        });
    }
    policy.set_featureset(&set);
    recalculate_xstate(&mut policy, &raw.xstate);
    policy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::{CAPABLE, Epyc, Older, system, system_without_speculation_control};

    #[test]
    fn virtual_control_of_store_bypass_is_offered_where_there_is_no_other() {
        let can = Virtualisable {
            virtual_ssbd: true,
            ..CAPABLE
        };
        let offered = |system: SystemPolicies| system.for_domain().has(Feature::VIRT_SSBD);
        assert!(offered(system_without_speculation_control()));
        assert!(!offered(SystemPolicies::new(&Older, &CAPABLE)));
        assert!(!offered(SystemPolicies::new(&Epyc, &can)));
    }

    #[test]
    fn guests_get_an_emulated_apic_and_see_a_hypervisor() {
        let policy = system().for_domain();
        for feature in [
            Feature::APIC,
            Feature::X2APIC,
            Feature::HYPERVISOR,
            Feature::NO_LMSL,
        ] {
            assert!(policy.has(feature), "{feature:?}");
        }
        assert!(policy.has(Feature::LM) && policy.has(Feature::MTRR) && policy.has(Feature::AVX2));
    }

    #[test]
    fn what_is_not_virtualised_is_hidden() {
        let policy = system().for_domain();
        for feature in [
            Feature::MONITOR,
            Feature::SVM,
            Feature::SKINIT,
            Feature::IBS,
            Feature::TOPOEXT,
            Feature::OSVW,
            Feature::OSXSAVE,
            Feature::OSPKE,
            Feature::MONITORX,
        ] {
            assert!(!policy.has(feature), "{feature:?}");
        }
        for leaf in [5, 6, 0xa] {
            assert_eq!(policy.basic[leaf], Leaf::EMPTY);
        }
        assert_eq!(policy.extended[0xa], Leaf::EMPTY);
        assert_eq!(policy.extended[0x1d], Leaf::EMPTY);
    }

    #[test]
    fn the_shared_bits_are_repeated_on_amd() {
        let policy = system().for_domain();
        assert_eq!(
            policy.extended[1].d & 0x0183_f3ff,
            policy.basic[1].d & 0x0183_f3ff
        );
        assert_eq!(policy.extended[1].a, policy.basic[1].a);
        assert_eq!(policy.extended[0].b, policy.basic[0].b);
    }

    #[test]
    fn only_dom0_gets_the_invariant_tsc() {
        let system = system();
        assert!(system.for_dom0().has(Feature::ITSC));
        assert!(!system.for_domain().has(Feature::ITSC));
        assert!(system.hvm_max.has(Feature::ITSC));
    }

    #[test]
    fn extended_state_is_what_the_hypervisor_switches() {
        assert_eq!(system().for_domain().xcr0_max(), 0x207);
        let can = Virtualisable {
            xcr0: 0b11,
            ..CAPABLE
        };
        let policy = SystemPolicies::new(&Epyc, &can).for_domain();
        assert_eq!(policy.xcr0_max(), 0b11);
        assert!(
            policy.has(Feature::XSAVE) && !policy.has(Feature::AVX2) && !policy.has(Feature::PKU)
        );
        let can = Virtualisable { xcr0: 0, ..CAPABLE };
        let policy = SystemPolicies::new(&Epyc, &can).for_domain();
        assert_eq!(policy.xstates(), 0);
        assert!(!policy.has(Feature::XSAVE) && !policy.has(Feature::XSAVEC));
    }

    #[test]
    fn a_back_end_that_cannot_switch_an_msr_hides_its_features() {
        let can = Virtualisable {
            spec_ctrl: false,
            tsc_aux: false,
            breakpoint_masks: false,
            ..CAPABLE
        };
        let policy = SystemPolicies::new(&Epyc, &can).hvm_max;
        for feature in [
            Feature::IBRS,
            Feature::AMD_STIBP,
            Feature::AMD_SSBD,
            Feature::RDTSCP,
            Feature::RDPID,
            Feature::DBEXT,
        ] {
            assert!(!policy.has(feature), "{feature:?}");
        }
        assert!(policy.has(Feature::IBPB));
    }

    #[test]
    fn physical_addresses_are_no_wider_than_nested_paging() {
        let can = Virtualisable {
            gpa_bits: 40,
            ..CAPABLE
        };
        assert_eq!(
            SystemPolicies::new(&Epyc, &can)
                .for_domain()
                .physical_address_bits(),
            40
        );
        assert_eq!(system().for_domain().physical_address_bits(), 48);
    }

    #[test]
    fn a_serialising_lfence_is_shown_in_a_leaf_the_host_lacks() {
        let can = Virtualisable {
            lfence_dispatch: true,
            ..CAPABLE
        };
        let policy = SystemPolicies::new(&Epyc, &can).for_domain();
        assert_eq!(policy.max_extended(), 0x21);
        assert!(policy.has(Feature::LFENCE_DISPATCH));
        assert_eq!(system().for_domain().max_extended(), 0x20);
    }

    #[test]
    fn pv_policies_are_not_supported_and_indices_are_xens() {
        let system = system();
        assert_eq!(system.by_policy_index(2).err(), Some(Errno::EOPNOTSUPP));
        assert_eq!(system.by_policy_index(4).err(), Some(Errno::EOPNOTSUPP));
        assert_eq!(system.by_policy_index(6).err(), Some(Errno::EINVAL));
        assert_eq!(system.by_policy_index(3), Ok(&system.hvm_max));
        assert_eq!(system.featureset(3), Ok(system.hvm_default.featureset()));
        assert_eq!(system.featureset(5), Ok(system.hvm_max.featureset()));
        assert_eq!(system.featureset(2).err(), Some(Errno::EOPNOTSUPP));
    }
}
