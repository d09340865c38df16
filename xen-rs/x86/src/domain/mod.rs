//! A domain's machine: CPU policy, permission maps, and for dom0 the devices between it and the hardware.

pub mod devices;
pub mod interrupts;
pub mod pci_access;
pub mod routing;
pub mod tsc;

use alloc::boxed::Box;
use core::sync::atomic::AtomicU32;

use xen_abi::errno::Errno;
use xen_core::domain::Domain;
use xen_core::hal::NewDomain;
use xen_core::lock::{Lock, Rank, RwLock};

use crate::cpu::instructions::rdtsc;
use crate::cpuid::{CpuPolicy, HypervisorInfo};
use crate::svm::enter::physical;
use crate::svm::permission::{MsrMap, PortMap};
use crate::svm::vmcb::intercept;
use crate::time;
use crate::vcpu::fpu;

pub use devices::Devices;
pub use routing::{deliver, processor_events};
pub use tsc::Tsc;

/// MSRs that VMLOAD, VMSAVE and VMRUN switch: FS, GS and kernel GS base, system call and SYSENTER registers.
const SWITCHED_MSRS: [u32; 10] = [
    0xc000_0081,
    0xc000_0082,
    0xc000_0083,
    0xc000_0084,
    0xc000_0100,
    0xc000_0101,
    0xc000_0102,
    0x174,
    0x175,
    0x176,
];

/// The machine-specific half of a domain.
pub struct X86Domain {
    /// What CPUID shows.
    pub policy: RwLock<CpuPolicy>,
    ports: Lock<Box<PortMap>>,
    port_map_address: u64,
    msr_map: Box<MsrMap>,
    /// The time-stamp counter.
    pub tsc: Lock<Tsc>,
    /// The last target of a lowest-priority interrupt.
    pub last_arbitrated: AtomicU32,
    /// Unknown MSRs read as 0 instead of faulting (`XEN_X86_MSR_RELAXED`).
    pub msr_relaxed: bool,
    /// dom0's devices.
    pub devices: Option<Devices>,
}

impl X86Domain {
    /// The machine of a new domain.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(new: &NewDomain) -> Result<Self, Errno> {
        let systems = crate::arch::policies();
        let policy = if new.hardware_domain {
            systems.for_dom0()
        } else {
            systems.for_domain()
        };
        Ok(Self::with_policy(new, policy))
    }

    /// The same with a policy that is given.
    #[must_use]
    pub fn with_policy(new: &NewDomain, policy: CpuPolicy) -> Self {
        let ports = PortMap::closed();
        let port_map_address = physical(&*ports);
        let mut msr_map = MsrMap::closed();
        SWITCHED_MSRS.iter().for_each(|&msr| msr_map.open(msr));
        Self {
            policy: RwLock::new(Rank::Values, policy),
            ports: Lock::new(Rank::Values, ports),
            port_map_address,
            msr_map,
            tsc: Lock::new(Rank::Values, Tsc::native(time::tsc_khz(), time::now_ns())),
            last_arbitrated: AtomicU32::new(0),
            msr_relaxed: new.misc_flags & xen_abi::arch_x86::XEN_X86_MSR_RELAXED != 0,
            devices: new.hardware_domain.then(Devices::new),
        }
    }

    /// The machine-specific half of any domain.
    #[must_use]
    pub fn of(domain: &Domain) -> &Self {
        domain
            .arch
            .as_any()
            .downcast_ref()
            .expect("all domains are made by this crate")
    }

    /// Opens or closes ports.
    pub fn set_ports(&self, first: u16, count: u32, open: bool) {
        self.ports.lock().set(first, count, open);
    }

    /// Whether every port of a range is open.
    #[must_use]
    pub fn all_ports_open(&self, first: u32, count: u32) -> bool {
        self.ports.lock().all_open(first, count)
    }

    /// For the control block.
    #[must_use]
    pub const fn port_map_address(&self) -> u64 {
        self.port_map_address
    }

    /// For the control block.
    #[must_use]
    pub fn msr_map_address(&self) -> u64 {
        physical(&*self.msr_map)
    }

    /// Words 0 and 1 of what exits besides the usual: RDTSCP where TSC_AUX does not exist, both instructions if the counter is emulated.
    #[must_use]
    pub fn counter_intercepts(&self) -> [u32; 2] {
        let is_emulated = self.tsc.lock().is_emulated;
        [
            if is_emulated { intercept::RDTSC } else { 0 },
            if is_emulated || !fpu::has_tsc_aux() {
                intercept::RDTSCP
            } else {
                0
            },
        ]
    }

    /// The time-stamp counter now, before the vCPU's offset.
    #[must_use]
    pub fn tsc_count(&self) -> u64 {
        let tsc = *self.tsc.lock();
        let host_tsc = rdtsc();
        tsc.count(host_tsc, time::system_time_of(host_tsc))
    }

    /// What the Xen CPUID leaves say.
    #[must_use]
    pub fn hypervisor_info(&self) -> HypervisorInfo {
        let tsc = *self.tsc.lock();
        let (to_ns_multiplier, to_ns_shift) = time::scale(tsc.khz.into());
        HypervisorInfo {
            tsc_emulated: tsc.is_emulated,
            host_tsc_reliable: true,
            host_rdtscp: fpu::has_tsc_aux(),
            tsc_mode: tsc.mode,
            guest_khz: tsc.khz,
            host_khz: time::tsc_khz(),
            incarnation: tsc.incarnation,
            offset_ns: tsc.offset_ns(),
            to_ns_multiplier,
            to_ns_shift,
            apic_flags: 0,
        }
    }
}
