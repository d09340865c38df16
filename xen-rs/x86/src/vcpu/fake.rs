//! A virtual processor for tests: plain fields, and exits as a test writes them.

use std::vec::Vec;

use x86_emu::{Segment, SegmentAttributes, SegmentName};
use xen_core::domain::Domain;
use xen_core::ids::Maddr;

use super::backend::{Backend, Event, Exit};
use crate::domain::X86Domain;
use crate::guest_paging::PagingState;
use crate::hvm_context::VcpuRegisters;
use crate::svm::enter::Registers;

/// MSRs that the processor switches, as far as tests need them: LSTAR.
const SWITCHED_MSR: u32 = 0xc000_0082;

/// The hardware's half of a vCPU.
pub struct FakeProcessor {
    /// What [`Backend::exit`] says.
    pub exit: Exit,
    /// What [`Backend::next_rip`] says.
    pub next_rip: Option<u64>,
    /// What [`Backend::interrupted_event`] says.
    pub interrupted: Option<Event>,
    /// What the next entry would deliver.
    pub injected: Option<Event>,
    /// An exit at the next possible moment for an interrupt was asked for.
    pub window: bool,
    /// An exit before the next IRET was asked for.
    pub iret: bool,
    /// Exits by writes of CR8 were asked for.
    pub cr8_exits: bool,
    /// Events that entries delivered.
    pub delivered: Vec<Event>,
    /// RDTSC was to exit.
    pub counter_exits: bool,
    /// Address space identifier.
    pub address_space: u32,
    /// What [`Backend::lost_guest_state`] says.
    pub lost: bool,
    /// MSR.
    pub lstar: u64,
    registers: VcpuRegisters,
    shadow: bool,
    cr8: u8,
    pat: u64,
    tsc_offset: u64,
}

fn segment_of(registers: &mut VcpuRegisters, name: SegmentName) -> &mut Segment {
    match name {
        SegmentName::Es => &mut registers.es,
        SegmentName::Cs => &mut registers.cs,
        SegmentName::Ss => &mut registers.ss,
        SegmentName::Ds => &mut registers.ds,
        SegmentName::Fs => &mut registers.fs,
        SegmentName::Gs => &mut registers.gs,
        SegmentName::Tr => &mut registers.tr,
    }
}

impl Backend for FakeProcessor {
    fn new(_: &X86Domain, _: &Domain) -> Self {
        Self {
            exit: Exit::Interrupt,
            next_rip: None,
            interrupted: None,
            injected: None,
            window: false,
            iret: false,
            cr8_exits: false,
            delivered: Vec::new(),
            counter_exits: false,
            address_space: 0,
            lost: false,
            lstar: 0,
            registers: VcpuRegisters::pvh(0x1000, 0),
            shadow: false,
            cr8: 0,
            pat: 0,
            tsc_offset: 0,
        }
    }

    fn reset(&mut self) {
        self.registers = VcpuRegisters::pvh(0xfff0, 0);
        self.registers.cs.attributes = SegmentAttributes(0x9b);
        self.registers.cr0 = 0x6000_0010;
        (self.shadow, self.iret) = (false, false);
        (self.injected, self.interrupted) = (None, None);
    }

    fn load_registers(&mut self, registers: &VcpuRegisters) {
        self.registers = registers.clone();
    }

    fn save_registers(&self, gprs: [u64; 16]) -> VcpuRegisters {
        VcpuRegisters {
            gprs,
            ..self.registers.clone()
        }
    }

    fn paging_state(&self) -> PagingState {
        let r = &self.registers;
        PagingState {
            cr0: r.cr0,
            cr3: r.cr3,
            cr4: r.cr4,
            efer: r.efer,
            rflags: r.rflags,
        }
    }

    fn rip(&self) -> u64 {
        self.registers.rip
    }

    fn set_rip(&mut self, rip: u64) {
        self.registers.rip = rip;
    }

    fn rflags(&self) -> u64 {
        self.registers.rflags
    }

    fn set_rflags(&mut self, rflags: u64) {
        self.registers.rflags = rflags | 2;
    }

    fn cpl(&self) -> u8 {
        (self.registers.ss.attributes.0 >> 5 & 3) as u8
    }

    fn segment(&self, name: SegmentName) -> Segment {
        *segment_of(&mut self.registers.clone(), name)
    }

    fn set_segment(&mut self, name: SegmentName, segment: Segment) {
        *segment_of(&mut self.registers, name) = segment;
    }

    fn cr(&self, index: u8) -> u64 {
        let r = &self.registers;
        [r.cr0, 0, r.cr2, r.cr3, r.cr4][usize::from(index)]
    }

    fn set_cr(&mut self, index: u8, value: u64) {
        let r = &mut self.registers;
        let mut unused = 0;
        *[&mut r.cr0, &mut unused, &mut r.cr2, &mut r.cr3, &mut r.cr4][usize::from(index)] = value;
    }

    fn efer(&self) -> u64 {
        self.registers.efer
    }

    fn set_efer(&mut self, value: u64) {
        self.registers.efer = value;
    }

    fn debug_control(&self) -> (u64, u64) {
        (self.registers.dr6, self.registers.dr7)
    }

    fn set_debug_control(&mut self, dr6: u64, dr7: u64) {
        (self.registers.dr6, self.registers.dr7) = (dr6, dr7);
    }

    fn read_msr(&self, msr: u32) -> Option<u64> {
        (msr == SWITCHED_MSR).then_some(self.lstar)
    }

    fn write_msr(&mut self, msr: u32, value: u64) -> bool {
        if msr == SWITCHED_MSR {
            self.lstar = value;
        }
        msr == SWITCHED_MSR
    }

    fn pat(&self) -> u64 {
        self.pat
    }

    fn set_pat(&mut self, pat: u64) {
        self.pat = pat;
    }

    fn interrupt_shadow(&self) -> bool {
        self.shadow
    }

    fn set_interrupt_shadow(&mut self, shadow: bool) {
        self.shadow = shadow;
    }

    fn intercept_iret(&mut self, wanted: bool) {
        self.iret = wanted;
    }

    fn intercept_task_priority(&mut self, wanted: bool) {
        self.cr8_exits = wanted;
    }

    fn inject(&mut self, event: Event) {
        self.injected = Some(event);
    }

    fn keep_injection(&mut self) {
        self.interrupted = self.injected.take();
    }

    fn interrupted_event(&self) -> Option<Event> {
        self.interrupted
    }

    fn forget_interrupted_event(&mut self) {
        self.interrupted = None;
    }

    fn request_window(&mut self, wanted: bool) {
        self.window = wanted;
    }

    fn window_requested(&self) -> bool {
        self.window
    }

    fn injects_interrupt(&self) -> bool {
        matches!(self.injected, Some(Event::Interrupt(_)))
    }

    fn next_rip(&self) -> Option<u64> {
        self.next_rip
    }

    fn fetched(&self) -> &[u8] {
        &[]
    }

    fn exit(&self) -> Exit {
        self.exit
    }

    fn lost_guest_state(&self) -> bool {
        self.lost
    }

    fn task_priority(&self) -> u8 {
        self.cr8
    }

    fn set_task_priority(&mut self, cr8: u8) {
        self.cr8 = cr8;
    }

    fn tsc_offset(&self) -> u64 {
        self.tsc_offset
    }

    fn set_tsc_offset(&mut self, offset: u64) {
        self.tsc_offset = offset;
    }

    fn intercept_counter(&mut self, machine: &X86Domain) {
        self.counter_exits = machine.tsc.lock().is_emulated;
    }

    fn nested_root(&self) -> u64 {
        0
    }

    fn set_address_space(&mut self, id: u32) {
        self.address_space = id;
    }

    fn flush_all_address_spaces(&mut self) {}

    /// Delivers what was injected and leaves the guest at once with [`Self::exit`].
    fn enter(&mut self, _: &mut Registers, _: Maddr) {
        self.delivered.extend(self.injected.take());
        self.interrupted = None;
    }
}
