//! The state the first vCPU starts in: 32-bit flat protected mode without paging, `ebx` at the start info (docs/misc/pvh.pandoc of Xen,
//! "x86/HVM direct boot ABI"), and write-back memory for all.

use xen_abi::hvm::save::{
    HVM_SAVE_CODE_CPU, HVM_SAVE_CODE_END, HVM_SAVE_CODE_HEADER, HVM_SAVE_CODE_MTRR, HvmHwCpu,
    HvmHwMtrr, HvmSaveDescriptor, HvmSaveHeader,
};
use zerocopy::{FromBytes, IntoBytes};

/// Protected mode, with a floating-point unit.
const CR0_PE_ET: u64 = 0x11;
const DR6_DEFAULT: u64 = 0xffff_0ff0;
const DR7_DEFAULT: u64 = 0x400;
const CODE_SEGMENT: u32 = 0xc9b;
const DATA_SEGMENT: u32 = 0xc93;
const BUSY_TSS: u32 = 0x8b;
const TSS_LIMIT: u32 = 0x67;
/// MTRRs are on, memory they do not cover is write-back.
const MTRR_ENABLED_WRITE_BACK: u64 = 1 << 11 | 6;

/// From the domain's context as it was created, the context to start it with; `None` when a record that every domain has is missing.
///
/// Setting a context puts all vCPUs down that it has no CPU record of, so there is one for the first alone.
#[must_use]
pub fn start_context(current: &[u8], vcpus: u32, entry: u32, start_info: u32) -> Option<Vec<u8>> {
    let header = record::<HvmSaveHeader>(current, HVM_SAVE_CODE_HEADER)?;
    let mut mtrr = record::<HvmHwMtrr>(current, HVM_SAVE_CODE_MTRR)?;
    mtrr.msr_mtrr_def_type = MTRR_ENABLED_WRITE_BACK;
    let mut context = Vec::new();
    push(&mut context, HVM_SAVE_CODE_HEADER, 0, header.as_bytes());
    for vcpu in 0..vcpus {
        push(
            &mut context,
            HVM_SAVE_CODE_MTRR,
            vcpu as u16,
            mtrr.as_bytes(),
        );
    }
    let cpu = first_vcpu(entry, start_info);
    push(&mut context, HVM_SAVE_CODE_CPU, 0, cpu.as_bytes());
    push(&mut context, HVM_SAVE_CODE_END, 0, &[]);
    Some(context)
}

fn first_vcpu(entry: u32, start_info: u32) -> HvmHwCpu {
    HvmHwCpu {
        rip: entry.into(),
        rbx: start_info.into(),
        cr0: CR0_PE_ET,
        dr6: DR6_DEFAULT,
        dr7: DR7_DEFAULT,
        cs_limit: u32::MAX,
        ds_limit: u32::MAX,
        es_limit: u32::MAX,
        ss_limit: u32::MAX,
        tr_limit: TSS_LIMIT,
        cs_arbytes: CODE_SEGMENT,
        ds_arbytes: DATA_SEGMENT,
        es_arbytes: DATA_SEGMENT,
        ss_arbytes: DATA_SEGMENT,
        tr_arbytes: BUSY_TSS,
        ..HvmHwCpu::default()
    }
}

fn push(context: &mut Vec<u8>, typecode: u16, instance: u16, payload: &[u8]) {
    let descriptor = HvmSaveDescriptor {
        typecode,
        instance,
        length: payload.len() as u32,
    };
    context.extend_from_slice(descriptor.as_bytes());
    context.extend_from_slice(payload);
}

/// The first record of a kind.
fn record<T: FromBytes>(mut context: &[u8], typecode: u16) -> Option<T> {
    loop {
        let (descriptor, rest) = HvmSaveDescriptor::read_from_prefix(context).ok()?;
        let payload = rest.get(..descriptor.length as usize)?;
        if descriptor.typecode == typecode {
            return T::read_from_bytes(payload).ok();
        }
        if descriptor.typecode == HVM_SAVE_CODE_END {
            return None;
        }
        context = rest.get(descriptor.length as usize..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created() -> Vec<u8> {
        let header = HvmSaveHeader {
            magic: 7,
            ..HvmSaveHeader::default()
        };
        let mtrr = HvmHwMtrr {
            msr_pat_cr: 9,
            ..HvmHwMtrr::default()
        };
        let mut context = Vec::new();
        push(&mut context, HVM_SAVE_CODE_HEADER, 0, header.as_bytes());
        push(&mut context, HVM_SAVE_CODE_MTRR, 0, mtrr.as_bytes());
        push(&mut context, HVM_SAVE_CODE_END, 0, &[]);
        context
    }

    #[test]
    fn context_starts_the_first_vcpu_and_types_memory_for_all() {
        let context = start_context(&created(), 3, 0x100_0b20, 0x421_0000).unwrap();
        assert_eq!(context.len(), 8 + 24 + 3 * (8 + 240) + 8 + 1032 + 8);
        assert_eq!(record::<HvmSaveHeader>(&context, 1).unwrap().magic, 7);
        let mtrr = record::<HvmHwMtrr>(&context, 14).unwrap();
        assert_eq!((mtrr.msr_pat_cr, mtrr.msr_mtrr_def_type), (9, 0x806));
        let cpu = record::<HvmHwCpu>(&context, 2).unwrap();
        assert_eq!((cpu.rip, cpu.rbx, cpu.cr0), (0x100_0b20, 0x421_0000, 0x11));
    }

    #[test]
    fn context_without_its_records_or_cut_short_is_refused() {
        let created = created();
        for len in 0..created.len() - 8 {
            assert_eq!(start_context(&created[..len], 1, 0, 0), None);
        }
    }
}
