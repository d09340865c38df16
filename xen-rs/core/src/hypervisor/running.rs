//! Pausing, waking and stopping vCPUs and domains.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use super::Hypervisor;
use crate::domain::Domain;
use crate::vcpu::{BLOCKED, DOWN, Vcpu};

impl Hypervisor {
    /// Makes the vCPU stop soon: its pause state already speaks against running.
    fn stop_soon(&self, vcpu: &Arc<Vcpu>) {
        if let Some(cpu) = self.scheduler.sleep(vcpu, self.now_ns()) {
            self.machine.kick(cpu);
        }
    }

    /// Waits until the vCPU is on no CPU. A vCPU on this CPU is the caller itself, which stops when it is done.
    fn wait_until_stopped(&self, vcpu: &Arc<Vcpu>) {
        let here = self.machine.this_cpu();
        while self
            .scheduler
            .is_running_on(vcpu)
            .is_some_and(|cpu| cpu != here)
        {
            core::hint::spin_loop();
        }
    }

    /// Pauses one vCPU and waits until it has stopped.
    pub fn pause_vcpu(&self, vcpu: &Arc<Vcpu>) {
        vcpu.pause();
        self.stop_soon(vcpu);
        self.wait_until_stopped(vcpu);
    }

    /// Undoes [`Self::pause_vcpu`].
    pub fn unpause_vcpu(&self, vcpu: &Arc<Vcpu>) {
        if vcpu.unpause() {
            self.wake_vcpu(vcpu);
        }
    }

    /// Pauses a domain other than the caller's and waits until all its vCPUs have stopped.
    pub fn pause_domain(&self, domain: &Domain) {
        domain.pause.pause();
        self.stop_all(domain);
    }

    /// Makes all vCPUs of a domain whose pause state says so stop, and waits for it.
    pub fn stop_all(&self, domain: &Domain) {
        domain.vcpus().iter().for_each(|vcpu| self.stop_soon(vcpu));
        domain
            .vcpus()
            .iter()
            .for_each(|vcpu| self.wait_until_stopped(vcpu));
    }

    /// Undoes one [`Self::pause_domain`].
    pub fn unpause_domain(&self, domain: &Domain) {
        if domain.pause.unpause() {
            domain.vcpus().iter().for_each(|vcpu| self.wake_vcpu(vcpu));
        }
    }

    /// The running vCPU waits for an event (`SCHEDOP_block`, `HLT`). `true`: the caller gives the CPU up. `false`: something waits for the
    /// vCPU already and it goes on.
    pub fn block_current(&self, domain: &Domain, vcpu: &Arc<Vcpu>) -> bool {
        vcpu.flags.fetch_or(BLOCKED, SeqCst);
        // Looked at after the flag was set: who made something pending before this look did so without seeing the flag.
        if self.has_deliverable_event(domain, vcpu) {
            vcpu.flags.fetch_and(!BLOCKED, SeqCst);
            return false;
        }
        vcpu.flags.load(SeqCst) & BLOCKED != 0
    }

    /// Brings a vCPU online.
    pub fn bring_up(&self, vcpu: &Arc<Vcpu>) {
        if vcpu.flags.fetch_and(!(DOWN | BLOCKED), SeqCst) & DOWN != 0 {
            self.kick_all(self.scheduler.stand_up(vcpu, self.now_ns()));
            self.wake_vcpu(vcpu);
        }
    }

    /// Takes a vCPU offline; if it was the domain's last, the domain powers off, as Xen has it.
    pub fn bring_down(&self, domain: &Arc<Domain>, vcpu: &Arc<Vcpu>) {
        if vcpu.flags.fetch_or(DOWN, SeqCst) & DOWN != 0 {
            return;
        }
        self.stop_soon(vcpu);
        self.kick_all(self.scheduler.stand_down(vcpu, self.now_ns()));
        if !domain.vcpus().iter().any(|other| other.is_up()) {
            self.shutdown_domain(domain, xen_abi::sched::SHUTDOWN_POWEROFF as u8);
        }
    }

    /// Kicks a set of CPUs.
    pub fn kick_all(&self, cpus: crate::sched::CpuMask) {
        cpus.iter().for_each(|cpu| self.machine.kick(cpu));
    }
}
