//! The data of a CPU policy: every CPUID leaf and the MSRs that extend CPUID.
//!
//! Owner: the five system policies are constants after boot ([`SystemPolicies`](super::SystemPolicies)); each domain owns one more, which
//! only `XEN_DOMCTL_set_cpu_policy` replaces, before the domain first runs. No locks here.

use super::feature::Feature;
use super::featureset::Featureset;
use super::leaf::{Leaf, field};
use super::vendor::Vendor;

/// Basic leaves: 0 to 0xd.
pub const BASIC_LEAVES: usize = 0xd + 1;
/// Subleaves of leaf 4.
pub const CACHE_LEAVES: usize = 6;
/// Subleaves of leaf 7.
pub const FEATURE_LEAVES: usize = 3;
/// Subleaves of leaf 0xb.
pub const TOPOLOGY_LEAVES: usize = 2;
/// Subleaves of leaf 0xd.
pub const XSTATE_LEAVES: usize = 63;
/// Extended leaves: 0x8000_0000 to 0x8000_0021.
pub const EXTENDED_LEAVES: usize = 0x21 + 1;
/// Extended leaves that an Intel processor has.
pub const EXTENDED_LEAVES_INTEL: usize = 8 + 1;

/// First extended leaf.
pub(super) const EXTENDED: u32 = 0x8000_0000;

/// What a processor, or a domain's view of one, looks like. Leaves 4, 7, 0xb and 0xd are not in `basic` but in their own arrays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuPolicy {
    /// Leaves 0 to 0xd; `basic[0].a` is the highest one.
    pub basic: [Leaf; BASIC_LEAVES],
    /// Leaf 4, caches.
    pub cache: [Leaf; CACHE_LEAVES],
    /// Leaf 7, features; `feature[0].a` is the highest subleaf.
    pub feature: [Leaf; FEATURE_LEAVES],
    /// Leaf 0xb, topology.
    pub topology: [Leaf; TOPOLOGY_LEAVES],
    /// Leaf 0xd, extended state.
    pub xstate: [Leaf; XSTATE_LEAVES],
    /// Leaves from 0x8000_0000; `extended[0].a` is the highest one.
    pub extended: [Leaf; EXTENDED_LEAVES],
    /// MSR_PLATFORM_INFO (0xce); only bit 31, CPUID faulting, may be set.
    pub platform_info: u32,
    /// MSR_ARCH_CAPABILITIES (0x10a).
    pub arch_capabilities: u64,
    /// Highest Xen leaf, relative to 0x4000_0000, as the toolstack chose; 0: all.
    pub hypervisor_limit: u8,
    /// The same at 0x4000_0100, beside Viridian leaves.
    pub hypervisor2_limit: u8,
}

impl Default for CpuPolicy {
    fn default() -> Self {
        Self {
            basic: [Leaf::EMPTY; BASIC_LEAVES],
            cache: [Leaf::EMPTY; CACHE_LEAVES],
            feature: [Leaf::EMPTY; FEATURE_LEAVES],
            topology: [Leaf::EMPTY; TOPOLOGY_LEAVES],
            xstate: [Leaf::EMPTY; XSTATE_LEAVES],
            extended: [Leaf::EMPTY; EXTENDED_LEAVES],
            platform_info: 0,
            arch_capabilities: 0,
            hypervisor_limit: 0,
            hypervisor2_limit: 0,
        }
    }
}

impl CpuPolicy {
    /// The vendor it claims.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        Vendor::of(&self.basic[0])
    }

    /// Highest basic leaf.
    #[must_use]
    pub const fn max_basic(&self) -> u32 {
        self.basic[0].a
    }

    /// Highest subleaf of leaf 7.
    #[must_use]
    pub const fn max_feature(&self) -> u32 {
        self.feature[0].a
    }

    /// Highest extended leaf, less 0x8000_0000.
    #[must_use]
    pub const fn max_extended(&self) -> u32 {
        self.extended[0].a & 0xffff
    }

    /// Width of physical addresses in bits.
    #[must_use]
    pub const fn physical_address_bits(&self) -> u32 {
        field(self.extended[8].a, 0..8)
    }

    /// Components the guest may enable in XCR0.
    #[must_use]
    pub const fn xcr0_max(&self) -> u64 {
        (self.xstate[0].d as u64) << 32 | self.xstate[0].a as u64
    }

    /// Components the guest may enable in XCR0 or MSR_XSS.
    #[must_use]
    pub const fn xstates(&self) -> u64 {
        self.xcr0_max() | (self.xstate[1].d as u64) << 32 | self.xstate[1].c as u64
    }

    /// Whether it has `feature`.
    #[must_use]
    pub const fn has(&self, feature: Feature) -> bool {
        self.feature_word(feature.word()) & feature.mask() != 0
    }

    /// Word `index` of its featureset. The order is Xen's and part of the ABI.
    const fn feature_word(&self, index: usize) -> u32 {
        match index {
            0 => self.basic[1].d,
            1 => self.basic[1].c,
            2 => self.extended[1].d,
            3 => self.extended[1].c,
            4 => self.xstate[1].a,
            5 => self.feature[0].b,
            6 => self.feature[0].c,
            7 => self.extended[7].d,
            8 => self.extended[8].b,
            9 => self.feature[0].d,
            10 => self.feature[1].a,
            11 => self.extended[0x21].a,
            12 => self.feature[1].b,
            13 => self.feature[2].d,
            14 => self.feature[1].c,
            15 => self.feature[1].d,
            16 => self.arch_capabilities as u32,
            17 => (self.arch_capabilities >> 32) as u32,
            18 => self.extended[0x21].c,
            _ => 0,
        }
    }

    /// All its features.
    #[must_use]
    pub fn featureset(&self) -> Featureset {
        let mut set = Featureset::default();
        for (index, word) in set.0.iter_mut().enumerate() {
            *word = self.feature_word(index);
        }
        set
    }

    /// Replaces all its features.
    pub fn set_featureset(&mut self, set: &Featureset) {
        let word = &set.0;
        (self.basic[1].d, self.basic[1].c) = (word[0], word[1]);
        (self.extended[1].d, self.extended[1].c) = (word[2], word[3]);
        self.xstate[1].a = word[4];
        (self.feature[0].b, self.feature[0].c, self.feature[0].d) = (word[5], word[6], word[9]);
        self.extended[7].d = word[7];
        self.extended[8].b = word[8];
        self.feature[1] = Leaf::new([word[10], word[12], word[14], word[15]]);
        self.feature[2].d = word[13];
        self.arch_capabilities = u64::from(word[17]) << 32 | u64::from(word[16]);
        (self.extended[0x21].a, self.extended[0x21].c) = (word[11], word[18]);
    }
}
