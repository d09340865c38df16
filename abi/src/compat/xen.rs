//! 32-bit layouts of [`crate::xen`].

use crate::xen::VcpuTimeInfo;

/// Ports of the two-level format, 32-bit guests.
pub const EVTCHN_2L_NR_CHANNELS: u32 = 1024;

structures! {
    /// What a vCPU shares with Xen.
    pub struct VcpuInfo("struct vcpu_info", 64) {
        /// Nonzero: an event is pending.
        0 evtchn_upcall_pending: u8,
        /// PV only.
        1 evtchn_upcall_mask: u8,
        2 _pad: [u8; 2],
        /// Two-level format: words of `evtchn_pending` that have bits set.
        4 evtchn_pending_sel: u32,
        /// PV only.
        8 arch_cr2: u32 => "arch.cr2",
        12 _pad1: [u32; 5],
        /// Time.
        32 time: VcpuTimeInfo,
    }

    /// x86 part of [`SharedInfo`], for PV guests.
    pub struct ArchSharedInfo("struct arch_shared_info", 28) {
        /// PV only.
        0 max_pfn: u32,
        /// PV only.
        4 pfn_to_mfn_frame_list_list: u32,
        /// Reason of an NMI for dom0.
        8 nmi_reason: u32,
        /// PV only.
        12 p2m_cr3: u32,
        /// PV only.
        16 p2m_vaddr: u32,
        /// PV only.
        20 p2m_generation: u32,
        /// UTC at system time 0: seconds, high half.
        24 wc_sec_hi: u32,
    }

    /// The page a domain shares with Xen.
    pub struct SharedInfo("struct shared_info", 2344) {
        /// Default places of `vcpu_info`.
        0 vcpu_info: [VcpuInfo; 32],
        /// Two-level format: pending bits.
        2048 evtchn_pending: [u32; 32],
        /// Two-level format: masks.
        2176 evtchn_mask: [u32; 32],
        /// Odd while the wall clock changes.
        2304 wc_version: u32,
        /// UTC at system time 0: seconds, low half.
        2308 wc_sec: u32,
        /// UTC at system time 0: nanoseconds.
        2312 wc_nsec: u32,
        /// PV only, apart from `wc_sec_hi`.
        2316 arch: ArchSharedInfo,
    }

    /// One call of a multicall.
    pub struct MulticallEntry("struct multicall_entry", 32) {
        /// In: hypercall number.
        0 op: u32,
        /// Out: result.
        4 result: u32,
        /// In: arguments.
        8 args: [u32; 6],
    }
}
