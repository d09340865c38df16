//! The virtual machine control block (AMD APM volume 2, appendix B "Layout of VMCB").

use core::mem::offset_of;

/// Segment register in the VMCB's packed form.
#[repr(C)]
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct VmcbSegment {
    /// Selector.
    pub selector: u16,
    /// Descriptor bits 40-47 and 52-55.
    pub attributes: u16,
    /// Limit in bytes.
    pub limit: u32,
    /// Base.
    pub base: u64,
}

/// The control block: control area, then state save area.
#[repr(C, align(4096))]
pub struct Vmcb {
    /// CR reads (low half), CR writes (high half).
    pub intercept_cr: u32,
    /// DR reads and writes.
    pub intercept_dr: u32,
    /// Exceptions.
    pub intercept_exceptions: u32,
    /// [`intercept`] words 3 and 4.
    pub intercepts: [u32; 3],
    _reserved0: [u8; 0x24],
    /// PAUSE filter threshold and count.
    pub pause_filter_threshold: u16,
    /// Count.
    pub pause_filter_count: u16,
    /// Physical address of the I/O permission map.
    pub iopm_base: u64,
    /// Physical address of the MSR permission map.
    pub msrpm_base: u64,
    /// Added to the TSC.
    pub tsc_offset: u64,
    /// Address space identifier.
    pub asid: u32,
    /// What to flush at VMRUN.
    pub tlb_control: u8,
    _reserved1: [u8; 3],
    /// Virtual interrupt state: V_TPR, V_IRQ, V_INTR_MASKING and so on.
    pub virtual_interrupt: u64,
    /// Bit 0: the guest is in an interrupt shadow.
    pub interrupt_shadow: u64,
    /// Why the guest was left.
    pub exit_code: u64,
    /// Details.
    pub exit_info1: u64,
    /// More details.
    pub exit_info2: u64,
    /// Event whose delivery was interrupted.
    pub exit_interrupt_info: u64,
    /// Bit 0: nested paging.
    pub nested_control: u64,
    _reserved2: [u8; 0x10],
    /// Event to deliver at VMRUN.
    pub event_injection: u64,
    /// Root of the nested page tables.
    pub nested_cr3: u64,
    /// LBR virtualisation and others.
    pub virtual_extensions: u64,
    /// Clean bits.
    pub clean: u32,
    _reserved3: u32,
    /// Address after the intercepted instruction, where the CPU saves it.
    pub next_rip: u64,
    /// Number of bytes fetched, where the CPU gives them.
    pub fetched_len: u8,
    /// The bytes.
    pub fetched: [u8; 15],
    _reserved4: [u8; 0x320],
    /// es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr.
    pub segments: [VmcbSegment; 10],
    _reserved5: [u8; 0x2b],
    /// Current privilege level.
    pub cpl: u8,
    _reserved6: u32,
    /// EFER.
    pub efer: u64,
    _reserved7: [u8; 0x70],
    /// CR4.
    pub cr4: u64,
    /// CR3.
    pub cr3: u64,
    /// CR0.
    pub cr0: u64,
    /// DR7.
    pub dr7: u64,
    /// DR6.
    pub dr6: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// RIP.
    pub rip: u64,
    _reserved8: [u8; 0x58],
    /// RSP.
    pub rsp: u64,
    _reserved9: [u8; 0x18],
    /// RAX.
    pub rax: u64,
    /// STAR.
    pub star: u64,
    /// LSTAR.
    pub lstar: u64,
    /// CSTAR.
    pub cstar: u64,
    /// SFMASK.
    pub sfmask: u64,
    /// KernelGsBase.
    pub kernel_gs_base: u64,
    /// SYSENTER_CS.
    pub sysenter_cs: u64,
    /// SYSENTER_ESP.
    pub sysenter_esp: u64,
    /// SYSENTER_EIP.
    pub sysenter_eip: u64,
    /// CR2.
    pub cr2: u64,
    _reserved10: [u8; 0x20],
    /// Guest PAT.
    pub pat: u64,
    /// DEBUGCTL.
    pub debugctl: u64,
    _reserved11: [u8; 0x988],
}

const _: () = assert!(size_of::<Vmcb>() == 4096);
const _: () = assert!(
    offset_of!(Vmcb, iopm_base) == 0x40
        && offset_of!(Vmcb, asid) == 0x58
        && offset_of!(Vmcb, exit_code) == 0x70
);
const _: () = assert!(
    offset_of!(Vmcb, event_injection) == 0xa8
        && offset_of!(Vmcb, next_rip) == 0xc8
        && offset_of!(Vmcb, segments) == 0x400
);
const _: () = assert!(
    offset_of!(Vmcb, cpl) == 0x4cb
        && offset_of!(Vmcb, efer) == 0x4d0
        && offset_of!(Vmcb, cr4) == 0x548
);
const _: () = assert!(
    offset_of!(Vmcb, rip) == 0x578
        && offset_of!(Vmcb, rsp) == 0x5d8
        && offset_of!(Vmcb, rax) == 0x5f8
);
const _: () = assert!(offset_of!(Vmcb, cr2) == 0x640 && offset_of!(Vmcb, pat) == 0x668);

/// Positions in [`Vmcb::segments`].
pub mod segment {
    /// ES.
    pub const ES: usize = 0;
    /// CS.
    pub const CS: usize = 1;
    /// SS.
    pub const SS: usize = 2;
    /// DS.
    pub const DS: usize = 3;
    /// FS.
    pub const FS: usize = 4;
    /// GS.
    pub const GS: usize = 5;
    /// GDTR.
    pub const GDTR: usize = 6;
    /// LDTR.
    pub const LDTR: usize = 7;
    /// IDTR.
    pub const IDTR: usize = 8;
    /// TR.
    pub const TR: usize = 9;
}

/// Bits of [`Vmcb::intercepts`]: word 0 (offset 0xc), word 1 (offset 0x10).
pub mod intercept {
    /// Word 0: INTR, NMI, SMI off, INIT, VINTR (dynamic), RDPMC, CPUID, INVD, PAUSE off, HLT, INVLPGA, IOIO, MSR, task switch off, FERR freeze
    /// off, shutdown.
    pub const BASIC: u32 = 1
        | 1 << 1
        | 1 << 3
        | 1 << 15
        | 1 << 18
        | 1 << 22
        | 1 << 24
        | 1 << 26
        | 1 << 27
        | 1 << 28
        | 1 << 31;
    /// #DB and #AC, whose delivery a guest can make raise themselves again without end inside the processor, and #MC, which is the machine's.
    pub const EXCEPTIONS: u32 = 1 << 1 | 1 << 17 | 1 << 18;
    /// [`Vmcb::intercept_cr`](super::Vmcb::intercept_cr): writes of CR4.
    pub const CR4_WRITE: u32 = 1 << (16 + 4);
    /// The same, of CR8.
    pub const CR8_WRITE: u32 = 1 << (16 + 8);
    /// Word 0: writes of CR0 that change more than TS and MP, and every LMSW.
    pub const CR0_SELECTIVE_WRITE: u32 = 1 << 5;
    /// Word 0: IRET.
    pub const IRET: u32 = 1 << 20;
    /// Word 0: a virtual interrupt could be taken.
    pub const VINTR: u32 = 1 << 4;
    /// Word 1: VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, ICEBP off, WBINVD, MONITOR, MWAIT, XSETBV, RDPRU.
    pub const SVM: u32 = 0x7f | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14;
    /// Word 0: RDTSC.
    pub const RDTSC: u32 = 1 << 14;
    /// Word 1: RDTSCP.
    pub const RDTSCP: u32 = 1 << 7;
}

/// Values of [`Vmcb::exit_code`].
pub mod exit {
    /// Write of CR0.
    pub const CR0_WRITE: u64 = 0x10;
    /// Write of CR4.
    pub const CR4_WRITE: u64 = 0x14;
    /// Write of CR8.
    pub const CR8_WRITE: u64 = 0x18;
    /// Read of DR0, the first of the accesses to debug registers.
    pub const DR0_READ: u64 = 0x20;
    /// Write of DR15, the last of them.
    pub const DR15_WRITE: u64 = 0x3f;
    /// #DB.
    pub const DEBUG: u64 = 0x41;
    /// #AC.
    pub const ALIGNMENT_CHECK: u64 = 0x51;
    /// #MC.
    pub const MACHINE_CHECK: u64 = 0x52;
    /// Physical interrupt.
    pub const INTR: u64 = 0x60;
    /// Physical NMI.
    pub const NMI: u64 = 0x61;
    /// SMI.
    pub const SMI: u64 = 0x62;
    /// INIT.
    pub const INIT: u64 = 0x63;
    /// Virtual interrupt window.
    pub const VINTR: u64 = 0x64;
    /// Write of CR0 that changes more than TS and MP.
    pub const CR0_SELECTIVE_WRITE: u64 = 0x65;
    /// RDTSC.
    pub const RDTSC: u64 = 0x6e;
    /// RDPMC.
    pub const RDPMC: u64 = 0x6f;
    /// CPUID.
    pub const CPUID: u64 = 0x72;
    /// IRET.
    pub const IRET: u64 = 0x74;
    /// INVD.
    pub const INVD: u64 = 0x76;
    /// PAUSE.
    pub const PAUSE: u64 = 0x77;
    /// HLT.
    pub const HLT: u64 = 0x78;
    /// INVLPGA.
    pub const INVLPGA: u64 = 0x7a;
    /// Port access.
    pub const IOIO: u64 = 0x7b;
    /// RDMSR or WRMSR.
    pub const MSR: u64 = 0x7c;
    /// Shutdown.
    pub const SHUTDOWN: u64 = 0x7f;
    /// VMRUN.
    pub const VMRUN: u64 = 0x80;
    /// VMMCALL.
    pub const VMMCALL: u64 = 0x81;
    /// SKINIT, the last of the SVM instructions from VMLOAD on.
    pub const SKINIT: u64 = 0x86;
    /// RDTSCP.
    pub const RDTSCP: u64 = 0x87;
    /// WBINVD.
    pub const WBINVD: u64 = 0x89;
    /// MONITOR.
    pub const MONITOR: u64 = 0x8a;
    /// MWAIT.
    pub const MWAIT: u64 = 0x8b;
    /// MWAIT, conditional.
    pub const MWAIT_ARMED: u64 = 0x8c;
    /// XSETBV.
    pub const XSETBV: u64 = 0x8d;
    /// RDPRU, which reads frequencies and is not offered.
    pub const RDPRU: u64 = 0x8e;
    /// Nested page fault.
    pub const NPF: u64 = 0x400;
    /// The control block is not valid.
    pub const INVALID: u64 = u64::MAX;
    /// The same, from processors that write 32 bits.
    pub const INVALID_32: u64 = 0xffff_ffff;
}

/// Bits of [`Vmcb::virtual_interrupt`].
pub mod vintr {
    /// CR8 of the guest.
    pub const TPR: u64 = 0xf;
    /// A virtual interrupt is pending.
    pub const IRQ: u64 = 1 << 8;
    /// It ignores the TPR.
    pub const IGNORE_TPR: u64 = 1 << 20;
    /// RFLAGS.IF and CR8 are the guest's own.
    pub const MASKING: u64 = 1 << 24;
}

/// Event words ([`Vmcb::event_injection`], [`Vmcb::exit_interrupt_info`]).
pub mod event {
    /// Valid.
    pub const VALID: u64 = 1 << 31;
    /// Carries an error code in the high half.
    pub const ERROR_CODE: u64 = 1 << 11;
    /// External interrupt.
    pub const INTERRUPT: u64 = 0;
    /// NMI.
    pub const NMI: u64 = 2 << 8;
    /// Exception.
    pub const EXCEPTION: u64 = 3 << 8;
    /// Software interrupt.
    pub const SOFTWARE: u64 = 4 << 8;
    /// Mask of the type.
    pub const TYPE: u64 = 7 << 8;
}

impl Vmcb {
    /// A zeroed block on the heap.
    #[must_use]
    pub fn new() -> alloc::boxed::Box<Self> {
        let zero = VmcbSegment::default();
        alloc::boxed::Box::new(Self {
            intercept_cr: 0,
            intercept_dr: 0,
            intercept_exceptions: 0,
            intercepts: [0; 3],
            _reserved0: [0; 0x24],
            pause_filter_threshold: 0,
            pause_filter_count: 0,
            iopm_base: 0,
            msrpm_base: 0,
            tsc_offset: 0,
            asid: 0,
            tlb_control: 0,
            _reserved1: [0; 3],
            virtual_interrupt: 0,
            interrupt_shadow: 0,
            exit_code: 0,
            exit_info1: 0,
            exit_info2: 0,
            exit_interrupt_info: 0,
            nested_control: 0,
            _reserved2: [0; 0x10],
            event_injection: 0,
            nested_cr3: 0,
            virtual_extensions: 0,
            clean: 0,
            _reserved3: 0,
            next_rip: 0,
            fetched_len: 0,
            fetched: [0; 15],
            _reserved4: [0; 0x320],
            segments: [zero; 10],
            _reserved5: [0; 0x2b],
            cpl: 0,
            _reserved6: 0,
            efer: 0,
            _reserved7: [0; 0x70],
            cr4: 0,
            cr3: 0,
            cr0: 0,
            dr7: 0,
            dr6: 0,
            rflags: 0,
            rip: 0,
            _reserved8: [0; 0x58],
            rsp: 0,
            _reserved9: [0; 0x18],
            rax: 0,
            star: 0,
            lstar: 0,
            cstar: 0,
            sfmask: 0,
            kernel_gs_base: 0,
            sysenter_cs: 0,
            sysenter_esp: 0,
            sysenter_eip: 0,
            cr2: 0,
            _reserved10: [0; 0x20],
            pat: 0,
            debugctl: 0,
            _reserved11: [0; 0x988],
        })
    }
}
