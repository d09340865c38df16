//! Intel's system MSRs: enough for a guest to start, nothing of power management or performance counters.
//!
//! Semantics: Intel SDM vol. 4, "Architectural MSRs"; which of them guests may touch: Xen 4.20.

use super::decision::{MsrRead, MsrWrite};
use super::numbers::{PATCH_LEVEL, intel as msr};

const FEATURE_CONTROL_LOCK: u64 = 1;
/// No branch trace store, no precise event sampling.
const MISC_ENABLE_UNAVAILABLE: u64 = 1 << 11 | 1 << 12;

pub(super) const fn read(number: u32) -> Option<MsrRead> {
    Some(match number {
        PATCH_LEVEL | msr::PLATFORM_ID => MsrRead::HOST,
        // Windows reads it before it can take a fault.
        msr::FEATURE_CONTROL => MsrRead::Value(FEATURE_CONTROL_LOCK),
        msr::MISC_ENABLE => MsrRead::Host {
            keep: u64::MAX,
            set: MISC_ENABLE_UNAVAILABLE,
        },
        msr::EBC_FREQUENCY_ID
        | msr::PERF_STATUS
        | msr::PERF_CTL
        | msr::THERM_STATUS
        | msr::PERFCTR0..=msr::PERFCTR7
        | msr::EVNTSEL0..=msr::EVNTSEL7
        | msr::FIXED_CTR0..=msr::FIXED_CTR2
        | msr::FIXED_CTR_CTRL..=msr::GLOBAL_OVF_CTRL => MsrRead::Value(0),
        _ => return None,
    })
}

pub(super) const fn write(number: u32, value: u64) -> Option<MsrWrite> {
    Some(match number {
        // The documented way to read the revision starts with writing 0.
        PATCH_LEVEL => MsrWrite::done_if(value == 0),
        msr::PLATFORM_ID | msr::FEATURE_CONTROL => MsrWrite::Fault,
        msr::UCODE_WRITE
        | msr::MISC_ENABLE
        | msr::PERF_CTL
        | msr::PERFCTR0..=msr::PERFCTR7
        | msr::EVNTSEL0..=msr::EVNTSEL7
        | msr::FIXED_CTR0..=msr::FIXED_CTR2
        | msr::FIXED_CTR_CTRL..=msr::GLOBAL_OVF_CTRL => MsrWrite::Done,
        _ => return None,
    })
}
