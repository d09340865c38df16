//! The register state of `VCPUOP_initialise`'s argument.
//!
//! Semantics and checks: Xen 4.20, `arch_set_info_hvm_guest`; structure: `public/hvm/hvm_vcpu.h`.

use x86_emu::{Segment, SegmentAttributes};
use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_vcpu::{
    VCPU_HVM_MODE_32B, VCPU_HVM_MODE_64B, VcpuHvmContext, VcpuHvmX86_32, VcpuHvmX86_64,
};
use zerocopy::FromBytes;

use super::registers::VcpuRegisters;
use crate::cpuid::CpuPolicy;

const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const RFLAGS_FIXED_ONES: u64 = 2;

const PRESENT: u16 = 1 << 7;
/// A code or data segment, not a system one.
const NOT_SYSTEM: u16 = 1 << 4;
const CODE: u16 = 1 << 3;
/// Readable for code, writable for data; busy for a task state segment.
const ACCESSIBLE: u16 = 1 << 1;
const ACCESSED: u16 = 1 << 0;
const GRANULAR: u16 = 1 << 11;
const TYPE: u16 = 0xf;
const TYPE_BUSY_TSS: u16 = 0xb;
const CODE_64: u16 = 0xa9b;

#[derive(Copy, Clone, PartialEq, Eq)]
enum Use {
    Code,
    Stack,
    Data,
    Task,
}

impl VcpuRegisters {
    /// The state that `context` asks for, with everything it does not mention as after a PVH start.
    ///
    /// # Errors
    /// `EINVAL`: reserved fields set, or a state no vCPU of a domain with this policy can be in.
    pub fn from_hvm_context(context: &VcpuHvmContext, policy: &CpuPolicy) -> Result<Self, Errno> {
        if context.pad != 0 {
            return Err(Errno::EINVAL);
        }
        let mut registers = match context.mode {
            VCPU_HVM_MODE_32B => from_32(&read(&context.cpu_regs)?)?,
            VCPU_HVM_MODE_64B => from_64(&read(&context.cpu_regs)?)?,
            _ => return Err(Errno::EINVAL),
        };
        registers.cr0 |= CR0_ET;
        registers.rflags |= RFLAGS_FIXED_ONES;
        if registers.efer & EFER_LME != 0 && registers.cr0 & CR0_PG != 0 {
            registers.efer |= EFER_LMA;
        }
        if policy.is_state_valid(registers.cr0, registers.cr4, registers.efer) {
            Ok(registers)
        } else {
            Err(Errno::EINVAL)
        }
    }
}

fn read<T: FromBytes>(bytes: &[u8]) -> Result<T, Errno> {
    T::read_from_prefix(bytes)
        .map(|(value, _)| value)
        .map_err(|_| Errno::EINVAL)
}

fn from_32(from: &VcpuHvmX86_32) -> Result<VcpuRegisters, Errno> {
    if from.pad1 != 0 || from.pad2 != [0; 3] {
        return Err(Errno::EINVAL);
    }
    let mut to = VcpuRegisters::pvh(from.eip, 0);
    to.cs = segment(Use::Code, from.cs_base, from.cs_limit, from.cs_ar)?;
    to.ds = segment(Use::Data, from.ds_base, from.ds_limit, from.ds_ar)?;
    to.es = segment(Use::Data, from.es_base, from.es_limit, from.es_ar)?;
    to.ss = segment(Use::Stack, from.ss_base, from.ss_limit, from.ss_ar)?;
    to.tr = segment(Use::Task, from.tr_base, from.tr_limit, from.tr_ar)?;
    let level = privilege(&to.cs);
    let data_fits = [&to.ds, &to.es]
        .into_iter()
        .all(|data| !data.attributes.is_present() || privilege(data) <= level);
    if from.eip > to.cs.limit || privilege(&to.ss) != level || !data_fits {
        return Err(Errno::EINVAL);
    }
    let gprs = [
        from.eax, from.ecx, from.edx, from.ebx, from.esp, from.ebp, from.esi, from.edi,
    ];
    to.gprs[..8].copy_from_slice(&gprs.map(u64::from));
    to.rflags = from.eflags.into();
    [to.cr0, to.cr3, to.cr4] = [from.cr0, from.cr3, from.cr4].map(u64::from);
    to.efer = from.efer;
    Ok(to)
}

fn from_64(from: &VcpuHvmX86_64) -> Result<VcpuRegisters, Errno> {
    let is_canonical = matches!((from.rip as i64) >> 47, 0 | -1);
    let is_long = from.cr0 & CR0_PG != 0 && from.cr4 & CR4_PAE != 0 && from.efer & EFER_LME != 0;
    if !is_canonical || !is_long {
        return Err(Errno::EINVAL);
    }
    let mut to = VcpuRegisters::pvh(0, 0);
    to.cs.attributes = SegmentAttributes(CODE_64);
    to.gprs[..8].copy_from_slice(&[
        from.rax, from.rcx, from.rdx, from.rbx, from.rsp, from.rbp, from.rsi, from.rdi,
    ]);
    (to.rip, to.rflags) = (from.rip, from.rflags);
    (to.cr0, to.cr3, to.cr4, to.efer) = (from.cr0, from.cr3, from.cr4, from.efer);
    Ok(to)
}

fn privilege(segment: &Segment) -> u16 {
    segment.attributes.0 >> 5 & 3
}

/// A segment from the argument, where the limit counts pages if the granularity bit is set.
fn segment(purpose: Use, base: u32, limit: u32, mut access: u16) -> Result<Segment, Errno> {
    if access & PRESENT != 0 {
        // A loaded segment is marked accessed, a loaded task busy.
        access |= if purpose == Use::Task {
            ACCESSIBLE
        } else {
            ACCESSED
        };
    }
    if !is_fit(purpose, access) {
        return Err(Errno::EINVAL);
    }
    let limit = if access & GRANULAR != 0 {
        limit << 12 | 0xfff
    } else {
        limit
    };
    Ok(Segment {
        selector: 0,
        base: base.into(),
        limit,
        attributes: SegmentAttributes(access),
    })
}

fn is_fit(purpose: Use, access: u16) -> bool {
    let has = |bits| access & bits == bits;
    if access == 0 {
        return purpose == Use::Data;
    }
    access >> 12 == 0
        && has(PRESENT)
        && match purpose {
            Use::Code => has(NOT_SYSTEM | CODE),
            Use::Stack => has(NOT_SYSTEM | ACCESSIBLE) && !has(CODE),
            Use::Data => has(NOT_SYSTEM) && (!has(CODE) || has(ACCESSIBLE)),
            Use::Task => !has(NOT_SYSTEM) && access & TYPE == TYPE_BUSY_TSS,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::system;
    use crate::hvm_context::gpr;
    use zerocopy::IntoBytes;

    fn flat() -> VcpuHvmX86_32 {
        VcpuHvmX86_32 {
            eip: 0x1000,
            ebx: 0x9000,
            eflags: 2,
            cr0: 0x11,
            cs_limit: u32::MAX,
            ds_limit: u32::MAX,
            ss_limit: u32::MAX,
            es_limit: u32::MAX,
            tr_limit: 0x67,
            cs_ar: 0xc9a,
            ds_ar: 0xc92,
            ss_ar: 0xc92,
            es_ar: 0,
            tr_ar: 0x89,
            ..VcpuHvmX86_32::default()
        }
    }

    fn long() -> VcpuHvmX86_64 {
        VcpuHvmX86_64 {
            rsi: 7,
            rip: 0xffff_ffff_8100_0000,
            cr0: 0x8000_0011,
            cr3: 0x5000,
            cr4: 0x20,
            efer: 0x100,
            ..VcpuHvmX86_64::default()
        }
    }

    fn load(mode: u32, registers: &[u8]) -> Result<VcpuRegisters, Errno> {
        let mut context = VcpuHvmContext {
            mode,
            ..VcpuHvmContext::default()
        };
        context.cpu_regs[..registers.len()].copy_from_slice(registers);
        VcpuRegisters::from_hvm_context(&context, &system().for_domain())
    }

    #[test]
    fn a_flat_protected_mode_start_is_loaded() {
        let registers = load(VCPU_HVM_MODE_32B, flat().as_bytes()).unwrap();
        assert_eq!((registers.rip, registers.gprs[gpr::RBX]), (0x1000, 0x9000));
        assert_eq!(
            (registers.cs.attributes.0, registers.cs.limit),
            (0xc9b, u32::MAX)
        );
        assert_eq!(
            (registers.tr.attributes.0, registers.tr.limit),
            (0x8b, 0x67)
        );
        assert!(!registers.es.attributes.is_present());
    }

    #[test]
    fn a_long_mode_start_is_active() {
        let registers = load(VCPU_HVM_MODE_64B, long().as_bytes()).unwrap();
        assert_eq!((registers.efer, registers.cs.attributes.0), (0x500, 0xa9b));
        assert_eq!((registers.gprs[gpr::RSI], registers.rflags), (7, 2));
    }

    #[test]
    fn states_that_cannot_be_are_einval() {
        let spoilers: [fn(&mut VcpuHvmX86_32); 15] = [
            |r| r.pad1 = 1,
            |r| r.pad2[2] = 1,
            |r| r.cs_ar = 0,
            |r| r.cs_ar = 0xc92,
            |r| r.cs_ar = 0x1c9a,
            |r| r.ss_ar = 0xc90,
            |r| r.ss_ar = 0xcf2,
            |r| r.ds_ar = 0xcf2,
            |r| r.ds_ar = 0xc98,
            |r| r.tr_ar = 0x92,
            |r| r.tr_ar = 0x09,
            |r| (r.cs_ar, r.cs_limit) = (0x49a, 0xfff),
            |r| r.cr0 = 0x8000_0010,
            |r| r.cr4 = 1 << 13,
            |r| r.efer = EFER_LMA,
        ];
        for (index, spoil) in spoilers.into_iter().enumerate() {
            let mut registers = flat();
            spoil(&mut registers);
            let result = load(VCPU_HVM_MODE_32B, registers.as_bytes());
            assert_eq!(result, Err(Errno::EINVAL), "{index}");
        }
        let spoilers: [fn(&mut VcpuHvmX86_64); 5] = [
            |r| r.rip = 1 << 47,
            |r| r.cr0 = 0x11,
            |r| r.cr4 = 0,
            |r| r.efer = 0,
            |r| r.efer |= 1 << 12,
        ];
        for (index, spoil) in spoilers.into_iter().enumerate() {
            let mut registers = long();
            spoil(&mut registers);
            let result = load(VCPU_HVM_MODE_64B, registers.as_bytes());
            assert_eq!(result, Err(Errno::EINVAL), "{index}");
        }
        assert_eq!(load(2, &[]), Err(Errno::EINVAL));
    }
}
