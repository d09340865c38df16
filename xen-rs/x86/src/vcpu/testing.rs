//! A guest whose vCPUs have [`super::fake`] processors, under a hypervisor on a fake machine.

use alloc::boxed::Box;
use alloc::sync::Arc;
use std::vec::Vec;

use xen_abi::errno::Errno;
use xen_core::domain::{Domain, DomainConfig};
use xen_core::fake::FakeMachine;
use xen_core::fake_hv::hypervisor_over;
use xen_core::hal::{Arch, DomainArch, NewDomain, Restart, SerialisedPolicy, VcpuArch};
use xen_core::hypervisor::{CreateDomain, Hypervisor};
use xen_core::ids::{CpuId, Gfn, Gpa, VcpuId};
use xen_core::p2m::{P2mEntry, PageType};
use xen_core::sched::{PoolId, Schedulable};
use xen_core::vcpu::Vcpu;

use super::entry::{Next, Running};
use super::{Exit, X86Vcpu, exit};
use crate::cpuid::fixture::system;
use crate::domain::X86Domain;

/// Where guest code starts; one page of RAM is there, and one below it.
pub const CODE: u64 = 0x1000;

struct TestArch;

impl Arch for TestArch {
    fn create_domain(&self, new: NewDomain) -> Result<Box<dyn DomainArch>, Errno> {
        Ok(Box::new(X86Domain::with_policy(
            &new,
            system().for_domain(),
        )))
    }

    fn create_vcpu(&self, domain: &Arc<Domain>, id: VcpuId) -> Result<Box<dyn VcpuArch>, Errno> {
        Ok(Box::new(X86Vcpu::new(domain, id)))
    }

    fn flush_domain(&self, _: &Domain) {}

    fn system_policy(&self, _: u32) -> Result<SerialisedPolicy, Errno> {
        Err(Errno::ENOSYS)
    }

    fn featureset(&self, _: u32) -> Result<Vec<u32>, Errno> {
        Err(Errno::ENOSYS)
    }

    fn machine_restart(&self, _: Restart) {}

    fn debug_key(&self, _: u8) -> bool {
        false
    }
}

/// The guest.
pub struct Guest {
    /// The hypervisor.
    pub hv: &'static Hypervisor,
    /// Its clocks and CPUs.
    pub machine: &'static FakeMachine,
    /// The domain.
    pub domain: Arc<Domain>,
    /// Its first vCPU, which runs.
    pub vcpu: Arc<Vcpu>,
}

impl Guest {
    /// In protected mode without paging at [`CODE`], as a PVH kernel starts, and running on CPU 0.
    pub fn new() -> Self {
        Self::with_vcpus(1)
    }

    /// The same with more vCPUs, which are down.
    pub fn with_vcpus(vcpus: u32) -> Self {
        let (hv, _, machine) = hypervisor_over(&TestArch, "");
        let config = DomainConfig {
            max_vcpus: vcpus,
            max_evtchn_port: 1023,
            max_grant_frames: 4,
            max_maptrack_frames: 8,
            max_grant_version: 1,
            ..DomainConfig::default()
        };
        let new = CreateDomain {
            id: None,
            handle: [0; 16],
            config,
            pool: PoolId(0),
            privileged: false,
        };
        let domain = hv.create_domain(new).expect("memory is left");
        hv.create_vcpus(&domain).expect("memory is left");
        for gfn in [Gfn(0), Gfn(1)] {
            let mfn = hv
                .allocate_domain_pages(&domain, 0)
                .expect("memory is left");
            let kind = PageType::Ram;
            hv.map_page(&domain, gfn, P2mEntry { mfn, kind })
                .expect("memory is left");
        }
        let vcpu = Arc::clone(domain.vcpu(VcpuId(0)).expect("it was created"));
        domain
            .tool_pauses
            .store(0, core::sync::atomic::Ordering::SeqCst);
        hv.unpause_domain(&domain);
        hv.bring_up(&vcpu);
        let guest = Self {
            hv,
            machine,
            domain,
            vcpu,
        };
        guest.schedule();
        guest
    }

    fn schedule(&self) {
        for cpu in [CpuId(0), CpuId(1)].into_iter().cycle().take(64) {
            self.machine.advance_ns(20_000_000);
            self.machine.set_this_cpu(cpu);
            let _ = self.hv.scheduler.schedule(cpu, self.hv.now_ns(), None);
            if self.vcpu.unit().running_on() == Some(cpu) {
                return;
            }
        }
        panic!("no CPU runs the vCPU");
    }

    /// Puts code or data into the guest's RAM.
    pub fn put(&self, at: u64, bytes: &[u8]) {
        self.hv
            .write_guest(&self.domain, Gpa(at), bytes)
            .expect("RAM is there");
    }

    /// Works with the vCPU as the CPU that runs it does.
    pub fn with<R>(&self, work: impl FnOnce(&mut Running<'_>) -> R) -> R {
        let arch = X86Vcpu::of(&self.vcpu);
        let mut state = arch.state.lock();
        work(&mut Running {
            hv: self.hv,
            domain: &self.domain,
            vcpu: &self.vcpu,
            arch,
            state: &mut state,
        })
    }

    /// Takes an exit.
    pub fn exit(&self, exit: Exit) -> Next {
        self.with(|running| {
            running.state.hw.exit = exit;
            exit::handle(running)
        })
    }

    /// An exit by an instruction of `len` bytes at [`CODE`], whose length the processor tells.
    pub fn instruction(&self, exit: Exit, len: u64) -> Next {
        self.with(|running| running.state.hw.next_rip = Some(CODE + len));
        self.exit(exit)
    }

    /// Sets general registers: (number, value).
    pub fn set(&self, registers: &[(usize, u64)]) {
        self.with(|running| {
            for &(number, value) in registers {
                running.state.registers.0[number] = value;
            }
        });
    }

    /// A general register.
    pub fn register(&self, number: usize) -> u64 {
        self.with(|running| running.state.registers.0[number])
    }
}
