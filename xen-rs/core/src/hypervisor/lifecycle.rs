//! Creating domains and vCPUs, shutdown, and the end of a domain's record.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::xen::VIRQ_DOM_EXC;

use super::{Hypervisor, VcpuName};
use crate::cmdline::Reboot;
use crate::console::print;
use crate::domain::{Domain, DomainConfig, DomainParts, Life, NO_SHUTDOWN_CODE};
use crate::evtchn::EventChannels;
use crate::grant::GrantTable;
use crate::hal::{NewDomain, Restart};
use crate::ids::{Domid, Maddr, VcpuId};
use crate::info;
use crate::p2m::P2m;
use crate::sched::{DomainShare, PoolId};
use crate::vcpu::Vcpu;

/// vCPUs whose `vcpu_info` lies in `shared_info` (`XEN_LEGACY_MAX_VCPUS`).
const LEGACY_VCPUS: u32 = 32;
/// Bytes of one `vcpu_info` there.
const VCPU_INFO_SIZE: u64 = 64;

/// A domain to be created.
#[derive(Copy, Clone, Debug)]
pub struct CreateDomain {
    /// Number, or `None` for the next free one.
    pub id: Option<Domid>,
    /// UUID.
    pub handle: [u8; 16],
    /// Configuration, checked.
    pub config: DomainConfig,
    /// Cpupool.
    pub pool: PoolId,
    /// Gets dom0's rights.
    pub privileged: bool,
}

impl Hypervisor {
    /// Creates a domain without vCPUs and memory, paused.
    ///
    /// # Errors
    /// `EEXIST` for a number in use, `ENOMEM`, or what the machine-specific half says.
    pub fn create_domain(&self, new: CreateDomain) -> Result<Arc<Domain>, Errno> {
        let mut next = self.next_domid.lock();
        let id = match new.id {
            Some(id) if self.domain(id).is_some() => return Err(Errno::EEXIST),
            Some(id) => id,
            None => self.free_domid(*next)?,
        };
        let domain = self.build_domain(id, &new)?;
        if new.id.is_none() {
            *next = id.0 + 1;
        }
        self.domains.write().insert(id, Arc::clone(&domain));
        Ok(domain)
    }

    /// Numbers are used in turn, so that a tool that holds on to an old one does not hit a new domain.
    fn free_domid(&self, start: u16) -> Result<Domid, Errno> {
        let limit = Domid::FIRST_RESERVED.0;
        (start..limit)
            .chain(1..start)
            .map(Domid)
            .find(|&id| self.domain(id).is_none())
            .ok_or(Errno::ENOMEM)
    }

    fn build_domain(&self, id: Domid, new: &CreateDomain) -> Result<Arc<Domain>, Errno> {
        let arch = self.arch.create_domain(NewDomain {
            id,
            max_vcpus: new.config.max_vcpus,
            emulation_flags: new.config.emulation_flags,
            misc_flags: new.config.misc_flags,
            hardware_domain: new.privileged,
        })?;
        let mut events = EventChannels::new(id, new.config.max_vcpus, new.config.max_evtchn_port)?;
        let grants = GrantTable::new(&new.config)?;
        let share = Arc::new(DomainShare::new(id));
        let root = self.allocate_xen_page().ok_or(Errno::ENOMEM)?;
        let Some(shared_info) = self.allocate_xen_page() else {
            self.free_xen_page(root);
            return Err(Errno::ENOMEM);
        };
        if let Err(errno) = self.scheduler.add_domain(&share, new.pool) {
            self.free_xen_page(root);
            self.free_xen_page(shared_info);
            return Err(errno);
        }
        events.set_shared_info(shared_info.maddr());
        let p2m = P2m::new(root, self.memory);
        let handle = new.handle;
        let remains = self.frames.lock().new_domain();
        let domain = Arc::new(Domain::new(DomainParts {
            id,
            config: new.config,
            privileged: new.privileged,
            handle,
            share,
            p2m,
            events,
            grants,
            shared_info,
            remains,
            arch,
        }));
        self.publish_wallclock(&domain);
        Ok(domain)
    }

    /// Gives a domain its vCPUs, all down.
    ///
    /// # Errors
    /// `EINVAL` if it has them already, `ENOMEM`.
    pub fn create_vcpus(&self, domain: &Arc<Domain>) -> Result<(), Errno> {
        if !domain.vcpus().is_empty() {
            return Err(Errno::EINVAL);
        }
        let mut vcpus: Vec<Arc<Vcpu>> = Vec::new();
        for id in (0..domain.config.max_vcpus).map(VcpuId) {
            match self.create_vcpu(domain, id) {
                Ok(vcpu) => vcpus.push(vcpu),
                Err(errno) => {
                    vcpus.iter().for_each(|vcpu| self.discard_vcpu(vcpu));
                    return Err(errno);
                }
            }
        }
        domain.set_vcpus(vcpus.into_boxed_slice());
        Ok(())
    }

    fn create_vcpu(&self, domain: &Arc<Domain>, id: VcpuId) -> Result<Arc<Vcpu>, Errno> {
        let arch = self.arch.create_vcpu(domain, id)?;
        let name = VcpuName {
            domid: domain.id,
            vcpu: id.0,
        };
        let slots: Result<Vec<_>, Errno> = self
            .timer_queues()
            .iter()
            .map(|queue| queue.lock().add_slot(name))
            .collect();
        let vcpu = Arc::new(Vcpu::new(
            domain,
            id,
            Arc::clone(&domain.share),
            slots?.into(),
            arch,
            self.now_ns(),
        ));
        if id.0 < LEGACY_VCPUS {
            let info = Maddr(domain.shared_info.maddr().0 + u64::from(id.0) * VCPU_INFO_SIZE);
            vcpu.set_info(Some(info));
            domain.events.lock().set_vcpu_info(id, info);
            self.publish_time(domain, &vcpu);
        }
        self.scheduler
            .insert(&vcpu, self.now_ns())
            .inspect_err(|_| self.discard_vcpu(&vcpu))?;
        Ok(vcpu)
    }

    /// Takes a vCPU, which does not run, out of the scheduler and the timer queues.
    pub fn discard_vcpu(&self, vcpu: &Arc<Vcpu>) {
        loop {
            match self.scheduler.remove(vcpu, self.now_ns()) {
                Err(Errno::EBUSY) => {
                    if let Some(cpu) = self.scheduler.is_running_on(vcpu) {
                        self.machine.kick(cpu);
                    }
                    core::hint::spin_loop();
                }
                Ok(kick) => break self.kick_all(kick),
                Err(_) => break,
            }
        }
        vcpu.timers.lock().retired = true;
        for (queue, slot) in self.timer_queues().iter().zip(&vcpu.timer_slots) {
            queue.lock().remove_slot(*slot);
        }
    }

    /// A domain has shut itself down or was made to: it stops, and dom0 is told. Dom0's own shutdown is the machine's.
    pub fn shutdown_domain(&self, domain: &Arc<Domain>, reason: u8) {
        if domain.is_shut_down.swap(true, SeqCst) {
            return;
        }
        // `SCHEDOP_shutdown_code` may have said more than who calls here knows.
        let reason =
            match domain
                .shutdown_code
                .compare_exchange(NO_SHUTDOWN_CODE, reason, SeqCst, SeqCst)
            {
                Ok(_) => reason,
                Err(recorded) => recorded,
            };
        domain.pause.set_stopped(true);
        for vcpu in domain.vcpus() {
            if let Some(cpu) = self.scheduler.sleep(vcpu, self.now_ns()) {
                self.machine.kick(cpu);
            }
        }
        if domain.hardware {
            return self.dom0_shut_down(reason);
        }
        info!("{} shut down with reason {reason}", domain.id);
        let is_suspend = u32::from(reason) == xen_abi::sched::SHUTDOWN_SUSPEND;
        if !(is_suspend && self.notify_suspend(domain)) {
            self.raise_global_virq(VIRQ_DOM_EXC);
        }
    }

    /// Tells whoever subscribed to the domain's suspension; `false` if nobody did.
    fn notify_suspend(&self, domain: &Arc<Domain>) -> bool {
        let port = domain.suspend_port.load(SeqCst);
        port != 0 && self.send_event(domain, crate::ids::Port(port)).is_ok()
    }

    /// dom0 is gone: so is the machine. `noreboot` keeps it standing after errors only ("noreboot" in xen-command-line.pandoc).
    fn dom0_shut_down(&self, reason: u8) {
        let stays = self.options.noreboot || self.options.reboot == Reboot::Never;
        let (error, next) = if stays {
            ("'noreboot' set - not rebooting.", Restart::Halt)
        } else {
            ("rebooting machine in 5 seconds.", Restart::RebootLater)
        };
        let next = match u32::from(reason) {
            xen_abi::sched::SHUTDOWN_POWEROFF => {
                print(format_args!("Hardware Dom0 halted: halting machine"));
                Restart::PowerOff
            }
            xen_abi::sched::SHUTDOWN_CRASH => {
                print(format_args!("Hardware Dom0 crashed: {error}"));
                next
            }
            xen_abi::sched::SHUTDOWN_REBOOT => {
                print(format_args!("Hardware Dom0 shutdown: rebooting machine"));
                Restart::Reboot
            }
            xen_abi::sched::SHUTDOWN_WATCHDOG => {
                print(format_args!(
                    "Hardware Dom0 shutdown: watchdog rebooting machine"
                ));
                Restart::Reboot
            }
            xen_abi::sched::SHUTDOWN_SOFT_RESET => {
                print(format_args!(
                    "Hardware domain 0 did unsupported soft reset, rebooting."
                ));
                Restart::Reboot
            }
            _ => {
                print(format_args!(
                    "Hardware Dom0 shutdown (unknown reason {reason}): {error}"
                ));
                next
            }
        };
        self.arch.machine_restart(next);
    }

    /// A guest broke its own machine: it shuts down with the crash code, and the log says why: without a rate limit,
    /// since it crashes once.
    pub fn crash_domain(&self, domain: &Arc<Domain>, why: &str) {
        if !domain.is_shut_down.load(SeqCst) {
            crate::console::print(format_args!("{} crashed: {why}", domain.id));
        }
        self.shutdown_domain(domain, xen_abi::sched::SHUTDOWN_CRASH as u8);
    }

    /// The last page of a dead domain is back: it is no longer listed. Its number may be another domain's by the time that a second CPU
    /// finds the same out.
    pub(super) fn forget_domain(&self, domain: &Domain) {
        debug_assert_eq!(domain.life(), Life::Dead);
        let listed = {
            let mut domains = self.domains.write();
            let is_listed = |found: &Arc<Domain>| core::ptr::eq(Arc::as_ptr(found), domain);
            domains
                .get(&domain.id)
                .is_some_and(is_listed)
                .then(|| domains.remove(&domain.id))
        };
        if listed.is_some() {
            info!("{} destroyed", domain.id);
            self.tidying.start_over();
            self.raise_global_virq(VIRQ_DOM_EXC);
        }
    }
}
