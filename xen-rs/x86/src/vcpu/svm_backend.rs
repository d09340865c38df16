//! [`Backend`] on AMD-V: the only common-code face of the control block.
#![allow(unsafe_code, reason = "calls the VMRUN wrapper")]

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use x86_emu::{Expected, Segment, SegmentAttributes, SegmentName};
use xen_core::domain::Domain;
use xen_core::ids::Maddr;

use super::backend::{Backend, Event, Exit};
use crate::cpu::emulated::is_emulated;
use crate::cpu::instructions::cr3;
use crate::domain::X86Domain;
use crate::guest_paging::PagingState;
use crate::hvm_context::{DescriptorTable, PendingEvent, VcpuRegisters};
use crate::svm::enter::{self, Registers};
use crate::svm::vmcb::{Vmcb, VmcbSegment, event, exit, intercept, segment, vintr};

const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const EFER_SVME: u64 = 1 << 12;
const NESTED_PAGING: u64 = 1;
const TLB_FLUSH_ALL: u8 = 1;
const RFLAGS_RESERVED: u64 = 2;
const PAT_RESET: u64 = 0x0007_0406_0007_0406;

/// Whether the CPU saves the next instruction's address; the same on all CPUs.
static NEXT_RIP: AtomicBool = AtomicBool::new(false);

/// Whether exits by moves to control registers carry the general register; the same on all CPUs.
static DECODE_ASSISTS: AtomicBool = AtomicBool::new(false);

/// Set at boot.
pub fn set_next_rip(available: bool) {
    NEXT_RIP.store(available, Relaxed);
}

/// Set at boot.
pub fn set_decode_assists(available: bool) {
    DECODE_ASSISTS.store(available, Relaxed);
}

/// The control block of a vCPU.
pub struct Svm {
    vmcb: Box<Vmcb>,
    /// EFER.LME as the guest sees it. The block has it only together with LMA: QEMU 7.2 does not bring back the host's CR0 from a guest with
    /// LME that has neither paging nor PAE, and goes on without paging on the host's tables.
    wants_long_mode: bool,
}

fn index(name: SegmentName) -> usize {
    match name {
        SegmentName::Es => segment::ES,
        SegmentName::Cs => segment::CS,
        SegmentName::Ss => segment::SS,
        SegmentName::Ds => segment::DS,
        SegmentName::Fs => segment::FS,
        SegmentName::Gs => segment::GS,
        SegmentName::Tr => segment::TR,
    }
}

impl Backend for Svm {
    fn new(machine: &X86Domain, domain: &Domain) -> Self {
        let mut vmcb = Vmcb::new();
        vmcb.iopm_base = machine.port_map_address();
        vmcb.msrpm_base = machine.msr_map_address();
        vmcb.nested_cr3 = domain.p2m.read().root().maddr().0;
        vmcb.nested_control = NESTED_PAGING;
        let [counter0, counter1] = machine.counter_intercepts();
        vmcb.intercepts = [
            intercept::BASIC | intercept::CR0_SELECTIVE_WRITE | counter0,
            intercept::SVM | counter1,
            0,
        ];
        vmcb.intercept_cr = intercept::CR4_WRITE;
        if is_emulated() {
            // QEMU (7.2) dies of a write of CR8 while an interrupt waits: it asks for the interrupt without its lock. And its VMRUN and
            // #VMEXIT change DR7 without the list of breakpoints that goes with it, from which the next write of DR7 then takes a breakpoint
            // for one of another kind (`cpu_x86_update_dr7`).
            vmcb.intercept_cr |= intercept::CR8_WRITE;
            vmcb.intercept_dr = u32::MAX;
        }
        vmcb.intercept_exceptions = intercept::EXCEPTIONS;
        vmcb.virtual_interrupt = vintr::MASKING;
        let mut svm = Self {
            vmcb,
            wants_long_mode: false,
        };
        svm.reset();
        svm
    }

    fn reset(&mut self) {
        self.wants_long_mode = false;
        let v = &mut self.vmcb;
        let data = VmcbSegment {
            selector: 0,
            attributes: 0x93,
            limit: 0xffff,
            base: 0,
        };
        v.segments = [data; 10];
        v.segments[segment::CS] = VmcbSegment {
            selector: 0xf000,
            attributes: 0x9b,
            limit: 0xffff,
            base: 0xffff_0000,
        };
        v.segments[segment::LDTR] = VmcbSegment {
            attributes: 0x82,
            ..data
        };
        v.segments[segment::TR] = VmcbSegment {
            attributes: 0x8b,
            ..data
        };
        v.segments[segment::GDTR] = VmcbSegment {
            attributes: 0,
            ..data
        };
        v.segments[segment::IDTR] = VmcbSegment {
            attributes: 0,
            ..data
        };
        v.cpl = 0;
        v.efer = EFER_SVME;
        v.cr0 = 0x6000_0010;
        v.cr3 = 0;
        v.cr4 = 0;
        v.cr2 = 0;
        v.dr6 = 0xffff_0ff0;
        v.dr7 = 0x400;
        v.rflags = RFLAGS_RESERVED;
        v.rip = 0xfff0;
        v.pat = PAT_RESET;
        v.interrupt_shadow = 0;
        v.intercepts[0] &= !intercept::IRET;
        v.event_injection = 0;
        v.exit_interrupt_info = 0;
    }

    fn load_registers(&mut self, r: &VcpuRegisters) {
        let pat = self.vmcb.pat;
        self.reset();
        let v = &mut self.vmcb;
        v.pat = pat;
        let order = [
            (segment::ES, &r.es),
            (segment::CS, &r.cs),
            (segment::SS, &r.ss),
            (segment::DS, &r.ds),
            (segment::FS, &r.fs),
            (segment::GS, &r.gs),
            (segment::LDTR, &r.ldtr),
            (segment::TR, &r.tr),
        ];
        order
            .into_iter()
            .for_each(|(index, s)| v.segments[index] = packed(s));
        v.segments[segment::GDTR] = table(&r.gdtr);
        v.segments[segment::IDTR] = table(&r.idtr);
        v.cpl = (r.ss.attributes.0 >> 5 & 3) as u8;
        (v.rip, v.rflags, v.rsp, v.rax) = (r.rip, r.rflags | RFLAGS_RESERVED, r.gprs[4], r.gprs[0]);
        (v.cr0, v.cr2, v.cr3, v.cr4) = (r.cr0, r.cr2, r.cr3, r.cr4);
        (v.dr6, v.dr7) = (r.dr6, r.dr7);
        (v.sysenter_cs, v.sysenter_esp, v.sysenter_eip) =
            (r.sysenter_cs, r.sysenter_esp, r.sysenter_eip);
        (v.star, v.lstar, v.cstar, v.sfmask, v.kernel_gs_base) =
            (r.star, r.lstar, r.cstar, r.sfmask, r.kernel_gs_base);
        self.set_efer(r.efer);
    }

    fn save_registers(&self, gprs: [u64; 16]) -> VcpuRegisters {
        let v = &self.vmcb;
        let seg = |index: usize| unpacked(&v.segments[index]);
        let table = |index: usize| DescriptorTable {
            base: v.segments[index].base,
            limit: v.segments[index].limit,
        };
        VcpuRegisters {
            gprs,
            rip: v.rip,
            rflags: v.rflags,
            cr0: v.cr0,
            cr2: v.cr2,
            cr3: v.cr3,
            cr4: v.cr4,
            breakpoints: [0; 4],
            dr6: v.dr6,
            dr7: v.dr7,
            cs: seg(segment::CS),
            ds: seg(segment::DS),
            es: seg(segment::ES),
            fs: seg(segment::FS),
            gs: seg(segment::GS),
            ss: seg(segment::SS),
            tr: seg(segment::TR),
            ldtr: seg(segment::LDTR),
            gdtr: table(segment::GDTR),
            idtr: table(segment::IDTR),
            sysenter_cs: v.sysenter_cs,
            sysenter_esp: v.sysenter_esp,
            sysenter_eip: v.sysenter_eip,
            star: v.star,
            lstar: v.lstar,
            cstar: v.cstar,
            sfmask: v.sfmask,
            efer: self.efer(),
            kernel_gs_base: v.kernel_gs_base,
            tsc_aux: 0,
            tsc: 0,
            fpu: None,
            pending_event: None::<PendingEvent>,
        }
    }

    fn paging_state(&self) -> PagingState {
        PagingState {
            cr0: self.vmcb.cr0,
            cr3: self.vmcb.cr3,
            cr4: self.vmcb.cr4,
            efer: self.vmcb.efer,
            rflags: self.vmcb.rflags,
        }
    }

    fn rip(&self) -> u64 {
        self.vmcb.rip
    }

    fn set_rip(&mut self, rip: u64) {
        self.vmcb.rip = rip;
    }

    fn rflags(&self) -> u64 {
        self.vmcb.rflags
    }

    fn set_rflags(&mut self, rflags: u64) {
        self.vmcb.rflags = rflags | RFLAGS_RESERVED;
    }

    fn cpl(&self) -> u8 {
        self.vmcb.cpl
    }

    fn segment(&self, name: SegmentName) -> Segment {
        let s = &self.vmcb.segments[index(name)];
        Segment {
            selector: s.selector,
            base: s.base,
            limit: s.limit,
            attributes: SegmentAttributes(s.attributes),
        }
    }

    fn set_segment(&mut self, name: SegmentName, s: Segment) {
        let new = VmcbSegment {
            selector: s.selector,
            attributes: s.attributes.0,
            limit: s.limit,
            base: s.base,
        };
        self.vmcb.segments[index(name)] = new;
        if name == SegmentName::Ss {
            self.vmcb.cpl = (s.attributes.0 >> 5 & 3) as u8;
        }
    }

    fn cr(&self, index: u8) -> u64 {
        match index {
            0 => self.vmcb.cr0,
            2 => self.vmcb.cr2,
            3 => self.vmcb.cr3,
            _ => self.vmcb.cr4,
        }
    }

    fn set_cr(&mut self, index: u8, value: u64) {
        match index {
            0 => self.vmcb.cr0 = value,
            2 => self.vmcb.cr2 = value,
            3 => self.vmcb.cr3 = value,
            _ => self.vmcb.cr4 = value,
        }
    }

    fn efer(&self) -> u64 {
        let lme = if self.wants_long_mode { EFER_LME } else { 0 };
        self.vmcb.efer & !EFER_SVME | lme
    }

    fn set_efer(&mut self, value: u64) {
        self.wants_long_mode = value & EFER_LME != 0;
        let hidden = if value & EFER_LMA == 0 { EFER_LME } else { 0 };
        self.vmcb.efer = value & !hidden | EFER_SVME;
    }

    fn debug_control(&self) -> (u64, u64) {
        (self.vmcb.dr6, self.vmcb.dr7)
    }

    fn set_debug_control(&mut self, dr6: u64, dr7: u64) {
        (self.vmcb.dr6, self.vmcb.dr7) = (dr6, dr7);
    }

    fn read_msr(&self, msr: u32) -> Option<u64> {
        let v = &self.vmcb;
        Some(match msr {
            0x174 => v.sysenter_cs,
            0x175 => v.sysenter_esp,
            0x176 => v.sysenter_eip,
            0xc000_0081 => v.star,
            0xc000_0082 => v.lstar,
            0xc000_0083 => v.cstar,
            0xc000_0084 => v.sfmask,
            0xc000_0100 => v.segments[segment::FS].base,
            0xc000_0101 => v.segments[segment::GS].base,
            0xc000_0102 => v.kernel_gs_base,
            _ => return None,
        })
    }

    fn write_msr(&mut self, msr: u32, value: u64) -> bool {
        let v = &mut self.vmcb;
        match msr {
            0x174 => v.sysenter_cs = value,
            0x175 => v.sysenter_esp = value,
            0x176 => v.sysenter_eip = value,
            0xc000_0081 => v.star = value,
            0xc000_0082 => v.lstar = value,
            0xc000_0083 => v.cstar = value,
            0xc000_0084 => v.sfmask = value,
            0xc000_0100 => v.segments[segment::FS].base = value,
            0xc000_0101 => v.segments[segment::GS].base = value,
            0xc000_0102 => v.kernel_gs_base = value,
            _ => return false,
        }
        true
    }

    fn pat(&self) -> u64 {
        self.vmcb.pat
    }

    fn set_pat(&mut self, pat: u64) {
        self.vmcb.pat = pat;
    }

    fn interrupt_shadow(&self) -> bool {
        self.vmcb.interrupt_shadow & 1 != 0
    }

    fn set_interrupt_shadow(&mut self, shadow: bool) {
        self.vmcb.interrupt_shadow = u64::from(shadow);
    }

    fn intercept_iret(&mut self, wanted: bool) {
        if wanted {
            self.vmcb.intercepts[0] |= intercept::IRET;
        } else {
            self.vmcb.intercepts[0] &= !intercept::IRET;
        }
    }

    fn intercept_task_priority(&mut self, wanted: bool) {
        if wanted || is_emulated() {
            self.vmcb.intercept_cr |= intercept::CR8_WRITE;
        } else {
            self.vmcb.intercept_cr &= !intercept::CR8_WRITE;
        }
    }

    fn inject(&mut self, new: Event) {
        self.vmcb.event_injection = event::VALID
            | match new {
                Event::Interrupt(vector) => event::INTERRUPT | u64::from(vector),
                Event::Nmi => event::NMI | 2,
                Event::Exception {
                    vector,
                    error_code: None,
                } => event::EXCEPTION | u64::from(vector),
                Event::Exception {
                    vector,
                    error_code: Some(code),
                } => {
                    event::EXCEPTION | event::ERROR_CODE | u64::from(vector) | u64::from(code) << 32
                }
            };
    }

    fn keep_injection(&mut self) {
        self.vmcb.exit_interrupt_info = self.vmcb.event_injection;
        self.vmcb.event_injection = 0;
    }

    fn interrupted_event(&self) -> Option<Event> {
        let info = self.vmcb.exit_interrupt_info;
        if info & event::VALID == 0 {
            return None;
        }
        let vector = info as u8;
        match info & event::TYPE {
            event::INTERRUPT => Some(Event::Interrupt(vector)),
            event::NMI => Some(Event::Nmi),
            // INT3 and INTO push the address after them; RIP is still before, so executing them again is right.
            event::EXCEPTION if vector == 3 || vector == 4 => None,
            event::EXCEPTION => {
                let error_code = (info & event::ERROR_CODE != 0).then_some((info >> 32) as u32);
                Some(Event::Exception { vector, error_code })
            }
            _ => None,
        }
    }

    fn forget_interrupted_event(&mut self) {
        self.vmcb.exit_interrupt_info = 0;
    }

    fn request_window(&mut self, wanted: bool) {
        if wanted {
            self.vmcb.virtual_interrupt |= vintr::IRQ | vintr::IGNORE_TPR;
            self.vmcb.intercepts[0] |= intercept::VINTR;
        } else {
            self.vmcb.virtual_interrupt &= !(vintr::IRQ | vintr::IGNORE_TPR);
            self.vmcb.intercepts[0] &= !intercept::VINTR;
        }
    }

    fn injects_interrupt(&self) -> bool {
        self.vmcb.event_injection & (event::VALID | event::TYPE) == event::VALID | event::INTERRUPT
    }

    fn window_requested(&self) -> bool {
        self.vmcb.intercepts[0] & intercept::VINTR != 0
    }

    fn next_rip(&self) -> Option<u64> {
        (NEXT_RIP.load(Relaxed) && self.vmcb.next_rip != 0).then_some(self.vmcb.next_rip)
    }

    fn fetched(&self) -> &[u8] {
        let len = usize::from(self.vmcb.fetched_len & 0xf).min(self.vmcb.fetched.len());
        &self.vmcb.fetched[..len]
    }

    fn exit(&self) -> Exit {
        let v = &self.vmcb;
        match v.exit_code {
            exit::INTR => Exit::Interrupt,
            exit::NMI => Exit::Nmi,
            exit::VINTR => Exit::Window,
            exit::CPUID => Exit::Cpuid,
            exit::HLT => Exit::Halt,
            exit::INVD => Exit::CacheFlush(Expected::Invd),
            exit::WBINVD => Exit::CacheFlush(Expected::Wbinvd),
            exit::MSR if v.exit_info1 == 0 => Exit::ReadMsr,
            exit::MSR => Exit::WriteMsr,
            exit::IOIO => port_exit(v),
            exit::CR0_WRITE | exit::CR0_SELECTIVE_WRITE => control_exit(v, 0),
            exit::CR4_WRITE => control_exit(v, 4),
            exit::VMMCALL => Exit::Hypercall,
            exit::NPF => Exit::NestedFault {
                gpa: v.exit_info2,
                write: v.exit_info1 & 2 != 0,
                fetch: v.exit_info1 & 16 != 0,
            },
            exit::SHUTDOWN => Exit::Shutdown,
            exit::XSETBV => Exit::Xsetbv,
            exit::RDTSC => Exit::Rdtsc,
            exit::RDTSCP => Exit::Rdtscp,
            exit::RDPMC => Exit::Rdpmc,
            exit::IRET => Exit::Iret,
            exit::PAUSE => Exit::Pause,
            exit::INIT => Exit::Init,
            exit::INVLPGA
            | exit::RDPRU
            | exit::VMRUN..=exit::SKINIT
            | exit::MONITOR..=exit::MWAIT_ARMED => Exit::Undefined,
            exit::DEBUG => Exit::Exception(1),
            exit::ALIGNMENT_CHECK => Exit::Exception(17),
            exit::MACHINE_CHECK => Exit::Exception(18),
            // Emulated processors report it in 32 bits.
            exit::INVALID | exit::INVALID_32 => Exit::Invalid,
            exit::CR8_WRITE | exit::DR0_READ..=exit::DR15_WRITE => Exit::Emulate,
            code => Exit::Unknown(code),
        }
    }

    /// The processor leaves the state alone (AMD APM volume 2, "Canonicalization and Consistency Checks"); QEMU stores the host's there.
    fn lost_guest_state(&self) -> bool {
        self.vmcb.cr3 == cr3()
    }

    fn task_priority(&self) -> u8 {
        (self.vmcb.virtual_interrupt & vintr::TPR) as u8
    }

    fn set_task_priority(&mut self, cr8: u8) {
        self.vmcb.virtual_interrupt =
            self.vmcb.virtual_interrupt & !vintr::TPR | u64::from(cr8 & 0xf);
    }

    fn tsc_offset(&self) -> u64 {
        self.vmcb.tsc_offset
    }

    fn set_tsc_offset(&mut self, offset: u64) {
        self.vmcb.tsc_offset = offset;
    }

    fn nested_root(&self) -> u64 {
        self.vmcb.nested_cr3
    }

    fn set_address_space(&mut self, id: u32) {
        self.vmcb.asid = id;
    }

    fn flush_all_address_spaces(&mut self) {
        self.vmcb.tlb_control = TLB_FLUSH_ALL;
    }

    fn enter(&mut self, registers: &mut Registers, host: Maddr) {
        // SAFETY: the block was built by `new` over live tables and maps; this CPU's host state was saved when SVM was switched on.
        unsafe { enter::run(&mut self.vmcb, registers, host) };
        self.vmcb.tlb_control = 0;
    }

    fn intercept_counter(&mut self, machine: &X86Domain) {
        const COUNTER: [u32; 2] = [intercept::RDTSC, intercept::RDTSCP];
        for (word, (own, wanted)) in COUNTER
            .into_iter()
            .zip(machine.counter_intercepts())
            .enumerate()
        {
            self.vmcb.intercepts[word] = self.vmcb.intercepts[word] & !own | wanted;
        }
    }
}

/// EXITINFO1 of an IOIO exit (AMD APM volume 2, "IOIO Intercept Information").
fn port_exit(v: &Vmcb) -> Exit {
    const IN: u64 = 1;
    const STRING: u64 = 4;
    let info = v.exit_info1;
    if info & STRING != 0 {
        return Exit::Emulate;
    }
    Exit::Port {
        port: (info >> 16) as u16,
        size: (info >> 4 & 7) as u8,
        write: info & IN == 0,
        next_rip: v.exit_info2,
    }
}

/// EXITINFO1 of a control register exit (AMD APM volume 2, "Decode Assists", "MOV CRx/DRx Intercepts"): LMSW and CLTS have no valid register.
fn control_exit(v: &Vmcb, register: u8) -> Exit {
    const VALID: u64 = 1 << 63;
    let is_valid = DECODE_ASSISTS.load(Relaxed) && v.exit_info1 & VALID != 0;
    Exit::ControlWrite {
        register,
        source: is_valid.then_some((v.exit_info1 & 0xf) as u8),
    }
}

fn packed(s: &Segment) -> VmcbSegment {
    VmcbSegment {
        selector: s.selector,
        attributes: s.attributes.0,
        limit: s.limit,
        base: s.base,
    }
}

fn unpacked(s: &VmcbSegment) -> Segment {
    Segment {
        selector: s.selector,
        base: s.base,
        limit: s.limit,
        attributes: SegmentAttributes(s.attributes),
    }
}

const fn table(t: &DescriptorTable) -> VmcbSegment {
    VmcbSegment {
        selector: 0,
        attributes: 0,
        limit: t.limit,
        base: t.base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svm() -> Svm {
        let mut svm = Svm {
            vmcb: Vmcb::new(),
            wants_long_mode: false,
        };
        svm.reset();
        svm
    }

    fn exit_of(code: u64, info1: u64, info2: u64) -> Exit {
        let mut svm = svm();
        (svm.vmcb.exit_code, svm.vmcb.exit_info1, svm.vmcb.exit_info2) = (code, info1, info2);
        svm.exit()
    }

    #[test]
    fn reset_is_a_state_that_vmrun_accepts() {
        let svm = svm();
        assert!(crate::cpuid::is_cr0_valid(svm.cr(0)));
        assert_eq!((svm.efer(), svm.vmcb.efer), (0, EFER_SVME));
        assert_eq!((svm.rip(), svm.cpl()), (0xfff0, 0));
    }

    #[test]
    fn long_mode_is_in_the_block_only_while_it_is_active() {
        let mut svm = svm();
        svm.set_efer(0x901);
        assert_eq!((svm.efer(), svm.vmcb.efer), (0x901, 0x801 | EFER_SVME));
        svm.set_efer(0xd01);
        assert_eq!((svm.efer(), svm.vmcb.efer), (0xd01, 0xd01 | EFER_SVME));
        svm.reset();
        assert_eq!(svm.efer(), 0);
    }

    #[test]
    fn registers_come_back_as_they_were_loaded() {
        let mut svm = svm();
        let mut registers = VcpuRegisters::pvh(0x10_0000, 0x9000);
        (registers.cr3, registers.efer) = (0x5000, 0x901);
        registers.lstar = 0xffff_ffff_8000_0000;
        registers.gdtr.limit = 0x7f;
        svm.set_pat(6);
        svm.load_registers(&registers);
        assert_eq!(svm.save_registers(registers.gprs), registers);
        assert_eq!(svm.pat(), 6);
    }

    #[test]
    fn exits_are_translated() {
        assert_eq!(exit_of(exit::INVD, 0, 0), Exit::CacheFlush(Expected::Invd));
        assert_eq!(exit_of(exit::MSR, 1, 0), Exit::WriteMsr);
        assert_eq!(exit_of(exit::IRET, 0, 0), Exit::Iret);
        assert_eq!(exit_of(exit::DR15_WRITE - 8, 0, 0), Exit::Emulate);
        assert_eq!(exit_of(exit::CR8_WRITE, 0, 0), Exit::Emulate);
        assert_eq!(exit_of(exit::INVALID_32, 0, 0), Exit::Invalid);
        assert_eq!(exit_of(exit::SMI, 0, 0), Exit::Unknown(exit::SMI));
        let fault = Exit::NestedFault {
            gpa: 0xfee0_0000,
            write: true,
            fetch: false,
        };
        assert_eq!(exit_of(exit::NPF, 1 << 32 | 6, 0xfee0_0000), fault);
    }

    #[test]
    fn port_exits_carry_port_and_size_unless_they_are_string_instructions() {
        let input = Exit::Port {
            port: 0x3f8,
            size: 2,
            write: false,
            next_rip: 0x1001,
        };
        assert_eq!(exit_of(exit::IOIO, 0x3f8 << 16 | 0x20 | 1, 0x1001), input);
        assert_eq!(
            exit_of(exit::IOIO, 0x3f8 << 16 | 0x14, 0x1001),
            Exit::Emulate
        );
    }

    #[test]
    fn control_register_exits_name_the_source_only_with_decode_assists() {
        let write = |register, source| Exit::ControlWrite { register, source };
        let info = 1 << 63 | 5;
        assert_eq!(exit_of(exit::CR4_WRITE, info, 0), write(4, None));
        set_decode_assists(true);
        assert_eq!(exit_of(exit::CR4_WRITE, info, 0), write(4, Some(5)));
        // LMSW.
        assert_eq!(exit_of(exit::CR0_SELECTIVE_WRITE, 5, 0), write(0, None));
        set_decode_assists(false);
    }

    #[test]
    fn events_that_were_not_delivered_come_back() {
        let mut svm = svm();
        for event in [
            Event::Interrupt(0x30),
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
            svm.inject(event);
            svm.keep_injection();
            assert_eq!(svm.interrupted_event(), Some(event));
            assert_eq!(svm.vmcb.event_injection, 0);
        }
        svm.forget_interrupted_event();
        assert_eq!(svm.interrupted_event(), None);
    }

    #[test]
    fn instructions_that_raise_events_are_executed_again() {
        let mut svm = svm();
        for word in [event::SOFTWARE | 0x80, event::EXCEPTION | 3] {
            svm.vmcb.exit_interrupt_info = event::VALID | word;
            assert_eq!(svm.interrupted_event(), None);
        }
    }

    #[test]
    fn writes_of_cr8_leave_the_guest_while_wanted_and_always_on_emulators() {
        let mut svm = svm();
        svm.vmcb.intercept_cr = intercept::CR4_WRITE;
        svm.intercept_task_priority(true);
        assert_eq!(svm.vmcb.intercept_cr, 0x0110_0000);
        svm.intercept_task_priority(false);
        let always = if is_emulated() {
            intercept::CR8_WRITE
        } else {
            0
        };
        assert_eq!(svm.vmcb.intercept_cr, intercept::CR4_WRITE | always);
    }

    #[test]
    fn windows_and_iret_are_asked_for_and_reset() {
        let mut svm = svm();
        svm.request_window(true);
        svm.intercept_iret(true);
        assert!(svm.window_requested());
        assert_ne!(svm.vmcb.intercepts[0] & intercept::IRET, 0);
        svm.request_window(false);
        svm.reset();
        assert_eq!(svm.vmcb.intercepts[0], 0);
        assert_eq!(svm.vmcb.virtual_interrupt, 0);
    }

    #[test]
    fn the_next_instructions_address_is_taken_from_the_hardware_only_where_it_saves_one() {
        let mut svm = svm();
        svm.vmcb.next_rip = 0x1003;
        assert_eq!(svm.next_rip(), None, "what stands there means nothing");
        set_next_rip(true);
        assert_eq!(svm.next_rip(), Some(0x1003));
        svm.vmcb.next_rip = 0;
        assert_eq!(
            svm.next_rip(),
            None,
            "not saved for this exit: it has to be found"
        );
        set_next_rip(false);
    }
}
