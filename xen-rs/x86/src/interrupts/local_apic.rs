//! The CPU's local APIC: end of interrupt, inter-processor interrupts, timer. xAPIC by MMIO or x2APIC by MSR (Intel SDM volume 3, "Advanced
//! Programmable Interrupt Controller"; AMD APM volume 2, chapter 16).

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use spin::Once;
use x86::msr::{IA32_APIC_BASE, IA32_TSC_DEADLINE, IA32_X2APIC_APICID};
use xen_core::ids::Maddr;
use xen_core::info;

use crate::boot::address_space::map_mmio;
use crate::cpu::emulated::is_emulated;
use crate::cpu::instructions::{cpuid, rdmsr, rdtsc, wrmsr};
use crate::cpu::percpu::{all_cpus, this_cpu};
use crate::direct_map::Registers;
use crate::time;

/// "Look at your pending work".
pub const KICK_VECTOR: u8 = 0xfb;
/// The APIC timer.
pub const TIMER_VECTOR: u8 = 0xfa;
/// Spurious interrupts.
pub const SPURIOUS_VECTOR: u8 = 0xff;

const ID: u64 = 0x20;
const EOI: u64 = 0xb0;
const SPURIOUS: u64 = 0xf0;
const ICR_LOW: u64 = 0x300;
const ICR_HIGH: u64 = 0x310;
const LVT_TIMER: u64 = 0x320;
const LVT_LINT0: u64 = 0x350;
const LVT_LINT1: u64 = 0x360;
const LVT_ERROR: u64 = 0x370;
const TIMER_INITIAL: u64 = 0x380;
const TIMER_CURRENT: u64 = 0x390;
const TIMER_DIVIDE: u64 = 0x3e0;
const TASK_PRIORITY: u64 = 0x80;
const MASKED: u32 = 1 << 16;
const NMI_DELIVERY: u32 = 4 << 8;
const TSC_DEADLINE_MODE: u32 = 2 << 17;
const DELIVERY_PENDING: u32 = 1 << 12;
const APIC_ENABLE: u64 = 1 << 11;
const X2APIC_ENABLE: u64 = 1 << 10;
const DIVIDE_BY_1: u32 = 0xb;
/// How long the timer is measured.
const CALIBRATION_MS: u64 = 50;
const X2APIC_FEATURE: u32 = 1 << 21;
const TSC_DEADLINE_FEATURE: u32 = 1 << 24;

static MMIO: Once<Registers> = Once::new();
static X2APIC: AtomicBool = AtomicBool::new(false);
static DEADLINE_MODE: AtomicBool = AtomicBool::new(false);
/// Timer ticks per millisecond with divider 1.
static TICKS_PER_MS: AtomicU32 = AtomicU32::new(0);

fn read(register: u64) -> u32 {
    if X2APIC.load(Relaxed) {
        rdmsr(0x800 + (register >> 4) as u32) as u32
    } else {
        MMIO.get().map_or(0, |r| r.read(register, 4) as u32)
    }
}

fn write(register: u64, value: u32) {
    if X2APIC.load(Relaxed) {
        wrmsr(0x800 + (register >> 4) as u32, u64::from(value));
    } else if let Some(r) = MMIO.get() {
        r.write(register, 4, u64::from(value));
    }
}

/// Makes the APIC look at its pending interrupts again; nothing on real machines.
///
/// QEMU's emulated VMRUN, when the guest state asks for a virtual interrupt, changes the CPU's set of pending requests without the lock
/// that protects it (7.2: `target/i386/tcg/sysemu/svm_helper.c`), so that a request that arrives at that moment is forgotten although the
/// APIC still holds the interrupt: seen as a CPU asleep with bits set in IRR. Writing the task priority repeats the request.
pub fn repeat_requests() {
    if is_emulated() {
        write(TASK_PRIORITY, 0);
    }
}

/// Lets the entry that delivers an interrupt end right after the delivery; nothing on real machines.
///
/// QEMU's emulated VMRUN delivers an injected interrupt itself, but also leaves it noted as a pending exception (7.2: `helper_vmrun`). If a
/// thread of the emulator stops the CPU while that note stands, the interrupt is delivered once more although the handler has interrupts
/// switched off: seen as Linux with a wrong GS base, or a triple fault. With one thread for all CPUs (`thread=single`) that is when its turn
/// ends. An exit removes the note. A machine with one CPU was not seen to suffer.
pub fn leave_after_injection() {
    if is_emulated() && all_cpus().len() > 1 {
        send(this_cpu().apic_id, KICK_VECTOR);
    }
}

/// Chooses the mode on the boot CPU, which decides for all.
pub fn detect() {
    let features = cpuid(1, 0).ecx;
    DEADLINE_MODE.store(features & TSC_DEADLINE_FEATURE != 0, Relaxed);
    let is_x2apic = features & X2APIC_FEATURE != 0;
    let mode = if is_x2apic { "x2APIC" } else { "xAPIC" };
    info!("Local APIC: {mode} mode");
    if is_x2apic {
        X2APIC.store(true, Relaxed);
        // Its registers, the identifier among them, exist in this mode only.
        switch_on();
        return;
    }
    let base = rdmsr(IA32_APIC_BASE) & 0x000f_ffff_ffff_f000;
    MMIO.call_once(|| {
        map_mmio(Maddr(base), 4096).expect("frames for device windows are left this early")
    });
}

/// Switches this CPU's APIC on in the chosen mode. x2APIC mode is reached from xAPIC mode only.
fn switch_on() {
    let base = rdmsr(IA32_APIC_BASE) | APIC_ENABLE;
    wrmsr(IA32_APIC_BASE, base);
    if X2APIC.load(Relaxed) {
        wrmsr(IA32_APIC_BASE, base | X2APIC_ENABLE);
    }
}

/// Switches this CPU's APIC on. Nothing but the timer, kicks and device vectors may arrive.
pub fn enable() {
    switch_on();
    write(TASK_PRIORITY, 0);
    write(LVT_LINT0, MASKED);
    write(LVT_LINT1, MASKED);
    write(LVT_ERROR, MASKED);
    write(TIMER_DIVIDE, DIVIDE_BY_1);
    let mode = if DEADLINE_MODE.load(Relaxed) {
        TSC_DEADLINE_MODE
    } else {
        0
    };
    write(LVT_TIMER, mode | u32::from(TIMER_VECTOR));
    write(SPURIOUS, 0x100 | u32::from(SPURIOUS_VECTOR));
}

/// Identifier of this CPU's APIC.
#[must_use]
pub fn id() -> u32 {
    if X2APIC.load(Relaxed) {
        rdmsr(IA32_X2APIC_APICID) as u32
    } else {
        read(ID) >> 24
    }
}

/// Ends the interrupt in service.
pub fn end_of_interrupt() {
    write(EOI, 0);
}

fn command(apic_id: u32, low: u32) {
    if X2APIC.load(Relaxed) {
        wrmsr(0x830, u64::from(apic_id) << 32 | u64::from(low));
        return;
    }
    while read(ICR_LOW) & DELIVERY_PENDING != 0 {
        core::hint::spin_loop();
    }
    write(ICR_HIGH, apic_id << 24);
    write(ICR_LOW, low);
}

/// Sends a fixed interrupt.
pub fn send(apic_id: u32, vector: u8) {
    command(apic_id, 0x4000 | u32::from(vector));
}

/// Sends INIT, level asserted.
pub fn send_init(apic_id: u32) {
    command(apic_id, 0xc500);
}

/// Sends an NMI.
pub fn send_nmi(apic_id: u32) {
    command(apic_id, 0x4400);
}

/// Lets NMIs of the chipset in, which come over LINT1; on the boot CPU only, where one is enough.
pub fn accept_nmi() {
    write(LVT_LINT1, NMI_DELIVERY);
}

/// Sends a start-up interrupt for real-mode code at `page` << 12.
pub fn send_startup(apic_id: u32, page: u8) {
    command(apic_id, 0x4600 | u32::from(page));
}

/// Measures the timer against the calibrated TSC. It counts down from the top for the longest time there is, so it cannot fire meanwhile.
pub fn calibrate_timer() {
    if DEADLINE_MODE.load(Relaxed) {
        return;
    }
    write(LVT_TIMER, MASKED | u32::from(TIMER_VECTOR));
    write(TIMER_INITIAL, u32::MAX);
    let moment = || time::closest_reading(rdtsc, || u64::from(u32::MAX - read(TIMER_CURRENT)));
    let start = moment();
    time::wait_ms(CALIBRATION_MS);
    let end = moment();
    write(TIMER_INITIAL, 0);
    let ns = time::ns_of_ticks(end.tsc.saturating_sub(start.tsc)).max(1);
    let khz = u128::from(end.count.wrapping_sub(start.count)) * 1_000_000 / u128::from(ns);
    TICKS_PER_MS.store(u32::try_from(khz).unwrap_or(u32::MAX).max(1), Relaxed);
    write(LVT_TIMER, u32::from(TIMER_VECTOR));
    info!("Local APIC timer: {khz} kHz");
}

/// Fires the timer after `delay_ns`, or never for `None`. `tsc_of_delay` converts for CPUs with a deadline timer.
pub fn arm(delay_ns: Option<u64>, tsc_of_delay: impl FnOnce(u64) -> u64) {
    if DEADLINE_MODE.load(Relaxed) {
        let deadline = delay_ns.map_or(0, |ns| rdtsc().saturating_add(tsc_of_delay(ns)).max(1));
        wrmsr(IA32_TSC_DEADLINE, deadline);
        return;
    }
    let ticks = delay_ns.map_or(0, |ns| {
        let ticks = u128::from(ns) * u128::from(TICKS_PER_MS.load(Relaxed)) / 1_000_000;
        // The counter is 32 bits wide: a far deadline is approached in steps.
        ticks.clamp(1, u128::from(u32::MAX)) as u32
    });
    write(TIMER_INITIAL, ticks);
}

/// Whether interrupts between processors reach this identifier. Those of devices reach [`is_device_target`] ones only.
#[must_use]
pub fn can_address(apic_id: u32) -> bool {
    X2APIC.load(Relaxed) || is_device_target(apic_id)
}

/// Whether messages of devices and I/O APICs reach this identifier: without interrupt remapping they name it in eight bits, and all ones
/// means everybody.
#[must_use]
pub const fn is_device_target(apic_id: u32) -> bool {
    apic_id < 0xff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_never_address_everybody() {
        assert!(is_device_target(0) && is_device_target(254));
        assert!(!is_device_target(255) && !is_device_target(256) && !is_device_target(512));
    }
}
