//! The loop every CPU runs for ever: let interrupts in, pick a vCPU, run it; sleep when there is none.

use alloc::sync::Arc;

use xen_core::hypervisor::Hypervisor;
use xen_core::vcpu::Vcpu;

use crate::cpu::instructions::wait_for_interrupt;
use crate::cpu::percpu::this_cpu;
use crate::interrupts::dispatch::take_pending;
use crate::interrupts::local_apic;
use crate::machine::hv;
use crate::svm::enter;
use crate::vcpu::{entry, fpu, svm_backend};

/// Switches virtualisation on for this CPU.
///
/// # Errors
/// What the CPU lacks.
pub fn enable_virtualisation() -> Result<(), &'static str> {
    enter::check()?;
    if this_cpu().id.0 == 0 {
        enter::describe();
    }
    let hv = hv();
    let frame = || {
        hv.allocate_xen_page()
            .ok_or("no memory for the host's state")
    };
    fpu::enable();
    enter::enable(frame()?.maddr());
    let host = frame()?.maddr();
    enter::save_host(host);
    this_cpu()
        .host_vmcb
        .store(host.0, core::sync::atomic::Ordering::SeqCst);
    entry::configure(enter::asid_count());
    svm_backend::set_next_rip(enter::saves_next_rip());
    svm_backend::set_decode_assists(enter::has_decode_assists());
    Ok(())
}

/// Never returns.
pub fn per_cpu_loop() -> ! {
    let hv = hv();
    let cpu = this_cpu().id;
    let mut current: Option<Arc<Vcpu>> = None;
    loop {
        take_pending();
        let now_ns = hv.run_timers();
        crate::console::between_runs(hv);
        crate::interrupts::nmi::report();
        crate::cpu::machine_check::report();
        let previous = current.take();
        let decision = hv.scheduler.schedule(cpu, now_ns, previous.clone());
        hv.kick_all(decision.kick);
        let switched =
            !matches!((&previous, &decision.next), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
        if switched {
            previous
                .iter()
                .chain(&decision.next)
                .for_each(|vcpu| publish_runstate(hv, vcpu));
        }
        drop(previous);
        match decision.next {
            Some(vcpu) => {
                if let Some(domain) = vcpu.domain() {
                    entry::run(hv, &domain, &vcpu, decision.slice_end_ns);
                }
                current = Some(vcpu);
            }
            None => idle(hv, decision.slice_end_ns),
        }
    }
}

fn publish_runstate(hv: &Hypervisor, vcpu: &Vcpu) {
    if let Some(domain) = vcpu.domain() {
        hv.publish_runstate(&domain, vcpu);
    }
}

/// Tidies dom0's map and scrubs free memory until something is to be done; sleeps when all is clean.
fn idle(hv: &Hypervisor, until_ns: u64) {
    let cpu = this_cpu().id;
    while hv.tidy_piece() || hv.scrub_piece() {
        local_apic::repeat_requests();
        take_pending();
        hv.run_timers();
        if hv.scheduler.reschedule_wanted(cpu) || hv.now_ns() >= until_ns {
            return;
        }
    }
    hv.machine.arm_timer(hv.next_timer_ns().min(until_ns));
    local_apic::repeat_requests();
    if !hv.scheduler.reschedule_wanted(cpu) {
        wait_for_interrupt();
    }
}
