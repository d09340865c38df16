//! Making a policy self-consistent after a toolstack or the derivation of a system policy changed its features.
//!
//! Semantics: Xen 4.20, `cpu-policy.c`: what a toolstack asks for is clamped to the maximum, not refused, and everything derived
//! (leaf 0xd, shared bits, hidden leaves) is computed anew.

use super::feature::Feature;
use super::leaf::{Leaf, field, with_field};
use super::policy::{CpuPolicy, EXTENDED, EXTENDED_LEAVES, EXTENDED_LEAVES_INTEL, XSTATE_LEAVES};
use super::system::SystemPolicies;
use super::vendor::Vendor;
use super::xstate;

/// Bits of CPUID 1 edx that AMD repeats in 0x8000_0001 edx: FPU to CX8, APIC, MTRR to PSE36, MMX, FXSR.
pub const SHARED_1D: u32 = 0x0183_f3ff;

impl CpuPolicy {
    /// Clamps the policy of a domain to what the host allows and makes it consistent.
    pub fn recalculate(&mut self, system: &SystemPolicies) {
        let max = &system.hvm_max;
        self.clamp_leaf_counts(max);
        self.clamp_features(system);
        self.clamp_addresses(max, system.gpa_bits);
        recalculate_xstate(self, &system.raw.xstate);
        trim_fixed_leaves(self);
        trim_cache_leaves(self);
        self.platform_info &= max.platform_info;
        // No virtual performance counters, no nested virtualisation.
        self.basic[0xa] = Leaf::EMPTY;
        self.extended[0xa] = Leaf::EMPTY;
        if !self.has(Feature::PAGE1GB) {
            self.extended[0x19] = Leaf::EMPTY;
        }
    }

    fn clamp_leaf_counts(&mut self, max: &Self) {
        let extended = if self.vendor().is_amd_like() {
            EXTENDED_LEAVES
        } else {
            EXTENDED_LEAVES_INTEL
        };
        self.basic[0].a = self.max_basic().min(max.max_basic());
        self.feature[0].a = self.max_feature().min(max.max_feature());
        self.extended[0].a = EXTENDED | self.max_extended().min(extended as u32 - 1);
    }

    fn clamp_features(&mut self, system: &SystemPolicies) {
        let mut set = self.featureset();
        set.intersect(&system.hvm_max.featureset().0);
        if self.max_basic() < 0xd {
            set.remove(Feature::XSAVE);
        }
        set.drop_unsupported();
        // How FXSAVE fills these fields cannot be hidden from a guest.
        for feature in [Feature::FDP_EXCP_ONLY, Feature::NO_FPU_SEL] {
            set.set(feature, system.host.has(feature));
        }
        self.set_featureset(&set);
    }

    fn clamp_addresses(&mut self, max: &Self, gpa_bits: u32) {
        let line = field(max.basic[1].b, 8..16);
        self.basic[1].b = with_field(self.basic[1].b, 8..16, line);
        let least = if self.has(Feature::PAE) || self.has(Feature::PSE36) {
            36
        } else {
            32
        };
        let physical = self
            .physical_address_bits()
            .min(max.physical_address_bits())
            .min(gpa_bits)
            .max(least);
        let linear = if self.has(Feature::LM) { 48 } else { 32 };
        let sizes = with_field(self.extended[8].a, 0..8, physical);
        self.extended[8].a = with_field(sizes, 8..16, linear);
    }

    /// Empties the leaves beyond the policy's own limits.
    pub(super) fn clear_out_of_range(&mut self) {
        let basic = self.max_basic();
        clear_after(&mut self.basic, basic as usize);
        let used = self.cache.iter().position(|leaf| leaf.a & 0x1f == 0);
        let used = used.unwrap_or(self.cache.len());
        self.cache[if basic < 4 { 0 } else { used }..].fill(Leaf::EMPTY);
        if basic < 7 {
            self.feature.fill(Leaf::EMPTY);
        }
        let last = self.max_feature() as usize;
        clear_after(&mut self.feature, last);
        if basic < 0xb {
            self.topology.fill(Leaf::EMPTY);
        }
        let xstates = self.xstates();
        if basic < 0xd || xstates == 0 {
            self.xstate.fill(Leaf::EMPTY);
        } else {
            let last = 63usize.saturating_sub(xstates.leading_zeros() as usize);
            clear_after(&mut self.xstate, last.max(1));
        }
        let last = self.max_extended() as usize;
        clear_after(&mut self.extended, last);
    }
}

fn clear_after(leaves: &mut [Leaf], last: usize) {
    if let Some(beyond) = leaves.get_mut(last.saturating_add(1)..) {
        beyond.fill(Leaf::EMPTY);
    }
}

/// Rebuilds leaf 0xd from the features; `raw` has the sizes of the host's components.
pub(super) fn recalculate_xstate(policy: &mut CpuPolicy, raw: &[Leaf; XSTATE_LEAVES]) {
    let instructions = policy.xstate[1].a;
    policy.xstate.fill(Leaf::EMPTY);
    if !policy.has(Feature::XSAVE) {
        return;
    }
    let mut components = xstate::X87_SSE;
    for (feature, adds) in [
        (Feature::AVX, xstate::AVX),
        (Feature::AVX512F, xstate::AVX512),
        (Feature::PKU, xstate::PKRU),
        (Feature::AMX_TILE, xstate::AMX),
    ] {
        if policy.has(feature) {
            components |= adds;
        }
    }
    policy.xstate[0].a = components as u32;
    policy.xstate[0].d = (components >> 32) as u32;
    policy.xstate[0].c = xstate::standard_size(components, raw);
    policy.xstate[1].a = instructions;
    // Attributes: bit 1, aligned when compacted; bit 0, in MSR_XSS rather than XCR0.
    let mut attributes = 0;
    if policy.has(Feature::XSAVEC) {
        attributes |= 0b10;
    }
    if policy.has(Feature::XSAVES) {
        attributes |= 0b01;
    }
    for index in (2..XSTATE_LEAVES).filter(|index| components >> index & 1 != 0) {
        policy.xstate[index] = Leaf {
            c: raw[index].c & attributes,
            d: 0,
            ..raw[index]
        };
    }
}

/// Hides what guests never see and repeats what the vendor repeats.
pub(super) fn trim_fixed_leaves(policy: &mut CpuPolicy) {
    policy.basic[1].a &= 0x0fff_0fff;
    policy.basic[1].b = with_field(policy.basic[1].b, 24..32, 0);
    // MONITOR, thermal and power, reserved.
    for leaf in [5, 6, 8, 0xc] {
        policy.basic[leaf] = Leaf::EMPTY;
    }
    policy.topology.fill(Leaf::EMPTY);
    policy.extended[1].d &= !SHARED_1D;
    policy.extended[7] = Leaf {
        d: policy.extended[7].d,
        ..Leaf::EMPTY
    };
    policy.extended[8].d = 0;
    // The guest's own physical address width counts, not a recommended one.
    policy.extended[8].a &= 0xffff;
    match policy.vendor() {
        Vendor::Amd | Vendor::Hygon => trim_amd(policy),
        Vendor::Intel => trim_intel(policy),
        Vendor::Unknown => {}
    }
}

fn trim_amd(policy: &mut CpuPolicy) {
    for leaf in [2, 3, 9, 0xa] {
        policy.basic[leaf] = Leaf::EMPTY;
    }
    policy.cache.fill(Leaf::EMPTY);
    policy.extended[0] = Leaf {
        a: policy.extended[0].a,
        ..policy.basic[0]
    };
    policy.extended[1].a = policy.basic[1].a;
    policy.extended[1].b = with_field(policy.extended[1].b, 16..24, 0);
    policy.extended[1].d |= policy.basic[1].d & SHARED_1D;
    policy.extended[8].c &= 0x0003_f0ff;
    // 0x19 (TLB of 1 GiB pages) and 0x1a (performance hints) are plain facts and stay; the rest is not virtualised.
    for leaf in [9].into_iter().chain(0xb..=0x18).chain(0x1b..=0x20) {
        policy.extended[leaf] = Leaf::EMPTY;
    }
    policy.extended[0x21].b = 0;
    policy.extended[0x21].d = 0;
}

fn trim_intel(policy: &mut CpuPolicy) {
    // One query returns all of leaf 2.
    policy.basic[2].a = with_field(policy.basic[2].a, 0..8, 1);
    // Serial number and direct cache access.
    for leaf in [3, 9] {
        policy.basic[leaf] = Leaf::EMPTY;
    }
    policy.extended[0] = Leaf {
        a: policy.extended[0].a,
        ..Leaf::EMPTY
    };
    (policy.extended[1].a, policy.extended[1].b) = (0, 0);
    policy.extended[5] = Leaf::EMPTY;
    policy.extended[6] = Leaf {
        c: policy.extended[6].c,
        ..Leaf::EMPTY
    };
    policy.extended[8].c = 0;
}

/// Reserved bits of leaf 4 away, and all after its first invalid subleaf.
fn trim_cache_leaves(policy: &mut CpuPolicy) {
    let valid = |leaf: &Leaf| (1..=3).contains(&(leaf.a & 0x1f));
    let used = policy.cache.iter().take_while(|leaf| valid(leaf)).count();
    for leaf in &mut policy.cache[..used] {
        leaf.a &= 0xffff_c3ff;
        leaf.d &= 7;
    }
    policy.cache[used..].fill(Leaf::EMPTY);
}
