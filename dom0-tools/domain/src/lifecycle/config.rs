//! From a configuration to what is asked of hypervisor and store.

use domcfg::DomainConfig;
use domcfg::cpuid::CpuidPolicy;
use domcfg::identity::Uuid;
use domcfg::model::{Altp2mMode, BuildInfo, CreateInfo, TimerMode, TscMode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use xen_abi::arch_x86::{
    XEN_CPUID_NO_SUBLEAF, XEN_CPUID_TSC_MODE_ALWAYS_EMULATE, XEN_CPUID_TSC_MODE_DEFAULT,
    XEN_CPUID_TSC_MODE_NEVER_EMULATE,
};
use xen_abi::domctl::{
    XEN_DOMCTL_ALTP2M_EXTERNAL, XEN_DOMCTL_ALTP2M_LIMITED, XEN_DOMCTL_ALTP2M_MIXED,
};
use xen_abi::hvm::params::{
    HVMPTM_DELAY_FOR_MISSED_TICKS, HVMPTM_NO_DELAY_FOR_MISSED_TICKS,
    HVMPTM_NO_MISSED_TICKS_PENDING, HVMPTM_ONE_MISSED_TICK_PENDING,
};
use xen_abi::xen::DOMID_FIRST_RESERVED;
use xenctl::{CpuSet, DomId};
use xenstore::{Tx, read_optional};

use super::create::Request;
use super::error::{Error, Result};
use super::nodes::Description;
use super::{Toolstack, error::Step, refuse};
use crate::build::{CpuidRule, IoMemory, MsrRule, Plan, Resources};

/// Memory of a domain that asks for none, in KiB.
const DEFAULT_MEMORY_KIB: u64 = 32 << 10;
/// Highest event port where none is given.
const DEFAULT_EVENT_PORTS: u32 = 1023;
/// Security label of domains where the configuration gives none (`SECINITSID_DOMU`).
const DOMU_LABEL: u32 = 12;

impl Toolstack<'_> {
    /// Checks a configuration and makes the choices it leaves open: UUID, default sizes, numbers behind names, addresses of interfaces.
    ///
    /// # Errors
    /// [`Error::Config`] for what cannot be built; [`Error::Device`] for devices; those of store and hypervisor.
    pub fn request(&self, config: &DomainConfig) -> Result<Request> {
        refuse::check(config)?;
        let mut config = config.clone();
        if config.c_info.uuid.is_nil() {
            config.c_info.uuid = Uuid::generate().map_err(|source| Error::File {
                action: "read",
                path: "/dev/urandom".into(),
                source,
            })?;
        }
        let plan = self.plan(&config)?;
        let devices = self.devices();
        let asked = devices.from_config(&config.disks, &config.nics)?;
        Ok(Request {
            description: describe(&config, &plan),
            devices: devices.plan(&asked)?,
            plan,
            config,
        })
    }

    fn plan(&self, config: &DomainConfig) -> Result<Plan> {
        let (create, build) = (&config.c_info, &config.b_info);
        let kernel = build.kernel.as_ref().ok_or_else(|| {
            Error::Config("a PVH guest needs a kernel: kernel= is missing".into())
        })?;
        let max_memory_kib = build.max_memkb.unwrap_or(DEFAULT_MEMORY_KIB);
        let max_vcpus = u32::try_from(build.max_vcpus).unwrap_or(0).max(1);
        let host_cpus = self
            .hypervisor
            .physinfo()
            .step("ask for the host's processors")?;
        let host_cpus = host_cpus.max_cpu_id.saturating_add(1);
        let set = |cpus: &domcfg::CpuSet| cpus.iter().filter(|cpu| *cpu < host_cpus).collect();
        let hard = if build.vcpu_hard_affinity.is_empty() && !build.cpumap.is_empty() {
            vec![set(&build.cpumap); max_vcpus as usize]
        } else {
            build.vcpu_hard_affinity.iter().map(set).collect()
        };
        Ok(Plan {
            domain: wanted_number(create),
            handle: create.uuid.0,
            ssidref: if create.ssidref == 0 {
                DOMU_LABEL
            } else {
                create.ssidref
            },
            pool: self.pool(create)?,
            kernel: kernel.into(),
            ramdisk: build.ramdisk.as_ref().map(Into::into),
            command_line: build.cmdline.clone().unwrap_or_default(),
            memory_kib: build.target_memkb.unwrap_or(max_memory_kib),
            max_memory_kib,
            video_kib: build.video_memkb.unwrap_or(0),
            paging_kib: build.shadow_memkb,
            max_vcpus,
            online_vcpus: match build.avail_vcpus.is_empty() {
                true => CpuSet::first(1),
                false => build.avail_vcpus.iter().collect(),
            },
            hap: create.hap,
            oos: create.oos != Some(false),
            altp2m: altp2m(build.altp2m),
            vpmu: build.vpmu == Some(true),
            nested: build.nested_hvm == Some(true),
            msr_relaxed: build.arch_x86.msr_relaxed == Some(true),
            claim: build.claim_mode == Some(true),
            max_event_port: match build.event_channels {
                0 => DEFAULT_EVENT_PORTS,
                ports => ports,
            },
            max_grant_frames: build.max_grant_frames,
            max_maptrack_frames: build.max_maptrack_frames,
            grant_version: grant_version(build)?,
            vmtrace_bytes: vmtrace_bytes(build)?,
            tsc_mode: tsc_mode(build)?,
            invariant_tsc: build.disable_migrate == Some(true)
                || build.tsc_mode == TscMode::AlwaysEmulate,
            time_offset: time_offset(build),
            timer_mode: timer_mode(build.timer_mode),
            cpuid: cpuid_rules(&build.cpuid),
            msrs: msr_rules(&build.cpuid),
            hard_affinity: hard,
            soft_affinity: build.vcpu_soft_affinity.iter().map(set).collect(),
            nodes: match build.nodemap.is_empty() {
                true => None,
                false => Some(build.nodemap.iter().collect()),
            },
            weight: positive("cpu_weight", build.sched_params.weight)?,
            cap: positive("cap", build.sched_params.cap)?,
            resources: resources(build),
            store_domain: self.daemon("/tool/xenstored/domid")?,
            console_domain: self.daemon("/tool/xenconsoled/domid")?,
        })
    }

    /// The number of the pool, which may be given by name.
    fn pool(&self, create: &CreateInfo) -> Result<u32> {
        let Some(name) = &create.pool_name else {
            return Ok(create.poolid);
        };
        for pool in self.hypervisor.cpu_pools().step("list the CPU pools")? {
            let path = format!("/local/pool/{}/name", pool.id);
            let known = read_optional(self.store, Tx::NONE, &path)?;
            if known.as_ref() == Some(name) || name.parse() == Ok(pool.id) {
                return Ok(pool.id);
            }
        }
        Err(Error::Config(format!("Illegal pool specified: {name}")))
    }

    /// The domain that a daemon runs in.
    fn daemon(&self, path: &str) -> Result<DomId> {
        let number = read_optional(self.store, Tx::NONE, path)?;
        let number = number.and_then(|text| text.trim().parse().ok());
        Ok(DomId(number.unwrap_or(0)))
    }
}

fn describe(config: &DomainConfig, plan: &Plan) -> Description {
    let texts = |values: &[(String, Option<String>)]| {
        let values = values.iter();
        let text = values.map(|(name, value)| (name.clone(), value.clone().unwrap_or_default()));
        text.collect()
    };
    let create = &config.c_info;
    Description {
        name: create.name.clone().unwrap_or_default(),
        uuid: create.uuid,
        max_memory_kib: plan.max_memory_kib,
        memory_kib: plan.guest_kib().0,
        video_memory_kib: plan.video_kib,
        online: (0..plan.max_vcpus).map(|n| plan.is_online(n)).collect(),
        extra: texts(&create.xsdata),
        platform: texts(&create.platformdata),
        is_driver_domain: create.driver_domain == Some(true),
        owns_device_directory: create.xend_suspend_evtchn_compat == Some(true),
    }
}

/// A number that the configuration asks for; 0 and reserved ones ask for any.
fn wanted_number(create: &CreateInfo) -> Option<DomId> {
    let number = u16::try_from(create.domid).ok();
    let valid = number.filter(|number| (1..DOMID_FIRST_RESERVED).contains(number));
    valid.map(DomId)
}

fn positive(what: &str, value: Option<i32>) -> Result<Option<u32>> {
    let number = |value: i32| {
        u32::try_from(value).map_err(|_| Error::Config(format!("{what} is {value}, below 0")))
    };
    value.map(number).transpose()
}

fn grant_version(build: &BuildInfo) -> Result<Option<u32>> {
    let out_of_range =
        |version| Error::Config(format!("max_grant_version is {version}, outside 0 to 15"));
    match build.max_grant_version {
        Some(version @ 0..=15) => Ok(Some(version as u32)),
        Some(version) => Err(out_of_range(version)),
        None => Ok(None),
    }
}

fn vmtrace_bytes(build: &BuildInfo) -> Result<u32> {
    let bytes = u32::try_from(build.vmtrace_buf_kb)
        .ok()
        .and_then(|kib| kib.checked_mul(1024))
        .and_then(|bytes| bytes.checked_next_multiple_of(4096));
    bytes.ok_or_else(|| Error::Config(format!("vmtrace_buf_kb is {}", build.vmtrace_buf_kb)))
}

fn tsc_mode(build: &BuildInfo) -> Result<u32> {
    match build.tsc_mode {
        TscMode::Default => Ok(XEN_CPUID_TSC_MODE_DEFAULT),
        TscMode::AlwaysEmulate => Ok(XEN_CPUID_TSC_MODE_ALWAYS_EMULATE),
        TscMode::Native => Ok(XEN_CPUID_TSC_MODE_NEVER_EMULATE),
        TscMode::NativeParavirt => Err(Error::Config(
            "TSC Mode native_paravirt (a.k.a PVRDTSCP) has been removed".into(),
        )),
    }
}

fn altp2m(mode: Altp2mMode) -> u32 {
    match mode {
        Altp2mMode::Disabled => 0,
        Altp2mMode::Mixed => XEN_DOMCTL_ALTP2M_MIXED,
        Altp2mMode::External => XEN_DOMCTL_ALTP2M_EXTERNAL,
        Altp2mMode::Limited => XEN_DOMCTL_ALTP2M_LIMITED,
    }
}

fn resources(build: &BuildInfo) -> Resources {
    let ports = build.ioports.iter();
    let memory = build.iomem.iter().map(|range| IoMemory {
        first: range.start,
        count: range.number,
        gfn: range.gfn.unwrap_or(range.start),
    });
    Resources {
        ports: ports.map(|range| (range.first, range.number)).collect(),
        irqs: build.irqs.clone(),
        memory: memory.collect(),
    }
}

fn timer_mode(mode: TimerMode) -> u64 {
    match mode {
        TimerMode::DelayForMissedTicks => HVMPTM_DELAY_FOR_MISSED_TICKS,
        TimerMode::Unknown | TimerMode::NoDelayForMissedTicks => HVMPTM_NO_DELAY_FOR_MISSED_TICKS,
        TimerMode::NoMissedTicksPending => HVMPTM_NO_MISSED_TICKS_PENDING,
        TimerMode::OneMissedTickPending => HVMPTM_ONE_MISSED_TICK_PENDING,
    }
}

/// The configuration's offset, and dom0's time zone if the guest's clock shows local time.
fn time_offset(build: &BuildInfo) -> i64 {
    let offset = i64::from(build.rtc_timeoffset as i32);
    if build.localtime == Some(true) {
        let zone = TimeZone::system().to_offset(Timestamp::now());
        offset + i64::from(zone.seconds())
    } else {
        offset
    }
}

fn cpuid_rules(policy: &CpuidPolicy) -> Vec<CpuidRule> {
    let leaves = policy.cpuid.iter();
    leaves
        .map(|leaf| CpuidRule {
            leaf: leaf.leaf.0,
            subleaf: leaf.subleaf.unwrap_or(XEN_CPUID_NO_SUBLEAF),
            registers: [&leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx]
                .map(|register| register.as_ref().map(ToString::to_string)),
        })
        .collect()
}

fn msr_rules(policy: &CpuidPolicy) -> Vec<MsrRule> {
    let msrs = policy.msr.iter();
    msrs.map(|msr| MsrRule {
        index: msr.index.0,
        bits: msr.policy.to_string(),
    })
    .collect()
}
