//! HVM contexts of domains: which records there are, and moving them to and from vCPU state.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::hvm::save::{
    CPU_MSR_CODE, CPU_XSAVE_CODE, HVM_SAVE_CODE_CPU, HVM_SAVE_CODE_LAPIC, HVM_SAVE_CODE_LAPIC_REGS,
    HVM_SAVE_CODE_MTRR, HVM_SAVE_CODE_TSC_ADJUST, HVM_SAVE_CODE_VMCE_VCPU, HvmHwCpu, HvmHwMtrr,
    HvmTscAdjust, HvmVmceVcpu,
};
use xen_core::domain::Domain;
use xen_core::ids::VcpuId;
use xen_core::lock::Guard;
use xen_core::vcpu::Vcpu;

use crate::cpu::instructions::cpuid;
use crate::cpuid::CpuPolicy;
use crate::cpuid::xstate::standard_size;
use crate::domain::X86Domain;
use crate::hvm_context::{
    Context, ContextWriter, PendingEvent, Record, VcpuRegisters, XsaveState, header, msr_entries,
    msr_payload, size_limit,
};
use crate::msr_policy::{MsrContext, Mtrr, VcpuMsrs};
use crate::time;
use crate::vcpu::{Backend, Event, State, X86Vcpu, fpu};

/// Kinds of [`PendingEvent`].
const EVENT_INTERRUPT: u8 = 0;
const EVENT_NMI: u8 = 2;
const EVENT_EXCEPTION: u8 = 3;
const NMI_VECTOR: u8 = 2;
const BREAKPOINT: u8 = 3;
const OVERFLOW: u8 = 4;

/// Most bytes a context of the domain takes.
#[must_use]
pub fn size(domain: &Domain) -> usize {
    let policy = X86Domain::of(domain).policy.read();
    let area = standard_size(policy.xcr0_max(), &policy.xstate) as usize;
    size_limit(domain.vcpus().len(), area, &[])
}

/// All records of a paused domain.
///
/// # Errors
/// `EINVAL` for a state that cannot be expressed.
pub fn save(domain: &Domain) -> Result<Vec<u8>, Errno> {
    let mut writer = ContextWriter::new(&header(cpuid(1, 0).eax, time::tsc_khz()), size(domain));
    for vcpu in domain.vcpus().iter().filter(|vcpu| vcpu.is_up()) {
        let state = X86Vcpu::of(vcpu).state.lock_second();
        writer.append(
            HVM_SAVE_CODE_CPU,
            vcpu.id.0 as u16,
            &cpu_record(domain, state),
        );
    }
    for vcpu in domain.vcpus() {
        let mut state = X86Vcpu::of(vcpu).state.lock_second();
        empty_mailbox(vcpu, &mut state);
        let (hidden, registers) = state.vlapic.save();
        let instance = vcpu.id.0 as u16;
        writer.append::<[u8]>(HVM_SAVE_CODE_LAPIC, instance, &hidden);
        writer.append::<[u8]>(HVM_SAVE_CODE_LAPIC_REGS, instance, &registers);
        writer.append(HVM_SAVE_CODE_MTRR, instance, &state.msrs.mtrr.save()?);
        writer.append(
            HVM_SAVE_CODE_TSC_ADJUST,
            instance,
            &HvmTscAdjust {
                tsc_adjust: state.msrs.tsc_adjust,
            },
        );
        writer.append(
            HVM_SAVE_CODE_VMCE_VCPU,
            instance,
            &state.msrs.machine_check.save(),
        );
        append_extended(domain, state, instance, &mut writer);
    }
    Ok(writer.finish())
}

/// Interrupts that arrived since the vCPU was stopped belong to its local APIC. INIT and start-up are in no record and keep waiting.
fn empty_mailbox(vcpu: &Vcpu, state: &mut State) {
    let half = X86Vcpu::of(vcpu);
    if !half.posted.has_any() {
        return;
    }
    let events = state.vlapic.drain(&half.posted);
    state.nmi_pending |= events.nmi;
    if events.init {
        half.posted.post_init();
    }
    if let Some(page) = events.startup {
        half.posted.post_startup(page);
    }
    half.set_deliverable(true);
}

/// The records that a vCPU may lack: extended state and MSRs.
fn append_extended(
    domain: &Domain,
    mut state: Guard<'_, Box<State>>,
    instance: u16,
    writer: &mut ContextWriter,
) {
    let policy = X86Domain::of(domain).policy.read();
    if let Some(extended) = state.extended.xsave_state(&policy) {
        let payload = extended.to_payload(fpu::host_xcr0());
        writer.append::<[u8]>(CPU_XSAVE_CODE, instance, &payload);
    }
    let entries = state.msrs.save(&msr_context(domain, &policy));
    if !entries.is_empty() {
        writer.append::<[u8]>(CPU_MSR_CODE, instance, &msr_payload(&entries));
    }
}

fn msr_context<'a>(domain: &Domain, policy: &'a CpuPolicy) -> MsrContext<'a> {
    MsrContext {
        policy,
        is_hardware_domain: domain.hardware,
        is_relaxed: X86Domain::of(domain).msr_relaxed,
    }
}

fn cpu_record(domain: &Domain, mut state: Guard<'_, Box<State>>) -> HvmHwCpu {
    let state = &mut **state;
    let mut registers = state.hw.save_registers(state.registers.0);
    registers.breakpoints = state.extended.dr;
    registers.tsc_aux = state.extended.tsc_aux as u32;
    registers.tsc = X86Domain::of(domain)
        .tsc_count()
        .wrapping_add(state.hw.tsc_offset());
    registers.fpu = Some(state.extended.legacy());
    registers.pending_event = state.pending.map(to_record_event);
    registers.to_record()
}

/// One record's payload.
///
/// # Errors
/// `ENOENT` if the domain has no such record.
pub fn save_record(domain: &Domain, typecode: u16, instance: u16) -> Result<Vec<u8>, Errno> {
    let all = save(domain)?;
    let context = Context::parse(&all)?;
    let found = context
        .records()
        .find(|r| r.typecode == typecode && r.instance == instance);
    found.map(|r| r.payload.to_vec()).ok_or(Errno::ENOENT)
}

/// Loads a context; which vCPUs are up is the caller's. Everything is checked before anything changes.
///
/// # Errors
/// `ENODATA` for a broken frame, `EINVAL` for values that no vCPU could have, `EOPNOTSUPP` for devices the domain does not have.
pub fn load(domain: &Domain, bytes: &[u8]) -> Result<(), Errno> {
    let context = Context::parse(bytes)?;
    for record in context.records() {
        apply(domain, &record, true)?;
    }
    for record in context.records() {
        apply(domain, &record, false)?;
    }
    domain
        .vcpus()
        .iter()
        .for_each(|vcpu| complete(domain, vcpu));
    Ok(())
}

/// What several records decide together: when the TSC reaches the local APIC's deadline, and what the MSRs ask of the processor.
fn complete(domain: &Domain, vcpu: &Vcpu) {
    let arch = X86Domain::of(domain);
    let tsc = *arch.tsc.lock();
    let half = X86Vcpu::of(vcpu);
    let mut state = half.state.lock_second();
    let state = &mut **state;
    let guest_tsc = arch.tsc_count().wrapping_add(state.hw.tsc_offset());
    // Published below; the caller arms the timers.
    let _ = state
        .vlapic
        .rearm_tsc_deadline(guest_tsc, time::now_ns(), |ticks| tsc.ns_of_ticks(ticks));
    let is_store_bypass_off = state.msrs.virt_spec_ctrl != 0;
    state.extended.set_no_store_bypass(is_store_bypass_off);
    half.publish(state);
}

fn apply(domain: &Domain, record: &Record<'_>, check_only: bool) -> Result<(), Errno> {
    let vcpu = domain
        .vcpu(VcpuId(u32::from(record.instance)))
        .ok_or(Errno::EINVAL)?;
    match record.typecode {
        HVM_SAVE_CODE_CPU => load_cpu(domain, vcpu, record, check_only),
        HVM_SAVE_CODE_MTRR => {
            let mtrr = Mtrr::load(&record.zero_extended::<HvmHwMtrr>()?)?;
            if !check_only {
                let mut state = X86Vcpu::of(vcpu).state.lock_second();
                state.hw.set_pat(mtrr.pat());
                state.msrs.mtrr = mtrr;
            }
            Ok(())
        }
        HVM_SAVE_CODE_LAPIC | HVM_SAVE_CODE_LAPIC_REGS => load_lapic(vcpu, record, check_only),
        HVM_SAVE_CODE_TSC_ADJUST => {
            let adjust = record.zero_extended::<HvmTscAdjust>()?;
            if !check_only {
                X86Vcpu::of(vcpu).state.lock_second().msrs.tsc_adjust = adjust.tsc_adjust;
            }
            Ok(())
        }
        HVM_SAVE_CODE_VMCE_VCPU => {
            let record = record.zero_extended::<HvmVmceVcpu>()?;
            let vendor = X86Domain::of(domain).policy.read().vendor();
            change_msrs(vcpu, check_only, |msrs| {
                msrs.machine_check.load(vendor, &record)
            })
        }
        CPU_XSAVE_CODE => {
            let extended =
                XsaveState::from_payload(record.payload, &X86Domain::of(domain).policy.read())?;
            if !check_only {
                let mut state = X86Vcpu::of(vcpu).state.lock_second();
                state.extended.set_xsave_state(&extended);
            }
            Ok(())
        }
        CPU_MSR_CODE => {
            let entries = msr_entries(record.payload)?;
            change_msrs(vcpu, check_only, |msrs| {
                let policy = X86Domain::of(domain).policy.read();
                msrs.load(&entries, &msr_context(domain, &policy))
            })
        }
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// Works on a copy first: what fails changes nothing.
fn change_msrs(
    vcpu: &Vcpu,
    check_only: bool,
    change: impl FnOnce(&mut VcpuMsrs) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut state = X86Vcpu::of(vcpu).state.lock_second();
    let mut changed = state.msrs.clone();
    change(&mut changed)?;
    if !check_only {
        state.msrs = changed;
    }
    Ok(())
}

fn load_cpu(
    domain: &Domain,
    vcpu: &Vcpu,
    record: &Record<'_>,
    check_only: bool,
) -> Result<(), Errno> {
    let record = record.zero_extended::<HvmHwCpu>()?;
    let registers = VcpuRegisters::from_record(&record, &X86Domain::of(domain).policy.read())?;
    if check_only {
        return Ok(());
    }
    let mut state = X86Vcpu::of(vcpu).state.lock_second();
    let state = &mut **state;
    state.hw.load_registers(&registers);
    // No record says whether the guest is in its NMI handler.
    state.hw.intercept_iret(state.nmi_blocked);
    state.forget_translations();
    state.registers.0 = registers.gprs;
    state.extended.reset();
    state.extended.dr = registers.breakpoints;
    state.extended.set_tsc_aux(u64::from(registers.tsc_aux));
    state.msrs.tsc_aux = registers.tsc_aux;
    if let Some(image) = &registers.fpu {
        state.extended.set_legacy(image);
    }
    if registers.tsc != 0 {
        let offset = registers
            .tsc
            .wrapping_sub(X86Domain::of(domain).tsc_count());
        state.hw.set_tsc_offset(offset);
        X86Vcpu::of(vcpu).publish_tsc_offset(offset);
    }
    state.pending = registers.pending_event.and_then(from_record_event);
    state.wait_for_startup = false;
    X86Vcpu::of(vcpu).initialised.store(true, SeqCst);
    Ok(())
}

fn to_record_event(event: Event) -> PendingEvent {
    let (kind, vector, error_code) = match event {
        Event::Interrupt(vector) => (EVENT_INTERRUPT, vector, None),
        Event::Nmi => (EVENT_NMI, NMI_VECTOR, None),
        Event::Exception { vector, error_code } => (EVENT_EXCEPTION, vector, error_code),
    };
    PendingEvent {
        vector,
        kind,
        error_code,
    }
}

/// INT n, INT3 and INTO are left out: the instruction pointer still is on them, so they are executed again.
fn from_record_event(event: PendingEvent) -> Option<Event> {
    match (event.kind, event.vector) {
        (EVENT_INTERRUPT, vector) => Some(Event::Interrupt(vector)),
        (EVENT_NMI, _) => Some(Event::Nmi),
        (EVENT_EXCEPTION, BREAKPOINT | OVERFLOW) => None,
        (EVENT_EXCEPTION, vector) => Some(Event::Exception {
            vector,
            error_code: event.error_code,
        }),
        _ => None,
    }
}

fn load_lapic(vcpu: &Vcpu, record: &Record<'_>, check_only: bool) -> Result<(), Errno> {
    let half = X86Vcpu::of(vcpu);
    let mut state = half.state.lock_second();
    let mut trial = state.vlapic.clone();
    let invalid = |_| Errno::EINVAL;
    if record.typecode == HVM_SAVE_CODE_LAPIC {
        let hidden = record.zero_extended::<[u8; 32]>()?;
        trial.load_hidden(&hidden).map_err(invalid)?;
    } else {
        let registers = record.payload.try_into().map_err(|_| Errno::EINVAL)?;
        trial.load_registers(registers, time::now_ns());
    }
    if !check_only {
        state.vlapic = trial;
        half.publish(&state);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::system_without_speculation_control;
    use crate::msr_policy::numbers::TSC_AUX;
    use crate::vcpu::Exit;
    use crate::vcpu::testing::Guest;
    use crate::vlapic::Trigger;
    use xen_core::ids::CpuId;

    #[test]
    fn waiting_events_survive_the_record() {
        for event in [
            Event::Interrupt(0x31),
            Event::Nmi,
            Event::Exception {
                vector: 14,
                error_code: Some(2),
            },
            Event::Exception {
                vector: 6,
                error_code: None,
            },
        ] {
            assert_eq!(from_record_event(to_record_event(event)), Some(event));
        }
    }

    #[test]
    fn software_interrupts_are_executed_again() {
        const SOFTWARE: u8 = 4;
        for (kind, vector) in [(SOFTWARE, 0x80), (EVENT_EXCEPTION, BREAKPOINT)] {
            let event = PendingEvent {
                vector,
                kind,
                error_code: None,
            };
            assert_eq!(from_record_event(event), None);
        }
    }

    /// State that a fresh vCPU does not have.
    fn used_guest() -> Guest {
        fpu::pretend_host_xcr0(7);
        let guest = Guest::new();
        guest.set(&[(3, 0x1234)]);
        guest.with(|running| {
            let state = &mut *running.state;
            state.hw.set_rip(0x1_2345);
            state.hw.set_pat(0x0007_0406_0107_0406);
            state.pending = Some(Event::Exception {
                vector: 14,
                error_code: Some(2),
            });
            assert!(state.extended.set_xcr0(7, 7));
            state.extended.dr = [1, 2, 3, 4];
        });
        guest
    }

    #[test]
    fn a_context_moves_to_another_domain() {
        let (from, to) = (used_guest(), Guest::new());
        let saved = save(&from.domain).unwrap();
        assert!(saved.len() <= size(&from.domain));
        load(&to.domain, &saved).unwrap();
        assert_eq!(to.register(3), 0x1234);
        to.with(|running| {
            let state = &mut *running.state;
            assert_eq!(state.hw.rip(), 0x1_2345);
            assert_eq!(state.extended.xcr0(), 7);
            assert_eq!(state.extended.dr, [1, 2, 3, 4]);
            let fault = Event::Exception {
                vector: 14,
                error_code: Some(2),
            };
            assert_eq!(state.pending, Some(fault));
        });
        let typecodes = |bytes: &[u8]| -> Vec<u16> {
            let context = Context::parse(bytes).unwrap();
            context.records().map(|record| record.typecode).collect()
        };
        assert_eq!(typecodes(&saved), typecodes(&save(&to.domain).unwrap()));
    }

    /// Where the payload of the first record of this type begins, and its length.
    fn payload(saved: &[u8], typecode: u16) -> (usize, usize) {
        let context = Context::parse(saved).unwrap();
        let record = context
            .records()
            .find(|record| record.typecode == typecode)
            .unwrap();
        let at = record.payload.as_ptr() as usize - saved.as_ptr() as usize;
        (at, record.payload.len())
    }

    /// Saves the state of a guest and loads it into a new one.
    fn moved(from: &Guest) -> Guest {
        let to = Guest::new();
        load(&to.domain, &save(&from.domain).unwrap()).unwrap();
        to
    }

    #[test]
    fn interrupts_in_the_mailbox_are_saved_and_init_is_not_lost() {
        let from = Guest::new();
        from.with(|running| {
            let _ = running.state.vlapic.write_mmio(0xf0, 4, 0x1ff, 0);
            running.arch.posted.post(0x41, Trigger::Edge);
            running.arch.posted.post_init();
        });
        let pending = |guest: &Guest| guest.with(|r| r.state.vlapic.highest_pending());
        assert_eq!(pending(&moved(&from)), Some(0x41));
        assert_eq!(pending(&from), Some(0x41));
        assert!(from.vcpu.arch.has_deliverable_interrupt());
        assert!(from.with(|running| running.arch.posted.take_events().init));
    }

    #[test]
    fn tsc_aux_reads_as_it_was_written_before_the_move() {
        let from = Guest::new();
        from.set(&[(1, u64::from(TSC_AUX)), (0, 7), (2, 0)]);
        from.instruction(Exit::WriteMsr, 2);
        let to = moved(&from);
        to.set(&[(1, u64::from(TSC_AUX)), (0, 0)]);
        to.instruction(Exit::ReadMsr, 2);
        assert_eq!(to.register(0), 7);
        assert_eq!(to.with(|running| running.state.extended.tsc_aux), 7);
    }

    #[test]
    fn an_armed_tsc_deadline_goes_on_after_the_move() {
        const TIMER: u16 = 0x320;
        let [from, to] = [Guest::new(), Guest::new()];
        let domain = &to.domain;
        // A tick is a nanosecond.
        domain
            .arch
            .set_tsc_info(domain, 1, 0, 1_000_000, 0)
            .unwrap();
        from.with(|running| {
            let apic = &mut running.state.vlapic;
            let _ = apic.write_mmio(0xf0, 4, 0x1ff, 0);
            let _ = apic.write_mmio(TIMER, 4, 2 << 17 | 0x51, 0);
            let _ = apic.write_tsc_deadline(1 << 60, 0, 0, |ticks| ticks);
        });
        load(domain, &save(&from.domain).unwrap()).unwrap();
        assert_ne!(to.vcpu.arch.timer_deadline_ns(), u64::MAX);
        let deadline = to.with(|running| running.state.vlapic.tsc_deadline(0));
        assert_eq!(deadline, 1 << 60);
    }

    #[test]
    fn store_bypass_stays_off_after_the_move() {
        let policy = system_without_speculation_control().for_domain();
        let [from, to] = [Guest::new(), Guest::new()];
        for guest in [&from, &to] {
            *X86Domain::of(&guest.domain).policy.write() = policy.clone();
        }
        from.with(|running| running.state.msrs.virt_spec_ctrl = 1 << 2);
        load(&to.domain, &save(&from.domain).unwrap()).unwrap();
        to.with(|running| {
            assert_eq!(running.state.msrs.virt_spec_ctrl, 1 << 2);
            assert!(running.state.extended.has_no_store_bypass());
        });
    }

    /// Until Xen 4.19 the record ended before the pending errors.
    #[test]
    fn a_local_apics_record_of_an_older_xen_is_taken() {
        const OLD: usize = 24;
        let from = Guest::new();
        from.with(|running| {
            let _ = running.state.vlapic.write_mmio(0xf0, 4, 0x1ff, 0);
        });
        let mut saved = save(&from.domain).unwrap();
        let (at, len) = payload(&saved, HVM_SAVE_CODE_LAPIC);
        saved.drain(at + OLD..at + len);
        saved[at - 4..at].copy_from_slice(&(OLD as u32).to_le_bytes());
        let to = Guest::new();
        assert_eq!(load(&to.domain, &saved), Ok(()));
        assert!(to.with(|running| running.state.vlapic.is_enabled()));
    }

    #[test]
    fn loading_registers_leaves_no_translations_and_keeps_nmis_apart() {
        let from = Guest::new();
        from.with(|running| {
            running.state.asid_home = Some((CpuId(0), 0));
            running.state.nmi_blocked = true;
        });
        let saved = save(&from.domain).unwrap();
        load(&from.domain, &saved).unwrap();
        from.with(|running| {
            assert_eq!(running.state.asid_home, None);
            assert!(running.state.hw.iret);
        });
    }

    #[test]
    fn a_bad_record_changes_nothing() {
        let (from, to) = (used_guest(), Guest::new());
        let mut saved = save(&from.domain).unwrap();
        let (at, _) = payload(&saved, CPU_XSAVE_CODE);
        // XCR0 without x87.
        saved[at + 8] = 6;
        assert_eq!(load(&to.domain, &saved), Err(Errno::EINVAL));
        assert_eq!(to.register(3), 0);
    }
}
