//! RDMSR and WRMSR of guests: which registers exist for them, what they hold and what a write sets in motion.
//!
//! What: [`VcpuMsrs`] holds the MSRs that neither the local APIC (APIC_BASE, 0x800-0x8ff, TSC_DEADLINE) nor the processor's own guest
//! state (EFER, STAR and its kin, SYSENTER, FS, GS) keeps, and decides every access to all others. It touches no hardware: where the host's
//! register counts, the decision says so and the caller reads it, prepared for a fault.
//!
//! Ownership: one [`VcpuMsrs`] per vCPU, owned by the CPU that runs it; no locks, no allocation.
//!
//! Semantics: AMD APM vol. 2, Intel SDM vol. 4, and Xen 4.20 (`msr.c`, `hvm.c`, `svm.c`) for what guests may see.
#![forbid(unsafe_code)]

mod amd;
mod decision;
mod intel;
mod machine_check;
mod mtrr;
pub mod numbers;
mod record;
mod speculation;

use xen_core::ids::Gfn;

use crate::cpuid::{Feature, HYPERCALL_PAGE_MSR, MSR_ARCH_CAPABILITIES, MSR_PLATFORM_INFO, Vendor};

pub use decision::{MsrContext, MsrRead, MsrWrite};
pub use machine_check::MachineCheck;
pub use mtrr::{FIXED, FIXED_NUMBERS, GUEST_RANGES, HostMtrr, MAX_RANGES, Mtrr};
pub use record::SAVED_MSRS;
pub use speculation::spec_ctrl_bits;

use numbers::machine_check as mc;

/// Bit of MSR_MISC_FEATURES_ENABLES and, at 31, of MSR_PLATFORM_INFO.
const CPUID_FAULTING: u64 = 1;
/// Last-branch recording to PerfMon pins; the rest is reserved on AMD.
const DEBUGCTL_DEFINED: u64 = 0x3f;
const PAGE_SHIFT: u32 = 12;

/// The MSRs of one vCPU that are plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VcpuMsrs {
    /// Memory types.
    pub mtrr: Mtrr,
    /// Machine check.
    pub machine_check: MachineCheck,
    /// MSR_SPEC_CTRL; the caller keeps it current if it lets the guest write the register itself.
    pub spec_ctrl: u64,
    /// MSR_TSC_AUX; likewise.
    pub tsc_aux: u32,
    /// MSR_VIRT_SPEC_CTRL: only the bit that disables speculative store bypass.
    pub virt_spec_ctrl: u64,
    /// MSR_TSC_ADJUST.
    pub tsc_adjust: u64,
    /// AMD's breakpoint address masks; likewise.
    pub breakpoint_masks: [u32; 4],
    misc_features: u64,
    debugctl: u64,
}

impl VcpuMsrs {
    /// The state after reset.
    #[must_use]
    pub fn new(vendor: Vendor) -> Self {
        Self {
            mtrr: Mtrr::default(),
            machine_check: MachineCheck::new(vendor),
            spec_ctrl: 0,
            tsc_aux: 0,
            virt_spec_ctrl: 0,
            tsc_adjust: 0,
            breakpoint_masks: [0; 4],
            misc_features: 0,
            debugctl: 0,
        }
    }

    /// Whether CPUID outside ring 0 must raise #GP.
    #[must_use]
    pub const fn is_cpuid_faulting(&self) -> bool {
        self.misc_features & CPUID_FAULTING != 0
    }

    /// The guest's TSC jumped by `ticks` because the guest wrote it.
    pub const fn tsc_moved(&mut self, ticks: u64) {
        self.tsc_adjust = self.tsc_adjust.wrapping_add(ticks);
    }

    /// RDMSR of `number`.
    #[must_use]
    pub fn read(&self, number: u32, context: &MsrContext<'_>) -> MsrRead {
        let policy = context.policy;
        let offered = |feature| policy.has(feature);
        match number {
            numbers::TSC => MsrRead::Tsc,
            numbers::TSC_ADJUST => MsrRead::Value(self.tsc_adjust),
            numbers::SPEC_CTRL => {
                MsrRead::value_if(speculation::has_spec_ctrl(policy), self.spec_ctrl)
            }
            numbers::PRED_CMD | numbers::FLUSH_CMD => MsrRead::Fault,
            MSR_PLATFORM_INFO => MsrRead::Value(policy.platform_info.into()),
            MSR_ARCH_CAPABILITIES => {
                MsrRead::value_if(offered(Feature::ARCH_CAPS), policy.arch_capabilities)
            }
            numbers::MISC_FEATURES_ENABLES => MsrRead::Value(self.misc_features),
            numbers::DEBUGCTL => MsrRead::Value(self.debugctl),
            numbers::LAST_BRANCH_FROM..=numbers::LAST_INTERRUPT_TO => MsrRead::Value(0),
            numbers::PAT => MsrRead::Value(self.mtrr.pat()),
            // No supervisor component is offered.
            numbers::XSS => MsrRead::value_if(offered(Feature::XSAVES), 0),
            numbers::TSC_AUX => MsrRead::value_if(has_tsc_aux(context), self.tsc_aux.into()),
            HYPERCALL_PAGE_MSR => MsrRead::Value(0),
            _ if is_mtrr(number) && offered(Feature::MTRR) => self.mtrr.read(number),
            _ if is_machine_check(number) => self.machine_check.read(number),
            mc::P5_ADDR | mc::P5_TYPE => MsrRead::Value(0),
            _ => self.read_vendor(number, context),
        }
    }

    fn read_vendor(&self, number: u32, context: &MsrContext<'_>) -> MsrRead {
        let found = match context.policy.vendor() {
            Vendor::Amd | Vendor::Hygon => amd::read(self, number, context),
            Vendor::Intel => intel::read(number),
            Vendor::Unknown => None,
        };
        match found {
            Some(decision) => decision,
            None if is_relaxable(number, context) => MsrRead::ZeroIfHostHas,
            None => MsrRead::Fault,
        }
    }

    /// WRMSR of `number`.
    #[must_use]
    pub fn write(&mut self, number: u32, value: u64, context: &MsrContext<'_>) -> MsrWrite {
        let policy = context.policy;
        match number {
            numbers::TSC => MsrWrite::SetTsc(value),
            numbers::TSC_ADJUST => {
                let before = core::mem::replace(&mut self.tsc_adjust, value);
                MsrWrite::MoveTsc(value.wrapping_sub(before))
            }
            numbers::SPEC_CTRL => self.write_spec_ctrl(value, context),
            numbers::PRED_CMD => speculation::predict(value, policy),
            numbers::FLUSH_CMD => speculation::flush(value, policy),
            MSR_PLATFORM_INFO | MSR_ARCH_CAPABILITIES => MsrWrite::Fault,
            numbers::MISC_FEATURES_ENABLES => self.write_misc_features(value, context),
            numbers::DEBUGCTL => {
                let valid = value & !DEBUGCTL_DEFINED == 0;
                if valid {
                    self.debugctl = value;
                }
                MsrWrite::done_if(valid)
            }
            numbers::LAST_BRANCH_FROM..=numbers::LAST_INTERRUPT_TO => MsrWrite::Done,
            numbers::PAT => self.mtrr.write_pat(value),
            numbers::XSS => MsrWrite::done_if(policy.has(Feature::XSAVES) && value == 0),
            numbers::TSC_AUX => match u32::try_from(value) {
                Ok(aux) if has_tsc_aux(context) => {
                    self.tsc_aux = aux;
                    MsrWrite::TscAux(aux)
                }
                _ => MsrWrite::Fault,
            },
            HYPERCALL_PAGE_MSR => hypercall_page(value),
            _ if is_mtrr(number) && policy.has(Feature::MTRR) => {
                self.mtrr
                    .write(number, value, policy.physical_address_bits())
            }
            _ if is_machine_check(number) => self.machine_check.write(number, value),
            _ => self.write_vendor(number, value, context),
        }
    }

    fn write_vendor(&mut self, number: u32, value: u64, context: &MsrContext<'_>) -> MsrWrite {
        let found = match context.policy.vendor() {
            Vendor::Amd | Vendor::Hygon => amd::write(self, number, value, context),
            Vendor::Intel => intel::write(number, value),
            Vendor::Unknown => None,
        };
        match found {
            Some(decision) => decision,
            None if is_relaxable(number, context) => MsrWrite::IgnoredIfHostHas,
            None => MsrWrite::Fault,
        }
    }

    fn write_spec_ctrl(&mut self, value: u64, context: &MsrContext<'_>) -> MsrWrite {
        let defined = spec_ctrl_bits(context.policy);
        if !speculation::has_spec_ctrl(context.policy) || value & !defined != 0 {
            return MsrWrite::Fault;
        }
        self.spec_ctrl = value;
        MsrWrite::SpecCtrl(value)
    }

    fn write_misc_features(&mut self, value: u64, context: &MsrContext<'_>) -> MsrWrite {
        let defined = u64::from(context.policy.platform_info >> 31);
        if value & !defined != 0 {
            return MsrWrite::Fault;
        }
        self.misc_features = value;
        MsrWrite::Done
    }
}

const fn has_tsc_aux(context: &MsrContext<'_>) -> bool {
    context.policy.has(Feature::RDTSCP) || context.policy.has(Feature::RDPID)
}

const fn is_mtrr(number: u32) -> bool {
    use numbers::mtrr as msr;
    matches!(
        number,
        msr::CAP | msr::DEF_TYPE | msr::FIXED_64K | msr::VARIABLE..=0x213 | 0x258..=0x259 | 0x268..=0x26f
    )
}

const fn is_machine_check(number: u32) -> bool {
    matches!(
        number,
        mc::CAP..=mc::CTL | mc::CTL2..=mc::CTL2_LAST | mc::BANKS..=mc::BANKS_LAST | mc::EXT_CTL
    )
}

/// Hypervisor MSRs and those behind a CPUID bit the guest lacks never become readable by being relaxed.
const fn is_relaxable(number: u32, context: &MsrContext<'_>) -> bool {
    let is_hypervisors = number >> 16 == 0x4000;
    context.is_relaxed && !is_hypervisors && !is_mtrr(number)
}

fn hypercall_page(value: u64) -> MsrWrite {
    let offset = (1 << PAGE_SHIFT) - 1;
    // There is one page, number 0.
    if value & offset != 0 {
        return MsrWrite::Fault;
    }
    MsrWrite::HypercallPage(Gfn(value >> PAGE_SHIFT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpuid::CpuPolicy;
    use crate::cpuid::fixture::{system, system_without_speculation_control};
    use numbers::amd;
    use xen_abi::errno::Errno;
    use xen_abi::hvm::save::HvmOneMsr;

    struct Guest {
        policy: CpuPolicy,
        msrs: VcpuMsrs,
        is_hardware_domain: bool,
        is_relaxed: bool,
    }

    impl Guest {
        fn new(policy: CpuPolicy) -> Self {
            let msrs = VcpuMsrs::new(Vendor::Amd);
            Self {
                policy,
                msrs,
                is_hardware_domain: false,
                is_relaxed: false,
            }
        }

        fn context(&self) -> MsrContext<'_> {
            MsrContext {
                policy: &self.policy,
                is_hardware_domain: self.is_hardware_domain,
                is_relaxed: self.is_relaxed,
            }
        }

        fn read(&self, number: u32) -> MsrRead {
            self.msrs.read(number, &self.context())
        }

        fn write(&mut self, number: u32, value: u64) -> MsrWrite {
            let policy = self.policy.clone();
            let context = MsrContext {
                policy: &policy,
                ..self.context()
            };
            let mut msrs = self.msrs.clone();
            let decision = msrs.write(number, value, &context);
            self.msrs = msrs;
            decision
        }
    }

    fn domu() -> Guest {
        Guest::new(system().for_domain())
    }

    fn dom0() -> Guest {
        Guest {
            is_hardware_domain: true,
            ..Guest::new(system().for_dom0())
        }
    }

    /// What Linux reads or writes on an EPYC without being prepared for a fault.
    #[test]
    fn linux_boots_on_amd_without_a_fault() {
        for mut guest in [domu(), dom0()] {
            for number in [
                numbers::TSC,
                numbers::PATCH_LEVEL,
                numbers::PAT,
                numbers::mtrr::CAP,
                numbers::mtrr::DEF_TYPE,
                0x200,
                0x20f,
                0x250,
                0x259,
                0x26f,
                mc::CAP,
                mc::STATUS,
                0x400,
                0x405,
                0x413,
                amd::SYSCFG,
                amd::HWCR,
                amd::TOP_MEM,
                amd::TOP_MEM2,
                amd::NB_CFG,
                amd::INT_PENDING,
                amd::DE_CFG,
                amd::VM_CR,
                amd::EVNTSEL0,
                amd::PERFCTR5_EXT,
                numbers::DEBUGCTL,
                numbers::TSC_AUX,
                numbers::SPEC_CTRL,
                numbers::XSS,
                HYPERCALL_PAGE_MSR,
            ] {
                assert_ne!(guest.read(number), MsrRead::Fault, "{number:#x}");
            }
            for (number, value) in [
                (numbers::PAT, 0x0407_0506_0007_0106),
                (numbers::TSC_AUX, 0x1003),
                (numbers::SPEC_CTRL, 1),
                (numbers::PRED_CMD, 1),
                (mc::STATUS, 0),
                (0x400, u64::MAX),
                (0x401, 0),
                (amd::DE_CFG, 2),
                (amd::EVNTSEL0, 0x53_0076),
                (amd::NB_CFG, 1 << 46),
                (amd::DR0_MASK, 0xfff),
                (numbers::DEBUGCTL, 2),
                (numbers::XSS, 0),
            ] {
                assert_ne!(guest.write(number, value), MsrWrite::Fault, "{number:#x}");
            }
        }
    }

    #[test]
    fn only_dom0_sees_how_memory_is_laid_out() {
        assert_eq!(domu().read(amd::TOP_MEM2), MsrRead::Value(0));
        assert_eq!(dom0().read(amd::TOP_MEM2), MsrRead::HOST);
        assert_eq!(
            dom0().read(amd::SYSCFG),
            MsrRead::Host {
                keep: 0x74_0000,
                set: 0
            }
        );
        assert_eq!(domu().read(amd::MMIO_CONF_BASE), MsrRead::Fault);
        assert_eq!(dom0().read(amd::MMIO_CONF_BASE), MsrRead::HOST);
        assert_eq!(dom0().write(amd::MMIO_CONF_BASE, 0), MsrWrite::Fault);
        assert_eq!(dom0().write(amd::SYSCFG, u64::MAX), MsrWrite::Done);
    }

    #[test]
    fn what_nobody_handles_faults_unless_the_domain_is_relaxed() {
        const IBS_FETCH_CTL: u32 = 0xc001_1030;
        let mut guest = domu();
        assert_eq!(guest.read(IBS_FETCH_CTL), MsrRead::Fault);
        assert_eq!(guest.write(IBS_FETCH_CTL, 0), MsrWrite::Fault);
        guest.is_relaxed = true;
        assert_eq!(guest.read(IBS_FETCH_CTL), MsrRead::ZeroIfHostHas);
        assert_eq!(guest.write(IBS_FETCH_CTL, 0), MsrWrite::IgnoredIfHostHas);
        assert_eq!(guest.read(0x4000_0001), MsrRead::Fault);
    }

    #[test]
    fn msrs_without_their_cpuid_bit_fault() {
        let mut guest = domu();
        let mut set = guest.policy.featureset();
        for feature in [
            Feature::RDTSCP,
            Feature::RDPID,
            Feature::IBRS,
            Feature::IBPB,
            Feature::DBEXT,
            Feature::MTRR,
            Feature::XSAVES,
        ] {
            set.remove(feature);
        }
        guest.policy.set_featureset(&set);
        for number in [
            numbers::TSC_AUX,
            numbers::SPEC_CTRL,
            numbers::PRED_CMD,
            numbers::FLUSH_CMD,
            amd::DR0_MASK,
            numbers::mtrr::CAP,
            0x200,
            numbers::XSS,
            MSR_ARCH_CAPABILITIES,
        ] {
            assert_eq!(guest.read(number), MsrRead::Fault, "{number:#x}");
            assert_eq!(guest.write(number, 0), MsrWrite::Fault, "{number:#x}");
        }
    }

    #[test]
    fn commands_reach_the_host_only_with_defined_bits() {
        let mut guest = domu();
        let barrier = MsrWrite::Host {
            msr: numbers::PRED_CMD,
            value: 1,
        };
        assert_eq!(guest.write(numbers::PRED_CMD, 1), barrier);
        assert_eq!(guest.write(numbers::PRED_CMD, 0x80), MsrWrite::Fault);
        assert_eq!(
            guest.write(numbers::SPEC_CTRL, 0b111),
            MsrWrite::SpecCtrl(0b111)
        );
        assert_eq!(guest.write(numbers::SPEC_CTRL, 1 << 10), MsrWrite::Fault);
        assert_eq!(guest.msrs.spec_ctrl, 0b111);
    }

    #[test]
    fn the_tsc_moves_with_its_adjustment() {
        let mut guest = domu();
        assert_eq!(
            guest.write(numbers::TSC_ADJUST, 100),
            MsrWrite::MoveTsc(100)
        );
        assert_eq!(
            guest.write(numbers::TSC_ADJUST, 40),
            MsrWrite::MoveTsc(u64::MAX - 59)
        );
        assert_eq!(guest.write(numbers::TSC, 7), MsrWrite::SetTsc(7));
        guest.msrs.tsc_moved(2);
        assert_eq!(guest.read(numbers::TSC_ADJUST), MsrRead::Value(42));
    }

    #[test]
    fn a_hypercall_page_is_page_aligned() {
        let mut guest = domu();
        let page = MsrWrite::HypercallPage(Gfn(0x1234));
        assert_eq!(guest.write(HYPERCALL_PAGE_MSR, 0x123_4000), page);
        assert_eq!(guest.write(HYPERCALL_PAGE_MSR, 0x123_4001), MsrWrite::Fault);
    }

    #[test]
    fn cpuid_faulting_can_be_turned_on() {
        let mut guest = domu();
        assert_eq!(guest.read(MSR_PLATFORM_INFO), MsrRead::Value(1 << 31));
        assert!(!guest.msrs.is_cpuid_faulting());
        assert_eq!(
            guest.write(numbers::MISC_FEATURES_ENABLES, 1),
            MsrWrite::Done
        );
        assert!(guest.msrs.is_cpuid_faulting());
        assert_eq!(
            guest.write(numbers::MISC_FEATURES_ENABLES, 2),
            MsrWrite::Fault
        );
    }

    #[test]
    fn the_tsc_is_reported_constant_where_it_is_offered_so() {
        assert_eq!(domu().read(amd::HWCR), MsrRead::Value(0));
        assert_eq!(dom0().read(amd::HWCR), MsrRead::Value(1 << 24));
        assert_eq!(dom0().write(amd::HWCR, 1 << 24), MsrWrite::Done);
        assert_eq!(dom0().write(amd::HWCR, 1 << 3), MsrWrite::Fault);
    }

    #[test]
    fn saved_msrs_load_again() {
        let mut guest = domu();
        assert!(guest.msrs.save(&guest.context()).is_empty());
        for (number, value) in [(numbers::SPEC_CTRL, 5), (amd::DR3_MASK, 0xff)] {
            assert_ne!(guest.write(number, value), MsrWrite::Fault);
        }
        guest.msrs.spec_ctrl |= 1 << 63;
        let saved = guest.msrs.save(&guest.context());
        let values: std::vec::Vec<_> = saved.iter().map(|entry| (entry.index, entry.val)).collect();
        assert_eq!(values, [(numbers::SPEC_CTRL, 5), (amd::DR3_MASK, 0xff)]);
        let mut other = VcpuMsrs::new(Vendor::Amd);
        assert_eq!(other.load(&saved, &guest.context()), Ok(()));
        assert_eq!(
            (other.spec_ctrl, other.breakpoint_masks),
            (5, [0, 0, 0, 0xff])
        );
    }

    #[test]
    fn the_virtual_control_of_store_bypass_is_saved_where_it_is_offered() {
        let mut guest = Guest::new(system_without_speculation_control().for_domain());
        assert_ne!(guest.write(amd::VIRT_SPEC_CTRL, 1 << 2), MsrWrite::Fault);
        let saved = guest.msrs.save(&guest.context());
        let mut other = VcpuMsrs::new(Vendor::Amd);
        assert_eq!(other.load(&saved, &guest.context()), Ok(()));
        assert_eq!(other.virt_spec_ctrl, 1 << 2);
        assert_eq!(other.load(&saved, &domu().context()), Err(Errno::ENXIO));
    }

    #[test]
    fn foreign_or_impossible_saved_msrs_are_refused() {
        let guest = domu();
        let mut msrs = guest.msrs.clone();
        let entry = |index, _rsvd, val| HvmOneMsr { index, _rsvd, val };
        for (bad, errno) in [
            (entry(amd::HWCR, 0, 0), Errno::ENXIO),
            (entry(numbers::XSS, 0, 1), Errno::ENXIO),
            (entry(numbers::SPEC_CTRL, 1, 0), Errno::EOPNOTSUPP),
        ] {
            assert_eq!(msrs.load(&[bad], &guest.context()), Err(errno));
        }
    }
}
