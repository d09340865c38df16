//! VMMCALL: registers to a [`Call`] and back (abi: xen/include/public/arch-x86/xen-x86_64.h and xen-x86_32.h).

use x86_emu::{Expected, Mode};
use xen_abi::errno::Errno;
use xen_core::hypercall::{Call, Outcome, Width, dispatch};

use super::backend::Backend;
use super::entry::{Next, Running};
use super::linear::LinearSpace;

/// rdi, rsi, rdx, r10, r8.
const ARGUMENTS_64: [usize; 5] = [7, 6, 2, 10, 8];
/// ebx, ecx, edx, esi, edi.
const ARGUMENTS_32: [usize; 5] = [3, 1, 2, 6, 7];
const LOW_HALF: u64 = 0xffff_ffff;

/// Handles the exit.
pub fn handle(running: &mut Running<'_>) -> Next {
    let Some(next_rip) = running.next_rip(Expected::Vmmcall) else {
        return Next::Resume;
    };
    let mode = running.mode();
    let width = if mode == Mode::Long64 {
        Width::Bits64
    } else {
        Width::Bits32
    };
    if running.state.hw.cpl() != 0 || mode == Mode::Vm86 {
        running.state.registers.0[0] = Errno::EPERM.to_rc() as u64;
        running.skip_to(next_rip);
        return Next::Resume;
    }
    let gprs = &running.state.registers.0;
    let number = gprs[0] as u32;
    let args = match width {
        Width::Bits64 => ARGUMENTS_64.map(|index| gprs[index]),
        Width::Bits32 => ARGUMENTS_32.map(|index| gprs[index] & LOW_HALF),
    };
    running.refresh_deliverable();
    let mut memory = LinearSpace::new(running.hv, running.domain, running.state);
    let mut call = Call {
        hv: running.hv,
        domain: running.domain,
        vcpu: running.vcpu,
        width,
        args,
        guest: &mut memory,
    };
    let result = dispatch(&mut call, number);
    finish(running, result, width, next_rip)
}

fn finish(
    running: &mut Running<'_>,
    result: Result<Outcome, Errno>,
    width: Width,
    next_rip: u64,
) -> Next {
    let (registers, mask) = match width {
        Width::Bits64 => (&ARGUMENTS_64, u64::MAX),
        Width::Bits32 => (&ARGUMENTS_32, LOW_HALF),
    };
    let (value, next) = match result {
        Ok(Outcome::Done(value)) => (value, Next::Resume),
        Ok(Outcome::Reschedule) => (0, Next::Reschedule),
        Err(errno) => (errno.to_rc(), Next::Resume),
        Ok(Outcome::Continue(args)) => {
            for (register, value) in registers.iter().zip(args) {
                running.state.registers.0[*register] = value & mask;
            }
            return Next::Resume;
        }
    };
    running.state.registers.0[0] = value as u64 & mask;
    running.skip_to(next_rip);
    next
}
