//! Non-maskable interrupts: CPUs stop each other with them when the hypervisor dies, and chipsets report hardware errors by them (`nmi=`).
//!
//! A handler may interrupt anything, also somebody who prints; so it only notes what it saw, and the per-CPU loop says it later ([`report`]).

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

use xen_core::cmdline::NmiAction;
use xen_core::warning;

use crate::cpu::instructions::{halt_forever, port_in, port_out};
use crate::cpu::percpu::this_cpu;
use crate::cpu::tables::TrapFrame;
use crate::panic;

/// Reasons (Intel ICH datasheets, "NMI Status and Control Register"): bits 7 and 6 are errors, bits 2 and 3 clear them.
const REASON: u16 = 0x61;
const SYSTEM_ERROR: u8 = 1 << 7;
const CHANNEL_CHECK: u8 = 1 << 6;
const CLEAR: u32 = 3 << 2;
const WRITABLE: u32 = 0xf;

static FATAL: AtomicU8 = AtomicU8::new(0);
/// NMIs that were not fatal and not reported yet, and the last one's reason.
static SEEN: AtomicU32 = AtomicU32::new(0);
static LAST_REASON: AtomicU8 = AtomicU8::new(0);

/// Chooses what an NMI does.
pub fn set_action(action: NmiAction) {
    FATAL.store(u8::from(action == NmiAction::Fatal), Relaxed);
}

/// One has come.
pub fn handle(frame: &TrapFrame) {
    if panic::is_stopping() {
        halt_forever();
    }
    // The chipset's are wired to the first CPU.
    let reason = if this_cpu().id.0 == 0 {
        port_in(REASON, 1) as u8
    } else {
        0
    };
    if FATAL.load(Relaxed) != 0 {
        panic::exception(frame);
    }
    if reason & (SYSTEM_ERROR | CHANNEL_CHECK) != 0 {
        let kept = u32::from(reason) & WRITABLE;
        port_out(REASON, 1, kept | CLEAR);
        port_out(REASON, 1, kept & !CLEAR);
    }
    LAST_REASON.store(reason, Relaxed);
    SEEN.fetch_add(1, Relaxed);
}

/// Says what came since the last call.
pub fn report() {
    if SEEN.load(Relaxed) == 0 {
        return;
    }
    let (count, reason) = (SEEN.swap(0, Relaxed), LAST_REASON.load(Relaxed));
    let what = if reason & SYSTEM_ERROR != 0 {
        "PCI system error (SERR)"
    } else if reason & CHANNEL_CHECK != 0 {
        "I/O check error"
    } else {
        "unknown reason"
    };
    warning!("NMI, {what} {reason:02x}, {count} times: ignored");
}
