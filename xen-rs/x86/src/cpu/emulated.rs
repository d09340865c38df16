//! Whether this machine is one itself: what works around an emulator's faults must cost real machines nothing.

use spin::Once;

use super::instructions::cpuid;

/// CPUID 1, ECX: reserved for hypervisors to announce themselves; 0 on real processors.
const HYPERVISOR_FEATURE: u32 = 1 << 31;

/// Whether an emulator or another hypervisor runs this one.
#[must_use]
pub fn is_emulated() -> bool {
    static ANSWER: Once<bool> = Once::new();
    *ANSWER.call_once(|| cpuid(1, 0).ecx & HYPERVISOR_FEATURE != 0)
}
