//! What an intercepted RDMSR or WRMSR comes to.

use xen_core::ids::Gfn;

use crate::cpuid::CpuPolicy;

/// Whose access it is.
#[derive(Copy, Clone, Debug)]
pub struct MsrContext<'a> {
    /// The domain's CPU policy.
    pub policy: &'a CpuPolicy,
    /// It owns the machine's devices, and may see some of the machine's registers.
    pub is_hardware_domain: bool,
    /// `XEN_X86_MSR_RELAXED`: MSRs nobody handles read as 0 and ignore writes if the host has them.
    pub is_relaxed: bool,
}

/// Result of a read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum MsrRead {
    /// This.
    Value(u64),
    /// The host's register with all bits cleared that `keep` lacks and then `set` set; #GP if the host faults.
    Host {
        /// Bits to show.
        keep: u64,
        /// Bits to add.
        set: u64,
    },
    /// 0 if the host's register can be read, else #GP.
    ZeroIfHostHas,
    /// The guest's TSC, which the caller knows.
    Tsc,
    /// #GP(0).
    Fault,
}

impl MsrRead {
    /// The host's register, all of it.
    pub(super) const HOST: Self = Self::Host {
        keep: u64::MAX,
        set: 0,
    };

    pub(super) const fn value_if(allowed: bool, value: u64) -> Self {
        if allowed {
            Self::Value(value)
        } else {
            Self::Fault
        }
    }
}

/// Result of a write. The new value is stored already where [`VcpuMsrs`](super::VcpuMsrs) has a place for it; what is returned must happen
/// besides.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum MsrWrite {
    /// Nothing more to do.
    Done,
    /// Nothing if the host's register can be read, else #GP.
    IgnoredIfHostHas,
    /// Make the guest's TSC read this now, and tell [`VcpuMsrs::tsc_moved`](super::VcpuMsrs::tsc_moved) by how much it jumped.
    SetTsc(u64),
    /// Add this to the guest's TSC offset.
    MoveTsc(u64),
    /// Load as guest PAT.
    Pat(u64),
    /// Memory types changed: the guest's caches and mappings may have to follow.
    MemoryTypes,
    /// Load as guest MSR_SPEC_CTRL.
    SpecCtrl(u64),
    /// Run this vCPU with or without speculative store bypass.
    StoreBypass {
        /// Without.
        disabled: bool,
    },
    /// Write to the host's MSR: a barrier or flush for this vCPU, already checked.
    Host {
        /// MSR_PRED_CMD or MSR_FLUSH_CMD.
        msr: u32,
        /// What to write.
        value: u64,
    },
    /// Load as guest MSR_TSC_AUX.
    TscAux(u32),
    /// Load as address mask if debug registers are the guest's.
    BreakpointMask {
        /// Breakpoint, 0 to 3.
        index: usize,
        /// Bits not compared.
        mask: u32,
    },
    /// Fill this guest page with hypercall stubs; #GP if it is not writable RAM.
    HypercallPage(Gfn),
    /// #GP(0).
    Fault,
}

impl MsrWrite {
    pub(super) const fn done_if(allowed: bool) -> Self {
        if allowed { Self::Done } else { Self::Fault }
    }
}
