//! Interrupt messages inside a domain: to which vCPUs, and what INIT and start-up do there.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use x86_emu::{Segment, SegmentAttributes, SegmentName};
use xen_core::domain::Domain;
use xen_core::hypervisor::Hypervisor;
use xen_core::vcpu::{DOWN, Vcpu};

use super::X86Domain;
use crate::vcpu::entry::Running;
use crate::vcpu::{Backend, State, X86Vcpu};
use crate::vlapic::{Audience, Delivery, Effects, ProcessorEvents, route};

/// Delivers a message of a device or vCPU.
pub fn deliver(hv: &Hypervisor, domain: &Arc<Domain>, message: &Delivery, audience: Audience) {
    let arch = X86Domain::of(domain);
    let destination = |id| {
        domain
            .vcpu(id)
            .map(|vcpu| X86Vcpu::of(vcpu).destination.load())
    };
    let count = domain.vcpus().len() as u32;
    route(
        message,
        audience,
        count,
        destination,
        &arch.last_arbitrated,
        |id| {
            if let Some(vcpu) = domain.vcpu(id) {
                post(hv, vcpu, message);
            }
        },
    );
}

fn post(hv: &Hypervisor, vcpu: &Arc<Vcpu>, message: &Delivery) {
    let posted = &X86Vcpu::of(vcpu).posted;
    let is_new = posted.post_message(message.delivery_mode, message.vector, message.trigger);
    if vcpu.flags.load(SeqCst) & DOWN != 0 {
        events_while_down(hv, vcpu);
    } else if is_new {
        hv.notice(vcpu);
    }
}

/// A vCPU that is down runs nowhere: INIT and start-up are done for it by whoever posts them, or by the CPU that it just left.
pub fn events_while_down(hv: &Hypervisor, vcpu: &Arc<Vcpu>) {
    let target = X86Vcpu::of(vcpu);
    if vcpu.flags.load(SeqCst) & DOWN == 0 || !target.posted.has_any() {
        return;
    }
    // Held by the CPU that the vCPU is leaving, which looks here afterwards.
    let Some(mut state) = target.state.try_lock() else {
        return;
    };
    let events = target.posted.take_events();
    apply(&mut state, target, events);
    drop(state);
    if events.startup.is_some() && target.initialised.load(SeqCst) {
        hv.bring_up(vcpu);
    }
}

/// INIT, start-up and NMI that a running vCPU found in its mailbox.
pub fn processor_events(running: &mut Running<'_>, events: ProcessorEvents) {
    if !events.init {
        return;
    }
    apply(running.state, running.arch, events);
    if events.startup.is_none() {
        running.vcpu.flags.fetch_or(DOWN, SeqCst);
    }
}

fn apply(state: &mut State, arch: &X86Vcpu, events: ProcessorEvents) {
    if events.init {
        state.hw.reset();
        state.registers.0 = [0; 16];
        state.vlapic.init();
        state.pending = None;
        state.nmi_pending = false;
        state.nmi_blocked = false;
        state.wait_for_startup = true;
    }
    if let Some(page) = events.startup.filter(|_| state.wait_for_startup) {
        start_at(state, page);
        arch.initialised.store(true, SeqCst);
    }
    arch.publish(state);
}

/// Real mode at `page` << 12 (Intel SDM volume 3, "Typical AP Initialization Sequence").
fn start_at(state: &mut State, page: u8) {
    let code = Segment {
        selector: u16::from(page) << 8,
        base: u64::from(page) << 12,
        limit: 0xffff,
        attributes: SegmentAttributes(0x9b),
    };
    state.hw.set_segment(SegmentName::Cs, code);
    state.hw.set_rip(0);
    state.wait_for_startup = false;
}

/// Does what an access to the local APIC asks for.
pub fn apply_apic_effects(running: &mut Running<'_>, effects: Effects) {
    if let Some(ipi) = effects.ipi {
        let (hv, domain) = (running.hv, running.domain);
        running.arch.publish(running.state);
        deliver(hv, domain, &ipi.delivery, ipi.audience(running.vcpu.id));
    }
    if let Some(eoi) = effects
        .eoi
        .filter(|eoi| eoi.trigger == crate::vlapic::Trigger::Level)
        && let Some(devices) = &X86Domain::of(running.domain).devices
    {
        devices.end_of_interrupt(running.hv, running.domain, eoi.vector);
    }
    if effects.enabled {
        repeat_upcall(running);
    }
    if effects.timer_changed || effects.destination_changed || effects.base_changed {
        running.after_apic_change();
    }
}

/// An upcall that came while the local APIC was off is lost, and the pending byte keeps later ones from being raised: raise it again.
fn repeat_upcall(running: &mut Running<'_>) {
    let vector = running.vcpu.upcall_vector.load(SeqCst);
    let pending = running
        .vcpu
        .info()
        .is_some_and(|info| running.hv.memory.load_u8(info) != 0);
    if vector != 0 && pending {
        running
            .state
            .vlapic
            .accept(vector, crate::vlapic::Trigger::Edge);
    }
}
