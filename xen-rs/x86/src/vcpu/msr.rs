//! RDMSR and WRMSR exits.

use xen_core::console::{self, Level};
use xen_core::hypercall::Width;
use xen_core::hypercall::hvm_op::latch_width::latch_width;
use xen_core::ids::Gfn;

use super::backend::Backend;
use super::entry::{Next, Running};
use super::exit::Done;
use crate::cpu::instructions::{rdmsr_safe, wrmsr_safe};
use crate::cpuid::{CpuPolicy, Feature};
use crate::domain::X86Domain;
use crate::domain::routing::apply_apic_effects;
use crate::msr_policy::{MsrContext, MsrRead, MsrWrite};

const GENERAL_PROTECTION: Done = Done::Fault(13, Some(0));
const APIC_BASE: u32 = 0x1b;
const TSC_DEADLINE: u32 = 0x6e0;
const EFER: u32 = 0xc000_0080;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const EFER_NXE: u64 = 1 << 11;
const CR0_PG: u64 = 1 << 31;

fn result(running: &mut Running<'_>, value: u64) -> Done {
    running.state.registers.0[0] = value & 0xffff_ffff;
    running.state.registers.0[2] = value >> 32;
    Done::Skip(Next::Resume)
}

/// RDMSR.
pub fn read_exit(running: &mut Running<'_>) -> Done {
    let msr = running.state.registers.0[1] as u32;
    match read(running, msr) {
        Some(value) => result(running, value),
        None => {
            note(running, "RDMSR", msr);
            GENERAL_PROTECTION
        }
    }
}

/// WRMSR.
pub fn write_exit(running: &mut Running<'_>) -> Done {
    let [a, c, d] = [0, 1, 2].map(|i| running.state.registers.0[i] & 0xffff_ffff);
    let (msr, value) = (c as u32, d << 32 | a);
    if write(running, msr, value).is_some() {
        return Done::Skip(Next::Resume);
    }
    note(running, "WRMSR", msr);
    GENERAL_PROTECTION
}

/// Tells a developer. Xen, too, does so in its debug builds only: guests probe for registers as a matter of course.
fn note(running: &Running<'_>, what: &str, msr: u32) {
    if !cfg!(debug_assertions) {
        return;
    }
    let (domid, id) = (running.domain.id, running.vcpu.id.0);
    console::log_guest(
        Level::Debug,
        running.hv.now_ns(),
        format_args!("{domid}v{id} {what} {msr:#010x} unimplemented"),
    );
}

fn context<'a>(running: &Running<'_>, policy: &'a CpuPolicy) -> MsrContext<'a> {
    let is_relaxed = X86Domain::of(running.domain).msr_relaxed;
    MsrContext {
        policy,
        is_hardware_domain: running.domain.hardware,
        is_relaxed,
    }
}

/// `None`: #GP.
fn read(running: &mut Running<'_>, msr: u32) -> Option<u64> {
    let now_ns = running.hv.now_ns();
    let state = &mut *running.state;
    match msr {
        APIC_BASE => return Some(state.vlapic.apic_base()),
        0x800..=0x83f => return state.vlapic.read_msr(msr, now_ns).ok(),
        TSC_DEADLINE => return Some(state.vlapic.tsc_deadline(now_ns)),
        EFER => return Some(state.hw.efer()),
        _ => {}
    }
    if let Some(value) = state.hw.read_msr(msr) {
        return Some(value);
    }
    let policy = X86Domain::of(running.domain).policy.read();
    match running.state.msrs.read(msr, &context(running, &policy)) {
        MsrRead::Value(value) => Some(value),
        MsrRead::Host { keep, set } => rdmsr_safe(msr).map(|value| value & keep | set),
        MsrRead::ZeroIfHostHas => rdmsr_safe(msr).map(|_| 0),
        MsrRead::Tsc => Some(running.guest_tsc()),
        MsrRead::Fault => None,
    }
}

/// `None`: #GP.
fn write(running: &mut Running<'_>, msr: u32, value: u64) -> Option<()> {
    let now_ns = running.hv.now_ns();
    match msr {
        APIC_BASE => {
            let offered = X86Domain::of(running.domain)
                .policy
                .read()
                .has(Feature::X2APIC);
            let effects = running.state.vlapic.write_apic_base(value, offered).ok()?;
            apply_apic_effects(running, effects);
        }
        0x800..=0x83f => {
            let effects = running.state.vlapic.write_msr(msr, value, now_ns).ok()?;
            apply_apic_effects(running, effects);
        }
        TSC_DEADLINE => {
            let guest_tsc = running.guest_tsc();
            let tsc = *X86Domain::of(running.domain).tsc.lock();
            let effects =
                running
                    .state
                    .vlapic
                    .write_tsc_deadline(value, guest_tsc, now_ns, |ticks| tsc.ns_of_ticks(ticks));
            apply_apic_effects(running, effects);
        }
        EFER => return write_efer(running, value),
        _ if running.state.hw.write_msr(msr, value) => {}
        _ => return write_model(running, msr, value),
    }
    Some(())
}

fn write_model(running: &mut Running<'_>, msr: u32, value: u64) -> Option<()> {
    let policy = X86Domain::of(running.domain).policy.read();
    let context = context(running, &policy);
    let decision = running.state.msrs.write(msr, value, &context);
    drop(policy);
    let offset = running.state.hw.tsc_offset();
    match decision {
        MsrWrite::Done | MsrWrite::MemoryTypes => {}
        MsrWrite::IgnoredIfHostHas => {
            rdmsr_safe(msr)?;
        }
        MsrWrite::SetTsc(tsc) => {
            let new = tsc.wrapping_sub(X86Domain::of(running.domain).tsc_count());
            move_tsc(running, new);
            running.state.msrs.tsc_moved(new.wrapping_sub(offset));
        }
        MsrWrite::MoveTsc(by) => move_tsc(running, offset.wrapping_add(by)),
        MsrWrite::Pat(pat) => running.state.hw.set_pat(pat),
        MsrWrite::TscAux(aux) => running.state.extended.set_tsc_aux(u64::from(aux)),
        MsrWrite::StoreBypass { disabled } => {
            running.state.extended.set_no_store_bypass(disabled);
        }
        MsrWrite::Host { msr, value } => return wrmsr_safe(msr, value).then_some(()),
        MsrWrite::HypercallPage(page) => return fill_hypercall_page(running, page),
        // Features that are not offered: the policy has none of them.
        MsrWrite::SpecCtrl(_) | MsrWrite::BreakpointMask { .. } | MsrWrite::Fault => return None,
    }
    Some(())
}

/// The vCPU's counter jumps, its system time does not.
fn move_tsc(running: &mut Running<'_>, offset: u64) {
    running.state.hw.set_tsc_offset(offset);
    running.arch.publish_tsc_offset(offset);
    running.hv.publish_time(running.domain, running.vcpu);
}

/// Writable bits follow the policy; LMA follows LME and paging.
fn write_efer(running: &mut Running<'_>, value: u64) -> Option<()> {
    let allowed = X86Domain::of(running.domain).policy.read().efer_bits();
    let hw = &mut running.state.hw;
    let old = hw.efer();
    let paging = hw.cr(0) & CR0_PG != 0;
    if value & !allowed != 0 || (paging && (old ^ value) & EFER_LME != 0) {
        return None;
    }
    let lma = if paging && value & EFER_LME != 0 {
        EFER_LMA
    } else {
        0
    };
    hw.set_efer(value & !EFER_LMA | lma);
    if (old ^ value) & EFER_NXE != 0 {
        running.state.forget_translations();
    }
    Some(())
}

/// Writes the 128 slots of the hypercall page (xen/include/public/arch-x86/cpuid.h, leaf 2): each loads its number and calls.
fn fill_hypercall_page(running: &mut Running<'_>, at: Gfn) -> Option<()> {
    const SLOT: usize = 32;
    const IRET: usize = 23;
    let mut page = [0xccu8; 4096];
    for (number, slot) in page.chunks_mut(SLOT).enumerate() {
        let code = if number == IRET {
            [0x0f, 0x0b, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90]
        } else {
            call_code(number as u8)
        };
        slot[..code.len()].copy_from_slice(&code);
    }
    running
        .hv
        .write_guest(running.domain, at.gpa(), &page)
        .ok()?;
    let width = if running.mode() == x86_emu::Mode::Long64 {
        Width::Bits64
    } else {
        Width::Bits32
    };
    latch_width(running.hv, running.domain, width);
    Some(())
}

/// mov eax, number; vmmcall; ret.
const fn call_code(number: u8) -> [u8; 9] {
    [0xb8, number, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3]
}
