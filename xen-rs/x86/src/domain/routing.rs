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
    let starts = apply(&mut state, target, events);
    drop(state);
    if starts {
        hv.bring_up(vcpu);
    }
}

/// INIT, start-up and NMI that a running vCPU found in its mailbox.
pub fn processor_events(running: &mut Running<'_>, events: ProcessorEvents) {
    if !events.init {
        return;
    }
    if !apply(running.state, running.arch, events) {
        running.vcpu.flags.fetch_or(DOWN, SeqCst);
    }
}

/// INIT, then start-up, which only a processor that waits for it takes: `true` if it starts.
fn apply(state: &mut State, arch: &X86Vcpu, events: ProcessorEvents) -> bool {
    if events.init {
        state.hw.reset();
        state.registers.0 = [0; 16];
        state.vlapic.init();
        state.forget_past();
        state.wait_for_startup = true;
    }
    let page = events.startup.filter(|_| state.wait_for_startup);
    if let Some(page) = page {
        start_at(state, page);
        arch.initialised.store(true, SeqCst);
    }
    arch.publish(state);
    page.is_some()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcpu::testing::Guest;
    use xen_core::ids::{CpuId, VcpuId};

    const SPURIOUS: u16 = 0xf0;
    const COMMAND: u16 = 0x300;
    const COMMAND_HIGH: u16 = 0x310;
    const INIT: u32 = 0x4500;
    const STARTUP: u32 = 0x4600;

    /// vCPU 0 writes a register of its local APIC.
    fn write(guest: &Guest, register: u16, value: u32) {
        guest.with(|running| {
            let effects = running.state.vlapic.write_mmio(register, 4, value, 0);
            apply_apic_effects(running, effects);
        });
    }

    /// An IPI to vCPU 1, whose APIC identifier is 2.
    fn send(guest: &Guest, command: u32) {
        write(guest, COMMAND_HIGH, 2 << 24);
        write(guest, COMMAND, command);
    }

    fn second(guest: &Guest) -> &Arc<Vcpu> {
        guest.domain.vcpu(VcpuId(1)).expect("it was created")
    }

    #[test]
    fn an_ipi_lands_in_the_others_mailbox() {
        let guest = Guest::with_vcpus(2);
        write(&guest, SPURIOUS, 0x1ff);
        guest.hv.bring_up(second(&guest));
        let target = X86Vcpu::of(second(&guest));
        send(&guest, 0x4041);
        assert!(!target.posted.has_any(), "its APIC is off");
        let mut state = target.state.lock();
        let _ = state.vlapic.write_mmio(SPURIOUS, 4, 0x1ff, 0);
        target.publish(&state);
        drop(state);
        send(&guest, 0x4041);
        assert!(target.posted.has_any());
        let mut state = target.state.lock();
        state.vlapic.drain(&target.posted);
        assert_eq!(state.vlapic.highest_pending(), Some(0x41));
    }

    #[test]
    fn start_up_after_init_runs_real_mode_code_at_the_page() {
        let guest = Guest::with_vcpus(2);
        send(&guest, INIT);
        assert!(!second(&guest).is_up());
        send(&guest, STARTUP | 0x9a);
        assert!(second(&guest).is_up());
        let state = X86Vcpu::of(second(&guest)).state.lock();
        let code = state.hw.segment(SegmentName::Cs);
        assert_eq!(
            (code.base, code.selector, state.hw.rip()),
            (0x9_a000, 0x9a00, 0)
        );
        assert_eq!(state.hw.cr(0) & 1, 0);
    }

    #[test]
    fn start_up_without_init_is_ignored() {
        let guest = Guest::with_vcpus(2);
        send(&guest, STARTUP | 0x9a);
        assert!(!second(&guest).is_up());
    }

    #[test]
    fn start_up_does_not_wake_a_vcpu_that_went_down_by_itself() {
        let guest = Guest::with_vcpus(2);
        let target = X86Vcpu::of(second(&guest));
        target.initialised.store(true, SeqCst);
        target.state.lock().hw.set_rip(0x1234);
        send(&guest, STARTUP | 0x9a);
        assert!(!second(&guest).is_up());
        assert_eq!(target.state.lock().hw.rip(), 0x1234);
    }

    #[test]
    fn init_leaves_no_translations_of_the_code_before_it() {
        let guest = Guest::with_vcpus(2);
        let target = X86Vcpu::of(second(&guest));
        target.state.lock().asid_home = Some((CpuId(0), 0));
        send(&guest, INIT);
        send(&guest, STARTUP | 0x9a);
        assert_eq!(target.state.lock().asid_home, None);
    }

    #[test]
    fn a_lost_upcall_is_repeated_when_the_apic_is_enabled() {
        let guest = Guest::new();
        guest.vcpu.upcall_vector.store(0xf3, SeqCst);
        let info = guest.vcpu.info().expect("every domain starts with one");
        guest.hv.memory.write(info, &[1]);
        write(&guest, SPURIOUS, 0x1ff);
        let pending = guest.with(|running| running.state.vlapic.highest_pending());
        assert_eq!(pending, Some(0xf3));
    }
}
