//! Which features make no sense without which others.
//!
//! A toolstack may hide any bit (`cpuid=` in a domain's configuration); what is built on it must then disappear as well, or the guest
//! sees a processor that cannot exist. The relations follow from the vendors' manuals; that a whole subtree goes is Xen 4.20's rule
//! (`cpu-policy.c`, domctl `XEN_DOMCTL_set_cpu_policy`).

use super::feature::Feature as F;

/// Each feature with those that directly need it.
pub const NEEDED_BY: &[(F, &[F])] = &[
    // The MMX registers are the x87 ones.
    (F::FPU, &[F::MMX, F::RSTR_FP_ERR_PTRS]),
    (F::PSE, &[F::PSE36]),
    // Only PAE entries are wide enough for NX, and long mode uses nothing else.
    (F::PAE, &[F::LM, F::NX]),
    (
        F::TSC,
        &[F::TSC_DEADLINE, F::RDTSCP, F::TSC_ADJUST, F::ITSC],
    ),
    (F::APIC, &[F::X2APIC, F::TSC_DEADLINE, F::EXTAPIC]),
    (F::MMX, &[F::MMXEXT, F::AMD_3DNOW]),
    (F::AMD_3DNOW, &[F::AMD_3DNOWEXT]),
    (F::FXSR, &[F::FFXSR, F::SSE]),
    (F::SSE, &[F::SSE2, F::MISALIGNSSE]),
    // SSE2 is part of the 64-bit baseline.
    (
        F::SSE2,
        &[F::SSE3, F::LM, F::AESNI, F::PCLMULQDQ, F::SHA, F::GFNI],
    ),
    (F::SSE3, &[F::SSSE3, F::SSE4A]),
    (F::SSSE3, &[F::SSE4_1]),
    (F::SSE4_1, &[F::SSE4_2]),
    // State that only XSAVE can switch.
    (
        F::XSAVE,
        &[
            F::XSAVEOPT,
            F::XSAVEC,
            F::XGETBV1,
            F::XSAVES,
            F::AVX,
            F::MPX,
            F::PKU,
            F::AMX_TILE,
            F::LWP,
        ],
    ),
    (
        F::AVX,
        &[
            F::FMA,
            F::FMA4,
            F::F16C,
            F::AVX2,
            F::XOP,
            F::AVX_NE_CONVERT,
            F::SM3,
        ],
    ),
    (
        F::AVX2,
        &[
            F::AVX512F,
            F::VAES,
            F::VPCLMULQDQ,
            F::AVX_VNNI,
            F::AVX_IFMA,
            F::AVX_VNNI_INT8,
            F::AVX_VNNI_INT16,
            F::SHA512,
            F::SM4,
        ],
    ),
    (
        F::AVX512F,
        &[
            F::AVX512DQ,
            F::AVX512_IFMA,
            F::AVX512PF,
            F::AVX512ER,
            F::AVX512CD,
            F::AVX512BW,
            F::AVX512VL,
            F::AVX512_4VNNIW,
            F::AVX512_4FMAPS,
            F::AVX512_VNNI,
            F::AVX512_VPOPCNTDQ,
            F::AVX512_VP2INTERSECT,
        ],
    ),
    // Byte and word elements need mask registers wider than 16 bits.
    (
        F::AVX512BW,
        &[
            F::AVX512_VBMI,
            F::AVX512_VBMI2,
            F::AVX512_BITALG,
            F::AVX512_BF16,
            F::AVX512_FP16,
        ],
    ),
    (F::PCLMULQDQ, &[F::VPCLMULQDQ]),
    (F::AESNI, &[F::VAES]),
    (
        F::AMX_TILE,
        &[F::AMX_BF16, F::AMX_INT8, F::AMX_FP16, F::AMX_COMPLEX],
    ),
    (F::NX, &[F::SMAP]),
    (
        F::LM,
        &[
            F::CX16,
            F::PCID,
            F::LAHF_LM,
            F::PAGE1GB,
            F::PKU,
            F::NO_LMSL,
            F::AMX_TILE,
            F::CMPCCXADD,
        ],
    ),
    // Further bits of MSR_SPEC_CTRL, in Intel's and in AMD's enumeration.
    (
        F::IBRSB,
        &[
            F::STIBP,
            F::SSBD,
            F::INTEL_PSFD,
            F::EIBRS,
            F::IPRED_CTRL,
            F::RRSBA_CTRL,
            F::BHI_CTRL,
        ],
    ),
    (
        F::IBRS,
        &[
            F::AMD_STIBP,
            F::AMD_SSBD,
            F::PSFD,
            F::AUTO_IBRS,
            F::IBRS_ALWAYS,
            F::IBRS_FAST,
            F::IBRS_SAME_MODE,
        ],
    ),
    (F::AMD_STIBP, &[F::STIBP_ALWAYS]),
    (F::PSFD, &[F::EPSF]),
    (F::IBPB, &[F::IBPB_RET, F::SBPB, F::IBPB_BRTYPE]),
    (F::EIBRS, &[F::RRSBA]),
    (F::RTM, &[F::TSXLDTRK]),
    (F::DBEXT, &[F::ADDR_MSK_EXT]),
];
