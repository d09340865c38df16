//! Start states: PVH's, and what `VCPUOP_initialise` describes (xen/include/public/hvm/hvm_vcpu.h).

use x86_emu::{Segment, SegmentAttributes, SegmentName};
use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_vcpu::{
    VCPU_HVM_MODE_32B, VCPU_HVM_MODE_64B, VcpuHvmContext, VcpuHvmX86_32, VcpuHvmX86_64,
};
use zerocopy::FromBytes;

use crate::hvm_context::VcpuRegisters;
use crate::vcpu::{Backend, State};

const CR0_VALID: u64 = 0xe005_003f;
const CR4_VALID: u64 = 0x00f7_27ff;
const EFER_VALID: u64 = 0x4d01;
const FLAT: u32 = u32::MAX;

fn segment(selector: u16, base: u64, limit: u32, attributes: u16) -> Segment {
    Segment {
        selector,
        base,
        limit,
        attributes: SegmentAttributes(attributes),
    }
}

/// 32-bit flat protected mode at `entry` with `start_info` in ebx (docs/misc/pvh.pandoc of Xen, "x86/HVM direct boot ABI").
pub fn pvh(state: &mut State, entry: u32, start_info: u32) {
    let start = VcpuRegisters::pvh(entry, start_info);
    state.hw.load_registers(&start);
    state.registers.0 = start.gprs;
    state.initialised = true;
    state.wait_for_startup = false;
}

/// Loads a `vcpu_hvm_context`.
///
/// # Errors
/// `EINVAL` for a state no processor could be in.
pub fn initialise(state: &mut State, context: &[u8]) -> Result<(), Errno> {
    let (context, _) = VcpuHvmContext::read_from_prefix(context).map_err(|_| Errno::EINVAL)?;
    match context.mode {
        VCPU_HVM_MODE_32B => {
            let (regs, _) =
                VcpuHvmX86_32::read_from_prefix(&context.cpu_regs).map_err(|_| Errno::EINVAL)?;
            initialise_32(state, &regs)
        }
        VCPU_HVM_MODE_64B => {
            let (regs, _) =
                VcpuHvmX86_64::read_from_prefix(&context.cpu_regs).map_err(|_| Errno::EINVAL)?;
            initialise_64(state, &regs)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn checked_controls(
    state: &mut State,
    cr0: u64,
    cr3: u64,
    cr4: u64,
    efer: u64,
) -> Result<(), Errno> {
    let paging_without_protection = cr0 >> 31 & 1 != 0 && cr0 & 1 == 0;
    if cr0 & !CR0_VALID != 0
        || cr4 & !CR4_VALID != 0
        || efer & !EFER_VALID != 0
        || paging_without_protection
    {
        return Err(Errno::EINVAL);
    }
    state.hw.reset();
    state.registers.0 = [0; 16];
    state.hw.set_cr(0, cr0 | 0x10);
    state.hw.set_cr(3, cr3);
    state.hw.set_cr(4, cr4);
    state.hw.set_efer(efer);
    Ok(())
}

fn initialise_32(state: &mut State, r: &VcpuHvmX86_32) -> Result<(), Errno> {
    if r.cr0 & 1 == 0 && r.cs_ar & 0x400 != 0 {
        return Err(Errno::EINVAL);
    }
    checked_controls(
        state,
        u64::from(r.cr0),
        u64::from(r.cr3),
        u64::from(r.cr4),
        r.efer,
    )?;
    let ar = |ar: u16| ar & 0xfff;
    state.hw.set_segment(
        SegmentName::Cs,
        segment(0, u64::from(r.cs_base), r.cs_limit, ar(r.cs_ar)),
    );
    state.hw.set_segment(
        SegmentName::Ds,
        segment(0, u64::from(r.ds_base), r.ds_limit, ar(r.ds_ar)),
    );
    state.hw.set_segment(
        SegmentName::Ss,
        segment(0, u64::from(r.ss_base), r.ss_limit, ar(r.ss_ar)),
    );
    state.hw.set_segment(
        SegmentName::Es,
        segment(0, u64::from(r.es_base), r.es_limit, ar(r.es_ar)),
    );
    state.hw.set_segment(
        SegmentName::Tr,
        segment(0, u64::from(r.tr_base), r.tr_limit, ar(r.tr_ar)),
    );
    let order = [r.eax, r.ecx, r.edx, r.ebx, r.esp, r.ebp, r.esi, r.edi];
    order
        .into_iter()
        .enumerate()
        .for_each(|(index, value)| state.registers.0[index] = u64::from(value));
    state.hw.set_rip(u64::from(r.eip));
    state.hw.set_rflags(u64::from(r.eflags) & !0x0002_0000);
    state.initialised = true;
    state.wait_for_startup = false;
    Ok(())
}

fn initialise_64(state: &mut State, r: &VcpuHvmX86_64) -> Result<(), Errno> {
    checked_controls(state, r.cr0, r.cr3, r.cr4, r.efer)?;
    state
        .hw
        .set_segment(SegmentName::Cs, segment(0, 0, FLAT, 0xa9b));
    for name in [SegmentName::Ds, SegmentName::Es, SegmentName::Ss] {
        state.hw.set_segment(name, segment(0, 0, FLAT, 0xc93));
    }
    state
        .hw
        .set_segment(SegmentName::Tr, segment(0, 0, 0x67, 0x8b));
    let order = [r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi];
    state.registers.0[..8].copy_from_slice(&order);
    state.hw.set_rip(r.rip);
    state.hw.set_rflags(r.rflags & !0x0002_0000);
    state.initialised = true;
    state.wait_for_startup = false;
    Ok(())
}
