//! `SCHEDOP_yield`: let others run first.

use xen_abi::errno::Errno;

use crate::hypercall::{Call, Outcome};

/// See the module.
///
/// # Errors
/// None.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    call.hv.scheduler.yield_now(call.vcpu);
    Ok(Outcome::Reschedule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::xen::HYPERVISOR_SCHED_OP;

    #[test]
    fn yielding_vcpu_stays_runnable() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let cpu = fake.run(&guest, 0);
        assert_eq!(
            fake.call(&guest, HYPERVISOR_SCHED_OP, &[0]),
            Ok(Outcome::Reschedule)
        );
        assert!(fake.hv.scheduler.reschedule_wanted(cpu));
        assert!(crate::sched::Schedulable::runnable(&*guest.vcpus()[0]));
    }
}
