//! What each exit does.

use x86_emu::{Expected, Mode, SegmentName, expected_length};
use xen_core::console::print;

use super::backend::{Backend, Exit};
use super::entry::{Next, Running};
use super::{control, emulation, hypercall, mmio, msr, port};
use crate::cpu::instructions::wbinvd;
use crate::cpuid::Dynamic;
use crate::domain::X86Domain;

const UNDEFINED: u8 = 6;
const ALIGNMENT_CHECK: u8 = 17;
const MACHINE_CHECK: u8 = 18;
const GENERAL_PROTECTION: u8 = 13;
const CR4_OSXSAVE: u64 = 1 << 18;
const XSTATE_LEAF: u32 = 0xd;

/// Handles the exit that `running` just took.
pub fn handle(running: &mut Running<'_>) -> Next {
    let exit = running.state.hw.exit();
    match exit {
        Exit::Interrupt | Exit::Nmi | Exit::Window | Exit::Pause | Exit::Init => Next::Resume,
        Exit::Cpuid => running.with_length(Expected::Cpuid, Running::cpuid),
        Exit::Hypercall => hypercall::handle(running),
        Exit::ControlWrite {
            register,
            source: Some(source),
        } => running.with_length(Expected::MovToCr, |r| {
            control::write_exit(r, register, source)
        }),
        Exit::ControlWrite { source: None, .. } => emulation::emulate(running),
        Exit::NestedFault { gpa, write, fetch } => mmio::nested_fault(running, gpa, write, fetch),
        Exit::ReadMsr => running.with_length(Expected::Rdmsr, |r| msr::read_exit(r)),
        Exit::WriteMsr => running.with_length(Expected::Wrmsr, |r| msr::write_exit(r)),
        Exit::Port {
            port,
            size,
            write,
            next_rip,
        } => port::handle(running, port, size, write, next_rip),
        Exit::Halt => running.with_length(Expected::Hlt, Running::halt),
        Exit::Xsetbv => running.with_length(Expected::Xsetbv, Running::xsetbv),
        Exit::CacheFlush(which) => {
            let which = running.cache_flush_meant(which);
            running.with_length(which, Running::cache_flush)
        }
        Exit::Rdtsc => running.with_length(Expected::Rdtsc, Running::rdtsc),
        Exit::Rdtscp => running.with_length(Expected::Rdtscp, Running::rdtscp),
        Exit::Rdpmc => running.fault(GENERAL_PROTECTION, Some(0)),
        Exit::Undefined => running.fault(UNDEFINED, None),
        Exit::Exception(vector) => running.exception(vector),
        Exit::Emulate => emulation::emulate(running),
        Exit::Shutdown => running.triple_fault(),
        Exit::Iret => running.end_of_nmi(),
        Exit::Invalid => running.refused(),
        Exit::Unknown(code) => {
            print(format_args!("unexpected exit {code:#x}"));
            running.crash("unexpected exit")
        }
    }
}

impl Running<'_> {
    /// Mode the guest's code runs in.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let hw = &self.state.hw;
        Mode::of(
            hw.cr(0),
            hw.efer(),
            hw.rflags(),
            hw.segment(SegmentName::Cs).attributes,
        )
    }

    /// Handles an exit by an instruction that is skipped when `handler` succeeds. The length comes from the hardware or from the bytes at RIP,
    /// which another vCPU may have changed meanwhile: then the instruction is simply executed again.
    fn with_length(&mut self, expected: Expected, handler: impl FnOnce(&mut Self) -> Done) -> Next {
        let Some(next_rip) = self.next_rip(expected) else {
            return Next::Resume;
        };
        match handler(self) {
            Done::Skip(next) => {
                self.skip_to(next_rip);
                next
            }
            Done::Fault(vector, code) => self.fault(vector, code),
        }
    }

    /// Where the instruction after the intercepted one is.
    pub fn next_rip(&mut self, expected: Expected) -> Option<u64> {
        if let Some(next) = self.state.hw.next_rip() {
            return Some(next);
        }
        let mode = self.mode();
        let mut bytes = [0; emulation::WINDOW];
        let len = emulation::fetch(self, mode, &mut bytes)?;
        let length = expected_length(&bytes[..len], mode, expected)?;
        let next = self.state.hw.rip().wrapping_add(u64::from(length));
        Some(if mode == Mode::Long64 {
            next
        } else {
            next & 0xffff_ffff
        })
    }

    /// Goes on after an instruction that was done for the guest.
    pub fn skip_to(&mut self, next_rip: u64) {
        const RFLAGS_TF: u64 = 1 << 8;
        const RFLAGS_RF: u64 = 1 << 16;
        self.state.hw.set_rip(next_rip);
        self.state.hw.set_interrupt_shadow(false);
        let rflags = self.state.hw.rflags();
        self.state.hw.set_rflags(rflags & !RFLAGS_RF);
        if rflags & RFLAGS_TF != 0 {
            let (dr6, dr7) = self.state.hw.debug_control();
            self.state.hw.set_debug_control(dr6 | 1 << 14, dr7);
            self.state.inject_exception(1, None);
        }
    }

    /// The guest gets an exception at the present instruction.
    pub fn fault(&mut self, vector: u8, error_code: Option<u32>) -> Next {
        let code = error_code.filter(|_| self.state.hw.cr(0) & 1 != 0);
        self.state.inject_exception(vector, code);
        Next::Resume
    }

    /// The guest broke its own machine.
    pub fn crash(&mut self, why: &str) -> Next {
        self.state.dump(self.domain, self.vcpu.id);
        self.hv.crash_domain(self.domain, why);
        Next::Reschedule
    }

    /// The processor does not run this state. What remains of it is shown.
    fn refused(&mut self) -> Next {
        if self.state.hw.lost_guest_state() {
            print(format_args!(
                "{}v{}: only general registers other than rax and rsp are left of its state",
                self.domain.id, self.vcpu.id.0
            ));
            (self.state.registers.0[0], self.state.registers.0[4]) = (0, 0);
            self.state.hw.reset();
        }
        self.crash("the processor refuses the vCPU's state")
    }

    /// The NMI handler is left by the IRET that comes next: until it is done, the shadow holds another NMI back.
    fn end_of_nmi(&mut self) -> Next {
        self.state.nmi_blocked = false;
        self.state.hw.intercept_iret(false);
        self.state.hw.set_interrupt_shadow(true);
        Next::Resume
    }

    /// Hands #DB and #AC on; each round passes the safe point of the run loop. A machine check is the hypervisor's.
    fn exception(&mut self, vector: u8) -> Next {
        match vector {
            MACHINE_CHECK => crate::cpu::machine_check::handle(None),
            ALIGNMENT_CHECK => self.state.inject_exception(vector, Some(0)),
            _ => self.state.inject_exception(vector, None),
        }
        Next::Resume
    }

    pub(super) fn triple_fault(&mut self) -> Next {
        let reason = self.domain.params.lock()
            [xen_abi::hvm::params::HVM_PARAM_TRIPLE_FAULT_REASON as usize]
            as u8;
        print(format_args!(
            "{}v{} triple fault - invoking HVM shutdown action {reason}",
            self.domain.id, self.vcpu.id.0
        ));
        self.state.dump(self.domain, self.vcpu.id);
        self.hv.shutdown_domain(self.domain, reason);
        Next::Reschedule
    }

    fn cpuid(&mut self) -> Done {
        if self.state.msrs.is_cpuid_faulting() && self.state.hw.cpl() > 0 {
            return Done::Fault(GENERAL_PROTECTION, Some(0));
        }
        let arch = X86Domain::of(self.domain);
        let state = &mut *self.state;
        let (leaf, subleaf) = (state.registers.0[0] as u32, state.registers.0[1] as u32);
        let now = Dynamic {
            vcpu: self.vcpu.id,
            domid: self.domain.id,
            cr4: state.hw.cr(4),
            xcr0: if leaf == XSTATE_LEAF {
                state.extended.xcr0()
            } else {
                0
            },
            xss: 0,
            apic_enabled: state.vlapic.is_globally_enabled(),
            long_mode: state.hw.efer() & 1 << 10 != 0,
            hypervisor: &arch.hypervisor_info(),
        };
        let [a, b, c, d] = arch.policy.read().query(leaf, subleaf, &now);
        for (index, value) in [(0, a), (3, b), (1, c), (2, d)] {
            state.registers.0[index] = u64::from(value);
        }
        Done::Skip(Next::Resume)
    }

    fn halt(&mut self) -> Done {
        const RFLAGS_IF: u64 = 1 << 9;
        if self.state.hw.rflags() & RFLAGS_IF == 0
            && !self.state.nmi_pending
            && !self.arch.posted.has_any()
        {
            // Nothing can wake it: the vCPU has gone offline, as Xen has it.
            self.hv.bring_down(self.domain, self.vcpu);
            return Done::Skip(Next::Reschedule);
        }
        self.refresh_deliverable();
        self.hv.block_current(self.domain, self.vcpu);
        Done::Skip(Next::Reschedule)
    }

    fn xsetbv(&mut self) -> Done {
        let state = &mut *self.state;
        let [a, c, d] = [0, 1, 2].map(|i| state.registers.0[i] & 0xffff_ffff);
        let allowed = X86Domain::of(self.domain).policy.read().xcr0_max();
        let usable = state.hw.cpl() == 0 && state.hw.cr(4) & CR4_OSXSAVE != 0 && c == 0;
        if usable && state.extended.set_xcr0(d << 32 | a, allowed) {
            Done::Skip(Next::Resume)
        } else {
            Done::Fault(GENERAL_PROTECTION, Some(0))
        }
    }

    /// QEMU 7.2 reports INVD as WBINVD: the bytes decide.
    fn cache_flush_meant(&mut self, reported: Expected) -> Expected {
        let other = match reported {
            Expected::Wbinvd => Expected::Invd,
            _ => Expected::Wbinvd,
        };
        if self.next_rip(reported).is_some() {
            reported
        } else {
            other
        }
    }

    /// Only a domain with devices of its own can have caches that matter.
    fn cache_flush(&mut self) -> Done {
        if self.domain.hardware {
            wbinvd();
        }
        Done::Skip(Next::Resume)
    }

    /// The vCPU's time-stamp counter.
    #[must_use]
    pub fn guest_tsc(&self) -> u64 {
        let offset = self.state.hw.tsc_offset();
        X86Domain::of(self.domain).tsc_count().wrapping_add(offset)
    }

    fn rdtsc(&mut self) -> Done {
        let tsc = self.guest_tsc();
        let registers = &mut self.state.registers.0;
        (registers[0], registers[2]) = (tsc & 0xffff_ffff, tsc >> 32);
        Done::Skip(Next::Resume)
    }

    fn rdtscp(&mut self) -> Done {
        self.state.registers.0[1] = self.state.extended.tsc_aux;
        self.rdtsc()
    }
}

/// How an instruction that is done for the guest ends.
pub enum Done {
    /// Go on after it.
    Skip(Next),
    /// It faults.
    Fault(u8, Option<u32>),
}
