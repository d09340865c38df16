//! What the domain is built from and what it gets.

use crate::cpuid::CpuidPolicy;
use crate::cpus::CpuSet;
use crate::json::{names, record};

use super::GuestInfo;

names! {
    /// How the guest's time stamp counter behaves.
    TscMode, "a TSC mode" {
        /// Native where that is exact, else emulated.
        #[default]
        Default = "default",
        /// Every read is emulated at 1 GHz or the host's rate.
        AlwaysEmulate = "always_emulate",
        /// The host's counter.
        Native = "native",
        /// The host's counter with help for migrations.
        NativeParavirt = "native_paravirt",
    }
}

names! {
    /// Which device model serves an HVM guest.
    DeviceModelVersion, "a device model version" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// Xen's old fork of QEMU.
        QemuXenTraditional = "qemu_xen_traditional",
        /// QEMU.
        QemuXen = "qemu_xen",
    }
}

names! {
    /// What happens to timer ticks a guest has missed.
    TimerMode, "a timer mode" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// Guest time stands still while it does not run.
        DelayForMissedTicks = "delay_for_missed_ticks",
        /// Missed ticks come late, time goes on.
        NoDelayForMissedTicks = "no_delay_for_missed_ticks",
        /// Missed ticks are dropped.
        NoMissedTicksPending = "no_missed_ticks_pending",
        /// Missed ticks become one.
        OneMissedTickPending = "one_missed_tick_pending",
    }
}

names! {
    /// Arm's interrupt controller.
    GicVersion, "a GIC version" {
        /// The host's.
        #[default]
        Default = "default",
        /// Version 2.
        V2 = "v2",
        /// Version 3.
        V3 = "v3",
    }
}

names! {
    /// Arm's virtual serial port.
    VuartType, "a virtual serial port" {
        /// None.
        #[default]
        Unknown = "unknown",
        /// PL011 as SBSA describes it.
        SbsaUart = "sbsa_uart",
    }
}

names! {
    /// Arm's trusted execution environment.
    TeeType, "a trusted execution environment" {
        /// None.
        #[default]
        None = "none",
        /// OP-TEE.
        Optee = "optee",
        /// Arm's firmware framework.
        Ffa = "ffa",
    }
}

names! {
    /// Arm's vector length in bits.
    SveType, "a vector length" {
        /// No SVE.
        #[default]
        Disabled = "disabled",
        /// The hardware's.
        Hw = "hw",
        /// 128 bits.
        V128 = "128",
        /// 256 bits.
        V256 = "256",
        /// 384 bits.
        V384 = "384",
        /// 512 bits.
        V512 = "512",
        /// 640 bits.
        V640 = "640",
        /// 768 bits.
        V768 = "768",
        /// 896 bits.
        V896 = "896",
        /// 1024 bits.
        V1024 = "1024",
        /// 1152 bits.
        V1152 = "1152",
        /// 1280 bits.
        V1280 = "1280",
        /// 1408 bits.
        V1408 = "1408",
        /// 1536 bits.
        V1536 = "1536",
        /// 1664 bits.
        V1664 = "1664",
        /// 1792 bits.
        V1792 = "1792",
        /// 1920 bits.
        V1920 = "1920",
        /// 2048 bits.
        V2048 = "2048",
    }
}

names! {
    /// Alternate second-level tables, HVM_PARAM_ALTP2M.
    Altp2mMode, "an altp2m mode" {
        /// None.
        #[default]
        Disabled = "disabled",
        /// For the guest and for tools.
        Mixed = "mixed",
        /// For tools.
        External = "external",
        /// For the guest, without its views' protection.
        Limited = "limited",
    }
}

names! {
    /// A scheduler of Xen.
    Scheduler, "a scheduler" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// Earliest deadline first, no longer in Xen.
        Sedf = "sedf",
        /// Credit.
        Credit = "credit",
        /// Credit2, Xen's default.
        Credit2 = "credit2",
        /// ARINC 653.
        Arinc653 = "arinc653",
        /// Real-time deferrable server.
        Rtds = "rtds",
        /// One vCPU for each CPU.
        Null = "null",
    }
}

record! {
    /// libxl's `domain_sched_params`.
    SchedParams {
        /// The scheduler of the domain's pool, when a toolstack has looked it up.
        sched: Scheduler,
        /// `cpu_weight=`: share of the CPUs, 1 to 65535; 256 by default.
        weight: Option<i32>,
        /// `cap=`: limit in hundredths of a CPU; 0: none.
        cap: Option<i32>,
        /// `period=` in microseconds, for RTDS.
        period: Option<i32>,
        /// Time in each period, for RTDS.
        budget: Option<i32>,
        /// `extratime=`, for RTDS.
        extratime: Option<i32>,
        /// `slice=`, without effect.
        slice: Option<i32>,
        /// `latency=`, without effect.
        latency: Option<i32>,
    }
}

record! {
    /// libxl's `ioport_range`.
    IoPortRange {
        /// First port.
        first: u32,
        /// Ports.
        number: u32,
    }
}

record! {
    /// libxl's `iomem_range`, in frames of 4 KiB.
    IoMemRange {
        /// First frame of the host.
        start: u64,
        /// Frames.
        number: u64,
        /// First frame in the guest; the same number if not said.
        gfn: Option<u64>,
    }
}

record! {
    /// libxl's `vnode_info`: a virtual NUMA node.
    VnodeInfo {
        /// Memory in KiB.
        memkb: Option<u64>,
        /// Distance to each node.
        distances: Vec<u32>,
        /// Node of the host it lives on.
        pnode: u32,
        /// Its vCPUs.
        vcpus: CpuSet,
    }
}

record! {
    /// Arm's own settings.
    ArchArm {
        /// `gic_version=`
        gic_version: GicVersion,
        /// `vuart=`
        vuart: VuartType,
        /// `sve=`
        sve_vl: SveType,
        /// `nr_spis=`
        nr_spis: u32,
    }
}

record! {
    /// x86's own settings.
    ArchX86 {
        /// `msr_relaxed=`
        msr_relaxed: Option<bool>,
    }
}

record! {
    /// libxl's `domain_build_info`.
    BuildInfo {
        /// `maxvcpus=`, else `vcpus=`; 0: not said.
        max_vcpus: i32,
        /// `vcpus=`: the vCPUs that are online at the start.
        avail_vcpus: CpuSet,
        /// CPUs chosen by placement.
        cpumap: CpuSet,
        /// Nodes chosen by placement.
        nodemap: CpuSet,
        /// `cpus=`: where each vCPU may run.
        vcpu_hard_affinity: Vec<CpuSet>,
        /// `cpus_soft=`: where each vCPU runs best.
        vcpu_soft_affinity: Vec<CpuSet>,
        /// Whether libxl chooses NUMA nodes.
        numa_placement: Option<bool>,
        /// `tsc_mode=`
        tsc_mode: TscMode,
        /// `maxmem=`, else `memory=`, in KiB.
        max_memkb: Option<u64>,
        /// `memory=` in KiB.
        target_memkb: Option<u64>,
        /// `videoram=` in KiB.
        video_memkb: Option<u64>,
        /// `shadow_memory=` in KiB.
        shadow_memkb: Option<u64>,
        /// Memory for IOMMU tables in KiB.
        iommu_memkb: Option<u64>,
        /// `rtc_timeoffset=` in seconds, two's complement.
        rtc_timeoffset: u32,
        /// Security identifier while it runs, as a number.
        exec_ssidref: u32,
        /// `seclabel=` beside an `init_seclabel=`.
        exec_ssid_label: Option<String>,
        /// `localtime=`
        localtime: Option<bool>,
        /// `nomigrate=`
        disable_migrate: Option<bool>,
        /// `cpuid=`
        cpuid: CpuidPolicy,
        /// First virtual device name for disks of boot loaders.
        blkdev_start: Option<String>,
        /// `vnuma=`
        vnuma_nodes: Vec<VnodeInfo>,
        /// `max_grant_frames=`
        max_grant_frames: Option<u32>,
        /// `max_maptrack_frames=`
        max_maptrack_frames: Option<u32>,
        /// `max_grant_version=`: 0 (no grants), 1 or 2.
        max_grant_version: Option<i32>,
        /// `device_model_version=`
        device_model_version: DeviceModelVersion,
        /// `device_model_stubdomain_override=`
        device_model_stubdomain: Option<bool>,
        /// `stubdomain_memory=` in KiB.
        stubdomain_memkb: Option<u64>,
        /// `stubdomain_kernel=`
        stubdomain_kernel: Option<String>,
        /// `stubdomain_cmdline=`
        stubdomain_cmdline: Option<String>,
        /// `stubdomain_ramdisk=`
        stubdomain_ramdisk: Option<String>,
        /// `device_model_override=`
        device_model: Option<String>,
        /// Security identifier of the device model as a number.
        device_model_ssidref: u32,
        /// `device_model_stubdomain_seclabel=`
        device_model_ssid_label: Option<String>,
        /// `device_model_user=`
        device_model_user: Option<String>,
        /// `device_model_args=`
        extra: Vec<String>,
        /// `device_model_args_pv=`
        extra_pv: Vec<String>,
        /// `device_model_args_hvm=`
        extra_hvm: Vec<String>,
        /// Scheduler's parameters.
        sched_params: SchedParams,
        /// `ioports=`
        ioports: Vec<IoPortRange>,
        /// `irqs=`
        irqs: Vec<u32>,
        /// `iomem=`
        iomem: Vec<IoMemRange>,
        /// `llc_colors=`
        llc_colors: Vec<u32>,
        /// Whether memory is claimed before it is allocated; set by xl.conf(5).
        claim_mode: Option<bool>,
        /// `max_event_channels=`; 0: not said.
        event_channels: u32,
        /// `kernel=`
        kernel: Option<String>,
        /// `cmdline=`, or `root=` and `extra=` put together.
        cmdline: Option<String>,
        /// `ramdisk=`
        ramdisk: Option<String>,
        /// `device_tree=`
        device_tree: Option<String>,
        /// `acpi=`
        acpi: Option<bool>,
        /// `bootloader=`
        bootloader: Option<String>,
        /// `bootloader_args=`
        bootloader_args: Vec<String>,
        /// `bootloader_restrict=`
        bootloader_restrict: Option<bool>,
        /// `bootloader_user=`
        bootloader_user: Option<String>,
        /// `timer_mode=`
        timer_mode: TimerMode,
        /// `nestedhvm=`
        nested_hvm: Option<bool>,
        /// `apic=`
        apic: Option<bool>,
        /// `dm_restrict=`
        dm_restrict: Option<bool>,
        /// `tee=`
        tee: TeeType,
        /// What only this type of guest has; `type.pvh` and so on in JSON.
        u: GuestInfo,
        /// Arm's own.
        arch_arm: ArchArm,
        /// x86's own.
        arch_x86: ArchX86,
        /// `altp2m=`
        altp2m: Altp2mMode,
        /// `vmtrace_buf_kb=`; 0: none.
        vmtrace_buf_kb: i32,
        /// `vpmu=`
        vpmu: Option<bool>,
    }
}
