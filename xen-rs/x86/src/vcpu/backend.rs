//! The seam between common vCPU code and a vendor's virtualisation hardware.

use x86_emu::{Expected, Segment, SegmentName};
use xen_core::domain::Domain;
use xen_core::ids::Maddr;

use crate::domain::X86Domain;
use crate::guest_paging::PagingState;
use crate::hvm_context::VcpuRegisters;
use crate::svm::enter::Registers;

/// Why the guest was left, whatever the vendor.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Physical interrupt: take it.
    Interrupt,
    /// Physical NMI.
    Nmi,
    /// Interrupts can be injected now.
    Window,
    /// CPUID.
    Cpuid,
    /// HLT.
    Halt,
    /// WBINVD or INVD.
    CacheFlush(Expected),
    /// RDMSR.
    ReadMsr,
    /// WRMSR.
    WriteMsr,
    /// Simple port access.
    Port {
        /// Port.
        port: u16,
        /// 1, 2 or 4.
        size: u8,
        /// OUT.
        write: bool,
        /// Address after the instruction.
        next_rip: u64,
    },
    /// Something the emulator must do: string port access and the like.
    Emulate,
    /// A write of CR0 or CR4 that may not be allowed.
    ControlWrite {
        /// 0 or 4.
        register: u8,
        /// The general register it comes from, if the processor says; otherwise the instruction must be looked at.
        source: Option<u8>,
    },
    /// VMMCALL or VMCALL.
    Hypercall,
    /// Guest-physical access without a mapping, or against its rights.
    NestedFault {
        /// Address.
        gpa: u64,
        /// It was a write.
        write: bool,
        /// It was a fetch.
        fetch: bool,
    },
    /// Triple fault.
    Shutdown,
    /// XSETBV.
    Xsetbv,
    /// RDTSC.
    Rdtsc,
    /// RDTSCP.
    Rdtscp,
    /// RDPMC.
    Rdpmc,
    /// An instruction that does not exist for guests.
    Undefined,
    /// INIT by the machine.
    Init,
    /// IRET is about to be executed.
    Iret,
    /// PAUSE in a loop.
    Pause,
    /// An exception that must not be delivered without leaving the guest.
    Exception(u8),
    /// The hardware refuses the state.
    Invalid,
    /// Anything else, with the hardware's code.
    Unknown(u64),
}

/// Something delivered to the guest at entry.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// External interrupt.
    Interrupt(u8),
    /// NMI.
    Nmi,
    /// Exception.
    Exception {
        /// Vector.
        vector: u8,
        /// Error code.
        error_code: Option<u32>,
    },
}

/// What a vendor file provides.
pub trait Backend {
    /// A vCPU in reset state over the domain's nested tables and permission maps.
    fn new(machine: &X86Domain, domain: &Domain) -> Self
    where
        Self: Sized;
    /// Reset state.
    fn reset(&mut self);
    /// Replaces everything but PAT and TSC; general registers, FPU and debug addresses are the caller's.
    fn load_registers(&mut self, registers: &VcpuRegisters);
    /// The reverse, with the caller's general registers.
    fn save_registers(&self, gprs: [u64; 16]) -> VcpuRegisters;
    /// Control registers and flags that decide about translation.
    fn paging_state(&self) -> PagingState;
    /// Instruction pointer.
    fn rip(&self) -> u64;
    /// Sets it.
    fn set_rip(&mut self, rip: u64);
    /// Flags.
    fn rflags(&self) -> u64;
    /// Sets them.
    fn set_rflags(&mut self, rflags: u64);
    /// Current privilege level.
    fn cpl(&self) -> u8;
    /// A segment register.
    fn segment(&self, name: SegmentName) -> Segment;
    /// Sets one (not TR).
    fn set_segment(&mut self, name: SegmentName, segment: Segment);
    /// CR0, CR2, CR3 or CR4.
    fn cr(&self, index: u8) -> u64;
    /// Sets one; the value was checked.
    fn set_cr(&mut self, index: u8, value: u64);
    /// EFER as the guest sees it.
    fn efer(&self) -> u64;
    /// Sets it; the value was checked.
    fn set_efer(&mut self, value: u64);
    /// DR6 and DR7.
    fn debug_control(&self) -> (u64, u64);
    /// Sets them.
    fn set_debug_control(&mut self, dr6: u64, dr7: u64);
    /// MSRs that the hardware switches with the guest.
    fn read_msr(&self, msr: u32) -> Option<u64>;
    /// Writes one; `false` if it is not one of these.
    fn write_msr(&mut self, msr: u32, value: u64) -> bool;
    /// Page attribute table.
    fn pat(&self) -> u64;
    /// Sets it; the value was checked.
    fn set_pat(&mut self, pat: u64);
    /// Whether the guest is in the shadow of STI or MOV SS.
    fn interrupt_shadow(&self) -> bool;
    /// Sets or clears the shadow.
    fn set_interrupt_shadow(&mut self, shadow: bool);
    /// Asks for [`Exit::Iret`] before the next IRET.
    fn intercept_iret(&mut self, wanted: bool);
    /// Asks for [`Exit::Emulate`] at writes of CR8. If it is not wanted there may be exits all the same.
    fn intercept_task_priority(&mut self, wanted: bool);
    /// Delivers at the next entry.
    fn inject(&mut self, event: Event);
    /// Turns what was to be delivered at the next entry into an interrupted event.
    fn keep_injection(&mut self);
    /// An event whose delivery the last exit interrupted; none for INT n, INT3 and INTO, which are executed again.
    fn interrupted_event(&self) -> Option<Event>;
    /// It is remembered elsewhere.
    fn forget_interrupted_event(&mut self);
    /// Asks for [`Exit::Window`] when the guest could take an interrupt.
    fn request_window(&mut self, wanted: bool);
    /// Whether the window is asked for.
    fn window_requested(&self) -> bool;
    /// Whether the next entry delivers an interrupt.
    fn injects_interrupt(&self) -> bool;
    /// Address after the instruction that the last exit intercepted, if the hardware says.
    fn next_rip(&self) -> Option<u64>;
    /// Bytes at RIP, if the hardware gives them.
    fn fetched(&self) -> &[u8];
    /// The last exit.
    fn exit(&self) -> Exit;
    /// After [`Exit::Invalid`]: the state is not the guest's any more.
    fn lost_guest_state(&self) -> bool;
    /// Task priority (CR8) that the guest changed without an exit.
    fn task_priority(&self) -> u8;
    /// Sets it.
    fn set_task_priority(&mut self, cr8: u8);
    /// What is added to the guest's TSC.
    fn tsc_offset(&self) -> u64;
    /// Sets it.
    fn set_tsc_offset(&mut self, offset: u64);
    /// Machine address of the nested page tables' root.
    fn nested_root(&self) -> u64;
    /// Sets the address space identifier.
    fn set_address_space(&mut self, id: u32);
    /// The next entry empties this CPU's translation caches for all identifiers.
    fn flush_all_address_spaces(&mut self);
    /// Runs the guest until its next exit. This CPU is set up for it, `host` is where its own state is, and the guest's FPU is loaded.
    fn enter(&mut self, registers: &mut Registers, host: Maddr);
    /// Makes RDTSC and RDTSCP exit, or not, as the domain's counter needs it.
    fn intercept_counter(&mut self, machine: &X86Domain);
}
