//! `HYPERVISOR_set_timer_op`: the caller's one-shot timer, the same that `VCPUOP_set_singleshot_timer` sets.
//!
//! The argument is system time in ns, 0 to stop the timer; 32-bit callers give it in two halves, low first. Times that are negative or more
//! than 2^50 ns away come from guests whose tick arithmetic wrapped: Xen lets the timer fire in 100 ms then, and so does this.

use xen_abi::errno::Errno;

use super::vcpu_op::singleshot_timer::{arm, disarm};
use super::{Call, Needs, Outcome, Row, Width};

/// The hypercall.
pub const ROW: Row = Row {
    op: 0,
    name: "set_timer_op",
    needs: Needs::Nothing,
    run,
};

/// Farthest deadline that is taken as it is.
const FARTHEST_NS: u64 = 1 << 50;
/// Delay instead of one that is farther.
const INSTEAD_NS: u64 = 100_000_000;

/// See the module.
///
/// # Errors
/// None.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let timeout = match call.width {
        Width::Bits64 => call.args[0],
        Width::Bits32 => u64::from(call.arg32(1)) << 32 | u64::from(call.arg32(0)),
    };
    let now_ns = call.hv.now_ns();
    if timeout == 0 {
        disarm(call);
    } else if timeout > i64::MAX as u64 || timeout.saturating_sub(now_ns) >= FARTHEST_NS {
        arm(call, now_ns.saturating_add(INSTEAD_NS));
    } else {
        arm(call, timeout);
    }
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::ids::VcpuId;
    use xen_abi::xen::{HYPERVISOR_SET_TIMER_OP, VIRQ_TIMER};

    #[test]
    fn timer_is_set_stopped_and_fires_at_once_when_late() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let port = guest
            .events
            .lock()
            .bind_virq(fake.memory, VIRQ_TIMER, VcpuId(0))
            .unwrap();
        fake.machine.set_now_ns(1000);
        let set = |at| {
            fake.call(&guest, HYPERVISOR_SET_TIMER_OP, &[at])
                .map(|_| fake.hv.next_timer_ns())
        };
        assert_eq!(set(5000), Ok(5000));
        assert_eq!(set(0), Ok(u64::MAX));
        assert_eq!(set(u64::MAX), Ok(100_001_000));
        assert_eq!(set(FARTHEST_NS + 1000), Ok(100_001_000));
        assert!(!guest.events.lock().is_pending(fake.memory, port));
        assert_eq!(set(1), Ok(u64::MAX));
        assert!(guest.events.lock().is_pending(fake.memory, port));
    }

    #[test]
    fn short_caller_gives_two_halves() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let args = [0xffff_ffff_0000_0005, 0xffff_ffff_0000_0001];
        fake.call_by(&guest, 0, Width::Bits32, HYPERVISOR_SET_TIMER_OP, &args)
            .unwrap();
        assert_eq!(fake.hv.next_timer_ns(), 0x1_0000_0005);
    }
}
