//! Facts of the machine for the toolstack.

use alloc::string::String;

use xen_abi::sysctl::{
    XEN_SYSCTL_PHYSCAP_GNTTAB_V1, XEN_SYSCTL_PHYSCAP_HAP, XEN_SYSCTL_PHYSCAP_HVM,
};
use xen_core::hal::HostInfo;

use crate::boot::memory::Memory;
use crate::cpu::instructions::cpuid;
use crate::time;

/// Collects them. The topology is flat: one socket, one thread a core, unless CPUID leaf 0xb says otherwise.
#[must_use]
pub fn info(memory: &Memory, cpus: u32, command_line: String) -> HostInfo {
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
    }
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

/// The words `xl info` prints as hw_caps: 1.edx, 1.ecx, 0x80000001.edx, 0x80000001.ecx, 0xd:1.eax, 7.ebx, 7.ecx, 0x80000007.edx, in Xen's order.
fn feature_words() -> [u32; 8] {
    let (basic, extended) = (cpuid(1, 0), cpuid(0x8000_0001, 0));
    let max = cpuid(0, 0).eax;
    let seven = if max >= 7 { cpuid(7, 0) } else { cpuid(0, 0) };
    let (ebx7, ecx7) = if max >= 7 {
        (seven.ebx, seven.ecx)
    } else {
        (0, 0)
    };
    let xsave = if max >= 0xd { cpuid(0xd, 1).eax } else { 0 };
    [
        basic.edx,
        basic.ecx,
        extended.edx,
        extended.ecx,
        xsave,
        ebx7,
        ecx7,
        0,
    ]
}
