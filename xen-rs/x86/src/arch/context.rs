//! HVM contexts of domains: which records there are, and moving them to and from vCPU state.

use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::hvm::save::{
    HVM_SAVE_CODE_CPU, HVM_SAVE_CODE_LAPIC, HVM_SAVE_CODE_LAPIC_REGS, HVM_SAVE_CODE_MTRR,
    HVM_SAVE_CODE_TSC_ADJUST, HvmHwCpu, HvmHwMtrr, HvmTscAdjust,
};
use xen_core::domain::Domain;
use xen_core::ids::VcpuId;
use xen_core::vcpu::Vcpu;

use crate::cpu::instructions::{cpuid, rdtsc};
use crate::domain::X86Domain;
use crate::hvm_context::{
    Context, ContextWriter, PendingEvent, Record, VcpuRegisters, header, size_limit,
};
use crate::msr_policy::Mtrr;
use crate::time;
use crate::vcpu::{Backend, Event, State, X86Vcpu};

/// Kinds of [`PendingEvent`].
const EVENT_INTERRUPT: u8 = 0;
const EVENT_NMI: u8 = 2;
const EVENT_EXCEPTION: u8 = 3;
const EVENT_SOFTWARE: u8 = 4;
const NMI_VECTOR: u8 = 2;
const BREAKPOINT: u8 = 3;
const OVERFLOW: u8 = 4;

/// Most bytes a context of the domain takes.
#[must_use]
pub fn size(domain: &Domain) -> usize {
    size_limit(domain.vcpus().len(), 0, &[])
}

/// All records of a paused domain.
///
/// # Errors
/// `EINVAL` for a state that cannot be expressed.
pub fn save(domain: &Domain) -> Result<Vec<u8>, Errno> {
    let mut writer = ContextWriter::new(&header(cpuid(1, 0).eax, time::tsc_khz()), size(domain));
    for vcpu in domain.vcpus().iter().filter(|vcpu| vcpu.is_up()) {
        let state = X86Vcpu::of(vcpu).state.lock_second();
        writer.append(HVM_SAVE_CODE_CPU, vcpu.id.0 as u16, &cpu_record(state));
    }
    for vcpu in domain.vcpus() {
        let state = X86Vcpu::of(vcpu).state.lock_second();
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
    }
    Ok(writer.finish())
}

fn cpu_record(mut state: xen_core::lock::Guard<'_, alloc::boxed::Box<State>>) -> HvmHwCpu {
    let state = &mut **state;
    let mut registers = state.hw.save_registers(state.registers.0);
    registers.breakpoints = state.extended.dr;
    registers.tsc_aux = state.extended.tsc_aux as u32;
    registers.tsc = rdtsc().wrapping_add(state.hw.tsc_offset());
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
    Ok(())
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
        _ => Err(Errno::EOPNOTSUPP),
    }
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
    state.registers.0 = registers.gprs;
    state.extended.reset();
    state.extended.dr = registers.breakpoints;
    state.extended.set_tsc_aux(u64::from(registers.tsc_aux));
    if let Some(image) = &registers.fpu {
        state.extended.set_legacy(image);
    }
    if registers.tsc != 0 {
        state.hw.set_tsc_offset(registers.tsc.wrapping_sub(rdtsc()));
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
        Event::Software(vector) => (EVENT_SOFTWARE, vector, None),
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
        let hidden = record.payload.try_into().map_err(|_| Errno::EINVAL)?;
        trial.load_hidden(hidden).map_err(invalid)?;
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
        for (kind, vector) in [(EVENT_SOFTWARE, 0x80), (EVENT_EXCEPTION, BREAKPOINT)] {
            let event = PendingEvent {
                vector,
                kind,
                error_code: None,
            };
            assert_eq!(from_record_event(event), None);
        }
    }
}
