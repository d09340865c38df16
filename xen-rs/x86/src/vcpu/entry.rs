//! The run loop of one vCPU: deliver what waits, run the guest, handle the exit, until someone else should have the CPU.

use alloc::sync::Arc;
use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Relaxed, Release, SeqCst},
};

use xen_core::domain::Domain;
use xen_core::hypervisor::Hypervisor;
use xen_core::ids::{Domid, Maddr};
use xen_core::sched::Schedulable;
use xen_core::vcpu::Vcpu;

use super::backend::{Backend, Event};
use super::injection::{Combined, combine};
use super::{State, X86Vcpu, exit};
use crate::cpu::instructions::{cpuid, wrmsr};
use crate::cpu::percpu::{PerCpu, this_cpu};
use crate::interrupts::dispatch::take_pending;
use crate::interrupts::local_apic;

const RFLAGS_IF: u64 = 1 << 9;
const PRED_CMD: u32 = 0x49;
const PRED_CMD_IBPB: u64 = 1;

/// What an exit handler decides.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run the guest again.
    Resume,
    /// Let the scheduler look.
    Reschedule,
}

/// Everything an exit handler works with.
pub struct Running<'a> {
    /// The hypervisor.
    pub hv: &'static Hypervisor,
    /// The domain.
    pub domain: &'a Arc<Domain>,
    /// The vCPU.
    pub vcpu: &'a Arc<Vcpu>,
    /// Its machine-specific half.
    pub arch: &'a X86Vcpu,
    /// Its state.
    pub state: &'a mut State,
}

/// Runs the vCPU on this CPU until it must stop or `slice_end_ns` has come.
pub fn run(hv: &'static Hypervisor, domain: &Arc<Domain>, vcpu: &Arc<Vcpu>, slice_end_ns: u64) {
    let arch = X86Vcpu::of(vcpu);
    let mut guard = arch.state.lock();
    let mut running = Running {
        hv,
        domain,
        vcpu,
        arch,
        state: &mut guard,
    };
    running.state.extended.load();
    let cpu = this_cpu();
    leave_no_predictions(cpu, domain.id);
    loop {
        take_pending();
        let now_ns = hv.run_timers();
        if hv.scheduler.reschedule_wanted(cpu.id) || !vcpu.runnable() || now_ns >= slice_end_ns {
            break;
        }
        running.deliver();
        if !vcpu.runnable() {
            running.state.hw.keep_injection();
            break;
        }
        hv.machine.arm_timer(hv.next_timer_ns().min(slice_end_ns));
        if !running.enter(cpu) {
            continue;
        }
        if exit::handle(&mut running) == Next::Reschedule {
            break;
        }
    }
    running.settle();
    drop(guard);
    crate::domain::routing::events_while_down(hv, vcpu);
}

/// Branch predictions of another domain's code must not steer this one's (AMD, "Indirect Branch Control Extension").
fn leave_no_predictions(cpu: &PerCpu, domid: Domid) {
    let before = cpu.last_domain.swap(u32::from(domid.0), SeqCst);
    if before != u32::from(domid.0) && HAS_IBPB.load(SeqCst) {
        wrmsr(PRED_CMD, PRED_CMD_IBPB);
    }
}

impl Running<'_> {
    /// Moves what arrived from elsewhere into the local APIC and prepares the delivery of the most urgent.
    pub(super) fn deliver(&mut self) {
        if self.arch.take_timer_due() {
            self.state.vlapic.tick(self.hv.now_ns());
            self.after_apic_change();
        }
        if self.arch.posted.has_any() {
            let events = self.state.vlapic.drain(&self.arch.posted);
            self.state.nmi_pending |= events.nmi;
            crate::domain::processor_events(self, events);
        }
        if self.take_interrupted() == Some(Combined::Shutdown) {
            self.triple_fault();
            return;
        }
        self.choose_event();
    }

    /// An event whose delivery the last exit interrupted waits again, or what it has become together with an exception since.
    fn take_interrupted(&mut self) -> Option<Combined> {
        let state = &mut *self.state;
        let first = state.hw.interrupted_event()?;
        state.hw.forget_interrupted_event();
        let combined = state
            .pending
            .map_or(Combined::Event(first), |second| combine(first, second));
        if let Combined::Event(event) = combined {
            state.pending = Some(event);
        }
        Some(combined)
    }

    fn choose_event(&mut self) {
        let state = &mut *self.state;
        // Without an exit the guest could lower its priority and the request would wait for the next one.
        let is_blocked = state.vlapic.blocked_by_tpr().is_some();
        state.hw.intercept_task_priority(is_blocked);
        if let Some(event) = state.pending.take() {
            self.inject(event);
            let state = &mut *self.state;
            let more = state.nmi_pending
                || state.vlapic.highest_pending().is_some()
                || self.upcall_vector().is_some();
            return self.state.hw.request_window(more);
        }
        let open = !state.hw.interrupt_shadow();
        let nmi_waits = state.nmi_pending && !state.nmi_blocked;
        if nmi_waits && open {
            state.nmi_pending = false;
            self.inject(Event::Nmi);
            let more =
                self.state.vlapic.highest_pending().is_some() || self.upcall_vector().is_some();
            return self.state.hw.request_window(more);
        }
        let ready = open && state.hw.rflags() & RFLAGS_IF != 0;
        match (self.upcall_vector(), self.state.vlapic.highest_pending()) {
            (None, None) => self.state.hw.request_window(nmi_waits),
            _ if !ready => self.state.hw.request_window(true),
            (Some(vector), more) => {
                self.state.hw.inject(Event::Interrupt(vector));
                self.state.hw.request_window(more.is_some());
            }
            (None, Some(vector)) => {
                self.state.vlapic.acknowledge(vector);
                self.state.hw.inject(Event::Interrupt(vector));
                let more = self.state.vlapic.highest_pending().is_some();
                self.state.hw.request_window(more);
            }
        }
    }

    /// Delivers at the next entry. Behind an NMI the next one waits until the handler's IRET.
    fn inject(&mut self, event: Event) {
        let state = &mut *self.state;
        if event == Event::Nmi && !state.nmi_blocked {
            state.nmi_blocked = true;
            state.hw.intercept_iret(true);
        }
        state.hw.inject(event);
    }

    /// The domain's callback vector, while this vCPU's upcall byte is set. It bypasses the local APIC (xen/include/public/hvm/params.h,
    /// `HVM_PARAM_CALLBACK_TYPE_VECTOR`).
    fn upcall_vector(&self) -> Option<u8> {
        let vector = self.domain.callback_vector.load(SeqCst);
        let info = self.vcpu.info().filter(|_| vector != 0)?;
        (self.hv.memory.load_u8(info) != 0).then_some(vector)
    }

    /// One trip into the guest. `false` if a flush came in between and the trip must be prepared again.
    fn enter(&mut self, cpu: &'static PerCpu) -> bool {
        self.assign_asid(cpu);
        let generation = self.domain.tlb_generation.load(SeqCst);
        if self.state.tlb_seen != generation {
            self.state.tlb_seen = generation;
            self.state.asid_home = None;
            self.assign_asid(cpu);
        }
        cpu.nested_root.store(self.state.hw.nested_root(), Release);
        cpu.in_guest.store(true, SeqCst);
        if self.domain.tlb_generation.load(SeqCst) != generation {
            cpu.in_guest.store(false, SeqCst);
            self.state.hw.keep_injection();
            return false;
        }
        let priority = self.state.vlapic.cr8();
        self.state.hw.set_task_priority(priority);
        if cpu.flush_pending.load(SeqCst) && cpu.flush_pending.swap(false, SeqCst) {
            self.state.hw.flush_all_address_spaces();
        }
        if self.state.hw.injects_interrupt() {
            local_apic::leave_after_injection();
        }
        let host = Maddr(cpu.host_vmcb.load(SeqCst));
        self.state.hw.enter(&mut self.state.registers, host);
        if self.state.hw.window_requested() {
            local_apic::repeat_requests();
        }
        let after = self.state.hw.task_priority();
        if after != priority {
            self.state.vlapic.set_cr8(after);
        }
        // Only this CPU counts; who waits for it to leave looks at either.
        let exits = cpu.exits.load(Relaxed).wrapping_add(1);
        cpu.exits.store(exits, Release);
        cpu.in_guest.store(false, Release);
        true
    }

    /// Address space identifiers are numbered per CPU; when they run out all of the CPU's are void. A new one is as good as a flush.
    fn assign_asid(&mut self, cpu: &'static PerCpu) {
        let home = Some((cpu.id, cpu.asid_generation.load(SeqCst)));
        if self.state.asid_home == home && home.is_some() {
            return;
        }
        let count = u64::from(ASIDS.load(SeqCst)).max(2);
        let mut next = cpu.next_asid.load(SeqCst);
        if next >= count {
            next = 1;
            cpu.asid_generation.fetch_add(1, SeqCst);
            cpu.flush_pending.store(true, SeqCst);
        }
        cpu.next_asid.store(next + 1, SeqCst);
        self.state.hw.set_address_space(next as u32);
        self.state.asid_home = Some((cpu.id, cpu.asid_generation.load(SeqCst)));
    }

    /// After anything that changes the local APIC's timer or addressing.
    pub fn after_apic_change(&mut self) {
        self.arch.publish(self.state);
        self.hv.rearm_timers(self.vcpu);
    }

    /// Leaves the state such that others can judge it.
    fn settle(&mut self) {
        if self.take_interrupted() == Some(Combined::Shutdown) {
            self.triple_fault();
        }
        let waiting = self.state.pending.is_some();
        self.refresh_deliverable();
        if waiting {
            self.arch.set_deliverable(true);
        }
    }

    /// Notes whether the local APIC holds an interrupt that ends a wait. To be called before the vCPU may block.
    pub fn refresh_deliverable(&self) {
        let waiting = self.state.nmi_pending || self.state.vlapic.highest_pending().is_some();
        self.arch.set_deliverable(waiting);
    }
}

static HAS_IBPB: AtomicBool = AtomicBool::new(false);
static ASIDS: AtomicU32 = AtomicU32::new(2);

/// Set at boot: the number of identifiers, and whether CPUID offers the prediction barrier.
pub fn configure(count: u32) {
    HAS_IBPB.store(cpuid(0x8000_0008, 0).ebx & 1 << 12 != 0, SeqCst);
    ASIDS.store(count, SeqCst);
}
