//! The XSAVE record: XCR0 and a vCPU's XSAVE area in the standard format.

use alloc::vec::Vec;
use core::mem::{offset_of, size_of};

use xen_abi::errno::Errno;
use xen_abi::hvm::save::HvmHwCpuXsave;
use zerocopy::{FromBytes, IntoBytes};

use crate::cpuid::CpuPolicy;
use crate::cpuid::xstate::standard_size;

/// XCR0 and its past values, before the area.
const PREFIX: usize = offset_of!(HvmHwCpuXsave, fpu_sse);

/// Bytes of a record with an area of that size.
pub(super) const fn payload_size(area: usize) -> usize {
    PREFIX.saturating_add(area)
}

/// Extended state of a vCPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XsaveState {
    /// XCR0.
    pub xcr0: u64,
    /// All components that were ever enabled.
    pub xcr0_accum: u64,
    /// XSAVE area in the standard format with the components of `xcr0_accum`.
    pub area: Vec<u8>,
}

impl XsaveState {
    /// The record. `host_components`: what the hypervisor enables in XCR0.
    #[must_use]
    pub fn to_payload(&self, host_components: u64) -> Vec<u8> {
        let mut payload = Vec::with_capacity(payload_size(self.area.len()));
        for word in [host_components, self.xcr0, self.xcr0_accum] {
            payload.extend_from_slice(word.as_bytes());
        }
        payload.extend_from_slice(&self.area);
        payload
    }

    /// What a record describes, if a domain with this policy can have it.
    ///
    /// # Errors
    /// `EINVAL` too short or long, or components the domain lacks; `EOPNOTSUPP` compacted format, or excess bytes that are not 0; `EIO`
    /// reserved fields set.
    pub fn from_payload(payload: &[u8], policy: &CpuPolicy) -> Result<Self, Errno> {
        let (fixed, _) = HvmHwCpuXsave::read_from_prefix(payload).map_err(|_| Errno::EINVAL)?;
        check(&fixed, policy)?;
        let size = standard_size(fixed.xcr0_accum, &policy.xstate) as usize;
        // At least the fixed part, so longer than the prefix.
        let area = &payload[PREFIX..];
        let (area, excess) = area.split_at_checked(size).ok_or(Errno::EINVAL)?;
        if excess.iter().any(|&byte| byte != 0) {
            return Err(Errno::EOPNOTSUPP);
        }
        Ok(Self {
            xcr0: fixed.xcr0,
            xcr0_accum: fixed.xcr0_accum,
            area: area.to_vec(),
        })
    }
}

const _: () = assert!(PREFIX < size_of::<HvmHwCpuXsave>());

fn check(fixed: &HvmHwCpuXsave, policy: &CpuPolicy) -> Result<(), Errno> {
    let accum = fixed.xcr0_accum;
    let possible = policy.is_xcr0_valid(fixed.xcr0) && policy.is_xcr0_valid(accum);
    if !possible || fixed.xcr0 & !accum != 0 || fixed.xstate_bv & !accum != 0 {
        return Err(Errno::EINVAL);
    }
    if fixed.xcomp_bv != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if fixed.reserved != [0; 6] {
        return Err(Errno::EIO);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::fixture::system;
    use std::vec;

    const XSTATE_BV: usize = PREFIX + 512;

    fn sample() -> XsaveState {
        let mut area = vec![0; 832];
        area[512] = 7;
        area[600] = 0x5a;
        XsaveState {
            xcr0: 7,
            xcr0_accum: 7,
            area,
        }
    }

    #[test]
    fn the_state_survives_a_record() {
        let policy = system().for_domain();
        let payload = sample().to_payload(0x207);
        assert_eq!(payload.len(), payload_size(832));
        assert_eq!(XsaveState::from_payload(&payload, &policy), Ok(sample()));
    }

    #[test]
    fn excess_must_be_zero() {
        let policy = system().for_domain();
        let mut payload = sample().to_payload(0x207);
        payload.extend([0; 64]);
        assert_eq!(XsaveState::from_payload(&payload, &policy), Ok(sample()));
        payload.push(1);
        assert_eq!(
            XsaveState::from_payload(&payload, &policy),
            Err(Errno::EOPNOTSUPP)
        );
    }

    #[test]
    fn every_truncation_is_einval() {
        let policy = system().for_domain();
        let payload = sample().to_payload(0x207);
        for length in 0..payload.len() {
            let result = XsaveState::from_payload(&payload[..length], &policy);
            assert_eq!(result, Err(Errno::EINVAL), "{length}");
        }
    }

    #[test]
    fn bad_headers_are_refused() {
        let policy = system().for_domain();
        let good = sample().to_payload(0x207);
        for (at, value, errno) in [
            (8, 6, Errno::EINVAL),
            (8, 0xe7, Errno::EINVAL),
            (16, 3, Errno::EINVAL),
            (17, 4, Errno::EINVAL),
            (XSTATE_BV, 8, Errno::EINVAL),
            (XSTATE_BV + 15, 0x80, Errno::EOPNOTSUPP),
            (XSTATE_BV + 16, 1, Errno::EIO),
        ] {
            let mut payload = good.clone();
            payload[at] = value;
            assert_eq!(
                XsaveState::from_payload(&payload, &policy),
                Err(errno),
                "{at}"
            );
        }
    }
}
