//! Register values with which a vCPU starts.
//!
//! Values: AMD APM vol. 2, "Processor Initialization State"; PVH: Xen's `docs/misc/pvh.pandoc`, "Start of Day Structure and Boot Protocol".

use x86_emu::{Segment, SegmentAttributes};

use super::registers::{DescriptorTable, VcpuRegisters, gpr};

const DR6_RESET: u64 = 0xffff_0ff0;
const DR7_RESET: u64 = 0x400;
const RFLAGS_RESET: u64 = 2;
const CR0_PE: u64 = 1 << 0;
const CR0_ET: u64 = 1 << 4;

const fn segment(attributes: u16, limit: u32) -> Segment {
    Segment {
        selector: 0,
        base: 0,
        limit,
        attributes: SegmentAttributes(attributes),
    }
}

impl VcpuRegisters {
    /// 32-bit protected mode without paging, flat 4 GiB segments, interrupts off: how a PVH kernel is entered at `entry` with the physical
    /// address of its `hvm_start_info`.
    #[must_use]
    pub fn pvh(entry: u32, start_info: u32) -> Self {
        let data = segment(0xc93, u32::MAX);
        let mut gprs = [0; 16];
        gprs[gpr::RBX] = start_info.into();
        Self {
            gprs,
            rip: entry.into(),
            rflags: RFLAGS_RESET,
            cr0: CR0_PE | CR0_ET,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            breakpoints: [0; 4],
            dr6: DR6_RESET,
            dr7: DR7_RESET,
            cs: segment(0xc9b, u32::MAX),
            ds: data,
            es: data,
            fs: data,
            gs: data,
            ss: data,
            tr: segment(0x8b, 0x67),
            ldtr: segment(0x82, 0),
            gdtr: DescriptorTable::default(),
            idtr: DescriptorTable::default(),
            sysenter_cs: 0,
            sysenter_esp: 0,
            sysenter_eip: 0,
            star: 0,
            lstar: 0,
            cstar: 0,
            sfmask: 0,
            efer: 0,
            kernel_gs_base: 0,
            tsc_aux: 0,
            tsc: 0,
            fpu: None,
            pending_event: None,
        }
    }
}
