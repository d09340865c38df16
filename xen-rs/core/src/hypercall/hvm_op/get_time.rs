//! `HVMOP_get_time`: system time.

use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_op::HvmGetTime;

use crate::hypercall::{Call, Outcome};

/// See the module; ns since the machine started.
///
/// # Errors
/// `EFAULT`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let now = call.hv.now_ns();
    call.store(call.pointer(1), &HvmGetTime { now })?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use crate::fake_hv::Fake;
    use xen_abi::hvm::hvm_op::HVMOP_GET_TIME;
    use xen_abi::xen::HYPERVISOR_HVM_OP;

    #[test]
    fn time_is_told_in_nanoseconds() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        fake.machine.set_now_ns(123_456);
        fake.call(&guest, HYPERVISOR_HVM_OP, &[HVMOP_GET_TIME.into(), 8])
            .unwrap();
        assert_eq!(fake.get::<u64>(&guest, 8), 123_456);
    }
}
