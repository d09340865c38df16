//! Records of a vCPU: registers, extended state, MTRRs, MSRs.

numbers! {
    /// Flag of [`HvmHwCpu`]: `fpu_regs` is valid.
    pub const XEN_X86_FPU_INITIALISED: u32 = 1;
    /// Variable ranges in [`HvmHwMtrr`].
    pub const MTRR_VCNT: usize = 8;
    /// Fixed ranges in [`HvmHwMtrr`].
    pub const NUM_FIXED_MSR: usize = 11;
}

structures! {
    /// Registers.
    pub struct HvmHwCpu("struct hvm_hw_cpu", 1032) {
        /// FXSAVE area.
        0 fpu_regs: [u8; 512],
        /// Register.
        512 rax: u64,
        /// Register.
        520 rbx: u64,
        /// Register.
        528 rcx: u64,
        /// Register.
        536 rdx: u64,
        /// Register.
        544 rbp: u64,
        /// Register.
        552 rsi: u64,
        /// Register.
        560 rdi: u64,
        /// Register.
        568 rsp: u64,
        /// Register.
        576 r8: u64,
        /// Register.
        584 r9: u64,
        /// Register.
        592 r10: u64,
        /// Register.
        600 r11: u64,
        /// Register.
        608 r12: u64,
        /// Register.
        616 r13: u64,
        /// Register.
        624 r14: u64,
        /// Register.
        632 r15: u64,
        /// Register.
        640 rip: u64,
        /// Register.
        648 rflags: u64,
        /// Register.
        656 cr0: u64,
        /// Register.
        664 cr2: u64,
        /// Register.
        672 cr3: u64,
        /// Register.
        680 cr4: u64,
        /// Register.
        688 dr0: u64,
        /// Register.
        696 dr1: u64,
        /// Register.
        704 dr2: u64,
        /// Register.
        712 dr3: u64,
        /// Register.
        720 dr6: u64,
        /// Register.
        728 dr7: u64,
        /// Selector.
        736 cs_sel: u32,
        /// Selector.
        740 ds_sel: u32,
        /// Selector.
        744 es_sel: u32,
        /// Selector.
        748 fs_sel: u32,
        /// Selector.
        752 gs_sel: u32,
        /// Selector.
        756 ss_sel: u32,
        /// Selector.
        760 tr_sel: u32,
        /// Selector.
        764 ldtr_sel: u32,
        /// Limit in bytes.
        768 cs_limit: u32,
        /// Limit in bytes.
        772 ds_limit: u32,
        /// Limit in bytes.
        776 es_limit: u32,
        /// Limit in bytes.
        780 fs_limit: u32,
        /// Limit in bytes.
        784 gs_limit: u32,
        /// Limit in bytes.
        788 ss_limit: u32,
        /// Limit in bytes.
        792 tr_limit: u32,
        /// Limit in bytes.
        796 ldtr_limit: u32,
        /// Limit in bytes.
        800 idtr_limit: u32,
        /// Limit in bytes.
        804 gdtr_limit: u32,
        /// Linear base.
        808 cs_base: u64,
        /// Linear base.
        816 ds_base: u64,
        /// Linear base.
        824 es_base: u64,
        /// Linear base.
        832 fs_base: u64,
        /// Linear base.
        840 gs_base: u64,
        /// Linear base.
        848 ss_base: u64,
        /// Linear base.
        856 tr_base: u64,
        /// Linear base.
        864 ldtr_base: u64,
        /// Linear base.
        872 idtr_base: u64,
        /// Linear base.
        880 gdtr_base: u64,
        /// Access rights, VMX format: attributes in 7:0, flags in 15:12, unusable in 16.
        888 cs_arbytes: u32,
        /// Access rights, VMX format: attributes in 7:0, flags in 15:12, unusable in 16.
        892 ds_arbytes: u32,
        /// Access rights, VMX format: attributes in 7:0, flags in 15:12, unusable in 16.
        896 es_arbytes: u32,
        /// Access rights, VMX format: attributes in 7:0, flags in 15:12, unusable in 16.
        900 fs_arbytes: u32,
        /// Access rights, VMX format: attributes in 7:0, flags in 15:12, unusable in 16.
        904 gs_arbytes: u32,
        /// Access rights, VMX format: attributes in 7:0, flags in 15:12, unusable in 16.
        908 ss_arbytes: u32,
        /// Access rights, VMX format: attributes in 7:0, flags in 15:12, unusable in 16.
        912 tr_arbytes: u32,
        /// Access rights, VMX format: attributes in 7:0, flags in 15:12, unusable in 16.
        916 ldtr_arbytes: u32,
        /// MSR.
        920 sysenter_cs: u64,
        /// MSR.
        928 sysenter_esp: u64,
        /// MSR.
        936 sysenter_eip: u64,
        /// MSR `KERNEL_GS_BASE`.
        944 shadow_gs: u64,
        /// Not used.
        952 msr_flags: u64,
        /// MSR.
        960 msr_lstar: u64,
        /// MSR.
        968 msr_star: u64,
        /// MSR.
        976 msr_cstar: u64,
        /// MSR.
        984 msr_syscall_mask: u64,
        /// MSR.
        992 msr_efer: u64,
        /// MSR.
        1000 msr_tsc_aux: u64,
        /// Guest TSC.
        1008 tsc: u64,
        /// Event to inject: vector in 7:0, type in 10:8, error code valid in 11, valid in 31.
        1016 pending_event: u32,
        /// Its error code.
        1020 error_code: u32,
        /// [`XEN_X86_FPU_INITIALISED`] or 0.
        1024 flags: u32,
        /// 0.
        1028 pad0: u32,
    }

    /// Memory types.
    pub struct HvmHwMtrr("struct hvm_hw_mtrr", 240) {
        /// MSR `PAT`.
        0 msr_pat_cr: u64,
        /// Base and mask of each variable range.
        8 msr_mtrr_var: [u64; 16],
        /// Fixed ranges.
        136 msr_mtrr_fixed: [u64; 11],
        /// MSR `MTRR_CAP`.
        224 msr_mtrr_cap: u64,
        /// MSR `MTRR_DEF_TYPE`.
        232 msr_mtrr_def_type: u64,
    }

    /// Extended state; the components follow.
    pub struct HvmHwCpuXsave("struct hvm_hw_cpu_xsave", 600) {
        /// Components the host knows.
        0 xfeature_mask: u64,
        /// Register.
        8 xcr0: u64,
        /// All components ever enabled.
        16 xcr0_accum: u64,
        /// Legacy area.
        24 fpu_sse: [u8; 512] => "save_area.fpu_sse",
        /// Components in the area.
        536 xstate_bv: u64 => "save_area.xsave_hdr.xstate_bv",
        /// Compaction.
        544 xcomp_bv: u64 => "save_area.xsave_hdr.xcomp_bv",
        /// 0.
        552 reserved: [u64; 6] => "save_area.xsave_hdr.reserved",
    }

    /// Machine check state.
    pub struct HvmVmceVcpu("struct hvm_vmce_vcpu", 32) {
        /// MSR `MCG_CAP`.
        0 caps: u64,
        /// MSR `MC0_CTL2`.
        8 mci_ctl2_bank0: u64,
        /// MSR `MC1_CTL2`.
        16 mci_ctl2_bank1: u64,
        /// MSR `MCG_EXT_CTL`.
        24 mcg_ext_ctl: u64,
    }

    /// TSC offset the guest chose.
    pub struct HvmTscAdjust("struct hvm_tsc_adjust", 8) {
        /// MSR `TSC_ADJUST`.
        0 tsc_adjust: u64,
    }

    /// Further MSRs; [`HvmOneMsr`] entries follow.
    pub struct HvmMsr("struct hvm_msr", 8) {
        /// Entries.
        0 count: u32,
        4 _pad: u32,
    }

    /// An MSR.
    pub struct HvmOneMsr("struct hvm_one_msr", 16) {
        /// Number.
        0 index: u32,
        4 _rsvd: u32,
        /// Value.
        8 val: u64,
    }

    /// Viridian state of a vCPU.
    pub struct HvmViridianVcpuContext("struct hvm_viridian_vcpu_context", 216) {
        /// Assist page.
        0 vp_assist_msr: u64,
        /// End of interrupt pending.
        8 apic_assist_pending: u8,
        9 _pad: [u8; 7],
        /// Message page.
        16 simp_msr: u64,
        /// Interrupt sources.
        24 sint_msr: [u64; 16],
        /// Timers.
        152 stimer_config_msr: [u64; 4],
        /// Timers.
        184 stimer_count_msr: [u64; 4],
    }
}
