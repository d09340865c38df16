//! The raw and the host policy: what the machine has, and what of it the hypervisor makes usable.

use super::feature::{Feature, KNOWN};
use super::leaf::{HostCpuid, Leaf};
use super::policy::{
    BASIC_LEAVES, CACHE_LEAVES, CpuPolicy, EXTENDED, EXTENDED_LEAVES, FEATURE_LEAVES,
    TOPOLOGY_LEAVES, XSTATE_LEAVES,
};
use super::recalculate::{recalculate_xstate, trim_fixed_leaves};

/// What the hypervisor and its vendor back end can virtualise beyond CPUID: features that need more than the guest executing them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Virtualisable {
    /// State components the hypervisor enables in XCR0 and switches between vCPUs.
    pub xcr0: u64,
    /// Width in bits of the guest physical addresses that nested paging can map.
    pub gpa_bits: u32,
    /// MSR_ARCH_CAPABILITIES of the host; 0 without it.
    pub arch_capabilities: u64,
    /// MSR_SPEC_CTRL is switched on entry and exit.
    pub spec_ctrl: bool,
    /// MSR_TSC_AUX is switched, so RDTSCP and RDPID show the guest's value.
    pub tsc_aux: bool,
    /// AMD's breakpoint address masks are switched with the debug registers.
    pub breakpoint_masks: bool,
    /// INVPCID runs in the guest (always with SVM, a control with VT-x).
    pub invpcid: bool,
    /// XSAVES runs in the guest and MSR_XSS is 0 while it does.
    pub xsaves: bool,
    /// The hypervisor has made LFENCE dispatch-serialising (AMD, DE_CFG).
    pub lfence_dispatch: bool,
    /// Speculative store bypass can be switched per vCPU, through MSR_VIRT_SPEC_CTRL.
    pub virtual_ssbd: bool,
}

/// Everything CPUID of the host says, except what depends on the current XCR0 and MSR_XSS.
#[must_use]
pub fn raw(host: &impl HostCpuid, arch_capabilities: u64) -> CpuPolicy {
    let read = |leaf, subleaf| Leaf::new(host.leaf(leaf, subleaf));
    let mut policy = CpuPolicy::default();
    policy.basic[0] = read(0, 0);
    let last = (policy.max_basic() as usize).min(BASIC_LEAVES - 1);
    for index in (1..=last).filter(|index| ![4, 7, 0xb, 0xd].contains(index)) {
        policy.basic[index] = read(index as u32, 0);
    }
    if last >= 4 {
        let leaves = (0..CACHE_LEAVES).map(|index| read(4, index as u32));
        fill_while(&mut policy.cache, leaves, |leaf| leaf.a & 0x1f != 0);
    }
    if last >= 7 {
        policy.feature[0] = read(7, 0);
        let last = (policy.max_feature() as usize).min(FEATURE_LEAVES - 1);
        for index in 1..=last {
            policy.feature[index] = read(7, index as u32);
        }
    }
    if last >= 0xb {
        let leaves = (0..TOPOLOGY_LEAVES).map(|index| read(0xb, index as u32));
        fill_while(&mut policy.topology, leaves, |leaf| leaf.c & 0xff00 != 0);
    }
    if last >= 0xd {
        read_xstate(&mut policy, read);
    }
    policy.extended[0] = read(EXTENDED, 0);
    let last = (policy.max_extended() as usize).min(EXTENDED_LEAVES - 1);
    for index in 1..=last {
        policy.extended[index] = read(EXTENDED + index as u32, 0);
    }
    if policy.has(Feature::ARCH_CAPS) {
        policy.arch_capabilities = arch_capabilities;
    }
    policy
}

fn fill_while(
    into: &mut [Leaf],
    leaves: impl Iterator<Item = Leaf>,
    valid: impl Fn(&Leaf) -> bool,
) {
    for (slot, leaf) in into.iter_mut().zip(leaves.take_while(valid)) {
        *slot = leaf;
    }
}

fn read_xstate(policy: &mut CpuPolicy, read: impl Fn(u32, u32) -> Leaf) {
    policy.xstate[0] = read(0xd, 0);
    policy.xstate[1] = read(0xd, 1);
    // These are sizes for the XCR0 and MSR_XSS of this moment.
    policy.xstate[0].b = 0;
    policy.xstate[1].b = 0;
    let present = policy.xstates();
    for index in (2..XSTATE_LEAVES).filter(|index| present >> index & 1 != 0) {
        policy.xstate[index] = read(0xd, index as u32);
    }
}

/// The raw policy less what this hypervisor does not know or enable.
#[must_use]
pub fn host(raw: &CpuPolicy, can: &Virtualisable) -> CpuPolicy {
    let mut policy = raw.clone();
    policy.basic[0].a = policy.basic[0].a.min(BASIC_LEAVES as u32 - 1);
    policy.feature[0].a = policy.feature[0].a.min(FEATURE_LEAVES as u32 - 1);
    let mut last = policy.max_extended().min(EXTENDED_LEAVES as u32 - 1);
    let mut set = policy.featureset();
    set.intersect(&KNOWN);
    if can.lfence_dispatch {
        // Older processors have no leaf to say so.
        last = last.max(0x21);
        set.insert(Feature::LFENCE_DISPATCH);
    }
    policy.extended[0].a = EXTENDED | last;
    for (feature, components) in [
        (Feature::XSAVE, 0b11),
        (Feature::AVX, 0b100),
        (Feature::AVX512F, 0b1110_0000),
        (Feature::PKU, 1 << 9),
        (Feature::AMX_TILE, 0b11 << 17),
    ] {
        if can.xcr0 & components != components {
            set.remove(feature);
        }
    }
    set.drop_unsupported();
    policy.set_featureset(&set);
    recalculate_xstate(&mut policy, &raw.xstate);
    trim_fixed_leaves(&mut policy);
    // Performance counters are not virtualised, and not used by the hypervisor either.
    policy.basic[0xa] = Leaf::EMPTY;
    policy
}
