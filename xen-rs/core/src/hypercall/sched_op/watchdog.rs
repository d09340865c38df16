//! `SCHEDOP_watchdog`: two timers of a domain, each of which shuts it down unless it is set again in time.
//!
//! They live among vCPU 0's timers, which run whether that vCPU does or not.

use xen_abi::errno::Errno;
use xen_abi::sched::SchedWatchdog;

use crate::hypercall::{Call, Outcome};
use crate::ids::VcpuId;
use crate::vcpu::Watchdog;

/// Watchdog 0: starts a free one and returns its number, from 1 on. Else sets that one to `timeout` seconds from now, or frees it with 0.
///
/// # Errors
/// `EFAULT`, `EINVAL` for a watchdog that is not in use, `ENOSPC` when both are taken.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: SchedWatchdog = call.fetch(call.pointer(1))?;
    let keeper = call.domain.vcpu(VcpuId(0)).ok_or(Errno::EINVAL)?;
    let deadline_ns = call
        .hv
        .now_ns()
        .saturating_add(u64::from(arg.timeout).saturating_mul(1_000_000_000));
    let result = change(&mut keeper.timers.lock().watchdogs, &arg, deadline_ns)?;
    call.hv.rearm_timers(keeper);
    Ok(Outcome::Done(result))
}

fn change(watchdogs: &mut [Watchdog], arg: &SchedWatchdog, deadline_ns: u64) -> Result<i64, Errno> {
    if arg.id == 0 {
        let free = watchdogs
            .iter()
            .position(|watchdog| *watchdog == Watchdog::Free)
            .ok_or(Errno::ENOSPC)?;
        watchdogs[free] = Watchdog::At(deadline_ns);
        return Ok(free as i64 + 1);
    }
    let chosen = watchdogs
        .get_mut(arg.id as usize - 1)
        .filter(|watchdog| **watchdog != Watchdog::Free);
    *chosen.ok_or(Errno::EINVAL)? = if arg.timeout == 0 {
        Watchdog::Free
    } else {
        Watchdog::At(deadline_ns)
    };
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::fake_hv::Fake;
    use alloc::sync::Arc;
    use core::sync::atomic::Ordering::SeqCst;
    use xen_abi::sched::{SCHEDOP_WATCHDOG, SHUTDOWN_WATCHDOG};
    use xen_abi::xen::HYPERVISOR_SCHED_OP;

    fn watchdog(fake: &Fake, guest: &Arc<Domain>, id: u32, timeout: u32) -> Result<Outcome, Errno> {
        fake.put(guest, 0, &SchedWatchdog { id, timeout });
        fake.call(guest, HYPERVISOR_SCHED_OP, &[SCHEDOP_WATCHDOG.into(), 0])
    }

    #[test]
    fn two_watchdogs_are_handed_out_set_and_freed() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        assert_eq!(watchdog(&fake, &guest, 1, 5), Err(Errno::EINVAL));
        assert_eq!(watchdog(&fake, &guest, 0, 5), Ok(Outcome::Done(1)));
        assert_eq!(watchdog(&fake, &guest, 0, 9), Ok(Outcome::Done(2)));
        assert_eq!(watchdog(&fake, &guest, 0, 9), Err(Errno::ENOSPC));
        assert_eq!(watchdog(&fake, &guest, 3, 9), Err(Errno::EINVAL));
        assert_eq!(watchdog(&fake, &guest, u32::MAX, 9), Err(Errno::EINVAL));
        assert_eq!(fake.hv.next_timer_ns(), 5_000_000_000);
        assert_eq!(watchdog(&fake, &guest, 1, u32::MAX), Ok(Outcome::Done(0)));
        assert_eq!(fake.hv.next_timer_ns(), 9_000_000_000);
        assert_eq!(watchdog(&fake, &guest, 2, 0), Ok(Outcome::Done(0)));
        assert_eq!(watchdog(&fake, &guest, 2, 1), Err(Errno::EINVAL));
    }

    #[test]
    fn watchdog_that_is_not_set_again_shuts_the_domain_down() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        watchdog(&fake, &guest, 0, 3).unwrap();
        fake.machine.set_now_ns(2_000_000_000);
        watchdog(&fake, &guest, 1, 3).unwrap();
        fake.machine.set_now_ns(4_000_000_000);
        fake.hv.run_timers();
        assert!(!guest.is_shut_down.load(SeqCst));
        fake.machine.set_now_ns(5_000_000_000);
        fake.hv.run_timers();
        assert_eq!(guest.shutdown_code.load(SeqCst), SHUTDOWN_WATCHDOG as u8);
        assert_eq!(fake.hv.next_timer_ns(), u64::MAX);
    }
}
