//! Writing a context.

use alloc::vec::Vec;
use core::mem::size_of;

use xen_abi::hvm::save::{
    HVM_FILE_MAGIC, HVM_FILE_VERSION, HVM_SAVE_CODE_END, HVM_SAVE_CODE_HEADER, HvmHwCpu,
    HvmHwLapic, HvmHwLapicRegs, HvmHwMtrr, HvmMsr, HvmOneMsr, HvmSaveDescriptor, HvmSaveHeader,
    HvmTscAdjust, HvmVmceVcpu,
};
use zerocopy::{Immutable, IntoBytes};

use super::xsave::payload_size;
use crate::msr_policy::SAVED_MSRS;

/// The header of a context: `cpuid` is CPUID 1 `eax` of the host, `guest_khz` the guest's TSC frequency.
#[must_use]
pub const fn header(cpuid: u32, guest_khz: u32) -> HvmSaveHeader {
    HvmSaveHeader {
        magic: HVM_FILE_MAGIC,
        version: HVM_FILE_VERSION,
        // Says that the source revision is not known.
        changeset: u64::MAX,
        cpuid,
        gtsc_khz: guest_khz,
    }
}

/// Collects records into a context.
#[derive(Clone, Debug)]
pub struct ContextWriter {
    bytes: Vec<u8>,
}

impl ContextWriter {
    /// A context that has only its header yet. `capacity`: expected size in bytes, see [`size_limit`].
    #[must_use]
    pub fn new(header: &HvmSaveHeader, capacity: usize) -> Self {
        let mut writer = Self {
            bytes: Vec::with_capacity(capacity),
        };
        writer.append(HVM_SAVE_CODE_HEADER, 0, header);
        writer
    }

    /// Adds a record of fixed layout.
    pub fn append<T: IntoBytes + Immutable + ?Sized>(
        &mut self,
        typecode: u16,
        instance: u16,
        payload: &T,
    ) {
        let payload = payload.as_bytes();
        // Records are some KiB at most: vCPU state and tables of fixed size.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let descriptor = HvmSaveDescriptor {
            typecode,
            instance,
            length,
        };
        self.bytes.extend_from_slice(descriptor.as_bytes());
        self.bytes.extend_from_slice(payload);
    }

    /// The context with its end record.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.append::<[u8]>(HVM_SAVE_CODE_END, 0, &[]);
        self.bytes
    }
}

/// Most bytes a context can have: what a null buffer is answered with. `xsave_area`: bytes of an XSAVE area with all components of the
/// host, 0 without XSAVE; `devices`: payload sizes of the domain's own records.
#[must_use]
pub fn size_limit(vcpus: usize, xsave_area: usize, devices: &[usize]) -> usize {
    let msrs = size_of::<HvmMsr>() + SAVED_MSRS.len() * size_of::<HvmOneMsr>();
    let of_vcpu = [
        size_of::<HvmHwCpu>(),
        size_of::<HvmHwLapic>(),
        size_of::<HvmHwLapicRegs>(),
        size_of::<HvmHwMtrr>(),
        size_of::<HvmVmceVcpu>(),
        size_of::<HvmTscAdjust>(),
        payload_size(xsave_area),
        msrs,
    ];
    let framed = |payloads: &[usize]| {
        payloads.iter().fold(0usize, |sum, payload| {
            sum.saturating_add(size_of::<HvmSaveDescriptor>())
                .saturating_add(*payload)
        })
    };
    framed(&of_vcpu)
        .saturating_mul(vcpus)
        .saturating_add(framed(devices))
        .saturating_add(framed(&[size_of::<HvmSaveHeader>(), 0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hvm_context::{Context, Record};
    use std::vec;
    use xen_abi::errno::Errno;
    use xen_abi::hvm::save::{
        HVM_SAVE_CODE_CPU, HVM_SAVE_CODE_TSC_ADJUST, HVM_SAVE_CODE_VMCE_VCPU,
    };

    fn sample() -> Vec<u8> {
        let mut writer = ContextWriter::new(&header(0x00a2_0f12, 2_000_000), 0);
        writer.append(HVM_SAVE_CODE_TSC_ADJUST, 1, &HvmTscAdjust { tsc_adjust: 7 });
        writer.append::<[u8]>(HVM_SAVE_CODE_VMCE_VCPU, 2, &[2, 0, 0]);
        writer.finish()
    }

    #[test]
    fn records_are_read_as_written() {
        let bytes = sample();
        let context = Context::parse(&bytes).unwrap();
        assert_eq!(context.header().gtsc_khz, 2_000_000);
        let records: Vec<Record<'_>> = context.records().collect();
        assert_eq!(records.len(), 2);
        assert_eq!(
            (records[0].typecode, records[0].instance),
            (HVM_SAVE_CODE_TSC_ADJUST, 1)
        );
        assert_eq!(records[0].exact::<HvmTscAdjust>().unwrap().tsc_adjust, 7);
        assert_eq!(records[1].zero_extended::<HvmVmceVcpu>().unwrap().caps, 2);
        assert_eq!(records[1].exact::<HvmVmceVcpu>().err(), Some(Errno::EINVAL));
    }

    #[test]
    fn a_record_that_is_too_long_is_einval() {
        let payload = [0; 9];
        let record = Record {
            typecode: HVM_SAVE_CODE_TSC_ADJUST,
            instance: 0,
            payload: &payload,
        };
        assert_eq!(
            record.zero_extended::<HvmTscAdjust>().err(),
            Some(Errno::EINVAL)
        );
    }

    #[test]
    fn every_truncation_is_enodata() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert_eq!(
                Context::parse(&bytes[..length]).err(),
                Some(Errno::ENODATA),
                "{length}"
            );
        }
        assert!(Context::parse(&bytes).is_ok());
    }

    #[test]
    fn bytes_after_the_end_are_ignored() {
        let mut bytes = sample();
        bytes.extend(vec![0xff; 100]);
        assert_eq!(Context::parse(&bytes).unwrap().records().count(), 2);
    }

    #[test]
    fn a_context_must_begin_with_a_header_of_this_version() {
        let good = sample();
        for (at, value, errno) in [
            (0, 2, Errno::ENODATA),
            (4, 23, Errno::ENODATA),
            (8, 0, Errno::EINVAL),
            (12, 2, Errno::EINVAL),
        ] {
            let mut bytes = good.clone();
            bytes[at] = value;
            assert_eq!(Context::parse(&bytes).err(), Some(errno), "{at}");
        }
    }

    #[test]
    fn unknown_types_and_a_second_header_are_einval() {
        for typecode in [HVM_SAVE_CODE_HEADER, 21, u16::MAX] {
            let mut writer = ContextWriter::new(&header(0, 0), 0);
            writer.append(HVM_SAVE_CODE_CPU, 0, &HvmHwCpu::default());
            writer.append(typecode, 0, &HvmTscAdjust::default());
            assert_eq!(Context::parse(&writer.finish()).err(), Some(Errno::EINVAL));
        }
    }

    #[test]
    fn a_length_beyond_the_context_is_enodata() {
        let mut bytes = sample();
        bytes[36..40].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Context::parse(&bytes).err(), Some(Errno::ENODATA));
    }

    #[test]
    fn the_size_limit_counts_header_end_and_every_record() {
        assert_eq!(size_limit(0, 0, &[]), 8 + 24 + 8);
        let vcpu = 8 * 8 + 1032 + 32 + 1024 + 240 + 32 + 8 + (24 + 832) + (8 + 8 * 16);
        assert_eq!(size_limit(2, 832, &[400]), 40 + 2 * vcpu + 408);
        assert_eq!(size_limit(usize::MAX, 832, &[400]), usize::MAX);
    }
}
