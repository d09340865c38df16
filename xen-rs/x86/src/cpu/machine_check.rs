//! Machine checks: errors that the processor reports itself (AMD APM volume 2, "Machine Check Architecture"; Intel SDM volume 3, likewise).
//!
//! One that was corrected or that touched nothing of importance is noted and forgotten; any other ends the machine with a report of
//! what the processor says. They may interrupt anything, so what is only noted is printed later, by [`report`]. Owned by no lock: each CPU
//! reads its own banks.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use x86::msr::{IA32_MCG_CAP, IA32_MCG_STATUS};
use xen_core::console::print_while_dying;
use xen_core::warning;

use super::instructions::{cpuid, cr4, rdmsr_safe, set_cr4, wrmsr_safe};
use super::tables::TrapFrame;
use crate::panic;

const MCE_AND_MCA_FEATURES: u32 = 1 << 7 | 1 << 14;
const CR4_MCE: u64 = 1 << 6;
/// Control, status, address and detail of bank 0; each bank has four registers.
const FIRST_BANK: u32 = 0x400;
const BANK_COUNT: u64 = 0xff;
/// The interrupted code can go on.
const RESTART_VALID: u64 = 1;
const VALID: u64 = 1 << 63;
const UNCORRECTED: u64 = 1 << 61;
const CONTEXT_CORRUPT: u64 = 1 << 57;

static BANKS: AtomicU32 = AtomicU32::new(0);
static HARMLESS: AtomicU32 = AtomicU32::new(0);
static LAST_STATUS: AtomicU64 = AtomicU64::new(0);
static REPORTED_EARLIER: AtomicBool = AtomicBool::new(false);

/// Lets this CPU report its errors, if it can.
pub fn enable() {
    if cpuid(1, 0).edx & MCE_AND_MCA_FEATURES != MCE_AND_MCA_FEATURES {
        return;
    }
    let banks = (rdmsr_safe(IA32_MCG_CAP).unwrap_or(0) & BANK_COUNT).min(32) as u32;
    for bank in 0..banks {
        // What happened before this boot is not this boot's; a bank that refuses is left as it is.
        let control = FIRST_BANK + 4 * bank;
        let _ = wrmsr_safe(control + 1, 0);
        let _ = wrmsr_safe(control, u64::MAX);
    }
    BANKS.store(banks, Relaxed);
    set_cr4(cr4() | CR4_MCE);
}

/// One has come, while the hypervisor ran (with its state) or a guest did. Returns if the machine can go on.
pub fn handle(frame: Option<&TrapFrame>) {
    let status = rdmsr_safe(IA32_MCG_STATUS).unwrap_or(0);
    let can_go_on = status & RESTART_VALID != 0 && banks().all(|(_, error)| is_harmless(error));
    if !can_go_on {
        end(status, frame);
    }
    for (bank, error) in banks() {
        LAST_STATUS.store(error, Relaxed);
        let _ = wrmsr_safe(FIRST_BANK + 4 * bank + 1, 0);
    }
    let _ = wrmsr_safe(IA32_MCG_STATUS, 0);
    HARMLESS.fetch_add(1, Relaxed);
}

/// Banks that hold an error, with its status.
fn banks() -> impl Iterator<Item = (u32, u64)> {
    (0..BANKS.load(Relaxed)).filter_map(|bank| {
        let status = rdmsr_safe(FIRST_BANK + 4 * bank + 1)?;
        (status & VALID != 0).then_some((bank, status))
    })
}

const fn is_harmless(status: u64) -> bool {
    status & (UNCORRECTED | CONTEXT_CORRUPT) == 0
}

fn end(status: u64, frame: Option<&TrapFrame>) -> ! {
    panic::stop_others();
    print_while_dying(format_args!("Machine check, global status {status:016x}"));
    for (bank, error) in banks() {
        let register = |offset| rdmsr_safe(FIRST_BANK + 4 * bank + offset).unwrap_or(0);
        print_while_dying(format_args!(
            "bank {bank}: status {error:016x} address {:016x} detail {:016x}",
            register(2),
            register(3)
        ));
    }
    match frame {
        Some(frame) => panic::exception(frame),
        None => panic!("machine check while a guest ran"),
    }
}

/// Says what was noted since the last call; each kind of trouble once, since a failing part may report for ever.
pub fn report() {
    if HARMLESS.load(Relaxed) != 0 && !REPORTED_EARLIER.swap(true, Relaxed) {
        warning!(
            "machine check, corrected, status {:016x}; further ones are not reported",
            LAST_STATUS.load(Relaxed)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_corrected_errors_are_harmless() {
        assert!(is_harmless(VALID) && is_harmless(VALID | 0xffff));
        assert!(!is_harmless(VALID | UNCORRECTED) && !is_harmless(VALID | CONTEXT_CORRUPT));
    }
}
