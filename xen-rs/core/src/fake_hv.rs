//! A whole hypervisor over the fakes of [`crate::fake`], with domains that have RAM, for tests of anything that needs a
//! [`Hypervisor`]: handlers above all.
//!
//! [`Fake`] keeps the parts at hand, so that a test can move the clock, look at kicks, or read what was posted to a vCPU. Every test makes
//! its own; what it allocates lives until the test process ends. A guest's linear addresses are its guest-physical ones.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use xen_abi::errno::Errno;
use xen_abi::physdev::PhysdevPciDevice;
use xen_abi::xen::Dom0VgaConsoleInfo;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::cmdline::Options;
use crate::domain::{Domain, DomainConfig};
use crate::fake::{FakeMachine, FakeMemory};
use crate::hal::{
    Arch, Build, CpuIdentity, DomainArch, HostInfo, NewDomain, PciNews, Restart, SerialisedPolicy,
    VcpuArch,
};
use crate::hypercall::{Call, LinearMemory, Outcome, Width, dispatch};
use crate::hypervisor::{CreateDomain, Hypervisor};
use crate::ids::{CpuId, Domid, Gfn, Gpa, GuestAddr, Mfn, PAGE_SIZE, VcpuId};
use crate::memory::allocator::FrameAllocator;
use crate::memory::frame::{FrameInfo, FrameTable};
use crate::memory::remains::Remains;
use crate::p2m::{P2mEntry, PageType};
use crate::sched::PoolId;
use crate::sched::Schedulable;
use crate::vcpu::Vcpu;

/// Frames of the fake machine: 8 MiB.
const FRAMES: usize = 2048;
/// First frame that the allocator hands out.
const FIRST_FREE: u64 = 16;
/// CPUs of the fake machine.
pub const CPUS: u32 = 2;
/// Pages of RAM of [`Fake::domain`] domains, from guest frame 0 on.
pub const RAM_PAGES: u64 = 32;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked while holding the lock has already failed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Machine-specific code that only remembers what it was asked.
#[derive(Default)]
pub struct FakeArch {
    flushes: AtomicU32,
    on_flush: Mutex<Option<Box<dyn Fn() + Send>>>,
    restarts: Mutex<Vec<Restart>>,
    debug_keys: Mutex<Vec<u8>>,
    screen: Mutex<Option<Dom0VgaConsoleInfo>>,
}

impl FakeArch {
    /// How often some domain's translation caches were flushed.
    #[must_use]
    pub fn flushes(&self) -> u32 {
        self.flushes.load(SeqCst)
    }

    /// Has something done whenever a domain's translation caches are flushed: what a CPU still did before it left the guest.
    pub fn on_flush(&self, act: impl Fn() + Send + 'static) {
        *lock(&self.on_flush) = Some(Box::new(act));
    }

    /// What was asked of the machine, oldest first.
    #[must_use]
    pub fn restarts(&self) -> Vec<Restart> {
        lock(&self.restarts).clone()
    }

    /// Chooses what [`Arch::dom0_screen`] says.
    pub fn set_screen(&self, screen: Dom0VgaConsoleInfo) {
        *lock(&self.screen) = Some(screen);
    }

    /// Debug keys pressed, oldest first.
    #[must_use]
    pub fn debug_keys(&self) -> Vec<u8> {
        lock(&self.debug_keys).clone()
    }
}

impl Arch for FakeArch {
    fn create_domain(&self, new: NewDomain) -> Result<Box<dyn DomainArch>, Errno> {
        Ok(Box::new(FakeDomainArch {
            new,
            policy: Mutex::default(),
            context: Mutex::default(),
            tsc: Mutex::default(),
            ports: Mutex::default(),
            pci_news: Mutex::default(),
        }))
    }

    fn create_vcpu(&self, _domain: &Arc<Domain>, _id: VcpuId) -> Result<Box<dyn VcpuArch>, Errno> {
        Ok(Box::new(FakeVcpuArch {
            timer_ns: AtomicU64::new(u64::MAX),
            ..FakeVcpuArch::default()
        }))
    }

    fn flush_domain(&self, _domain: &Domain) {
        self.flushes.fetch_add(1, SeqCst);
        if let Some(act) = &*lock(&self.on_flush) {
            act();
        }
    }

    fn system_policy(&self, _index: u32) -> Result<SerialisedPolicy, Errno> {
        Ok(SerialisedPolicy::default())
    }

    fn featureset(&self, index: u32) -> Result<Vec<u32>, Errno> {
        Ok(vec![index; 4])
    }

    fn machine_restart(&self, reason: Restart) {
        lock(&self.restarts).push(reason);
    }

    fn known_keys(&self) -> &'static [(u8, &'static str)] {
        &[(b'd', "registers")]
    }

    fn debug_key(&self, key: u8) -> bool {
        lock(&self.debug_keys).push(key);
        key.is_ascii_alphabetic()
    }

    /// CPU 0 is known, the others are not.
    fn cpu_identity(&self, cpu: CpuId) -> Option<CpuIdentity> {
        (cpu == CpuId(0)).then_some(CpuIdentity {
            apic_id: 4,
            acpi_id: 7,
            vendor: *b"AuthenticAMD",
            family: 0x19,
            model: 0x61,
            stepping: 2,
            signature: 0xa6_0f12,
            microcode_platform: 0,
            microcode_revision: 0xa60_1206,
        })
    }

    fn dom0_screen(&self) -> Option<Dom0VgaConsoleInfo> {
        *lock(&self.screen)
    }
}

/// A domain's machine-specific half that stores what it is given.
pub struct FakeDomainArch {
    /// What it was created with.
    pub new: NewDomain,
    policy: Mutex<SerialisedPolicy>,
    context: Mutex<Vec<u8>>,
    tsc: Mutex<(u32, u64, u32, u32)>,
    ports: Mutex<Vec<(u32, u32, bool)>>,
    pci_news: Mutex<Vec<(PciNews, u8)>>,
}

impl FakeDomainArch {
    /// Calls of [`DomainArch::permit_ports`], oldest first.
    #[must_use]
    pub fn permitted_ports(&self) -> Vec<(u32, u32, bool)> {
        lock(&self.ports).clone()
    }

    /// Calls of [`DomainArch::pci_news`] with the function's number on its bus, oldest first.
    #[must_use]
    pub fn pci_news(&self) -> Vec<(PciNews, u8)> {
        lock(&self.pci_news).clone()
    }
}

impl DomainArch for FakeDomainArch {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn policy(&self) -> SerialisedPolicy {
        lock(&self.policy).clone()
    }

    fn set_policy(
        &self,
        _domain: &Domain,
        policy: &SerialisedPolicy,
    ) -> Result<(), (Errno, u32, u32, u32)> {
        *lock(&self.policy) = policy.clone();
        Ok(())
    }

    fn context_size(&self, _domain: &Domain) -> usize {
        lock(&self.context).len()
    }

    fn save_context(&self, _domain: &Domain) -> Result<Vec<u8>, Errno> {
        Ok(lock(&self.context).clone())
    }

    fn save_record(
        &self,
        _domain: &Domain,
        typecode: u16,
        _instance: u16,
    ) -> Result<Vec<u8>, Errno> {
        if typecode == 0 {
            return Err(Errno::EINVAL);
        }
        Ok(lock(&self.context).clone())
    }

    fn load_context(&self, _domain: &Domain, bytes: &[u8]) -> Result<(), Errno> {
        *lock(&self.context) = bytes.to_vec();
        Ok(())
    }

    fn tsc_info(&self) -> (u32, u64, u32, u32) {
        *lock(&self.tsc)
    }

    fn set_tsc_info(
        &self,
        _domain: &Domain,
        mode: u32,
        elapsed_ns: u64,
        khz: u32,
        incarnation: u32,
    ) -> Result<(), Errno> {
        *lock(&self.tsc) = (mode, elapsed_ns, khz, incarnation);
        Ok(())
    }

    /// All but those of PCI configuration.
    fn may_use_ports(&self, first: u32, count: u32) -> bool {
        first.saturating_add(count) <= 0xcf8 || first >= 0xd00
    }

    fn permit_ports(&self, first: u32, count: u32, allow: bool) -> Result<(), Errno> {
        lock(&self.ports).push((first, count, allow));
        Ok(())
    }

    fn pci_device_exists(&self, segment: u16, bus: u8, devfn: u8) -> bool {
        (segment, bus, devfn) == (0, 0, 8)
    }

    fn pci_news(
        &self,
        _domain: &Domain,
        news: PciNews,
        device: PhysdevPciDevice,
    ) -> Result<(), Errno> {
        lock(&self.pci_news).push((news, device.devfn));
        Ok(())
    }

    fn dump(&self, _domain: &Domain) {}
}

/// A vCPU's machine-specific half that only remembers.
#[derive(Default)]
pub struct FakeVcpuArch {
    posted: Mutex<Vec<u8>>,
    nmis: AtomicU32,
    resets: AtomicU32,
    deliverable: AtomicBool,
    timer_ns: AtomicU64,
    context: Mutex<Option<Vec<u8>>>,
}

impl FakeVcpuArch {
    /// Vectors posted since the last call, oldest first.
    #[must_use]
    pub fn take_posted(&self) -> Vec<u8> {
        core::mem::take(&mut *lock(&self.posted))
    }

    /// NMIs posted so far.
    #[must_use]
    pub fn nmis(&self) -> u32 {
        self.nmis.load(SeqCst)
    }

    /// How often it was reset.
    #[must_use]
    pub fn resets(&self) -> u32 {
        self.resets.load(SeqCst)
    }

    /// Chooses what [`VcpuArch::has_deliverable_interrupt`] says.
    pub fn set_deliverable(&self, deliverable: bool) {
        self.deliverable.store(deliverable, SeqCst);
    }

    /// Chooses what [`VcpuArch::timer_deadline_ns`] says.
    pub fn set_timer_ns(&self, deadline_ns: u64) {
        self.timer_ns.store(deadline_ns, SeqCst);
    }

    /// What it was initialised with.
    #[must_use]
    pub fn context(&self) -> Option<Vec<u8>> {
        lock(&self.context).clone()
    }
}

impl VcpuArch for FakeVcpuArch {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn post_interrupt(&self, vector: u8) {
        lock(&self.posted).push(vector);
    }

    fn post_nmi(&self) {
        self.nmis.fetch_add(1, SeqCst);
    }

    fn has_deliverable_interrupt(&self) -> bool {
        self.deliverable.load(SeqCst)
    }

    fn timer_deadline_ns(&self) -> u64 {
        self.timer_ns.load(SeqCst)
    }

    fn timer_expired(&self, _now_ns: u64) {
        self.timer_ns.store(u64::MAX, SeqCst);
    }

    fn initialise(&self, context: &[u8]) -> Result<(), Errno> {
        *lock(&self.context) = Some(context.to_vec());
        Ok(())
    }

    fn is_initialised(&self) -> bool {
        lock(&self.context).is_some()
    }

    fn reset(&self) {
        self.resets.fetch_add(1, SeqCst);
        *lock(&self.context) = None;
    }

    fn leave_cpu(&self) {}

    fn dump(&self) {}
}

/// The address space of a guest whose linear addresses are its guest-physical ones.
pub struct IdentityMemory<'a> {
    /// The hypervisor.
    pub hv: &'a Hypervisor,
    /// The guest.
    pub domain: &'a Arc<Domain>,
}

impl LinearMemory for IdentityMemory<'_> {
    fn read(&mut self, at: GuestAddr, into: &mut [u8]) -> Result<(), Errno> {
        self.hv.read_guest(self.domain, Gpa(at.0), into)
    }

    fn write(&mut self, at: GuestAddr, from: &[u8]) -> Result<(), Errno> {
        self.hv.write_guest(self.domain, Gpa(at.0), from)
    }

    /// Where something is mapped.
    fn translate(&mut self, at: GuestAddr) -> Option<Gpa> {
        let gpa = Gpa(at.0);
        self.domain.p2m.read().lookup(gpa.gfn()).map(|_| gpa)
    }
}

/// A hypervisor on a fake machine.
#[derive(Copy, Clone)]
pub struct Fake {
    /// The hypervisor.
    pub hv: &'static Hypervisor,
    /// Its RAM.
    pub memory: &'static FakeMemory,
    /// Its CPUs and clocks.
    pub machine: &'static FakeMachine,
    /// Its machine-specific code.
    pub arch: &'static FakeArch,
}

/// A hypervisor on a fake machine with the caller's machine-specific code, [`CPUS`] CPUs, 8 MiB of memory, and no domains.
#[must_use]
pub fn hypervisor_over(
    arch: &'static dyn Arch,
    command_line: &str,
) -> (
    &'static Hypervisor,
    &'static FakeMemory,
    &'static FakeMachine,
) {
    let memory: &FakeMemory = Box::leak(Box::new(FakeMemory::new(FRAMES)));
    let machine: &FakeMachine = Box::leak(Box::new(FakeMachine::new()));
    let frames: Vec<_> = (0..FRAMES).map(|_| FrameInfo::absent()).collect();
    let table = FrameTable::new(Box::leak(frames.into_boxed_slice()));
    let mut allocator = FrameAllocator::new(table);
    allocator.free_range(Mfn(FIRST_FREE), Mfn(FRAMES as u64), Remains::SECRETS);
    let host = HostInfo {
        build: Build {
            changeset: "c0ffee",
            compiler: "a compiler",
            id: &[1, 2, 3],
            ..Build::default()
        },
        total_pages: FRAMES as u64,
        max_mfn: FRAMES as u64 - 1,
        cpu_khz: 1_000_000,
        cpus: CPUS,
        threads_per_core: 1,
        cores_per_socket: CPUS,
        topology: (0..CPUS).map(|cpu| (cpu, 0)).collect(),
        command_line: String::from(command_line),
        boot_utc_ns: 1_700_000_000_000_000_000,
        ..HostInfo::default()
    };
    let options = Options::parse(command_line);
    let hv = Hypervisor::new(memory, machine, arch, host, options, table, allocator);
    (Box::leak(Box::new(hv)), memory, machine)
}

/// A hypervisor with two CPUs, some free memory, and no domains.
#[must_use]
pub fn fake_hypervisor() -> &'static Hypervisor {
    Fake::new().hv
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Fake {
    /// A hypervisor with [`CPUS`] CPUs, 8 MiB of memory, and no domains.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options("")
    }

    /// The same, with a command line.
    #[must_use]
    pub fn with_options(command_line: &str) -> Self {
        let arch: &FakeArch = Box::leak(Box::default());
        let (hv, memory, machine) = hypervisor_over(arch, command_line);
        Self {
            hv,
            memory,
            machine,
            arch,
        }
    }

    /// The configuration that [`Self::domain`] uses.
    #[must_use]
    pub fn config(vcpus: u32) -> DomainConfig {
        DomainConfig {
            max_vcpus: vcpus,
            max_evtchn_port: 1023,
            max_grant_frames: 4,
            max_maptrack_frames: 8,
            max_grant_version: 1,
            ..DomainConfig::default()
        }
    }

    /// Dom0 with [`RAM_PAGES`] pages, its vCPUs up and initialised, not paused.
    ///
    /// # Panics
    /// If there is one.
    #[must_use]
    pub fn dom0(&self, vcpus: u32) -> Arc<Domain> {
        self.create(Some(Domid::DOM0), true, vcpus)
    }

    /// A guest of the same kind with the next free number.
    ///
    /// # Panics
    /// When memory is used up.
    #[must_use]
    pub fn domain(&self, vcpus: u32) -> Arc<Domain> {
        self.create(None, false, vcpus)
    }

    fn create(&self, id: Option<Domid>, privileged: bool, vcpus: u32) -> Arc<Domain> {
        let new = CreateDomain {
            id,
            handle: [0xab; 16],
            config: Self::config(vcpus),
            pool: PoolId(0),
            privileged,
        };
        let domain = self.hv.create_domain(new).expect("memory is left");
        self.hv.create_vcpus(&domain).expect("memory is left");
        (0..RAM_PAGES).for_each(|gfn| self.add_page(&domain, Gfn(gfn)));
        for vcpu in domain.vcpus() {
            vcpu.arch.initialise(&[]).expect("the fake takes anything");
        }
        domain.tool_pauses.store(0, SeqCst);
        self.hv.unpause_domain(&domain);
        domain
            .vcpus()
            .iter()
            .for_each(|vcpu| self.hv.bring_up(vcpu));
        self.machine.take_kicks();
        domain
    }

    /// Gives a domain one more page of zeroed RAM at `gfn`.
    ///
    /// # Panics
    /// When memory is used up.
    pub fn add_page(&self, domain: &Domain, gfn: Gfn) {
        let mfn = self
            .hv
            .allocate_domain_pages(domain, 0)
            .expect("memory is left");
        let kind = PageType::Ram;
        self.hv
            .map_page(domain, gfn, P2mEntry { mfn, kind })
            .expect("memory is left");
    }

    /// Makes `count` extents of RAM on demand from `gfn` on.
    ///
    /// # Panics
    /// If the map does not take them.
    pub fn promise(&self, domain: &Domain, gfn: u64, order: u32, count: u64) {
        let tables = &mut self.hv.tables(domain);
        for extent in 0..count {
            let at = Gfn(gfn + (extent << order));
            let set = domain.p2m.write().set_on_demand(tables, at, order);
            assert_eq!(set, Ok(true));
        }
    }

    /// The frame behind a guest page.
    ///
    /// # Panics
    /// If nothing is mapped there.
    #[must_use]
    pub fn mfn(&self, domain: &Domain, gfn: Gfn) -> Mfn {
        self.hv.lookup(domain, gfn).expect("the page is mapped").mfn
    }

    /// The fake half of a vCPU.
    ///
    /// # Panics
    /// If the vCPU does not exist.
    #[must_use]
    pub fn vcpu_arch<'a>(&self, domain: &'a Domain, vcpu: u32) -> &'a FakeVcpuArch {
        let vcpu = domain.vcpu(VcpuId(vcpu)).expect("the vCPU exists");
        let arch = vcpu.arch.as_any().downcast_ref();
        arch.expect("every vCPU of a fake machine is fake")
    }

    /// Lets CPUs choose until one runs the vCPU; that CPU is "this CPU" from now on.
    ///
    /// # Panics
    /// If none takes it.
    pub fn run(&self, domain: &Domain, vcpu: u32) -> CpuId {
        let wanted = domain.vcpu(VcpuId(vcpu)).expect("the vCPU exists");
        for _ in 0..64 {
            if let Some(cpu) = wanted.unit().running_on() {
                self.machine.set_this_cpu(cpu);
                return cpu;
            }
            for cpu in (0..CPUS).map(CpuId) {
                self.machine.advance_ns(20_000_000);
                self.machine.set_this_cpu(cpu);
                let now_ns = self.hv.now_ns();
                let before = self.running(cpu);
                let _ = self.hv.scheduler.schedule(cpu, now_ns, before);
            }
        }
        panic!("no CPU runs the vCPU");
    }

    /// The vCPU that `cpu` runs.
    #[must_use]
    pub fn running(&self, cpu: CpuId) -> Option<Arc<Vcpu>> {
        let domains = self.hv.domains_from(Domid(0), usize::MAX);
        let mut vcpus = domains.iter().flat_map(|domain| domain.vcpus());
        vcpus
            .find(|vcpu| vcpu.unit().running_on() == Some(cpu))
            .cloned()
    }

    /// Writes a value into guest memory at a guest-physical, and so linear, address.
    ///
    /// # Panics
    /// If nothing is mapped there.
    pub fn put<T: IntoBytes + Immutable + ?Sized>(&self, domain: &Domain, at: u64, value: &T) {
        self.hv
            .write_guest(domain, Gpa(at), value.as_bytes())
            .expect("memory is mapped there");
    }

    /// Reads a value from guest memory.
    ///
    /// # Panics
    /// If nothing is mapped there.
    #[must_use]
    pub fn get<T: FromBytes + IntoBytes>(&self, domain: &Domain, at: u64) -> T {
        let mut value = T::new_zeroed();
        self.hv
            .read_guest(domain, Gpa(at), value.as_mut_bytes())
            .expect("memory is mapped there");
        value
    }

    /// Runs `body` with a call of `width` by vCPU `vcpu`.
    ///
    /// # Panics
    /// If the vCPU does not exist.
    pub fn with_call<R>(
        &self,
        domain: &Arc<Domain>,
        vcpu: u32,
        width: Width,
        args: &[u64],
        body: impl FnOnce(&mut Call<'_>) -> R,
    ) -> R {
        let mut all = [0; 5];
        all[..args.len()].copy_from_slice(args);
        body(&mut Call {
            hv: self.hv,
            domain,
            vcpu: domain.vcpu(VcpuId(vcpu)).expect("the vCPU exists"),
            width,
            args: all,
            guest: &mut IdentityMemory {
                hv: self.hv,
                domain,
            },
        })
    }

    /// A hypercall by vCPU 0 of a 64-bit guest, through the table.
    ///
    /// # Errors
    /// The handler's.
    pub fn call(&self, domain: &Arc<Domain>, number: u32, args: &[u64]) -> Result<Outcome, Errno> {
        self.call_by(domain, 0, Width::Bits64, number, args)
    }

    /// A hypercall by any vCPU, through the table.
    ///
    /// # Errors
    /// The handler's.
    pub fn call_by(
        &self,
        domain: &Arc<Domain>,
        vcpu: u32,
        width: Width,
        number: u32,
        args: &[u64],
    ) -> Result<Outcome, Errno> {
        self.with_call(domain, vcpu, width, args, |call| dispatch(call, number))
    }

    /// A hypercall by vCPU 0 of a 64-bit guest, restarted as often as it asks for it.
    ///
    /// # Errors
    /// The handler's.
    pub fn call_to_end(
        &self,
        domain: &Arc<Domain>,
        number: u32,
        args: &[u64],
    ) -> Result<Outcome, Errno> {
        let mut args = args.to_vec();
        loop {
            match self.call(domain, number, &args)? {
                Outcome::Continue(next) => args = next.to_vec(),
                outcome => return Ok(outcome),
            }
        }
    }
}

/// Bytes of a guest page, for tests that compare.
pub const GUEST_PAGE: u64 = PAGE_SIZE as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fake_domains_have_memory_and_vcpus_that_run() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let guest = fake.domain(2);
        assert_eq!((dom0.id, guest.id), (Domid(0), Domid(1)));
        fake.put(&guest, 2 * GUEST_PAGE - 4, &[1u8, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            fake.get::<u64>(&guest, 2 * GUEST_PAGE - 4),
            0x0807_0605_0403_0201
        );
        assert_eq!(fake.get::<u64>(&dom0, 2 * GUEST_PAGE - 4), 0);
        fake.run(&guest, 1);
        let cpu = fake.run(&dom0, 0);
        assert_eq!(fake.running(cpu).map(|vcpu| vcpu.domid), Some(Domid(0)));
    }

    #[test]
    fn unknown_hypercall_is_enosys() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        assert_eq!(fake.call(&dom0, 127, &[]), Err(Errno::ENOSYS));
    }
}
