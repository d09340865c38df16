//! Where the stubs of `cpu::tables` arrive.
#![allow(unsafe_code, reason = "exports the symbol the stubs call")]

use core::sync::atomic::Ordering::Relaxed;

use spin::Once;

use super::{Source, local_apic, nmi};
use crate::cpu::percpu::{NOT_ARMED, this_cpu};
use crate::cpu::tables::TrapFrame;
use crate::cpu::{instructions, machine_check};
use crate::serial::SERIAL;

const NMI: u64 = 2;
const GENERAL_PROTECTION: u64 = 13;
const MACHINE_CHECK: u64 = 18;
const FIRST_INTERRUPT: u64 = 32;

/// What is done with a device interrupt; set once the machine is complete.
static DEVICE_HANDLER: Once<fn(Source)> = Once::new();

/// Installs the handler for device interrupts.
pub fn set_device_handler(handler: fn(Source)) {
    DEVICE_HANDLER.call_once(|| handler);
}

// SAFETY: the name is unique in the image; only the stubs call it.
#[unsafe(no_mangle)]
extern "C" fn interrupt_dispatch(frame: &mut TrapFrame) {
    match frame.vector {
        vector if vector >= FIRST_INTERRUPT => interrupt(vector as u8),
        NMI => nmi::handle(frame),
        MACHINE_CHECK => machine_check::handle(Some(frame)),
        GENERAL_PROTECTION => match instructions::recovery(frame.rip) {
            Some(rip) => frame.rip = rip,
            None => crate::panic::exception(frame),
        },
        _ => crate::panic::exception(frame),
    }
}

fn interrupt(vector: u8) {
    match vector {
        local_apic::SPURIOUS_VECTOR => return,
        // The per-CPU loop looks at timers and pending work on its own after every interrupt.
        local_apic::KICK_VECTOR => {}
        // The timer may be early by a rounding, so the same time can be asked for once more.
        local_apic::TIMER_VECTOR => {
            this_cpu().timer_armed_ns.store(NOT_ARMED, Relaxed);
            if let (Some(handler), true) = (DEVICE_HANDLER.get(), SERIAL.is_look_due()) {
                handler(Source::Serial);
            }
        }
        _ => {
            let source = Source::from_word(this_cpu().vectors[usize::from(vector)].load(Relaxed));
            if let (Some(handler), true) = (DEVICE_HANDLER.get(), source != Source::None) {
                handler(source);
            }
        }
    }
    local_apic::end_of_interrupt();
}

/// Lets what is pending in; see [`instructions::interrupt_window`].
pub fn take_pending() {
    instructions::interrupt_window();
}
