//! AMD's system MSRs. Those that describe the machine's memory are shown to dom0, which owns it; the others read as constants.
//!
//! Semantics: AMD APM vol. 2, appendix A, and the family PPRs; which of them guests may touch: Xen 4.20.

use super::VcpuMsrs;
use super::decision::{MsrContext, MsrRead, MsrWrite};
use super::numbers::{PATCH_LEVEL, amd as msr};
use crate::cpuid::Feature;

/// Bits of SYSCFG that describe memory: fixed MTRRs with DRAM bits, variable MTRRs, TOP_MEM2, write-back above 4 GiB. MtrrFixDramModEn
/// stays hidden: it would let dom0 redirect memory below 1 MiB.
const SYSCFG_SHOWN: u64 = 1 << 18 | 1 << 20 | 1 << 21 | 1 << 22;
/// The TSC counts at a constant rate.
const HWCR_TSC_FREQ_SEL: u64 = 1 << 24;
/// LFENCE waits for earlier instructions.
const DE_CFG_LFENCE_SERIALISE: u64 = 1 << 1;
/// Disables speculative store bypass.
const SSBD: u64 = 1 << 2;
/// The firmware has kept the threshold registers.
const MC4_MISC_LOCKED: u64 = 1 << 61;

pub(super) fn read(msrs: &VcpuMsrs, number: u32, context: &MsrContext<'_>) -> Option<MsrRead> {
    let is_dom0 = context.is_hardware_domain;
    Some(match number {
        PATCH_LEVEL => MsrRead::HOST,
        msr::SYSCFG if is_dom0 => MsrRead::Host {
            keep: SYSCFG_SHOWN,
            set: 0,
        },
        msr::TOP_MEM
        | msr::TOP_MEM2
        | msr::IORR_BASE0..=msr::IORR_MASK1
        | msr::TSEG_BASE
        | msr::TSEG_MASK
        | msr::MMIO_CONF_BASE
            if is_dom0 =>
        {
            MsrRead::HOST
        }
        msr::BU_CFG | msr::BU_CFG2 => MsrRead::HOST,
        msr::HWCR => MsrRead::Value(hwcr(context)),
        msr::VIRT_SPEC_CTRL => {
            MsrRead::value_if(context.policy.has(Feature::VIRT_SSBD), msrs.virt_spec_ctrl)
        }
        msr::DE_CFG => MsrRead::Value(DE_CFG_LFENCE_SERIALISE),
        msr::MC4_MISC1..=msr::MC4_MISC3 => MsrRead::Value(MC4_MISC_LOCKED),
        msr::EVNTSEL0..=msr::PERFCTR3
        | msr::EVNTSEL0_EXT..=msr::PERFCTR5_EXT
        | msr::SYSCFG
        | msr::TOP_MEM
        | msr::TOP_MEM2
        | msr::NB_CFG
        | msr::INT_PENDING
        | msr::VM_CR
        | msr::VM_HSAVE_PA
        | msr::EX_CFG => MsrRead::Value(0),
        _ => {
            let mask = msrs.breakpoint_masks[breakpoint(number)?];
            MsrRead::value_if(context.policy.has(Feature::DBEXT), mask.into())
        }
    })
}

pub(super) fn write(
    msrs: &mut VcpuMsrs,
    number: u32,
    value: u64,
    context: &MsrContext<'_>,
) -> Option<MsrWrite> {
    Some(match number {
        // Nothing in it can be changed.
        msr::HWCR => MsrWrite::done_if(value == hwcr(context)),
        msr::VIRT_SPEC_CTRL if context.policy.has(Feature::VIRT_SSBD) => {
            // Other bits are ignored, so that a guest need not know which exist.
            msrs.virt_spec_ctrl = value & SSBD;
            MsrWrite::StoreBypass {
                disabled: value & SSBD != 0,
            }
        }
        PATCH_LEVEL | msr::VM_HSAVE_PA | msr::VIRT_SPEC_CTRL => MsrWrite::Fault,
        msr::BU_CFG | msr::BU_CFG2 => MsrWrite::IgnoredIfHostHas,
        msr::EVNTSEL0..=msr::PERFCTR3
        | msr::EVNTSEL0_EXT..=msr::PERFCTR5_EXT
        | msr::SYSCFG
        | msr::TOP_MEM
        | msr::TOP_MEM2
        | msr::NB_CFG
        | msr::VM_CR
        | msr::EX_CFG
        | msr::DE_CFG
        | msr::MC4_MISC1..=msr::MC4_MISC3
        | msr::PATCH_LOADER => MsrWrite::Done,
        _ => {
            let index = breakpoint(number)?;
            match u32::try_from(value) {
                Ok(mask) if context.policy.has(Feature::DBEXT) => {
                    msrs.breakpoint_masks[index] = mask;
                    MsrWrite::BreakpointMask { index, mask }
                }
                _ => MsrWrite::Fault,
            }
        }
    })
}

/// Linux takes an invariant TSC without this bit for a firmware bug.
const fn hwcr(context: &MsrContext<'_>) -> u64 {
    if context.policy.has(Feature::ITSC) {
        HWCR_TSC_FREQ_SEL
    } else {
        0
    }
}

const fn breakpoint(number: u32) -> Option<usize> {
    match number {
        msr::DR0_MASK => Some(0),
        msr::DR1_MASK..=msr::DR3_MASK => Some((number - msr::DR1_MASK + 1) as usize),
        _ => None,
    }
}
