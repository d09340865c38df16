//! `XENVER_get_features`: the feature bits without which a guest does not find its event delivery.

use xen_abi::errno::Errno;
use xen_abi::features as bit;
use xen_abi::version::FeatureInfo;

use crate::domain::Domain;
use crate::hypercall::{Call, Outcome};

/// What every guest gets. `XENFEAT_hvm_pirqs` is not among them: see [`crate::evtchn`].
const COMMON: u32 = 1 << bit::XENFEAT_WRITABLE_PAGE_TABLES
    | 1 << bit::XENFEAT_AUTO_TRANSLATED_PHYSMAP
    | 1 << bit::XENFEAT_HVM_CALLBACK_VECTOR
    | 1 << bit::XENFEAT_HVM_SAFE_PVCLOCK
    | 1 << bit::XENFEAT_MEMORY_OP_VNODE_SUPPORTED
    | 1 << bit::XENFEAT_NOT_DIRECT_MAPPED
    | 1 << bit::XENFEAT_RUNSTATE_PHYS_AREA
    | 1 << bit::XENFEAT_VCPU_TIME_PHYS_AREA
    | 1 << bit::XENFEAT_DM_MSIX_ALL_WRITES;

fn features(domain: &Domain) -> u32 {
    COMMON | u32::from(domain.hardware) << bit::XENFEAT_DOM0
}

/// See the module.
///
/// # Errors
/// `EFAULT`, `EINVAL` for any submap but the first.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut info: FeatureInfo = call.fetch(at)?;
    if info.submap_idx >= bit::XENFEAT_NR_SUBMAPS {
        return Err(Errno::EINVAL);
    }
    info.submap = features(call.domain);
    call.store(at, &info)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::version::XENVER_GET_FEATURES;
    use xen_abi::xen::HYPERVISOR_XEN_VERSION;

    #[test]
    fn dom0_differs_from_guests_in_one_bit() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        let ask = |domain: &alloc::sync::Arc<Domain>, submap_idx| {
            fake.put(
                domain,
                0,
                &FeatureInfo {
                    submap_idx,
                    submap: 0,
                },
            );
            fake.call(
                domain,
                HYPERVISOR_XEN_VERSION,
                &[XENVER_GET_FEATURES.into(), 0],
            )?;
            Ok(fake.get::<FeatureInfo>(domain, 0).submap)
        };
        assert_eq!(ask(&guest, 0), Ok(0x1d_2305));
        assert_eq!(ask(&dom0, 0), Ok(0x1d_2b05));
        assert_eq!(ask(&dom0, 1), Err(Errno::EINVAL));
    }
}
