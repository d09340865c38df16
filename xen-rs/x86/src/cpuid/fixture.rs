//! A host for tests: a Zen-like AMD processor with AVX and protection keys.

use super::{HostCpuid, SystemPolicies, Virtualisable};

/// Answers CPUID like an AMD EPYC.
pub(crate) struct Epyc;

impl HostCpuid for Epyc {
    fn leaf(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let vendor = |max| [max, 0x6874_7541, 0x444d_4163, 0x6974_6e65];
        match (leaf, subleaf) {
            (0, _) => vendor(0xd),
            (1, _) => [0x00a2_0f12, 0x0304_0800, 0xfffa_320b | 1 << 27, 0x178b_fbff],
            (5, _) => [64, 64, 3, 0],
            (7, 0) => [0, 0x219c_95a9, 0x0040_069c, 0],
            (0xb, 0) => [1, 2, 0x100, 3],
            (0xb, 1) => [4, 8, 0x201, 3],
            (0xd, 0) => [0x207, 0xabc, 2440, 0],
            (0xd, 1) => [0xf, 0xabc, 0, 0],
            (0xd, 2) => [256, 576, 0, 0],
            (0xd, 9) => [8, 2432, 0, 0],
            (0x8000_0000, _) => vendor(0x8000_0020),
            (0x8000_0001, _) => [0x00a2_0f12, 0x2000_0000, 0x75c2_37ff, 0x2fd3_fbff],
            (0x8000_0007, _) => [0, 0x3b, 0, 0x6799],
            (0x8000_0008, _) => [0x3030, 0x111e_f657, 0x4007, 0x10000],
            (0x8000_000a, _) => [1, 0x8000, 0, 0x119b_9cff],
            (0x8000_0019, _) => [0xf040_f040, 0, 0, 0],
            (0x8000_001d, 0) => [0x4121, 0, 0, 0],
            _ => [0; 4],
        }
    }
}

/// A back end that can do everything.
pub(crate) const CAPABLE: Virtualisable = Virtualisable {
    xcr0: 0x207,
    gpa_bits: 48,
    arch_capabilities: 0,
    spec_ctrl: true,
    tsc_aux: true,
    breakpoint_masks: true,
    invpcid: true,
    xsaves: true,
    lfence_dispatch: false,
    virtual_ssbd: false,
};

/// The policies on [`Epyc`].
pub(crate) fn system() -> SystemPolicies {
    SystemPolicies::new(&Epyc, &CAPABLE)
}

/// A processor like [`Epyc`] from before there were architectural speculation controls.
pub(crate) struct Older;

impl HostCpuid for Older {
    fn leaf(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let [a, b, c, d] = Epyc.leaf(leaf, subleaf);
        let hidden = if leaf == 0x8000_0008 { u32::MAX } else { 0 };
        [a, b & !hidden, c, d]
    }
}

/// The policies on [`Older`], where guests are offered the virtual control of store bypass.
pub(crate) fn system_without_speculation_control() -> SystemPolicies {
    let can = Virtualisable {
        virtual_ssbd: true,
        ..CAPABLE
    };
    SystemPolicies::new(&Older, &can)
}
