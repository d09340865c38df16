//! Switching speculative store bypass off and on for guests, on processors that have no architectural control for it.
//!
//! Families 15h to 18h have a bit in LS_CFG for it (AMD, "Speculative Store Bypass Disable"). From family 17h on the threads of a core share
//! the register, so the bit is set while any of them wants it. A guest sees MSR_VIRT_SPEC_CTRL instead, which is the same on all families.

use core::sync::atomic::Ordering::SeqCst;

use xen_core::lock::{Lock, Rank};

use super::instructions::{cpuid, rdmsr_safe, wrmsr};
use super::percpu::{PerCpu, all_cpus, this_cpu};
use crate::cpuid::{Leaf, Vendor};

const LS_CFG: u32 = 0xc001_1020;
const SHARED_SINCE: u32 = 0x17;

/// Held while the threads of a core agree on their register.
static AGREEMENT: Lock<()> = Lock::new(Rank::Values, ());

/// Whether [`disable`] has an effect on this machine.
#[must_use]
pub fn is_available() -> bool {
    let r = cpuid(0, 0);
    let vendor = Vendor::of(&Leaf::new([r.eax, r.ebx, r.ecx, r.edx]));
    vendor.is_amd_like() && bit(family()).is_some() && rdmsr_safe(LS_CFG).is_some()
}

/// Switches it off (`true`) or on again for this CPU, after [`is_available`] was true.
pub fn disable(wanted: bool) {
    let here = this_cpu();
    let family = family();
    let Some(bit) = bit(family) else { return };
    if family < SHARED_SINCE {
        return write(bit, wanted);
    }
    let threads = threads_of_a_core();
    let core = |cpu: &PerCpu| cpu.apic_id / threads;
    let _agreement = AGREEMENT.lock();
    here.no_store_bypass.store(wanted, SeqCst);
    let mut siblings = all_cpus().iter().filter(|cpu| core(cpu) == core(here));
    write(bit, siblings.any(|cpu| cpu.no_store_bypass.load(SeqCst)));
}

fn write(bit: u64, disabled: bool) {
    if let Some(before) = rdmsr_safe(LS_CFG) {
        let after = if disabled {
            before | bit
        } else {
            before & !bit
        };
        if after != before {
            wrmsr(LS_CFG, after);
        }
    }
}

/// The bit that disables it; `None` for families that have none or have an architectural control.
const fn bit(family: u32) -> Option<u64> {
    match family {
        0x15 => Some(1 << 54),
        0x16 => Some(1 << 33),
        0x17 | 0x18 => Some(1 << 10),
        _ => None,
    }
}

fn family() -> u32 {
    let signature = cpuid(1, 0).eax;
    (signature >> 8 & 0xf) + (signature >> 20 & 0xff)
}

/// AMD APM volume 3, "CPUID Fn8000_001E_EBX".
fn threads_of_a_core() -> u32 {
    const TOPOLOGY: u32 = 0x8000_001e;
    if cpuid(0x8000_0000, 0).eax < TOPOLOGY {
        return 1;
    }
    (cpuid(TOPOLOGY, 0).ebx >> 8 & 0xff) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_families_without_an_architectural_control_have_a_bit() {
        assert_eq!(bit(0x17), Some(1 << 10));
        assert_eq!(bit(0x15), Some(1 << 54));
        assert_eq!((bit(0x14), bit(0x19)), (None, None));
    }
}
