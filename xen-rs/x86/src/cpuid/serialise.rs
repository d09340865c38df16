//! A policy as the arrays of `XEN_SYSCTL_get_cpu_policy` and `XEN_DOMCTL_get_cpu_policy`, in Xen 4.20's order (`lib/x86/cpuid.c`).

use alloc::vec::Vec;

use xen_abi::arch_x86::{CpuidLeaf, MsrEntry, XEN_CPUID_NO_SUBLEAF};

use super::leaf::Leaf;
use super::policy::{
    BASIC_LEAVES, CACHE_LEAVES, CpuPolicy, EXTENDED, EXTENDED_LEAVES, FEATURE_LEAVES,
    TOPOLOGY_LEAVES, XSTATE_LEAVES,
};

/// Most leaves a policy serialises to: what a null buffer is answered with.
pub const MAX_SERIALISED_LEAVES: usize = BASIC_LEAVES
    + (CACHE_LEAVES - 1)
    + (FEATURE_LEAVES - 1)
    + (TOPOLOGY_LEAVES - 1)
    + (XSTATE_LEAVES - 1)
    + EXTENDED_LEAVES
    + 2;

/// MSRs a policy serialises to.
pub const MAX_SERIALISED_MSRS: usize = 2;

/// MSR_PLATFORM_INFO.
pub const MSR_PLATFORM_INFO: u32 = 0xce;
/// MSR_ARCH_CAPABILITIES.
pub const MSR_ARCH_CAPABILITIES: u32 = 0x10a;

/// Leaf whose `eax` carries [`CpuPolicy::hypervisor_limit`].
pub(super) const HYPERVISOR_LEAF: u32 = 0x4000_0000;
/// Leaf whose `eax` carries [`CpuPolicy::hypervisor2_limit`].
pub(super) const HYPERVISOR2_LEAF: u32 = 0x4000_0100;

impl CpuPolicy {
    /// All leaves up to the policy's limits; at most [`MAX_SERIALISED_LEAVES`].
    #[must_use]
    pub fn leaves(&self) -> Vec<CpuidLeaf> {
        let mut out = Vec::with_capacity(MAX_SERIALISED_LEAVES);
        let last = (self.max_basic() as usize).min(BASIC_LEAVES - 1);
        for leaf in 0..=last {
            match leaf {
                4 => push_until(&mut out, 4, &self.cache, |leaf| leaf.a & 0x1f == 0),
                7 => {
                    let last = (self.max_feature() as usize).min(FEATURE_LEAVES - 1);
                    push_all(&mut out, 7, &self.feature[..=last]);
                }
                0xb => push_until(&mut out, 0xb, &self.topology, |leaf| leaf.c & 0xff00 == 0),
                0xd => {
                    let highest = 64 - self.xstates().leading_zeros() as usize;
                    push_all(
                        &mut out,
                        0xd,
                        &self.xstate[..highest.clamp(2, XSTATE_LEAVES)],
                    );
                }
                _ => out.push(entry(leaf as u32, XEN_CPUID_NO_SUBLEAF, &self.basic[leaf])),
            }
        }
        for (leaf, limit) in [
            (HYPERVISOR_LEAF, self.hypervisor_limit),
            (HYPERVISOR2_LEAF, self.hypervisor2_limit),
        ] {
            let limit = Leaf {
                a: limit.into(),
                ..Leaf::EMPTY
            };
            out.push(entry(leaf, XEN_CPUID_NO_SUBLEAF, &limit));
        }
        let last = (self.max_extended() as usize).min(EXTENDED_LEAVES - 1);
        for (leaf, data) in (EXTENDED..).zip(&self.extended[..=last]) {
            out.push(entry(leaf, XEN_CPUID_NO_SUBLEAF, data));
        }
        out
    }

    /// The MSRs.
    #[must_use]
    pub fn msrs(&self) -> [MsrEntry; MAX_SERIALISED_MSRS] {
        let entry = |idx, val| MsrEntry { idx, flags: 0, val };
        [
            entry(MSR_PLATFORM_INFO, self.platform_info.into()),
            entry(MSR_ARCH_CAPABILITIES, self.arch_capabilities),
        ]
    }
}

fn entry(leaf: u32, subleaf: u32, data: &Leaf) -> CpuidLeaf {
    let Leaf { a, b, c, d } = *data;
    CpuidLeaf {
        leaf,
        subleaf,
        a,
        b,
        c,
        d,
    }
}

fn push_all(out: &mut Vec<CpuidLeaf>, leaf: u32, subleaves: &[Leaf]) {
    out.extend(
        (0..)
            .zip(subleaves)
            .map(|(subleaf, data)| entry(leaf, subleaf, data)),
    );
}

/// The first subleaf for which `is_last` holds is still part of it.
fn push_until(
    out: &mut Vec<CpuidLeaf>,
    leaf: u32,
    subleaves: &[Leaf],
    is_last: impl Fn(&Leaf) -> bool,
) {
    let end = subleaves.iter().position(is_last);
    let end = end.map_or(subleaves.len(), |last| last + 1);
    push_all(out, leaf, &subleaves[..end]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::system;

    #[test]
    fn a_null_buffer_is_answered_with_120_leaves() {
        assert_eq!(MAX_SERIALISED_LEAVES, 120);
    }

    #[test]
    fn leaves_come_in_xens_order() {
        let leaves = system().for_domain().leaves();
        let order: Vec<_> = leaves
            .iter()
            .map(|entry| (entry.leaf, entry.subleaf))
            .collect();
        let none = XEN_CPUID_NO_SUBLEAF;
        let mut expected: Vec<_> = (0..4).map(|leaf| (leaf, none)).collect();
        // AMD has no cache and topology leaves: one terminating subleaf each.
        expected.extend([(4, 0), (5, none), (6, none), (7, 0)]);
        expected.extend([(8, none), (9, none), (0xa, none), (0xb, 0), (0xc, none)]);
        expected.extend((0..=9).map(|subleaf| (0xd, subleaf)));
        expected.extend([(HYPERVISOR_LEAF, none), (HYPERVISOR2_LEAF, none)]);
        expected.extend((0..=0x20).map(|leaf| (EXTENDED + leaf, none)));
        assert_eq!(order, expected);
    }

    #[test]
    fn every_policy_fits_the_maximum() {
        let system = system();
        for policy in [
            &system.raw,
            &system.host,
            &system.hvm_max,
            &system.hvm_default,
        ] {
            assert!(policy.leaves().len() <= MAX_SERIALISED_LEAVES);
        }
        let mut widest = system.hvm_max;
        widest.xstate[0].d = u32::MAX;
        widest.cache.fill(Leaf {
            a: 1,
            ..Leaf::EMPTY
        });
        widest.topology.fill(Leaf {
            c: 0x100,
            ..Leaf::EMPTY
        });
        assert_eq!(widest.leaves().len(), MAX_SERIALISED_LEAVES);
    }

    #[test]
    fn msrs_are_platform_info_and_arch_capabilities() {
        let msrs = system().for_domain().msrs();
        assert_eq!((msrs[0].idx, msrs[0].val), (0xce, 1 << 31));
        assert_eq!((msrs[1].idx, msrs[1].val), (0x10a, 0));
    }
}
