//! `XENVER_version`, `XENVER_pagesize` and `XENVER_platform_parameters`: numbers.

use xen_abi::compat;
use xen_abi::errno::Errno;
use xen_abi::version::{PlatformParameters, XEN_VERSION_4_20};

use crate::hypercall::{Call, Outcome, Width};
use crate::ids::PAGE_SIZE;

/// Major in the upper, minor in the lower 16 bits. Guests also use it as a call that does nothing.
///
/// # Errors
/// None.
pub fn version(_call: &mut Call<'_>) -> Result<Outcome, Errno> {
    Ok(Outcome::Done(i64::from(XEN_VERSION_4_20)))
}

/// Bytes in a page.
///
/// # Errors
/// `EINVAL` for an argument that is not null.
pub fn page_size(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    if call.pointer(1).0 != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Outcome::Done(PAGE_SIZE as i64))
}

/// Where the hypervisor's hole in a paravirtualised guest's address space begins: 0, as the callers have none.
///
/// # Errors
/// `EFAULT`.
pub fn platform_parameters(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    match call.width {
        Width::Bits64 => call.store(at, &PlatformParameters { virt_start: 0 })?,
        Width::Bits32 => call.store(at, &compat::version::PlatformParameters { virt_start: 0 })?,
    }
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::version::XENVER_PLATFORM_PARAMETERS;
    use xen_abi::xen::HYPERVISOR_XEN_VERSION;

    #[test]
    fn version_is_the_abis_and_pages_have_4096_bytes() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let ask = |op, arg| fake.call(&guest, HYPERVISOR_XEN_VERSION, &[op, arg]);
        assert_eq!(ask(0, 0), Ok(Outcome::Done(0x0004_0014)));
        assert_eq!(ask(7, 0), Ok(Outcome::Done(4096)));
        assert_eq!(ask(7, 8), Err(Errno::EINVAL));
        assert_eq!(ask(15, 0), Err(Errno::ENOSYS));
    }

    #[test]
    fn platform_parameters_have_the_callers_width() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        for (width, after) in [(Width::Bits32, 0xffff_ffff_0000_0000), (Width::Bits64, 0)] {
            fake.put(&guest, 8, &u64::MAX);
            let args = [XENVER_PLATFORM_PARAMETERS.into(), 8];
            fake.call_by(&guest, 0, width, HYPERVISOR_XEN_VERSION, &args)
                .unwrap();
            assert_eq!(fake.get::<u64>(&guest, 8), after);
        }
    }
}
