//! `XEN_DOMCTL_get_cpu_policy` and `set_cpu_policy`: the CPUID leaves and MSRs a domain sees.

use xen_abi::domctl::DomctlCpuPolicy;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::framed::Copyback;
use crate::hypercall::{Call, policy};

/// Copies the policy out; for a null buffer only the number of entries at most.
///
/// # Errors
/// `ENOBUFS` if a buffer is too small, `EFAULT`.
pub fn get(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let mut op: DomctlCpuPolicy = frame.payload.get();
    let current = frame.domain.arch.policy();
    op.nr_leaves = policy::store_leaves(call, &current, op.leaves, op.nr_leaves)?;
    op.nr_msrs = policy::store_msrs(call, &current, op.msrs, op.nr_msrs)?;
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

/// Replaces parts of the policy of a domain that has not run yet. What is to blame for a failure goes back to the caller.
///
/// # Errors
/// `EINVAL` for the caller itself, `EEXIST` once the domain has run, `E2BIG`, `EFAULT`, and what the machine-specific half says.
pub fn set(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    let mut op: DomctlCpuPolicy = frame.payload.get();
    if domain.control.lock().creation_finished {
        return Err(Errno::EEXIST);
    }
    let wanted = policy::fetch(call, (op.leaves, op.nr_leaves), (op.msrs, op.nr_msrs))?;
    call.hv.pause_domain(&domain);
    let result = domain.arch.set_policy(&domain, &wanted);
    call.hv.unpause_domain(&domain);
    match result {
        Ok(()) => Ok(Copyback::Nothing),
        Err((errno, leaf, subleaf, msr)) => {
            (op.err_leaf, op.err_subleaf, op.err_msr) = (leaf, subleaf, msr);
            frame.payload.put(&op);
            Ok(Copyback::FrameAndError(errno))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;
    use xen_abi::arch_x86::{CpuidLeaf, MsrEntry};
    use xen_abi::domctl::*;

    fn op(nr_leaves: u32, nr_msrs: u32) -> DomctlCpuPolicy {
        DomctlCpuPolicy {
            nr_leaves,
            nr_msrs,
            leaves: BUFFER,
            msrs: BUFFER + 0x1000,
            ..DomctlCpuPolicy::default()
        }
    }

    #[test]
    fn policy_of_a_new_domain_is_set_and_read_back() {
        let (fake, dom0, _) = machine();
        let id = create(&fake, &dom0).id.0;
        let leaf = CpuidLeaf {
            leaf: 1,
            subleaf: u32::MAX,
            a: 3,
            ..CpuidLeaf::default()
        };
        fake.put(&dom0, BUFFER, &[leaf, leaf]);
        fake.put(
            &dom0,
            BUFFER + 0x1000,
            &MsrEntry {
                idx: 0xce,
                ..MsrEntry::default()
            },
        );
        done(&fake, &dom0, XEN_DOMCTL_SET_CPU_POLICY, id, &op(2, 1));
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_GET_CPU_POLICY, id, &op(1, 1)),
            Errno::ENOBUFS
        );
        let read = done(&fake, &dom0, XEN_DOMCTL_GET_CPU_POLICY, id, &op(9, 9));
        assert_eq!((read.nr_leaves, read.nr_msrs), (2, 1));
        let sizes = done(
            &fake,
            &dom0,
            XEN_DOMCTL_GET_CPU_POLICY,
            id,
            &DomctlCpuPolicy::default(),
        );
        assert_eq!((sizes.nr_leaves, sizes.nr_msrs), (120, 2));
    }

    #[test]
    fn too_many_entries_wild_buffers_and_late_changes_are_refused() {
        let (fake, dom0, _) = machine();
        let id = create(&fake, &dom0).id.0;
        let fail = |op: DomctlCpuPolicy| fails(&fake, &dom0, XEN_DOMCTL_SET_CPU_POLICY, id, &op);
        assert_eq!(
            [
                fail(op(121, 0)),
                fail(op(0, 3)),
                fail(op(u32::MAX, u32::MAX))
            ],
            [Errno::E2BIG; 3]
        );
        assert_eq!(
            fail(DomctlCpuPolicy {
                leaves: u64::MAX,
                ..op(1, 0)
            }),
            Errno::EFAULT
        );
        done(&fake, &dom0, XEN_DOMCTL_UNPAUSEDOMAIN, id, &0u8);
        done(&fake, &dom0, XEN_DOMCTL_PAUSEDOMAIN, id, &0u8);
        assert_eq!(fail(op(0, 0)), Errno::EEXIST);
    }
}
