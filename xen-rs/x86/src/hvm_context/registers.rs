//! State of a vCPU in a form that neither the vendor nor the record dictates.

use x86_emu::Segment;

/// Indices into [`VcpuRegisters::gprs`]: the numbers instructions use.
pub mod gpr {
    /// RAX.
    pub const RAX: usize = 0;
    /// RCX.
    pub const RCX: usize = 1;
    /// RDX.
    pub const RDX: usize = 2;
    /// RBX.
    pub const RBX: usize = 3;
    /// RSP.
    pub const RSP: usize = 4;
    /// RBP.
    pub const RBP: usize = 5;
    /// RSI.
    pub const RSI: usize = 6;
    /// RDI.
    pub const RDI: usize = 7;
}

/// GDTR or IDTR.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct DescriptorTable {
    /// Linear address.
    pub base: u64,
    /// Offset of the last byte.
    pub limit: u32,
}

/// An event that was being delivered when the vCPU stopped, to be delivered again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PendingEvent {
    /// Vector.
    pub vector: u8,
    /// 0 external interrupt, 2 NMI, 3 exception, 4 software interrupt: the VMCB's EVENTINJ types.
    pub kind: u8,
    /// Error code to push.
    pub error_code: Option<u32>,
}

/// All registers of a vCPU that the CPU record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VcpuRegisters {
    /// General registers in the order of their numbers: see [`gpr`]; r8 to r15 at 8 to 15.
    pub gprs: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// Control register.
    pub cr0: u64,
    /// Control register.
    pub cr2: u64,
    /// Control register.
    pub cr3: u64,
    /// Control register.
    pub cr4: u64,
    /// DR0 to DR3.
    pub breakpoints: [u64; 4],
    /// Debug status.
    pub dr6: u64,
    /// Debug control.
    pub dr7: u64,
    /// Code.
    pub cs: Segment,
    /// Data.
    pub ds: Segment,
    /// Data.
    pub es: Segment,
    /// Data.
    pub fs: Segment,
    /// Data.
    pub gs: Segment,
    /// Stack.
    pub ss: Segment,
    /// Task.
    pub tr: Segment,
    /// Local descriptor table.
    pub ldtr: Segment,
    /// Global descriptor table.
    pub gdtr: DescriptorTable,
    /// Interrupt descriptor table.
    pub idtr: DescriptorTable,
    /// MSR.
    pub sysenter_cs: u64,
    /// MSR.
    pub sysenter_esp: u64,
    /// MSR.
    pub sysenter_eip: u64,
    /// MSR.
    pub star: u64,
    /// MSR.
    pub lstar: u64,
    /// MSR.
    pub cstar: u64,
    /// MSR.
    pub sfmask: u64,
    /// MSR as the guest sees it: without SVME.
    pub efer: u64,
    /// MSR.
    pub kernel_gs_base: u64,
    /// MSR.
    pub tsc_aux: u32,
    /// The guest's TSC.
    pub tsc: u64,
    /// FXSAVE image; `None`: x87 and SSE are in their reset state.
    pub fpu: Option<[u8; 512]>,
    /// Event to deliver first.
    pub pending_event: Option<PendingEvent>,
}
