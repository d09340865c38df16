//! The hypervisor's own CPUID leaves, by which a guest finds Xen.
//!
//! Semantics: `public/arch-x86/cpuid.h`; version 4.20. The base is always 0x4000_0000, since Viridian is not offered.

use xen_abi::arch_x86::{
    XEN_CPUID_FIRST_LEAF, XEN_CPUID_HOST_TSC_RELIABLE, XEN_CPUID_MAX_NUM_LEAVES,
    XEN_CPUID_RDTSCP_INSTR_AVAIL, XEN_CPUID_SIGNATURE_EBX, XEN_CPUID_SIGNATURE_ECX,
    XEN_CPUID_SIGNATURE_EDX, XEN_CPUID_TSC_EMULATED, XEN_HVM_CPUID_DOMID_PRESENT,
    XEN_HVM_CPUID_IOMMU_MAPPINGS, XEN_HVM_CPUID_UPCALL_VECTOR, XEN_HVM_CPUID_VCPU_ID_PRESENT,
};

use super::leaf::Leaf;
use super::policy::CpuPolicy;
use super::query::Dynamic;

/// Major version in the upper half, minor in the lower.
const VERSION: u32 = 0x0004_0014;
/// MSR that fills a hypercall page.
pub const HYPERCALL_PAGE_MSR: u32 = 0x4000_0000;

/// What the Xen leaves say about a domain's time and APIC. Changes only with the TSC mode.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct HypervisorInfo {
    /// RDTSC exits and is emulated.
    pub tsc_emulated: bool,
    /// The host's TSCs agree and never stop.
    pub host_tsc_reliable: bool,
    /// The host has RDTSCP.
    pub host_rdtscp: bool,
    /// `XEN_CPUID_TSC_MODE_*`.
    pub tsc_mode: u32,
    /// Guest TSC frequency in kHz.
    pub guest_khz: u32,
    /// Host TSC frequency in kHz.
    pub host_khz: u32,
    /// Times the domain has been restored.
    pub incarnation: u32,
    /// TSC offset in nanoseconds; 0 when emulated.
    pub offset_ns: u64,
    /// Multiplier from TSC ticks to nanoseconds, a 32-bit fraction.
    pub to_ns_multiplier: u32,
    /// Shift before the multiplication; negative to the right.
    pub to_ns_shift: i8,
    /// `XEN_HVM_CPUID_APIC_ACCESS_VIRT`, `XEN_HVM_CPUID_X2APIC_VIRT`: what hardware virtualises.
    pub apic_flags: u32,
}

impl HypervisorInfo {
    const fn time(&self, subleaf: u32) -> Leaf {
        match subleaf {
            0 => Leaf {
                a: flag(self.tsc_emulated, XEN_CPUID_TSC_EMULATED)
                    | flag(self.host_tsc_reliable, XEN_CPUID_HOST_TSC_RELIABLE)
                    | flag(self.host_rdtscp, XEN_CPUID_RDTSCP_INSTR_AVAIL),
                b: self.tsc_mode,
                c: self.guest_khz,
                d: self.incarnation,
            },
            1 => Leaf {
                a: self.offset_ns as u32,
                b: (self.offset_ns >> 32) as u32,
                c: self.to_ns_multiplier,
                d: self.to_ns_shift as u32,
            },
            2 => Leaf {
                a: self.host_khz,
                ..Leaf::EMPTY
            },
            _ => Leaf::EMPTY,
        }
    }
}

const fn flag(set: bool, mask: u32) -> u32 {
    if set { mask } else { 0 }
}

impl CpuPolicy {
    pub(super) fn xen_leaf(&self, leaf: u32, subleaf: u32, now: &Dynamic<'_>) -> Leaf {
        let limit = match self.hypervisor_limit {
            0 => XEN_CPUID_MAX_NUM_LEAVES,
            // Linux needs at least the hypercall leaf.
            chosen => u32::from(chosen).clamp(2, XEN_CPUID_MAX_NUM_LEAVES),
        };
        match leaf.wrapping_sub(XEN_CPUID_FIRST_LEAF) {
            index if index > limit => Leaf::EMPTY,
            0 => Leaf {
                a: XEN_CPUID_FIRST_LEAF.wrapping_add(limit),
                b: XEN_CPUID_SIGNATURE_EBX,
                c: XEN_CPUID_SIGNATURE_ECX,
                d: XEN_CPUID_SIGNATURE_EDX,
            },
            1 => Leaf {
                a: VERSION,
                ..Leaf::EMPTY
            },
            // One hypercall page, and no feature that is not for PV.
            2 => Leaf {
                a: 1,
                b: HYPERCALL_PAGE_MSR,
                ..Leaf::EMPTY
            },
            3 => now.hypervisor.time(subleaf),
            4 if subleaf == 0 => Leaf {
                a: now.hypervisor.apic_flags
                    | XEN_HVM_CPUID_IOMMU_MAPPINGS
                    | XEN_HVM_CPUID_VCPU_ID_PRESENT
                    | XEN_HVM_CPUID_DOMID_PRESENT
                    | XEN_HVM_CPUID_UPCALL_VECTOR,
                b: now.vcpu.0,
                c: now.domid.0.into(),
                d: 0,
            },
            _ => Leaf::EMPTY,
        }
    }
}
