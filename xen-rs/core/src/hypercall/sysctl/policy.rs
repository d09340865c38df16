//! `XEN_SYSCTL_get_cpu_policy`, `get_cpu_featureset`, `get_cpu_levelling_caps`: which CPUs guests can be shown.

use xen_abi::errno::Errno;
use xen_abi::sysctl::*;
use zerocopy::IntoBytes;

use super::SysctlFrame;
use crate::hypercall::framed::Copyback;
use crate::hypercall::{Call, policy};
use crate::ids::GuestAddr;

/// Sets and policies there are in Xen's numbering.
const INDICES: u32 = 6;

/// How CPUID can be hidden from PV guests: there are none.
///
/// # Errors
/// None.
pub fn levelling(_call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    frame.payload.put(&SysctlCpuLevellingCaps { caps: 0 });
    Ok(Copyback::Frame)
}

/// Copies a set of feature words out, as many as fit; for a null buffer only their number.
///
/// # Errors
/// `EINVAL` for an unknown set, `ENOBUFS` (after copying) if there are more words, `EFAULT`.
pub fn featureset(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlCpuFeatureset = frame.payload.get();
    if op.features == 0 {
        op.nr_features = call
            .hv
            .arch
            .featureset(XEN_SYSCTL_CPU_FEATURESET_HOST)?
            .len() as u32;
        frame.payload.put(&op);
        return Ok(Copyback::Frame);
    }
    if op.index >= INDICES {
        return Err(Errno::EINVAL);
    }
    let words = call.hv.arch.featureset(op.index)?;
    let fitting = words.len().min(op.nr_features as usize);
    if fitting > 0 {
        call.guest
            .write(GuestAddr(op.features), words[..fitting].as_bytes())?;
    }
    op.nr_features = fitting as u32;
    frame.payload.put(&op);
    if fitting < words.len() {
        Ok(Copyback::FrameAndError(Errno::ENOBUFS))
    } else {
        Ok(Copyback::Frame)
    }
}

/// Copies a policy out; for null buffers only the numbers of entries at most.
///
/// # Errors
/// `EINVAL` for an unknown policy, `EOPNOTSUPP` for PV guests', `ENOBUFS` if a buffer is too small, `EFAULT`.
pub fn get(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlCpuPolicy = frame.payload.get();
    if op._rsvd != 0 || op.index >= INDICES {
        return Err(Errno::EINVAL);
    }
    let wanted = call.hv.arch.system_policy(op.index)?;
    op.nr_leaves = policy::store_leaves(call, &wanted, op.leaves, op.nr_leaves)?;
    op.nr_msrs = policy::store_msrs(call, &wanted, op.msrs, op.nr_msrs)?;
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;

    #[test]
    fn feature_words_fit_or_come_with_enobufs() {
        let (fake, dom0) = machine();
        let op = |index, nr_features, features| SysctlCpuFeatureset {
            index,
            nr_features,
            features,
        };
        assert_eq!(
            done(&fake, &dom0, XEN_SYSCTL_GET_CPU_FEATURESET, &op(99, 0, 0)).nr_features,
            4
        );
        assert_eq!(
            done(
                &fake,
                &dom0,
                XEN_SYSCTL_GET_CPU_FEATURESET,
                &op(3, u32::MAX, BUFFER)
            )
            .nr_features,
            4
        );
        assert_eq!(fake.get::<[u32; 5]>(&dom0, BUFFER), [3, 3, 3, 3, 0]);
        let (result, after) = try_it(
            &fake,
            &dom0,
            XEN_SYSCTL_GET_CPU_FEATURESET,
            &op(1, 3, BUFFER),
        );
        assert_eq!((result, after.nr_features), (Err(Errno::ENOBUFS), 3));
        assert_eq!(
            fails(
                &fake,
                &dom0,
                XEN_SYSCTL_GET_CPU_FEATURESET,
                &op(6, 4, BUFFER)
            ),
            Errno::EINVAL
        );
        assert_eq!(
            fails(
                &fake,
                &dom0,
                XEN_SYSCTL_GET_CPU_FEATURESET,
                &op(1, 4, u64::MAX)
            ),
            Errno::EFAULT
        );
    }

    #[test]
    fn policy_sizes_are_told_and_wrong_indices_refused() {
        let (fake, dom0) = machine();
        let sizes = done(
            &fake,
            &dom0,
            XEN_SYSCTL_GET_CPU_POLICY,
            &SysctlCpuPolicy {
                index: 5,
                ..SysctlCpuPolicy::default()
            },
        );
        assert_eq!((sizes.nr_leaves, sizes.nr_msrs), (120, 2));
        for wrong in [
            SysctlCpuPolicy { index: 6, ..sizes },
            SysctlCpuPolicy { _rsvd: 1, ..sizes },
        ] {
            assert_eq!(
                fails(&fake, &dom0, XEN_SYSCTL_GET_CPU_POLICY, &wrong),
                Errno::EINVAL
            );
        }
        assert_eq!(
            done(&fake, &dom0, XEN_SYSCTL_GET_CPU_LEVELLING_CAPS, &u32::MAX),
            0
        );
    }
}
