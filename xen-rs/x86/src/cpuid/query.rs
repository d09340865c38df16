//! The CPUID instruction of a guest.
//!
//! Runs on every CPUID exit: array look-ups, no allocation, no lock. A leaf that does not exist reads as zeros (AMD's rule).
//!
//! Semantics: Xen 4.20, `guest_cpuid` for HVM domains with nested paging.

use xen_core::ids::{Domid, VcpuId};

use super::feature::Feature;
use super::hypervisor::HypervisorInfo;
use super::leaf::{Leaf, with_field};
use super::policy::{BASIC_LEAVES, CpuPolicy, EXTENDED, EXTENDED_LEAVES};
use super::vendor::Vendor;
use super::xstate::{compacted_size, standard_size};

const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_PKE: u64 = 1 << 22;

/// Registers and identity of the vCPU that executes CPUID.
#[derive(Copy, Clone, Debug)]
pub struct Dynamic<'a> {
    /// The vCPU. Its APIC id is twice this.
    pub vcpu: VcpuId,
    /// Its domain.
    pub domid: Domid,
    /// CR4 as the guest sees it.
    pub cr4: u64,
    /// XCR0 of the guest.
    pub xcr0: u64,
    /// MSR_XSS of the guest.
    pub xss: u64,
    /// IA32_APIC_BASE enables the APIC.
    pub apic_enabled: bool,
    /// EFER.LMA.
    pub long_mode: bool,
    /// What the Xen leaves say of the domain.
    pub hypervisor: &'a HypervisorInfo,
}

impl Dynamic<'_> {
    /// The APIC id, also in the firmware's tables and the local APIC.
    const fn apic_id(&self) -> u32 {
        self.vcpu.0.wrapping_mul(2)
    }
}

impl CpuPolicy {
    /// `[eax, ebx, ecx, edx]` of `leaf` with `ecx = subleaf`.
    #[must_use]
    pub fn query(&self, leaf: u32, subleaf: u32, now: &Dynamic<'_>) -> [u32; 4] {
        match leaf {
            0x4000_0000..=0x4000_01ff => self.xen_leaf(leaf, subleaf, now),
            _ => self.adjusted(leaf, subleaf, now),
        }
        .registers()
    }

    /// The leaf as the policy has it; `None` if it does not exist.
    fn fixed(&self, leaf: u32, subleaf: u32) -> Option<Leaf> {
        let at = subleaf as usize;
        if leaf < BASIC_LEAVES as u32 {
            if leaf > self.max_basic() {
                return None;
            }
            match leaf {
                4 => self.cache.get(at),
                7 if subleaf > self.max_feature() => None,
                7 => self.feature.get(at),
                0xb => self.topology.get(at),
                0xd if !self.has(Feature::XSAVE) => None,
                0xd => self.xstate.get(at),
                _ => self.basic.get(leaf as usize),
            }
            .copied()
        } else {
            let index = leaf.wrapping_sub(EXTENDED);
            if index >= EXTENDED_LEAVES as u32 || index > self.max_extended() {
                return None;
            }
            self.extended.get(index as usize).copied()
        }
    }

    fn adjusted(&self, leaf: u32, subleaf: u32, now: &Dynamic<'_>) -> Leaf {
        let Some(mut out) = self.fixed(leaf, subleaf) else {
            return Leaf::EMPTY;
        };
        match (leaf, subleaf) {
            (1, _) => {
                out.b = with_field(out.b, 24..32, now.apic_id());
                if now.cr4 & CR4_OSXSAVE != 0 {
                    out.c |= Feature::OSXSAVE.mask();
                }
                hide_disabled_apic(&mut out, now);
            }
            (7, 0) if now.cr4 & CR4_PKE != 0 => out.c |= Feature::OSPKE.mask(),
            // Intel's leaf, but x2APIC comes with it, and x2APIC is offered on AMD too.
            (0xb, _) if self.has(Feature::X2APIC) => {
                out.c = with_field(out.c, 0..8, subleaf);
                out.d = now.apic_id();
            }
            (0xd, 0) => out.b = standard_size(now.xcr0, &self.xstate),
            (0xd, 1) if self.has(Feature::XSAVEC) => {
                out.b = compacted_size(now.xcr0 | now.xss, &self.xstate);
            }
            (0x8000_0001, _) => {
                if !now.long_mode && self.vendor() == Vendor::Intel {
                    out.d &= !Feature::SYSCALL.mask();
                }
                hide_disabled_apic(&mut out, now);
            }
            _ => {}
        }
        out
    }
}

/// The APIC bit follows IA32_APIC_BASE, in leaf 1 and in AMD's copy of it.
const fn hide_disabled_apic(leaf: &mut Leaf, now: &Dynamic<'_>) {
    if !now.apic_enabled {
        leaf.d &= !Feature::APIC.mask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::system;

    const INFO: HypervisorInfo = HypervisorInfo {
        tsc_emulated: false,
        host_tsc_reliable: true,
        host_rdtscp: true,
        tsc_mode: 0,
        guest_khz: 2_000_000,
        host_khz: 2_400_000,
        incarnation: 1,
        offset_ns: 0x1_0000_0002,
        to_ns_multiplier: 0x8000_0000,
        to_ns_shift: -1,
        apic_flags: 0,
    };
    const NOW: Dynamic<'static> = Dynamic {
        vcpu: VcpuId(3),
        domid: Domid(7),
        cr4: 0,
        xcr0: 0b11,
        xss: 0,
        apic_enabled: true,
        long_mode: true,
        hypervisor: &INFO,
    };

    fn ask(leaf: u32, subleaf: u32, now: &Dynamic<'_>) -> [u32; 4] {
        system().for_domain().query(leaf, subleaf, now)
    }

    #[test]
    fn apic_ids_are_twice_the_vcpu() {
        assert_eq!(ask(1, 0, &NOW)[1] >> 24, 6);
        assert_eq!(ask(0xb, 0, &NOW), [0, 0, 0, 6]);
        assert_eq!(ask(0xb, 1, &NOW), [0, 0, 1, 6]);
        assert_eq!(ask(0xb, 2, &NOW), [0; 4]);
    }

    #[test]
    fn control_register_4_shows_through() {
        let now = Dynamic {
            cr4: CR4_OSXSAVE | CR4_PKE,
            ..NOW
        };
        assert_eq!(ask(1, 0, &NOW)[2] & Feature::OSXSAVE.mask(), 0);
        assert_ne!(ask(1, 0, &now)[2] & Feature::OSXSAVE.mask(), 0);
        assert_eq!(ask(7, 0, &NOW)[2] & Feature::OSPKE.mask(), 0);
        assert_ne!(ask(7, 0, &now)[2] & Feature::OSPKE.mask(), 0);
    }

    #[test]
    fn a_disabled_apic_is_not_reported() {
        let now = Dynamic {
            apic_enabled: false,
            ..NOW
        };
        for leaf in [1, 0x8000_0001] {
            assert_ne!(ask(leaf, 0, &NOW)[3] & Feature::APIC.mask(), 0);
            assert_eq!(ask(leaf, 0, &now)[3] & Feature::APIC.mask(), 0);
        }
    }

    #[test]
    fn xsave_sizes_follow_the_enabled_components() {
        assert_eq!(ask(0xd, 0, &NOW), [0x207, 576, 2440, 0]);
        let now = Dynamic { xcr0: 0x207, ..NOW };
        assert_eq!(ask(0xd, 0, &now)[1], 2440);
        assert_eq!(ask(0xd, 1, &now)[1], 840);
        assert_eq!(ask(0xd, 2, &now), [256, 576, 0, 0]);
        assert_eq!(ask(0xd, 63, &now), [0; 4]);
    }

    #[test]
    fn leaves_that_do_not_exist_are_zero() {
        for leaf in [
            0xe,
            0x3fff_ffff,
            0x4000_0006,
            0x4000_0100,
            0x7fff_ffff,
            0x8000_0021,
            u32::MAX,
        ] {
            assert_eq!(ask(leaf, 0, &NOW), [0; 4], "{leaf:#x}");
        }
        assert_eq!(ask(7, 1, &NOW), [0; 4]);
        assert_eq!(ask(4, u32::MAX, &NOW), [0; 4]);
    }

    #[test]
    fn xen_is_found() {
        assert_eq!(
            ask(0x4000_0000, 0, &NOW),
            [0x4000_0005, 0x566e_6558, 0x6558_4d4d, 0x4d4d_566e]
        );
        assert_eq!(ask(0x4000_0001, 0, &NOW)[0], 0x0004_0014);
        assert_eq!(ask(0x4000_0002, 0, &NOW), [1, 0x4000_0000, 0, 0]);
        assert_eq!(ask(0x4000_0003, 0, &NOW), [0b110, 0, 2_000_000, 1]);
        assert_eq!(ask(0x4000_0003, 1, &NOW), [2, 1, 0x8000_0000, u32::MAX]);
        assert_eq!(ask(0x4000_0003, 2, &NOW), [2_400_000, 0, 0, 0]);
        assert_eq!(ask(0x4000_0004, 0, &NOW), [0b101_1100, 3, 7, 0]);
        assert_eq!(ask(0x4000_0005, 0, &NOW), [0; 4]);
    }

    #[test]
    fn a_toolstack_may_shorten_the_xen_leaves() {
        let mut policy = system().for_domain();
        policy.hypervisor_limit = 1;
        assert_eq!(policy.query(0x4000_0000, 0, &NOW)[0], 0x4000_0002);
        assert_eq!(policy.query(0x4000_0003, 0, &NOW), [0; 4]);
    }
}
