//! `XENMEM_get_sharing_freed_pages` and `XENMEM_get_sharing_shared_pages`: no memory is shared between domains, so both are 0.

use xen_abi::errno::Errno;

use super::fresh;
use crate::hypercall::{Call, Outcome};

/// Result: pages.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    fresh(call, Errno::ENOSYS)?;
    Ok(Outcome::Done(0))
}

#[cfg(test)]
mod tests {
    use xen_abi::memory::{XENMEM_GET_SHARING_FREED_PAGES, XENMEM_GET_SHARING_SHARED_PAGES};

    use super::super::testing::Bench;

    #[test]
    fn nothing_is_shared() {
        let bench = Bench::new();
        for op in [
            XENMEM_GET_SHARING_FREED_PAGES,
            XENMEM_GET_SHARING_SHARED_PAGES,
        ] {
            assert_eq!(bench.run(&bench.dom0, op, &0u64), Ok(0));
        }
    }
}
