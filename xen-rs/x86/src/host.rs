//! Facts of the machine for the toolstack.

use alloc::string::String;
use core::sync::atomic::Ordering::Relaxed;

use xen_abi::sysctl::{
    XEN_SYSCTL_PHYSCAP_GNTTAB_V1, XEN_SYSCTL_PHYSCAP_HAP, XEN_SYSCTL_PHYSCAP_HVM,
};
use xen_core::hal::{Build, CpuIdentity, HostInfo};

use crate::boot::memory::Memory;
use crate::cpu::instructions::{cpuid, rdmsr_safe};
use crate::cpu::percpu::PerCpu;
use crate::cpuid::{Feature, Leaf, SHARED_1D, Vendor};
use crate::time;

/// Collects them. The topology is flat: one socket, one thread a core, unless CPUID leaf 0xb says otherwise.
#[must_use]
pub fn info(memory: &Memory, cpus: u32, command_line: String, build: Build) -> HostInfo {
    let threads = threads_per_core(cpus);
    let cores = cpus / threads;
    HostInfo {
        total_pages: memory.total_pages,
        max_mfn: memory.max_mfn,
        cpu_khz: time::tsc_khz(),
        cpus,
        threads_per_core: threads,
        cores_per_socket: cores,
        topology: (0..cpus).map(|cpu| (cpu / threads, 0)).collect(),
        hw_cap: feature_words(),
        capabilities: XEN_SYSCTL_PHYSCAP_HVM
            | XEN_SYSCTL_PHYSCAP_HAP
            | XEN_SYSCTL_PHYSCAP_GNTTAB_V1,
        command_line,
        boot_utc_ns: time::cmos_utc_s() * 1_000_000_000 - time::now_ns(),
        build,
    }
}

/// Who a CPU is. All CPUs of a machine are of one model.
#[must_use]
pub fn identity(cpu: &PerCpu) -> CpuIdentity {
    let (zero, one) = (cpuid(0, 0), cpuid(1, 0));
    let mut vendor = [0; 12];
    for (bytes, word) in vendor
        .chunks_exact_mut(4)
        .zip([zero.ebx, zero.edx, zero.ecx])
    {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let (family, model, stepping) = model_of(one.eax);
    CpuIdentity {
        apic_id: cpu.apic_id,
        acpi_id: cpu.acpi_id,
        vendor,
        family,
        model,
        stepping,
        signature: one.eax,
        // Intel's alone.
        microcode_platform: 0,
        microcode_revision: cpu.microcode.load(Relaxed),
    }
}

/// Family, model and stepping with their extended parts (AMD APM volume 3, "CPUID Fn0000_0001_EAX").
const fn model_of(signature: u32) -> (u32, u32, u32) {
    let (family, model) = (signature >> 8 & 0xf, signature >> 4 & 0xf);
    let stepping = signature & 0xf;
    if family == 0xf {
        (
            family + (signature >> 20 & 0xff),
            model | signature >> 12 & 0xf0,
            stepping,
        )
    } else {
        (family, model, stepping)
    }
}

/// Remembers the microcode revision of the CPU this runs on.
pub fn note_microcode(cpu: &PerCpu) {
    const PATCH_LEVEL: u32 = 0x8b;
    cpu.microcode
        .store(rdmsr_safe(PATCH_LEVEL).unwrap_or(0) as u32, Relaxed);
}

/// Threads that share a core, if that divides the number of CPUs.
fn threads_per_core(cpus: u32) -> u32 {
    if cpuid(0, 0).eax < 0xb {
        return 1;
    }
    let threads = cpuid(0xb, 0).ebx & 0xffff;
    if threads > 1 && cpus.is_multiple_of(threads) {
        threads
    } else {
        1
    }
}

/// Low bits of an APIC identifier that tell threads of one core apart (CPUID leaf 0xb).
#[must_use]
pub fn thread_bits() -> u32 {
    if cpuid(0, 0).eax < 0xb {
        0
    } else {
        cpuid(0xb, 0).eax & 0x1f
    }
}

/// The words `xl info` prints as hw_caps: 1.edx, 1.ecx, 0x80000001.edx, 0x80000001.ecx, 0xd:1.eax, 7.ebx, 7.ecx, 0x80000007.edx, in Xen's order.
///
/// On AMD two things are left out, as on Xen: SYSENTER, which a hypervisor in long mode cannot use, and what 0x80000001.edx repeats of
/// 1.edx.
fn feature_words() -> [u32; 8] {
    let (basic, extended) = (cpuid(1, 0), cpuid(0x8000_0001, 0));
    let identity = cpuid(0, 0);
    let max = identity.eax;
    let vendor = Vendor::of(&Leaf::new([max, identity.ebx, identity.ecx, identity.edx]));
    let (ebx7, ecx7) = if max >= 7 {
        let seven = cpuid(7, 0);
        (seven.ebx, seven.ecx)
    } else {
        (0, 0)
    };
    let xsave = if max >= 0xd { cpuid(0xd, 1).eax } else { 0 };
    let power = if cpuid(0x8000_0000, 0).eax >= 0x8000_0007 {
        cpuid(0x8000_0007, 0).edx
    } else {
        0
    };
    let (unused, repeated) = if vendor.is_amd_like() {
        (Feature::SEP.mask(), SHARED_1D)
    } else {
        (0, 0)
    };
    [
        basic.edx & !unused,
        basic.ecx,
        extended.edx & !repeated,
        extended.ecx,
        xsave,
        ebx7,
        ecx7,
        power,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_parts_count_for_newer_families_only() {
        assert_eq!(model_of(0x0080_0f12), (0x17, 0x01, 2));
        assert_eq!(model_of(0x00a6_0f12), (0x19, 0x61, 2));
        assert_eq!(model_of(0x0000_0633), (6, 3, 3));
    }
}
