//! The MSR record: a count, then that many entries.

use alloc::vec::Vec;
use core::mem::size_of;

use xen_abi::errno::Errno;
use xen_abi::hvm::save::{HvmMsr, HvmOneMsr};
use zerocopy::{FromBytes, IntoBytes};

/// The payload with `entries`. Without entries there is no record.
#[must_use]
pub fn msr_payload(entries: &[HvmOneMsr]) -> Vec<u8> {
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let mut payload = HvmMsr { count, _pad: 0 }.as_bytes().to_vec();
    payload.extend_from_slice(entries.as_bytes());
    payload
}

/// The entries of a payload.
///
/// # Errors
/// `EINVAL` not even one entry, `EOPNOTSUPP` length and count do not agree.
pub fn msr_entries(payload: &[u8]) -> Result<Vec<HvmOneMsr>, Errno> {
    if payload.len() < size_of::<HvmMsr>() + size_of::<HvmOneMsr>() {
        return Err(Errno::EINVAL);
    }
    let (head, rest) = HvmMsr::read_from_prefix(payload).map_err(|_| Errno::EINVAL)?;
    let expected = (head.count as usize).checked_mul(size_of::<HvmOneMsr>());
    if expected != Some(rest.len()) {
        return Err(Errno::EOPNOTSUPP);
    }
    let entries = rest.chunks_exact(size_of::<HvmOneMsr>());
    entries
        .map(|entry| HvmOneMsr::read_from_bytes(entry).map_err(|_| Errno::EINVAL))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_a_record() {
        let entries = [
            HvmOneMsr {
                index: 0x48,
                _rsvd: 0,
                val: 1,
            },
            HvmOneMsr {
                index: 0xc001_1027,
                _rsvd: 0,
                val: 0xfff,
            },
        ];
        let read = msr_entries(&msr_payload(&entries)).unwrap();
        assert_eq!(read.as_bytes(), entries.as_bytes());
    }

    #[test]
    fn length_and_count_must_agree() {
        let payload = msr_payload(&[HvmOneMsr::default()]);
        assert_eq!(msr_entries(&payload[..23]).err(), Some(Errno::EINVAL));
        let mut wrong = payload.clone();
        wrong[0] = 2;
        assert_eq!(msr_entries(&wrong).err(), Some(Errno::EOPNOTSUPP));
        wrong[..4].fill(0xff);
        assert_eq!(msr_entries(&wrong).err(), Some(Errno::EOPNOTSUPP));
    }
}
