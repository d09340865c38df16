//! Starts the second vCPU as firmware and systems do: INIT and start-up IPI.
#![allow(
    unsafe_code,
    reason = "copies the start code, exports a symbol to the assembly"
)]

use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::{cpu, local_apic, vectors};

const PAGE: u8 = 8;
const INIT: u32 = 5 << 8;
const START_UP: u32 = 6 << 8;

static MAIN: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static HAS_STARTED: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    static trampoline: u8;
    static trampoline_end: u8;
}

/// Runs `main` on the vCPU with this APIC id; false if it does not start.
pub fn start(apic_id: u8, main: fn() -> !) -> bool {
    MAIN.store(main as *mut (), Ordering::SeqCst);
    let (first, end) = (&raw const trampoline, &raw const trampoline_end);
    // SAFETY: the code is copied to a page below 1 MiB that nothing else uses.
    unsafe {
        let length = end.offset_from_unsigned(first);
        core::ptr::copy_nonoverlapping(first, (usize::from(PAGE) << 12) as *mut u8, length);
    }
    local_apic::enable();
    local_apic::send(apic_id, INIT);
    local_apic::send(apic_id, START_UP | u32::from(PAGE));
    let since = cpu::tsc();
    while !HAS_STARTED.load(Ordering::SeqCst) {
        if cpu::tsc().wrapping_sub(since) > 4_000_000_000 {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

static DEED: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Tells what [`do_it`] shall do.
pub fn do_later(deed: fn()) {
    DEED.store(deed as *mut (), Ordering::SeqCst);
}

/// A main function for [`start`]: does it once and then waits for ever.
pub fn do_it() -> ! {
    // SAFETY: `do_later` stored a function of this type before the vCPU was started.
    let deed: fn() = unsafe { core::mem::transmute(DEED.load(Ordering::SeqCst)) };
    deed();
    cpu::halt_for_ever()
}

// SAFETY: the name is unique; the assembly calls it once, on the second vCPU.
#[unsafe(no_mangle)]
extern "C" fn second_start() -> ! {
    vectors::load();
    HAS_STARTED.store(true, Ordering::SeqCst);
    // SAFETY: `start` stored a function of this type before it started this vCPU.
    let main: fn() -> ! = unsafe { core::mem::transmute(MAIN.load(Ordering::SeqCst)) };
    main()
}
