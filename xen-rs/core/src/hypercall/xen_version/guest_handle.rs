//! `XENVER_guest_handle`: the caller's UUID.

use xen_abi::errno::Errno;

use crate::hypercall::{Call, Outcome};

/// See the module.
///
/// # Errors
/// `EFAULT`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let handle = *call.domain.handle.lock();
    call.store(call.pointer(1), &handle)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::version::XENVER_GUEST_HANDLE;
    use xen_abi::xen::HYPERVISOR_XEN_VERSION;

    #[test]
    fn guest_reads_its_uuid() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let args = [XENVER_GUEST_HANDLE.into(), 32];
        assert_eq!(
            fake.call(&guest, HYPERVISOR_XEN_VERSION, &args),
            Ok(Outcome::OK)
        );
        assert_eq!(fake.get::<[u8; 16]>(&guest, 32), [0xab; 16]);
    }
}
