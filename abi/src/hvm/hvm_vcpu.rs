//! Start state of an HVM vCPU for `VCPUOP_INITIALISE` (`public/hvm/hvm_vcpu.h`). Access rights: attributes in 7:0, flags in 11:8.

numbers! {
    /// The 32-bit registers are valid.
    pub const VCPU_HVM_MODE_32B: u32 = 0;
    /// The 64-bit registers are valid.
    pub const VCPU_HVM_MODE_64B: u32 = 1;
}

structures! {
    /// Registers of a vCPU that starts in a 32-bit or real mode.
    pub struct VcpuHvmX86_32("struct vcpu_hvm_x86_32", 120) {
        /// Register.
        0 eax: u32,
        /// Register.
        4 ecx: u32,
        /// Register.
        8 edx: u32,
        /// Register.
        12 ebx: u32,
        /// Register.
        16 esp: u32,
        /// Register.
        20 ebp: u32,
        /// Register.
        24 esi: u32,
        /// Register.
        28 edi: u32,
        /// Register.
        32 eip: u32,
        /// Register.
        36 eflags: u32,
        /// Register.
        40 cr0: u32,
        /// Register.
        44 cr3: u32,
        /// Register.
        48 cr4: u32,
        /// Must be 0.
        52 pad1: u32,
        /// Register.
        56 efer: u64,
        /// Segment base.
        64 cs_base: u32,
        /// Segment base.
        68 ds_base: u32,
        /// Segment base.
        72 ss_base: u32,
        /// Segment base.
        76 es_base: u32,
        /// Segment base.
        80 tr_base: u32,
        /// Segment limit.
        84 cs_limit: u32,
        /// Segment limit.
        88 ds_limit: u32,
        /// Segment limit.
        92 ss_limit: u32,
        /// Segment limit.
        96 es_limit: u32,
        /// Segment limit.
        100 tr_limit: u32,
        /// Access rights.
        104 cs_ar: u16,
        /// Access rights.
        106 ds_ar: u16,
        /// Access rights.
        108 ss_ar: u16,
        /// Access rights.
        110 es_ar: u16,
        /// Access rights.
        112 tr_ar: u16,
        /// Must be 0.
        114 pad2: [u16; 3],
    }

    /// Registers of a vCPU that starts in long mode.
    pub struct VcpuHvmX86_64("struct vcpu_hvm_x86_64", 112) {
        /// Register.
        0 rax: u64,
        /// Register.
        8 rcx: u64,
        /// Register.
        16 rdx: u64,
        /// Register.
        24 rbx: u64,
        /// Register.
        32 rsp: u64,
        /// Register.
        40 rbp: u64,
        /// Register.
        48 rsi: u64,
        /// Register.
        56 rdi: u64,
        /// Register.
        64 rip: u64,
        /// Register.
        72 rflags: u64,
        /// Register.
        80 cr0: u64,
        /// Register.
        88 cr3: u64,
        /// Register.
        96 cr4: u64,
        /// Register.
        104 efer: u64,
    }

    /// Argument of `VCPUOP_INITIALISE`; `cpu_regs` is [`VcpuHvmX86_32`] or the shorter [`VcpuHvmX86_64`].
    pub struct VcpuHvmContext("struct vcpu_hvm_context", 128) {
        /// `VCPU_HVM_MODE_*`.
        0 mode: u32,
        4 pad: u32,
        /// Registers by mode.
        8 cpu_regs: [u8; 120],
    }
}
