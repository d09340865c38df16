//! Every CPUID feature this hypervisor knows by name, where it is reported, and to whom it may be offered.
//!
//! What: [`Feature`] numbers are Xen's: 32 times the word in the featureset plus the bit. A bit not in this table is never offered to a
//! guest, so new hardware cannot leak features nobody has thought about.
//!
//! Bits: AMD APM vol. 3, appendix E "Obtaining Processor Information Via the CPUID Instruction"; Intel SDM vol. 2, "CPUID";
//! numbering and who is offered what: Xen 4.20, `public/arch-x86/cpufeatureset.h`, for HVM domains with nested paging. Stricter than Xen
//! where the state behind a feature is not switched here: nested virtualisation, MPX and supervisor protection keys.

/// A feature: 32 times its word in a [`Featureset`](super::Featureset) plus its bit.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Feature(pub u16);

/// Whether domains may have a feature that the host has.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Not for guests.
    Never,
    /// Only if the toolstack asks for it.
    OptIn,
    /// Unless the toolstack hides it.
    Default,
}

/// Words in a featureset, `XEN_SYSCTL_get_cpu_featureset`'s number of entries.
pub const FEATURE_WORDS: usize = 19;

macro_rules! features {
    ($($word:literal, $place:literal { $($bit:literal $name:ident $offer:ident;)* })*) => {
        impl Feature {
            $($(
                #[doc = concat!("`", stringify!($name), "`: ", $place, ", bit ", $bit, ".")]
                pub const $name: Self = Self($word * 32 + $bit);
            )*)*
        }

        const TABLE: &[(Feature, Offer)] = &[$($((Feature::$name, Offer::$offer),)*)*];
    };
}

impl Feature {
    /// The word of a featureset it is in.
    #[must_use]
    pub const fn word(self) -> usize {
        (self.0 / 32) as usize
    }

    /// Its bit within the word, as a mask.
    #[must_use]
    pub const fn mask(self) -> u32 {
        1 << (self.0 % 32)
    }
}

/// All features with a name.
pub const KNOWN: [u32; FEATURE_WORDS] = offered_at_least(Offer::Never);
/// Those a toolstack may ask for.
pub const OFFERABLE: [u32; FEATURE_WORDS] = offered_at_least(Offer::OptIn);
/// Those a domain gets unless the toolstack hides them.
pub const OFFERED: [u32; FEATURE_WORDS] = offered_at_least(Offer::Default);

const fn offered_at_least(least: Offer) -> [u32; FEATURE_WORDS] {
    let mut words = [0; FEATURE_WORDS];
    let mut i = 0;
    while i < TABLE.len() {
        let (feature, offer) = TABLE[i];
        if offer as u8 >= least as u8 {
            words[feature.word()] |= feature.mask();
        }
        i += 1;
    }
    words
}

features! {
    0, "1:EDX" {
        0 FPU Default;
        1 VME Default;
        2 DE Default;
        3 PSE Default;
        4 TSC Default;
        5 MSR Default;
        6 PAE Default;
        7 MCE Default;
        8 CX8 Default;
        9 APIC Default;
        11 SEP Default;
        12 MTRR Default;
        13 PGE Default;
        14 MCA Default;
        15 CMOV Default;
        16 PAT Default;
        17 PSE36 Default;
        19 CLFLUSH Default;
        21 DS Never;
        22 ACPI Default;
        23 MMX Default;
        24 FXSR Default;
        25 SSE Default;
        26 SSE2 Default;
        27 SS Default;
        28 HTT Default;
        29 TM1 Never;
        31 PBE Never;
    }
    1, "1:ECX" {
        0 SSE3 Default;
        1 PCLMULQDQ Default;
        2 DTES64 Never;
        3 MONITOR Never;
        4 DSCPL Never;
        5 VMX Never;
        6 SMX Never;
        7 EIST Never;
        8 TM2 Never;
        9 SSSE3 Default;
        11 SDBG Never;
        12 FMA Default;
        13 CX16 Default;
        14 XTPR Never;
        15 PDCM Never;
        17 PCID Default;
        18 DCA Never;
        19 SSE4_1 Default;
        20 SSE4_2 Default;
        21 X2APIC Default;
        22 MOVBE Default;
        23 POPCNT Default;
        24 TSC_DEADLINE Default;
        25 AESNI Default;
        26 XSAVE Default;
        27 OSXSAVE Never;
        28 AVX Default;
        29 F16C Default;
        30 RDRAND Default;
        31 HYPERVISOR Default;
    }
    2, "8000_0001:EDX" {
        11 SYSCALL Default;
        20 NX Default;
        22 MMXEXT Default;
        25 FFXSR Default;
        26 PAGE1GB Default;
        27 RDTSCP Default;
        29 LM Default;
        30 AMD_3DNOWEXT Default;
        31 AMD_3DNOW Default;
    }
    3, "8000_0001:ECX" {
        0 LAHF_LM Default;
        1 CMP_LEGACY Default;
        2 SVM Never;
        3 EXTAPIC Never;
        4 CR8_LEGACY Default;
        5 ABM Default;
        6 SSE4A Default;
        7 MISALIGNSSE Default;
        8 AMD_3DNOWPREFETCH Default;
        9 OSVW Never;
        10 IBS Never;
        11 XOP Default;
        12 SKINIT Never;
        13 WDT Never;
        15 LWP Never;
        16 FMA4 Default;
        19 NODEID_MSR Never;
        21 TBM Default;
        22 TOPOEXT Never;
        26 DBEXT Default;
        29 MONITORX Never;
        30 ADDR_MSK_EXT Default;
    }
    4, "D.1:EAX" {
        0 XSAVEOPT Default;
        1 XSAVEC Default;
        2 XGETBV1 Default;
        3 XSAVES Default;
        4 XFD Never;
    }
    5, "7.0:EBX" {
        0 FSGSBASE Default;
        1 TSC_ADJUST Default;
        2 SGX Never;
        3 BMI1 Default;
        4 HLE OptIn;
        5 AVX2 Default;
        6 FDP_EXCP_ONLY Never;
        7 SMEP Default;
        8 BMI2 Default;
        9 ERMS Default;
        10 INVPCID Default;
        11 RTM Default;
        12 PQM Never;
        13 NO_FPU_SEL Never;
        14 MPX Never;
        15 PQE Never;
        16 AVX512F Default;
        17 AVX512DQ Default;
        18 RDSEED Default;
        19 ADX Default;
        20 SMAP Default;
        21 AVX512_IFMA Default;
        23 CLFLUSHOPT Default;
        24 CLWB Default;
        25 PROC_TRACE Never;
        26 AVX512PF Never;
        27 AVX512ER Never;
        28 AVX512CD Default;
        29 SHA Default;
        30 AVX512BW Default;
        31 AVX512VL Default;
    }
    6, "7.0:ECX" {
        0 PREFETCHWT1 Default;
        1 AVX512_VBMI Default;
        2 UMIP Default;
        3 PKU Default;
        4 OSPKE Never;
        5 WAITPKG Never;
        6 AVX512_VBMI2 Default;
        7 CET_SS Never;
        8 GFNI Default;
        9 VAES Default;
        10 VPCLMULQDQ Default;
        11 AVX512_VNNI Default;
        12 AVX512_BITALG Default;
        13 TME Never;
        14 AVX512_VPOPCNTDQ Default;
        16 LA57 Never;
        22 RDPID Default;
        24 BLD Never;
        25 CLDEMOTE Default;
        27 MOVDIRI OptIn;
        28 MOVDIR64B OptIn;
        29 ENQCMD Never;
        30 SGX_LC Never;
        31 PKS Never;
    }
    7, "8000_0007:EDX" {
        7 HW_PSTATE Never;
        8 ITSC OptIn;
        9 CPB Never;
        10 EFRO Never;
    }
    8, "8000_0008:EBX" {
        0 CLZERO Default;
        2 RSTR_FP_ERR_PTRS Default;
        9 WBNOINVD Never;
        12 IBPB Default;
        14 IBRS Default;
        15 AMD_STIBP Default;
        16 IBRS_ALWAYS Default;
        17 STIBP_ALWAYS Default;
        18 IBRS_FAST Default;
        19 IBRS_SAME_MODE Default;
        20 NO_LMSL Default;
        23 AMD_PPIN Never;
        24 AMD_SSBD Default;
        25 VIRT_SSBD Never;
        26 SSB_NO Default;
        28 PSFD Default;
        29 BTC_NO Default;
        30 IBPB_RET Default;
    }
    9, "7.0:EDX" {
        1 SGX_KEYS Never;
        2 AVX512_4VNNIW Never;
        3 AVX512_4FMAPS Never;
        4 FSRM Default;
        5 UINTR Never;
        8 AVX512_VP2INTERSECT OptIn;
        9 SRBDS_CTRL Never;
        10 MD_CLEAR Default;
        11 RTM_ALWAYS_ABORT Never;
        13 TSX_FORCE_ABORT Never;
        14 SERIALIZE Default;
        15 HYBRID Never;
        16 TSXLDTRK OptIn;
        18 PCONFIG Never;
        19 ARCH_LBR Never;
        20 CET_IBT Never;
        22 AMX_BF16 Never;
        23 AVX512_FP16 Default;
        24 AMX_TILE Never;
        25 AMX_INT8 Never;
        26 IBRSB Default;
        27 STIBP Default;
        28 L1D_FLUSH Default;
        29 ARCH_CAPS Default;
        30 CORE_CAPS Never;
        31 SSBD Default;
    }
    10, "7.1:EAX" {
        0 SHA512 Default;
        1 SM3 Default;
        2 SM4 Default;
        4 AVX_VNNI Default;
        5 AVX512_BF16 Default;
        7 CMPCCXADD OptIn;
        10 FZRM Default;
        11 FSRS Default;
        12 FSRCS Default;
        17 FRED Never;
        19 WRMSRNS Default;
        21 AMX_FP16 Never;
        23 AVX_IFMA Default;
    }
    11, "8000_0021:EAX" {
        0 NO_NEST_BP Default;
        1 FS_GS_NS Default;
        2 LFENCE_DISPATCH Default;
        5 VERW_CLEAR Default;
        6 NSCB Default;
        8 AUTO_IBRS Default;
        10 AMD_FSRS Default;
        11 AMD_FSRC Default;
        17 CPUID_USER_DIS Never;
        18 EPSF Default;
        19 FSRSC Default;
        20 AMD_PREFETCHI Default;
        27 SBPB Default;
        28 IBPB_BRTYPE Default;
        29 SRSO_NO Default;
        30 SRSO_US_NO Default;
        31 SRSO_MSR_FIX Never;
    }
    12, "7.1:EBX" {
        0 INTEL_PPIN Never;
    }
    13, "7.2:EDX" {
        0 INTEL_PSFD Default;
        1 IPRED_CTRL Default;
        2 RRSBA_CTRL Default;
        3 DDP_CTRL Never;
        4 BHI_CTRL Default;
        5 MCDT_NO Default;
    }
    14, "7.1:ECX" {
    }
    15, "7.1:EDX" {
        4 AVX_VNNI_INT8 Default;
        5 AVX_NE_CONVERT Default;
        8 AMX_COMPLEX Never;
        10 AVX_VNNI_INT16 Default;
        14 PREFETCHI Default;
        18 CET_SSS Never;
    }
    16, "MSR 10A[31:0]" {
        0 RDCL_NO Default;
        1 EIBRS Default;
        2 RSBA Never;
        3 SKIP_L1DFL Never;
        4 INTEL_SSB_NO Default;
        5 MDS_NO Default;
        6 IF_PSCHANGE_MC_NO Default;
        7 TSX_CTRL Never;
        8 TAA_NO Default;
        9 MCU_CTRL Never;
        10 MISC_PKG_CTRL Never;
        11 ENERGY_FILTERING Never;
        12 DOITM Never;
        13 SBDR_SSDP_NO Default;
        14 FBSDP_NO Default;
        15 PSDP_NO Default;
        17 FB_CLEAR Default;
        18 FB_CLEAR_CTRL Never;
        19 RRSBA Never;
        20 BHI_NO Default;
        21 XAPIC_STATUS Never;
        23 OVRCLK_STATUS Never;
        24 PBRSB_NO Default;
        25 GDS_CTRL Never;
        26 GDS_NO Default;
        27 RFDS_NO Default;
        28 RFDS_CLEAR Default;
    }
    17, "MSR 10A[63:32]" {
        0 PB_OPT_CTRL Never;
        30 ITS_NO Default;
    }
    18, "8000_0021:ECX" {
        1 TSA_SQ_NO Default;
        2 TSA_L1_NO Default;
    }
}
