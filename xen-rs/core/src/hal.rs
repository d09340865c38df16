//! What the core asks of the hardware. Implemented by the x86 crate and, for tests, by `crate::fake`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use xen_abi::errno::Errno;
use xen_abi::physdev::PhysdevPciDevice;

use crate::domain::Domain;
use crate::ids::{CpuId, Domid, Maddr, Mfn, PAGE_SIZE, VcpuId};

pub use xen_abi::arch_x86::{CpuidLeaf, MsrEntry};

/// Machine memory, addressed by frames that the caller owns or holds a reference on.
///
/// Frames are bytes which other CPUs and guests may change at any time: every access is one copy or one atomic operation, and the values
/// that come back are claims to be checked. A range never crosses a frame's end. An address outside RAM is the caller's bug:
/// implementations panic on it.
pub trait MachineMemory: Send + Sync {
    /// Copies bytes out of a frame.
    fn read(&self, at: Maddr, into: &mut [u8]);
    /// Copies bytes into a frame.
    fn write(&self, at: Maddr, from: &[u8]);
    /// Copies `len` bytes from one frame to another.
    fn copy(&self, from: Maddr, to: Maddr, len: usize);
    /// Fills a whole frame with zeroes.
    fn zero(&self, frame: Mfn);
    /// Whether a whole frame holds nothing but zeroes.
    fn is_zero(&self, frame: Mfn) -> bool {
        const PART: usize = 512;
        let mut part = [0; PART];
        (0..PAGE_SIZE / PART).all(|index| {
            self.read(Maddr(frame.maddr().0 + (index * PART) as u64), &mut part);
            part == [0; PART]
        })
    }
    /// Atomic load, naturally aligned.
    fn load_u64(&self, at: Maddr) -> u64;
    /// Atomic store, naturally aligned.
    fn store_u64(&self, at: Maddr, value: u64);
    /// Atomic load, naturally aligned.
    fn load_u32(&self, at: Maddr) -> u32;
    /// Atomic store, naturally aligned.
    fn store_u32(&self, at: Maddr, value: u32);
    /// Atomic compare-exchange; `Err` carries the value found.
    fn compare_exchange_u32(&self, at: Maddr, current: u32, new: u32) -> Result<u32, u32>;
    /// Atomic compare-exchange; `Err` carries the value found.
    fn compare_exchange_u64(&self, at: Maddr, current: u64, new: u64) -> Result<u64, u64>;
    /// Atomic OR; returns the value before.
    fn fetch_or_u64(&self, at: Maddr, bits: u64) -> u64;
    /// Atomic AND; returns the value before.
    fn fetch_and_u64(&self, at: Maddr, bits: u64) -> u64;
    /// Atomic OR; returns the value before.
    fn fetch_or_u32(&self, at: Maddr, bits: u32) -> u32;
    /// Atomic AND; returns the value before.
    fn fetch_and_u32(&self, at: Maddr, bits: u32) -> u32;
    /// Atomic exchange of one byte; returns the value before.
    fn swap_u8(&self, at: Maddr, value: u8) -> u8;
    /// Atomic load of one byte.
    fn load_u8(&self, at: Maddr) -> u8;
}

/// CPUs and clocks.
pub trait Machine: Send + Sync {
    /// The CPU this runs on.
    fn this_cpu(&self) -> CpuId;
    /// System time in nanoseconds since boot: monotonic, the same on every CPU.
    fn now_ns(&self) -> u64;
    /// Makes `cpu` leave guest mode or idle and look at its pending work. Never waits.
    fn kick(&self, cpu: CpuId);
    /// Arms this CPU's timer for `deadline_ns` of system time (`u64::MAX`: off). A past deadline fires at once.
    fn arm_timer(&self, deadline_ns: u64);
    /// The relation between TSC and system time, constant after boot.
    fn clock(&self) -> Clock;
}

/// How system time follows from the time-stamp counter; the contents of `vcpu_time_info` (xen/include/public/xen.h).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Counter value at `system_time_ns`.
    pub tsc_timestamp: u64,
    /// System time at `tsc_timestamp`.
    pub system_time_ns: u64,
    /// 32.32 factor from shifted ticks to nanoseconds.
    pub tsc_to_system_mul: u32,
    /// Left shift of ticks before the multiplication; negative is right.
    pub tsc_shift: i8,
}

/// Facts of the machine that the toolstack asks for.
#[derive(Clone, Debug, Default)]
pub struct HostInfo {
    /// RAM in pages, including what the hypervisor uses.
    pub total_pages: u64,
    /// Highest RAM frame.
    pub max_mfn: u64,
    /// TSC frequency in kHz.
    pub cpu_khz: u32,
    /// CPUs online.
    pub cpus: u32,
    /// Threads of a core.
    pub threads_per_core: u32,
    /// Cores of a socket.
    pub cores_per_socket: u32,
    /// For each CPU: core and socket number.
    pub topology: Vec<(u32, u32)>,
    /// The eight feature words of `xen_sysctl_physinfo.hw_cap`.
    pub hw_cap: [u32; 8],
    /// `XEN_SYSCTL_PHYSCAP_*`.
    pub capabilities: u32,
    /// The hypervisor's command line.
    pub command_line: String,
    /// UTC at system time 0, nanoseconds since 1970.
    pub boot_utc_ns: u64,
    /// How the image came about.
    pub build: Build,
}

/// What `xl info` says of the image's making. Empty where nothing is known.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// Source revision.
    pub changeset: &'static str,
    /// Compiler and its version.
    pub compiler: &'static str,
    /// Whoever built it.
    pub by: &'static str,
    /// The machine it was built on.
    pub domain: &'static str,
    /// Date of the source revision, so that the same sources give the same image.
    pub date: &'static str,
    /// The linker's digest of the contents.
    pub id: &'static [u8],
}

/// What a guest operation needs of the guest's machine.
pub trait Arch: Send + Sync {
    /// State of a new domain: nested-table root is the p2m's, CPU policy is the default one.
    fn create_domain(&self, new: NewDomain) -> Result<Box<dyn DomainArch>, Errno>;
    /// State of one vCPU, down, with reset register values.
    fn create_vcpu(&self, domain: &Arc<Domain>, id: VcpuId) -> Result<Box<dyn VcpuArch>, Errno>;
    /// Makes every CPU that runs this domain leave the guest, so that each entry afterwards starts with clean translation caches; waits
    /// until all have left. Takes no lock: the domain's map may be locked.
    fn flush_domain(&self, domain: &Domain);
    /// The host's, or a default, CPU policy as serialised leaves and MSRs (`XEN_SYSCTL_get_cpu_policy`, index there).
    fn system_policy(&self, index: u32) -> Result<SerialisedPolicy, Errno>;
    /// Feature words of `XEN_SYSCTL_get_cpu_featureset`, index there.
    fn featureset(&self, index: u32) -> Result<Vec<u32>, Errno>;
    /// Stops or restarts the machine; does not return when it worked.
    fn machine_restart(&self, reason: Restart);
    /// Console keys that [`Arch::debug_key`] knows, with what they do.
    fn known_keys(&self) -> &'static [(u8, &'static str)] {
        &[]
    }
    /// The console key `xl debug-keys` sends; `true` if it is known here.
    fn debug_key(&self, key: u8) -> bool;
    /// Who an online CPU is (`XENPF_get_cpuinfo` and its like), if that was looked up.
    fn cpu_identity(&self, _cpu: CpuId) -> Option<CpuIdentity> {
        None
    }
    /// The screen that dom0 may use, if the hypervisor knows of one (`XENPF_get_dom0_console`).
    fn dom0_screen(&self) -> Option<xen_abi::xen::Dom0VgaConsoleInfo> {
        None
    }
}

/// Numbers and model of a CPU.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuIdentity {
    /// Local APIC identifier.
    pub apic_id: u32,
    /// Processor identifier in the MADT.
    pub acpi_id: u32,
    /// Vendor, as CPUID leaf 0 spells it.
    pub vendor: [u8; 12],
    /// Family, extended family included.
    pub family: u32,
    /// Model, extended model included.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
    /// EAX of CPUID leaf 1.
    pub signature: u32,
    /// Platform flags of the microcode (Intel), as a bit mask.
    pub microcode_platform: u32,
    /// Microcode revision.
    pub microcode_revision: u32,
}

/// What dom0 tells about a PCI function.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PciNews {
    /// It appeared, by hotplug or as a virtual function.
    Appeared,
    /// It is gone.
    Vanished,
    /// It was reset.
    Reset,
}

/// What the machine does next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Power off.
    PowerOff,
    /// Reboot.
    Reboot,
    /// Reboot after a time that lets an operator read why.
    RebootLater,
    /// Stay as it is.
    Halt,
}

/// A CPU policy in the toolstack's form.
#[derive(Clone, Debug, Default)]
pub struct SerialisedPolicy {
    /// CPUID leaves.
    pub leaves: Vec<CpuidLeaf>,
    /// MSRs.
    pub msrs: Vec<MsrEntry>,
}

/// What [`Arch::create_domain`] is told.
#[derive(Copy, Clone, Debug)]
pub struct NewDomain {
    /// Its number.
    pub id: Domid,
    /// Number of vCPUs it may have.
    pub max_vcpus: u32,
    /// `XEN_X86_EMU_*`.
    pub emulation_flags: u32,
    /// `XEN_X86_MSR_RELAXED` and friends.
    pub misc_flags: u32,
    /// Whether it owns the hardware.
    pub hardware_domain: bool,
}

/// The machine-specific half of a domain.
pub trait DomainArch: Any + Send + Sync {
    /// For the machine-specific code to find its own type again.
    fn as_any(&self) -> &dyn Any;
    /// The CPU policy as the toolstack sees it.
    fn policy(&self) -> SerialisedPolicy;
    /// Replaces parts of the policy. On failure: the errno and the first offending leaf, subleaf and MSR (`u32::MAX` when not to blame).
    fn set_policy(
        &self,
        domain: &Domain,
        policy: &SerialisedPolicy,
    ) -> Result<(), (Errno, u32, u32, u32)>;
    /// Size in bytes of a full HVM context.
    fn context_size(&self, domain: &Domain) -> usize;
    /// The full HVM context of a paused domain (xen/include/public/hvm/save.h).
    fn save_context(&self, domain: &Domain) -> Result<Vec<u8>, Errno>;
    /// One record of it: payload without descriptor.
    fn save_record(&self, domain: &Domain, typecode: u16, instance: u16) -> Result<Vec<u8>, Errno>;
    /// Loads an HVM context into a paused domain.
    fn load_context(&self, domain: &Domain, bytes: &[u8]) -> Result<(), Errno>;
    /// TSC mode: (mode, elapsed ns, kHz, incarnation), as `XEN_DOMCTL_gettscinfo`.
    fn tsc_info(&self) -> (u32, u64, u32, u32);
    /// Sets them, for a paused domain; the caller publishes the vCPUs' time afterwards.
    fn set_tsc_info(
        &self,
        domain: &Domain,
        mode: u32,
        elapsed_ns: u64,
        khz: u32,
        incarnation: u32,
    ) -> Result<(), Errno>;
    /// Whether the domain itself may use every port of a range directly, and so pass them on.
    fn may_use_ports(&self, first: u32, count: u32) -> bool;
    /// Lets (or stops letting) the domain use an I/O port range directly.
    fn permit_ports(&self, first: u32, count: u32, allow: bool) -> Result<(), Errno>;
    /// What `PHYSDEVOP_pci_device_add` and friends need: whether the device is known to the domain's PCI model.
    fn pci_device_exists(&self, segment: u16, bus: u8, devfn: u8) -> bool;
    /// Makes the domain's PCI model follow what happened to a function.
    ///
    /// # Errors
    /// `ENODEV` if nothing is there, `EOPNOTSUPP` if the model cannot follow.
    fn pci_news(
        &self,
        _domain: &Domain,
        _news: PciNews,
        _device: PhysdevPciDevice,
    ) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Prints state for a debug key.
    fn dump(&self, domain: &Domain);
}

/// The machine-specific half of a vCPU.
pub trait VcpuArch: Any + Send + Sync {
    /// For the machine-specific code to find its own type again.
    fn as_any(&self) -> &dyn Any;
    /// Queues an edge interrupt in the vCPU's local APIC. Any CPU may call it; it neither waits nor kicks.
    fn post_interrupt(&self, vector: u8);
    /// Queues an NMI.
    fn post_nmi(&self);
    /// Whether an interrupt waits that the vCPU would take now. Only meaningful on the CPU that runs it, or while it is blocked.
    fn has_deliverable_interrupt(&self) -> bool;
    /// Next deadline of the vCPU's own timers (local APIC), ns of system time, `u64::MAX` for none.
    fn timer_deadline_ns(&self) -> u64;
    /// The vCPU's own timers may have expired.
    fn timer_expired(&self, now_ns: u64);
    /// How system time follows from this vCPU's time-stamp counter, where `host` tells how it follows from the machine's. Never waits for a
    /// vCPU that runs.
    fn clock(&self, _domain: &Domain, host: Clock) -> Clock {
        host
    }
    /// Sets the state that `vcpu_hvm_context` describes (`VCPUOP_initialise`); the vCPU stays down. Any CPU may call it: this never waits for a
    /// vCPU that runs.
    ///
    /// # Errors
    /// `EEXIST` if it has a state by now, or somebody else is at it; `EINVAL` for a state that no processor of the domain could be in.
    fn initialise(&self, context: &[u8]) -> Result<(), Errno>;
    /// Whether the vCPU was ever given a state to run from. Any CPU may ask at any time: this never waits for a vCPU that runs.
    fn is_initialised(&self) -> bool;
    /// Puts the vCPU back to its reset state (`VCPUOP_initialise` failed, soft reset).
    fn reset(&self);
    /// Saves what was left in the CPU's registers; called on the CPU that the vCPU leaves.
    fn leave_cpu(&self);
    /// Prints registers for a debug key.
    fn dump(&self);
}
