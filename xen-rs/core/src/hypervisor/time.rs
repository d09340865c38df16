//! Timers of vCPUs, and the time structures guests read.

use alloc::sync::Arc;

use xen_abi::xen::VIRQ_TIMER;
use zerocopy::IntoBytes;

use super::{Effort, Hypervisor};
use crate::domain::Domain;
use crate::ids::{CpuId, Maddr};
use crate::vcpu::{Vcpu, Watchdog};

/// Offset of `vcpu_time_info` in `vcpu_info`, both widths (xen/include/public/xen.h).
const TIME_OFFSET: u64 = 32;
/// `XEN_PVCLOCK_TSC_STABLE_BIT`.
const TSC_STABLE: u8 = 1;

impl Hypervisor {
    pub(super) fn timer_queues(
        &self,
    ) -> &[crate::lock::Lock<crate::timer::TimerQueue<super::VcpuName>>] {
        &self.timers
    }

    /// Puts the vCPU's earliest deadline into this CPU's queue. To be called after any of its timers changed.
    pub fn rearm_timers(&self, vcpu: &Vcpu) {
        let here = self.machine.this_cpu();
        let mut timers = vcpu.timers.lock();
        if timers.retired {
            return;
        }
        let deadline = timers.earliest_ns().min(vcpu.arch.timer_deadline_ns());
        if let Some(elsewhere) = timers.armed_on.filter(|&cpu| cpu != here) {
            self.queue(elsewhere)
                .lock()
                .cancel(vcpu.timer_slots[elsewhere.0 as usize]);
        }
        let mut queue = self.queue(here).lock();
        let slot = vcpu.timer_slots[here.0 as usize];
        if deadline == u64::MAX {
            timers.armed_on = None;
            queue.cancel(slot);
        } else {
            timers.armed_on = Some(here);
            queue.set(slot, deadline);
        }
    }

    fn queue(&self, cpu: CpuId) -> &crate::lock::Lock<crate::timer::TimerQueue<super::VcpuName>> {
        &self.timers[cpu.0 as usize]
    }

    /// Earliest deadline in this CPU's queue.
    #[must_use]
    pub fn next_timer_ns(&self) -> u64 {
        self.queue(self.machine.this_cpu())
            .lock()
            .next_deadline()
            .unwrap_or(u64::MAX)
    }

    /// Handles everything in this CPU's queue that is due now. Returns the time that this was.
    ///
    /// The clock is read once: each vCPU's turn comes once, however fast its timers are and however long the others take.
    pub fn run_timers(&self) -> u64 {
        let queue = self.queue(self.machine.this_cpu());
        let now_ns = self.now_ns();
        loop {
            let Some(name) = queue.lock().pop_expired(now_ns) else {
                return now_ns;
            };
            if let Some(domain) = self.domain(name.domid)
                && let Some(vcpu) = domain.vcpu(crate::ids::VcpuId(name.vcpu))
            {
                self.vcpu_timers_expired(&domain, vcpu, now_ns);
            }
        }
    }

    fn vcpu_timers_expired(&self, domain: &Arc<Domain>, vcpu: &Arc<Vcpu>, now_ns: u64) {
        let (tick, poll_over, watchdog) = {
            let mut timers = vcpu.timers.lock();
            timers.armed_on = None;
            let singleshot = timers.singleshot_ns <= now_ns;
            if singleshot {
                timers.singleshot_ns = u64::MAX;
            }
            let periodic = timers.periodic_ns <= now_ns;
            if periodic {
                // Missed ticks are not made up for.
                timers.periodic_ns = now_ns.saturating_add(timers.period_ns.max(1));
            }
            let poll_over = timers.poll_ns <= now_ns;
            if poll_over {
                timers.poll_ns = u64::MAX;
            }
            let mut watchdog = false;
            for timer in &mut timers.watchdogs {
                if timer.deadline_ns() <= now_ns {
                    *timer = Watchdog::At(u64::MAX);
                    watchdog = true;
                }
            }
            (singleshot || periodic, poll_over, watchdog)
        };
        if tick {
            self.raise_virq(domain, vcpu.id, VIRQ_TIMER);
        }
        if poll_over {
            self.end_poll(domain, vcpu);
        }
        if watchdog && !domain.is_dying() {
            self.shutdown_domain(domain, xen_abi::sched::SHUTDOWN_WATCHDOG as u8);
        }
        if vcpu.arch.timer_deadline_ns() <= now_ns {
            vcpu.arch.timer_expired(now_ns);
            self.notice(vcpu);
        }
        self.rearm_timers(vcpu);
    }

    /// The contents of the vCPU's `vcpu_time_info` with an even version.
    fn time_info(&self, domain: &Domain, vcpu: &Vcpu) -> xen_abi::xen::VcpuTimeInfo {
        let clock = vcpu.arch.clock(domain, self.machine.clock());
        xen_abi::xen::VcpuTimeInfo {
            version: 2,
            tsc_timestamp: clock.tsc_timestamp,
            system_time: clock.system_time_ns,
            tsc_to_system_mul: clock.tsc_to_system_mul,
            tsc_shift: clock.tsc_shift,
            flags: TSC_STABLE,
            ..Default::default()
        }
    }

    /// Writes the time parameters into the vCPU's `vcpu_info` and time area. They are constant as long as the
    /// vCPU's counter is, so once per place is enough. The vCPU must not read them meanwhile: it is the caller, paused, or not yet running.
    pub fn publish_time(&self, domain: &Domain, vcpu: &Vcpu) {
        let info = self.time_info(domain, vcpu);
        if let Some(at) = vcpu.info() {
            self.memory
                .write(Maddr(at.0 + TIME_OFFSET), info.as_bytes());
        }
        if let Some(area) = vcpu.areas.lock().time {
            self.write_area(domain, &area, 0, info.as_bytes(), Effort::OneSearch);
        }
    }

    /// Writes the wall clock into the domain's `shared_info`, unless the domain is dying: the page goes away then.
    pub fn publish_wallclock(&self, domain: &Domain) {
        // Held to the end: destruction takes it before it frees the page.
        let offset = domain.time_offset_s.lock();
        if domain.is_dying() {
            return;
        }
        let wide = !domain.is_32bit.load(core::sync::atomic::Ordering::SeqCst);
        let base = domain.shared_info.maddr().0;
        let (version_at, high_at) = if wide {
            (base + 3072, base + 3084)
        } else {
            (base + 2304, base + 2332)
        };
        let utc_ns = self.wallclock_ns.load(core::sync::atomic::Ordering::SeqCst);
        let seconds = (utc_ns / 1_000_000_000).wrapping_add_signed(*offset);
        let version = self.memory.load_u32(Maddr(version_at)).wrapping_add(1) | 1;
        self.memory.store_u32(Maddr(version_at), version);
        self.memory.store_u32(Maddr(version_at + 4), seconds as u32);
        self.memory
            .store_u32(Maddr(version_at + 8), (utc_ns % 1_000_000_000) as u32);
        self.memory
            .store_u32(Maddr(high_at), (seconds >> 32) as u32);
        self.memory
            .store_u32(Maddr(version_at), version.wrapping_add(1));
    }

    /// Writes the vCPU's run state into its registered area, unless that is on demand: the next time will do, and what is done whenever a
    /// CPU changes vCPUs must be short.
    pub fn publish_runstate(&self, domain: &Domain, vcpu: &Vcpu) {
        let Some(area) = vcpu.areas.lock().runstate else {
            return;
        };
        let snapshot = self.scheduler.runstate(vcpu, self.now_ns());
        let update = domain.vm_assist.load(core::sync::atomic::Ordering::SeqCst)
            & (1 << xen_abi::xen::VMASST_TYPE_RUNSTATE_UPDATE_FLAG)
            != 0;
        crate::runstate_area::write(self, domain, &area, &snapshot, update);
    }
}

#[cfg(test)]
mod tests {
    use crate::fake_hv::Fake;

    #[test]
    fn timers_that_expire_faster_than_they_are_handled_end_the_round_all_the_same() {
        const MS: u64 = 1_000_000;
        let fake = Fake::new();
        let guest = fake.domain(2);
        for vcpu in guest.vcpus() {
            let mut timers = vcpu.timers.lock();
            (timers.period_ns, timers.periodic_ns) = (MS, MS);
            drop(timers);
            fake.hv.rearm_timers(vcpu);
        }
        fake.machine.set_now_ns(MS);
        fake.machine.move_with_readings(2 * MS, 1000);
        assert_eq!(fake.hv.run_timers(), MS);
        assert!(fake.machine.readings_left() > 900);
        assert_eq!(fake.hv.next_timer_ns(), 2 * MS);
    }
}
