//! `SCHEDOP_block`: wait for an interrupt or event.

use xen_abi::errno::Errno;

use crate::hypercall::{Call, Outcome};

/// See the module. Returns at once if something is there already.
///
/// # Errors
/// None.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    Ok(if call.hv.block_current(call.domain, call.vcpu) {
        Outcome::Reschedule
    } else {
        Outcome::OK
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::ids::VcpuId;
    use core::sync::atomic::Ordering::SeqCst;
    use xen_abi::xen::HYPERVISOR_SCHED_OP;

    #[test]
    fn vcpu_blocks_only_while_nothing_is_pending() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        guest.callback_vector.store(0xf3, SeqCst);
        let port = guest
            .events
            .lock()
            .bind_ipi(fake.memory, VcpuId(0))
            .unwrap();
        let block = || fake.call(&guest, HYPERVISOR_SCHED_OP, &[1]);
        assert_eq!(block(), Ok(Outcome::Reschedule));
        assert!(guest.vcpus()[0].is_blocked());
        fake.hv.send_event(&guest, port).unwrap();
        assert!(!guest.vcpus()[0].is_blocked());
        assert_eq!(block(), Ok(Outcome::OK));
        assert!(!guest.vcpus()[0].is_blocked());
    }

    #[test]
    fn waiting_interrupt_keeps_the_vcpu_running() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        fake.vcpu_arch(&guest, 0).set_deliverable(true);
        assert_eq!(
            fake.call(&guest, HYPERVISOR_SCHED_OP, &[1]),
            Ok(Outcome::OK)
        );
    }
}
