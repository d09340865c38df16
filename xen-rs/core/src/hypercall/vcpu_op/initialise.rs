//! `VCPUOP_initialise`: give a vCPU that never ran its first state. It stays down.

use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_vcpu::VcpuHvmContext;
use zerocopy::IntoBytes;

use super::subject;
use crate::hypercall::{Call, Outcome};

/// See the module.
///
/// # Errors
/// `ENOENT`, `EFAULT`, `EEXIST` if it has a state already, else what the machine-specific half says of the state.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    let context: VcpuHvmContext = call.fetch(call.pointer(2))?;
    if super::has_state(call, &vcpu) {
        return Err(Errno::EEXIST);
    }
    vcpu.arch.initialise(context.as_bytes())?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::vcpu::DOWN;
    use core::sync::atomic::Ordering::SeqCst;
    use xen_abi::vcpu::VCPUOP_INITIALISE;
    use xen_abi::xen::HYPERVISOR_VCPU_OP;

    #[test]
    fn state_is_given_once_and_the_vcpu_stays_down() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        let args = [VCPUOP_INITIALISE.into(), 1, 0];
        let second = &guest.vcpus()[1];
        assert_eq!(
            fake.call(&guest, HYPERVISOR_VCPU_OP, &args),
            Err(Errno::EEXIST)
        );
        second.arch.reset();
        second.flags.fetch_or(DOWN, SeqCst);
        fake.put(&guest, 0, &[0x5au8; 128]);
        assert_eq!(
            fake.call(&guest, HYPERVISOR_VCPU_OP, &args),
            Ok(Outcome::OK)
        );
        assert_eq!(fake.vcpu_arch(&guest, 1).context().unwrap(), [0x5a; 128]);
        assert!(!second.is_up());
        assert_eq!(
            fake.call(&guest, HYPERVISOR_VCPU_OP, &args),
            Err(Errno::EEXIST)
        );
    }
}
