//! What to build: a domain's configuration reduced to what the hypervisor is asked for.

use std::path::PathBuf;

use xen_abi::hvm::params::HVMPTM_NO_DELAY_FOR_MISSED_TICKS;
use xenctl::{CpuSet, DomId};

use super::error::{BuildError, Result};

/// Most vCPUs of a PVH domain (`HVM_MAX_VCPUS`).
pub const VCPUS_MAX: u32 = 128;

/// A domain to be built. Sizes are in KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// A number asked for; `None` takes the next free one.
    pub domain: Option<DomId>,
    /// UUID.
    pub handle: [u8; 16],
    /// Label of the security module.
    pub ssidref: u32,
    /// CPU pool.
    pub pool: u32,
    /// bzImage or ELF.
    pub kernel: PathBuf,
    /// First module.
    pub ramdisk: Option<PathBuf>,
    /// Kernel command line, without its NUL.
    pub command_line: String,
    /// Memory it starts with.
    pub memory_kib: u64,
    /// Memory it may grow to; more than `memory_kib` populates on demand.
    pub max_memory_kib: u64,
    /// Part of both that a screen would have; a PVH guest has none, and so much less memory.
    pub video_kib: u64,
    /// Memory for nested page tables; `None` for [`Plan::default_paging_kib`].
    pub paging_kib: Option<u64>,
    /// vCPUs it may ever have.
    pub max_vcpus: u32,
    /// Which of them are up, bit by bit.
    pub online_vcpus: CpuSet,
    /// Hardware-assisted paging; `None` where the host has it.
    pub hap: Option<bool>,
    /// With shadow paging, page tables may be out of step for a while.
    pub oos: bool,
    /// Alternate second-level tables: `XEN_DOMCTL_ALTP2M_*`, 0 for none.
    pub altp2m: u32,
    /// Virtual performance counters.
    pub vpmu: bool,
    /// Nested virtualisation.
    pub nested: bool,
    /// Unknown MSRs read as zero instead of faulting.
    pub msr_relaxed: bool,
    /// Reserve all memory before taking any.
    pub claim: bool,
    /// Highest event port.
    pub max_event_port: u32,
    /// Limit of the grant table, `None` for Xen's default.
    pub max_grant_frames: Option<u32>,
    /// Limit of the maptrack table, `None` for Xen's default.
    pub max_maptrack_frames: Option<u32>,
    /// Highest grant table version; `None` for what the host has.
    pub grant_version: Option<u32>,
    /// Bytes of trace buffer for each vCPU.
    pub vmtrace_bytes: u32,
    /// Xen's `TSC_MODE_*`: 0 default, 1 always emulated, 2 never.
    pub tsc_mode: u32,
    /// Tell the guest that its TSC is invariant: it will not migrate, or its TSC is emulated.
    pub invariant_tsc: bool,
    /// Distance of its clock from UTC, in seconds.
    pub time_offset: i64,
    /// `HVMPTM_*`.
    pub timer_mode: u64,
    /// Changes of the CPUID policy.
    pub cpuid: Vec<CpuidRule>,
    /// Changes of the MSR policy.
    pub msrs: Vec<MsrRule>,
    /// Where each vCPU may run; vCPUs past the end run anywhere.
    pub hard_affinity: Vec<CpuSet>,
    /// Where each vCPU should run.
    pub soft_affinity: Vec<CpuSet>,
    /// Memory nodes it prefers.
    pub nodes: Option<CpuSet>,
    /// Scheduling weight.
    pub weight: Option<u32>,
    /// Scheduling cap, percent of a processor.
    pub cap: Option<u32>,
    /// What of the host the guest may use itself.
    pub resources: Resources,
    /// Who runs the store.
    pub store_domain: DomId,
    /// Who runs the consoles.
    pub console_domain: DomId,
}

/// Resources of the host that a guest may use itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// I/O ports: first and how many.
    pub ports: Vec<(u32, u32)>,
    /// Interrupts.
    pub irqs: Vec<u32>,
    /// I/O memory.
    pub memory: Vec<IoMemory>,
}

/// Frames of I/O memory that a guest may use itself.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct IoMemory {
    /// First frame of the host.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// First frame of the guest.
    pub gfn: u64,
}

/// Change of one CPUID leaf. Each rule has 32 characters, most significant bit first: `1`, `0`, `x` as the default policy, `k` or `s` as the
/// host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuidRule {
    /// `eax`.
    pub leaf: u32,
    /// `ecx`; all ones where the leaf has no subleaves.
    pub subleaf: u32,
    /// For `eax`, `ebx`, `ecx` and `edx`.
    pub registers: [Option<String>; 4],
}

/// Change of one MSR: 64 characters like those of [`CpuidRule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MsrRule {
    /// Its number.
    pub index: u32,
    /// The rule.
    pub bits: String,
}

impl Plan {
    /// A domain of one vCPU with everything else as xl's defaults.
    #[must_use]
    pub fn new(kernel: PathBuf, memory_kib: u64) -> Self {
        Self {
            domain: None,
            handle: [0; 16],
            ssidref: 0,
            pool: 0,
            kernel,
            ramdisk: None,
            command_line: String::new(),
            memory_kib,
            max_memory_kib: memory_kib,
            video_kib: 0,
            paging_kib: None,
            max_vcpus: 1,
            online_vcpus: CpuSet(vec![1]),
            hap: None,
            oos: true,
            altp2m: 0,
            vpmu: false,
            nested: false,
            msr_relaxed: false,
            claim: true,
            max_event_port: 1023,
            max_grant_frames: None,
            max_maptrack_frames: None,
            grant_version: None,
            vmtrace_bytes: 0,
            tsc_mode: 0,
            invariant_tsc: false,
            time_offset: 0,
            timer_mode: HVMPTM_NO_DELAY_FOR_MISSED_TICKS,
            cpuid: Vec::new(),
            msrs: Vec::new(),
            hard_affinity: Vec::new(),
            soft_affinity: Vec::new(),
            nodes: None,
            weight: None,
            cap: None,
            resources: Resources::default(),
            store_domain: DomId::DOM0,
            console_domain: DomId::DOM0,
        }
    }

    /// Checks what the steps rely on.
    ///
    /// # Errors
    /// [`BuildError::OutOfRange`].
    pub fn check(&self) -> Result<()> {
        // Guests have 46 bits of physical address in practice; the bound keeps sums from overflowing.
        const KIB_MAX: u64 = 1 << 36;
        let ranges = [
            ("maxvcpus", self.max_vcpus.into(), 1, VCPUS_MAX.into()),
            ("maxmem in KiB", self.max_memory_kib, 4, KIB_MAX),
            ("memory in KiB", self.memory_kib, 4, self.max_memory_kib),
            (
                "videoram in KiB",
                self.video_kib,
                0,
                self.memory_kib.saturating_sub(4),
            ),
        ];
        for (what, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err(BuildError::OutOfRange {
                    what,
                    value,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }

    /// Memory the guest starts with, and memory it may grow to: without what a screen would have.
    #[must_use]
    pub fn guest_kib(&self) -> (u64, u64) {
        let without = |kib: u64| kib.saturating_sub(self.video_kib);
        (without(self.memory_kib), without(self.max_memory_kib))
    }

    /// Whether vCPU `number` is up from the start.
    #[must_use]
    pub fn is_online(&self, vcpu: u32) -> bool {
        let byte = self.online_vcpus.0.get(vcpu as usize / 8);
        byte.is_some_and(|byte| byte & (1 << (vcpu % 8)) != 0)
    }

    /// Memory for nested page tables: 1 MiB for each vCPU and a page for each MiB of memory, a second one for shadow paging.
    #[must_use]
    pub fn default_paging_kib(&self, hap: bool) -> u64 {
        let pages_per_mib = if hap { 1 } else { 2 };
        4 * (256 * u64::from(self.max_vcpus) + pages_per_mib * (self.max_memory_kib / 1024))
    }
}
