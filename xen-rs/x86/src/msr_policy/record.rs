//! The MSRs that migrate with a vCPU one by one, in the record with the code `CPU_MSR_CODE`.
//!
//! Which: Xen 4.20, `hvm.c`; zero values and MSRs the domain does not have are left out.

use alloc::vec::Vec;

use xen_abi::errno::Errno;
use xen_abi::hvm::save::HvmOneMsr;

use super::decision::{MsrContext, MsrRead, MsrWrite};
use super::numbers::{MISC_FEATURES_ENABLES, SPEC_CTRL, XSS, amd};
use super::{VcpuMsrs, spec_ctrl_bits};

/// MSRs of the record, in its order.
pub const SAVED_MSRS: [u32; 8] = [
    SPEC_CTRL,
    MISC_FEATURES_ENABLES,
    XSS,
    amd::VIRT_SPEC_CTRL,
    amd::DR0_MASK,
    amd::DR1_MASK,
    amd::DR1_MASK + 1,
    amd::DR3_MASK,
];

impl VcpuMsrs {
    /// The entries of the record; empty: no record.
    #[must_use]
    pub fn save(&self, context: &MsrContext<'_>) -> Vec<HvmOneMsr> {
        let entry = |index| {
            let MsrRead::Value(value) = self.read(index, context) else {
                return None;
            };
            // A guest that writes the register itself may have set bits its next host would refuse.
            let defined = if index == SPEC_CTRL {
                spec_ctrl_bits(context.policy)
            } else {
                u64::MAX
            };
            let val = value & defined;
            (val != 0).then_some(HvmOneMsr {
                index,
                _rsvd: 0,
                val,
            })
        };
        SAVED_MSRS.into_iter().filter_map(entry).collect()
    }

    /// Loads the entries of a record. What a write would set in motion the caller finds by loading all state of the vCPU afterwards.
    ///
    /// # Errors
    /// `EOPNOTSUPP` reserved field set, `ENXIO` an MSR that is not part of the record, or a value the domain could not write.
    pub fn load(&mut self, entries: &[HvmOneMsr], context: &MsrContext<'_>) -> Result<(), Errno> {
        if entries.iter().any(|entry| entry._rsvd != 0) {
            return Err(Errno::EOPNOTSUPP);
        }
        for entry in entries {
            if !SAVED_MSRS.contains(&entry.index)
                || self.write(entry.index, entry.val, context) == MsrWrite::Fault
            {
                return Err(Errno::ENXIO);
            }
        }
        Ok(())
    }
}
