//! [`Arch`]: what the core asks of x86.

pub mod context;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::Ordering::SeqCst;

use spin::Once;
use xen_abi::errno::Errno;
use xen_abi::physdev::PhysdevPciDevice;
use xen_core::domain::Domain;
use xen_core::hal::{
    Arch, CpuIdentity, DomainArch, NewDomain, PciNews, Restart, SerialisedPolicy, VcpuArch,
};
use xen_core::ids::{CpuId, VcpuId};
use xen_core::vpci::Sbdf;

use crate::cpu::instructions::cpuid;
use crate::cpu::percpu::{all_cpus, this_cpu};
use crate::cpu::store_bypass;
use crate::cpuid::{HostCpuid, SystemPolicies, Virtualisable};
use crate::domain::X86Domain;
use crate::interrupts::local_apic;
use crate::vcpu::{Backend, X86Vcpu, fpu};
use crate::{power, time};

/// The one instance.
pub static ARCH: X86Arch = X86Arch;

/// x86 with AMD-V.
pub struct X86Arch;

static POLICIES: Once<SystemPolicies> = Once::new();
struct ThisCpu;

impl HostCpuid for ThisCpu {
    fn leaf(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let r = cpuid(leaf, subleaf);
        [r.eax, r.ebx, r.ecx, r.edx]
    }
}

/// The system's CPU policies, worked out on the first call, after [`fpu::enable`].
pub fn policies() -> &'static SystemPolicies {
    POLICIES.call_once(|| {
        let can = Virtualisable {
            xcr0: fpu::host_xcr0(),
            gpa_bits: 48,
            arch_capabilities: 0,
            spec_ctrl: false,
            tsc_aux: fpu::has_tsc_aux(),
            breakpoint_masks: false,
            invpcid: true,
            xsaves: false,
            lfence_dispatch: false,
            virtual_ssbd: store_bypass::is_available(),
        };
        SystemPolicies::new(&ThisCpu, &can)
    })
}

impl Arch for X86Arch {
    fn create_domain(&self, new: NewDomain) -> Result<Box<dyn DomainArch>, Errno> {
        Ok(Box::new(X86Domain::new(&new)?))
    }

    fn create_vcpu(&self, domain: &Arc<Domain>, id: VcpuId) -> Result<Box<dyn VcpuArch>, Errno> {
        Ok(Box::new(X86Vcpu::new(domain, id)))
    }

    fn flush_domain(&self, domain: &Domain) {
        domain.tlb_generation.fetch_add(1, SeqCst);
        let root = domain.p2m_root.maddr().0;
        let here = this_cpu().id;
        let inside = |cpu: &&&crate::cpu::percpu::PerCpu| {
            cpu.id != here && cpu.in_guest.load(SeqCst) && cpu.nested_root.load(SeqCst) == root
        };
        // Whoever enters from now on sees the new generation; whoever is inside is made to leave.
        for cpu in all_cpus().iter().filter(inside) {
            let exits = cpu.exits.load(SeqCst);
            local_apic::send(cpu.apic_id, local_apic::KICK_VECTOR);
            while cpu.in_guest.load(SeqCst) && cpu.exits.load(SeqCst) == exits {
                core::hint::spin_loop();
            }
        }
    }

    fn system_policy(&self, index: u32) -> Result<SerialisedPolicy, Errno> {
        let policy = policies().by_policy_index(index)?;
        Ok(SerialisedPolicy {
            leaves: policy.leaves(),
            msrs: policy.msrs().to_vec(),
        })
    }

    fn featureset(&self, index: u32) -> Result<Vec<u32>, Errno> {
        Ok(policies().featureset(index)?.0.to_vec())
    }

    fn machine_restart(&self, reason: Restart) {
        power::restart(reason);
    }

    fn known_keys(&self) -> &'static [(u8, &'static str)] {
        crate::debug_keys::KEYS
    }

    fn debug_key(&self, key: u8) -> bool {
        crate::debug_keys::handle(key)
    }

    fn cpu_identity(&self, cpu: CpuId) -> Option<CpuIdentity> {
        let record = all_cpus().get(cpu.0 as usize)?;
        Some(crate::host::identity(record))
    }

    fn dom0_screen(&self) -> Option<xen_abi::xen::Dom0VgaConsoleInfo> {
        crate::boot::screen::for_dom0()
    }
}

impl DomainArch for X86Domain {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn policy(&self) -> SerialisedPolicy {
        let policy = self.policy.read();
        SerialisedPolicy {
            leaves: policy.leaves(),
            msrs: policy.msrs().to_vec(),
        }
    }

    fn set_policy(
        &self,
        _domain: &Domain,
        new: &SerialisedPolicy,
    ) -> Result<(), (Errno, u32, u32, u32)> {
        let updated = self
            .policy
            .read()
            .updated(&new.leaves, &new.msrs, policies());
        match updated {
            Ok(policy) => {
                *self.policy.write() = policy;
                Ok(())
            }
            Err(error) => Err((error.errno, error.leaf, error.subleaf, error.msr)),
        }
    }

    fn context_size(&self, domain: &Domain) -> usize {
        context::size(domain)
    }

    fn save_context(&self, domain: &Domain) -> Result<Vec<u8>, Errno> {
        context::save(domain)
    }

    fn save_record(&self, domain: &Domain, typecode: u16, instance: u16) -> Result<Vec<u8>, Errno> {
        context::save_record(domain, typecode, instance)
    }

    fn load_context(&self, domain: &Domain, bytes: &[u8]) -> Result<(), Errno> {
        context::load(domain, bytes)
    }

    fn tsc_info(&self) -> (u32, u64, u32, u32) {
        self.tsc.lock().report(time::now_ns())
    }

    fn set_tsc_info(
        &self,
        domain: &Domain,
        mode: u32,
        elapsed_ns: u64,
        khz: u32,
        incarnation: u32,
    ) -> Result<(), Errno> {
        let host = (time::tsc_khz(), time::now_ns());
        self.tsc
            .lock()
            .configure(mode, elapsed_ns, khz, incarnation, host)?;
        for vcpu in domain.vcpus() {
            let mut state = X86Vcpu::of(vcpu).state.lock_second();
            state.hw.intercept_counter(self);
        }
        Ok(())
    }

    fn may_use_ports(&self, first: u32, count: u32) -> bool {
        self.all_ports_open(first, count)
    }

    fn permit_ports(&self, first: u32, count: u32, allow: bool) -> Result<(), Errno> {
        let first = u16::try_from(first).map_err(|_| Errno::EINVAL)?;
        if u32::from(first)
            .checked_add(count)
            .is_none_or(|end| end > 0x1_0000)
        {
            return Err(Errno::EINVAL);
        }
        self.set_ports(first, count, allow);
        Ok(())
    }

    fn pci_device_exists(&self, segment: u16, bus: u8, devfn: u8) -> bool {
        let sbdf = Sbdf::new(segment, bus, devfn >> 3, devfn & 7);
        self.devices
            .as_ref()
            .is_some_and(|d| d.pci_device_exists(sbdf))
    }

    fn pci_news(
        &self,
        domain: &Domain,
        news: PciNews,
        device: PhysdevPciDevice,
    ) -> Result<(), Errno> {
        let devices = self.devices.as_ref().ok_or(Errno::ENODEV)?;
        let hv = crate::machine::hv();
        let domain = hv.domain(domain.id).ok_or(Errno::ESRCH)?;
        let sbdf = Sbdf::new(device.seg, device.bus, device.devfn >> 3, device.devfn & 7);
        devices.pci_news(hv, &domain, news, sbdf)
    }

    fn dump(&self, domain: &Domain) {
        domain.vcpus().iter().for_each(|vcpu| vcpu.arch.dump());
    }
}
