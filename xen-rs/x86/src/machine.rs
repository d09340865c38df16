//! The machine as the core sees it, and the one hypervisor.

use core::sync::atomic::Ordering::Relaxed;

use spin::Once;
use xen_core::hal::{Clock, Machine};
use xen_core::hypervisor::Hypervisor;
use xen_core::ids::CpuId;

use crate::cpu::percpu::{all_cpus, this_cpu};
use crate::interrupts::local_apic;
use crate::serial::SERIAL;
use crate::time;

/// The CPUs and clocks.
pub struct X86Machine;

/// The one instance.
pub static MACHINE: X86Machine = X86Machine;

static HYPERVISOR: Once<Hypervisor> = Once::new();

/// Installs the hypervisor; once, by the boot CPU.
pub fn install(hv: Hypervisor) -> &'static Hypervisor {
    HYPERVISOR.call_once(|| hv)
}

/// The hypervisor, after boot has installed it.
#[must_use]
pub fn try_hv() -> Option<&'static Hypervisor> {
    HYPERVISOR.get()
}

/// The hypervisor.
#[must_use]
pub fn hv() -> &'static Hypervisor {
    HYPERVISOR.get().expect("installed before any domain runs")
}

impl Machine for X86Machine {
    fn this_cpu(&self) -> CpuId {
        this_cpu().id
    }

    fn now_ns(&self) -> u64 {
        time::now_ns()
    }

    fn kick(&self, cpu: CpuId) {
        if cpu != this_cpu().id
            && let Some(record) = all_cpus().get(cpu.0 as usize)
        {
            local_apic::send(record.apic_id, local_apic::KICK_VECTOR);
        }
    }

    // Nearly every VM entry asks for the time that is set already, and the timer's register is slow on any machine.
    fn arm_timer(&self, deadline_ns: u64) {
        let deadline_ns = deadline_ns.min(SERIAL.next_look_ns());
        let armed = &this_cpu().timer_armed_ns;
        if armed.load(Relaxed) == deadline_ns {
            return;
        }
        armed.store(deadline_ns, Relaxed);
        let delay = (deadline_ns != u64::MAX).then(|| deadline_ns.saturating_sub(time::now_ns()));
        local_apic::arm(delay, time::ticks_of_ns);
    }

    fn clock(&self) -> Clock {
        time::clock()
    }
}
