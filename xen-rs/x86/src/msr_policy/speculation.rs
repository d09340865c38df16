//! MSR_SPEC_CTRL, MSR_PRED_CMD and MSR_FLUSH_CMD: which bits a domain's policy lets it use.
//!
//! Semantics: AMD, "Software Techniques for Managing Speculation" and "Indirect Branch Control Extension"; Intel, "Speculative Execution
//! Side Channel Mitigations".

use super::decision::MsrWrite;
use super::numbers;
use crate::cpuid::{CpuPolicy, Feature};

const IBPB: u64 = 1 << 0;
const SBPB: u64 = 1 << 7;
const FLUSH_L1D: u64 = 1 << 0;

/// Whether the domain has MSR_SPEC_CTRL.
pub(super) const fn has_spec_ctrl(policy: &CpuPolicy) -> bool {
    policy.has(Feature::IBRSB) || policy.has(Feature::IBRS)
}

/// Bits of MSR_SPEC_CTRL that a domain may set.
#[must_use]
pub fn spec_ctrl_bits(policy: &CpuPolicy) -> u64 {
    // IBRS and, ignored without threads, STIBP.
    let mut bits = 0b11;
    for (feature, adds) in [
        (Feature::SSBD, 1 << 2),
        (Feature::AMD_SSBD, 1 << 2),
        (Feature::IPRED_CTRL, 0b11 << 3),
        (Feature::RRSBA_CTRL, 0b11 << 5),
        (Feature::INTEL_PSFD, 1 << 7),
        (Feature::PSFD, 1 << 7),
        (Feature::BHI_CTRL, 1 << 10),
    ] {
        if policy.has(feature) {
            bits |= adds;
        }
    }
    bits
}

pub(super) const fn predict(value: u64, policy: &CpuPolicy) -> MsrWrite {
    let defined = IBPB | if policy.has(Feature::SBPB) { SBPB } else { 0 };
    let offered = policy.has(Feature::IBRSB) || policy.has(Feature::IBPB);
    command(numbers::PRED_CMD, value, offered, defined)
}

pub(super) const fn flush(value: u64, policy: &CpuPolicy) -> MsrWrite {
    let offered = policy.has(Feature::L1D_FLUSH);
    command(numbers::FLUSH_CMD, value, offered, FLUSH_L1D)
}

const fn command(msr: u32, value: u64, offered: bool, defined: u64) -> MsrWrite {
    if !offered || value & !defined != 0 {
        MsrWrite::Fault
    } else if value == 0 {
        MsrWrite::Done
    } else {
        MsrWrite::Host { msr, value }
    }
}
