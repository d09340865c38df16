//! `XENMEM_get_vnumainfo`: domains have no virtual NUMA topology, which `EOPNOTSUPP` says to those who ask.

use xen_abi::errno::Errno;
use xen_abi::memory::VnumaTopologyInfo;

use super::fresh;
use crate::hypercall::{Call, Outcome};

/// The head of the structure, which is all that matters, is the same for both widths, and so is its size.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    fresh(call, Errno::EINVAL)?;
    let topology: VnumaTopologyInfo = call.fetch(call.pointer(1))?;
    if topology.pad != 0 {
        return Err(Errno::EINVAL);
    }
    call.target(topology.domid)?;
    Err(Errno::EOPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use xen_abi::memory::XENMEM_GET_VNUMAINFO;

    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn there_is_no_topology() {
        let bench = Bench::new();
        let own = VnumaTopologyInfo {
            domid: 0x7ff0,
            ..VnumaTopologyInfo::default()
        };
        assert_eq!(
            bench.run(&bench.guest, XENMEM_GET_VNUMAINFO, &own),
            Err(Errno::EOPNOTSUPP)
        );
        let padded = VnumaTopologyInfo { pad: 1, ..own };
        assert_eq!(
            bench.run(&bench.guest, XENMEM_GET_VNUMAINFO, &padded),
            Err(Errno::EINVAL)
        );
    }
}
