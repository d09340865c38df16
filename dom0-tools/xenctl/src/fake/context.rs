//! Machine state and CPU policies of the fake host's domains.

use std::collections::BTreeMap;

use xen_abi::arch_x86::XEN_CPUID_NO_SUBLEAF;
use xen_abi::errno::Errno;
use xen_abi::hvm::save::{
    HVM_FILE_MAGIC, HVM_FILE_VERSION, HVM_SAVE_CODE_CPU, HVM_SAVE_CODE_END, HVM_SAVE_CODE_HEADER,
    HVM_SAVE_CODE_MAX, HVM_SAVE_CODE_MTRR, HvmHwCpu, HvmHwMtrr, HvmSaveDescriptor, HvmSaveHeader,
};
use zerocopy::{FromBytes, IntoBytes};

use super::state::State;
use crate::{CpuPolicy, DomId};

/// Words of a feature set in Xen 4.20.
const FEATURE_WORDS: usize = 19;
/// Kinds of feature sets, and of policies.
const KINDS: u32 = 6;

type Records = BTreeMap<(u16, u16), Vec<u8>>;

impl State {
    pub(super) fn hvm_context(&mut self, domain: DomId) -> Result<Vec<u8>, Errno> {
        let guest = self.guest(domain)?;
        let mut records = initial_records(guest.vcpus.len() as u16);
        records.extend(guest.built.records.clone());
        let mut stream = Vec::new();
        for (&(typecode, instance), payload) in &records {
            push_record(&mut stream, typecode, instance, payload);
        }
        push_record(&mut stream, HVM_SAVE_CODE_END, 0, &[]);
        Ok(stream)
    }

    pub(super) fn set_hvm_context(&mut self, domain: DomId, stream: &[u8]) -> Result<(), Errno> {
        let guest = self.guest(domain)?;
        let records = parse(stream)?;
        for &(typecode, instance) in records.keys() {
            let vcpu = guest.vcpus.get_mut(usize::from(instance));
            match typecode {
                HVM_SAVE_CODE_CPU => vcpu.ok_or(Errno::EINVAL)?.online = true,
                HVM_SAVE_CODE_MTRR if vcpu.is_none() => return Err(Errno::EINVAL),
                _ => {}
            }
        }
        guest.built.records.extend(records);
        Ok(())
    }

    pub(super) fn policy(&mut self, domain: DomId) -> Result<CpuPolicy, Errno> {
        let policy = self.domain(domain)?.built.policy.clone();
        Ok(policy.unwrap_or_else(default_policy))
    }

    /// The pair is the leaf that is refused.
    pub(super) fn set_policy(
        &mut self,
        domain: DomId,
        policy: &CpuPolicy,
    ) -> Result<(), (Errno, Option<(u32, u32)>)> {
        let guest = self.guest(domain).map_err(|errno| (errno, None))?;
        let is_unknown =
            |leaf: &&[u32; 6]| !matches!(leaf[0], 0..=0x1f | 0x8000_0000..=0x8000_0021);
        if let Some(&[leaf, subleaf, ..]) = policy.leaves.iter().find(is_unknown) {
            return Err((Errno::ERANGE, Some((leaf, subleaf))));
        }
        guest.built.policy = Some(policy.clone());
        Ok(())
    }
}

/// A host policy.
pub(super) fn host_policy(index: u32) -> Result<CpuPolicy, Errno> {
    if index >= KINDS {
        return Err(Errno::EINVAL);
    }
    Ok(default_policy())
}

/// A feature set.
pub(super) fn featureset(index: u32) -> Result<Vec<u32>, Errno> {
    if index >= KINDS {
        return Err(Errno::EINVAL);
    }
    let mut words = vec![0; FEATURE_WORDS];
    words[..4].copy_from_slice(&[0x178b_fbff, 0x8298_3203, 0x2fd3_fbff, 0x0040_23f3]);
    Ok(words)
}

/// What a small AMD processor says.
fn default_policy() -> CpuPolicy {
    let none = XEN_CPUID_NO_SUBLEAF;
    CpuPolicy {
        leaves: vec![
            [0, none, 0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65],
            [1, none, 0x0080_0f12, 0, 0x8298_3203, 0x178b_fbff],
            [7, 0, 0, 0x209c_01a9, 0, 0],
            [0xd, 0, 7, 0x340, 0x340, 0],
            [0xd, 1, 0xf, 0, 0, 0],
            [
                0x8000_0000,
                none,
                0x8000_0021,
                0x6874_7541,
                0x444d_4163,
                0x6974_6e65,
            ],
            [0x8000_0001, none, 0x0080_0f12, 0, 0x0040_23f3, 0x2fd3_fbff],
            [0x8000_0007, none, 0, 0, 0, 0x100],
            [0x8000_0008, none, 0x3030, 0, 0, 0],
        ],
        msrs: vec![(0xce, 0, 0), (0x10a, 0, 0)],
    }
}

fn initial_records(vcpus: u16) -> Records {
    let header = HvmSaveHeader {
        magic: HVM_FILE_MAGIC,
        version: HVM_FILE_VERSION,
        ..HvmSaveHeader::default()
    };
    let mut records = Records::new();
    records.insert((HVM_SAVE_CODE_HEADER, 0), header.as_bytes().to_vec());
    for vcpu in 0..vcpus {
        let cpu = HvmHwCpu::default().as_bytes().to_vec();
        records.insert((HVM_SAVE_CODE_CPU, vcpu), cpu);
        let mtrr = HvmHwMtrr {
            msr_mtrr_cap: 0x508,
            ..HvmHwMtrr::default()
        };
        records.insert((HVM_SAVE_CODE_MTRR, vcpu), mtrr.as_bytes().to_vec());
    }
    records
}

fn push_record(stream: &mut Vec<u8>, typecode: u16, instance: u16, payload: &[u8]) {
    let descriptor = HvmSaveDescriptor {
        typecode,
        instance,
        length: payload.len() as u32,
    };
    stream.extend_from_slice(descriptor.as_bytes());
    stream.extend_from_slice(payload);
}

/// The records up to the end record, without the header.
fn parse(stream: &[u8]) -> Result<Records, Errno> {
    let mut records = Records::new();
    let (header, mut rest) = split_record(stream)?;
    let magic = HvmSaveHeader::read_from_bytes(header.2).map(|header| header.magic);
    if header.0 != HVM_SAVE_CODE_HEADER || magic.ok() != Some(HVM_FILE_MAGIC) {
        return Err(Errno::EINVAL);
    }
    loop {
        let ((typecode, instance, payload), after) = split_record(rest)?;
        if typecode == HVM_SAVE_CODE_END {
            return Ok(records);
        }
        let length = match typecode {
            HVM_SAVE_CODE_CPU => size_of::<HvmHwCpu>(),
            HVM_SAVE_CODE_MTRR => size_of::<HvmHwMtrr>(),
            _ => payload.len(),
        };
        if typecode > HVM_SAVE_CODE_MAX || payload.len() != length {
            return Err(Errno::EINVAL);
        }
        records.insert((typecode, instance), payload.to_vec());
        rest = after;
    }
}

type Record<'a> = (u16, u16, &'a [u8]);

fn split_record(stream: &[u8]) -> Result<(Record<'_>, &[u8]), Errno> {
    let (descriptor, rest) =
        HvmSaveDescriptor::read_from_prefix(stream).map_err(|_| Errno::ENODATA)?;
    let (payload, rest) = rest
        .split_at_checked(descriptor.length as usize)
        .ok_or(Errno::ENODATA)?;
    Ok(((descriptor.typecode, descriptor.instance, payload), rest))
}
