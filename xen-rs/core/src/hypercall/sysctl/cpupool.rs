//! `XEN_SYSCTL_cpupool_op`: groups of CPUs with their own scheduler.

use alloc::sync::Arc;

use xen_abi::errno::Errno;
use xen_abi::sysctl::*;

use super::SysctlFrame;
use crate::domain::Domain;
use crate::hypercall::framed::Copyback;
use crate::hypercall::{Call, bitmap};
use crate::ids::{CpuId, Domid};
use crate::sched::{Policy, PoolId};

/// See the module and, for errors, [`crate::sched::Pools`].
///
/// # Errors
/// `ENOSYS` for an unknown command, `EFAULT`, else the pools'.
pub fn run(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlCpupoolOp = frame.payload.get();
    let scheduler = &call.hv.scheduler;
    let pool = PoolId(op.cpupool_id);
    match op.op {
        XEN_SYSCTL_CPUPOOL_OP_CREATE => {
            let policy = Policy::from_sched_id(op.sched_id)?;
            op.cpupool_id = scheduler
                .create_pool(chosen(op.cpupool_id).map(PoolId), policy)?
                .0;
        }
        XEN_SYSCTL_CPUPOOL_OP_DESTROY => scheduler.destroy_pool(pool)?,
        XEN_SYSCTL_CPUPOOL_OP_INFO => describe(call, &mut op)?,
        XEN_SYSCTL_CPUPOOL_OP_ADDCPU => {
            let kick =
                scheduler.add_cpu_to_pool(pool, chosen(op.cpu).map(CpuId), call.hv.now_ns())?;
            call.hv.kick_all(kick);
        }
        XEN_SYSCTL_CPUPOOL_OP_RMCPU => {
            let kick = scheduler.remove_cpu_from_pool(
                pool,
                chosen(op.cpu).map(CpuId),
                call.hv.now_ns(),
            )?;
            call.hv.kick_all(kick);
        }
        XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN => move_domain(call, op.domid, pool)?,
        XEN_SYSCTL_CPUPOOL_OP_FREEINFO => {
            let free = scheduler.with_pools(|pools| pools.free_cpus());
            bitmap::store_cpus(call, &op.cpumap, free)?;
        }
        _ => return Err(Errno::ENOSYS),
    }
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

/// A number, or `None` for "any".
fn chosen(number: u32) -> Option<u32> {
    (number != XEN_SYSCTL_CPUPOOL_PAR_ANY).then_some(number)
}

fn describe(call: &mut Call<'_>, op: &mut SysctlCpupoolOp) -> Result<(), Errno> {
    let info = call
        .hv
        .scheduler
        .with_pools(|pools| pools.info(PoolId(op.cpupool_id)))?;
    bitmap::store_cpus(call, &op.cpumap, info.cpus)?;
    (op.cpupool_id, op.sched_id, op.n_dom) = (info.id.0, info.policy.sched_id(), info.domains);
    Ok(())
}

/// Moves a domain other than the caller's while it stands still.
fn move_domain(call: &Call<'_>, domid: u32, to: PoolId) -> Result<(), Errno> {
    let domain = remote(call, domid)?;
    call.hv.pause_domain(&domain);
    let moved = call
        .hv
        .scheduler
        .move_domain(&domain.share, to, call.hv.now_ns());
    call.hv.unpause_domain(&domain);
    moved.map(|kick| call.hv.kick_all(kick))
}

fn remote(call: &Call<'_>, domid: u32) -> Result<Arc<Domain>, Errno> {
    let id = u16::try_from(domid).map(Domid).map_err(|_| Errno::ESRCH)?;
    if id == Domid::SELF || id == call.domain.id {
        return Err(Errno::EPERM);
    }
    call.hv.domain(id).ok_or(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;
    use xen_abi::xen::CtlBitmap;

    const ANY: u32 = XEN_SYSCTL_CPUPOOL_PAR_ANY;

    fn op(op: u32, cpupool_id: u32) -> SysctlCpupoolOp {
        let cpumap = CtlBitmap {
            bitmap: BUFFER,
            nr_bits: 64,
            ..CtlBitmap::default()
        };
        SysctlCpupoolOp {
            op,
            cpupool_id,
            sched_id: 6,
            cpu: ANY,
            cpumap,
            ..SysctlCpupoolOp::default()
        }
    }

    #[test]
    fn pool_zero_holds_everything_at_first() {
        let (fake, dom0) = machine();
        let info = done(
            &fake,
            &dom0,
            XEN_SYSCTL_CPUPOOL_OP,
            &op(XEN_SYSCTL_CPUPOOL_OP_INFO, 0),
        );
        assert_eq!((info.cpupool_id, info.sched_id, info.n_dom), (0, 6, 1));
        assert_eq!(fake.get::<u64>(&dom0, BUFFER), 3);
        done(
            &fake,
            &dom0,
            XEN_SYSCTL_CPUPOOL_OP,
            &op(XEN_SYSCTL_CPUPOOL_OP_FREEINFO, 0),
        );
        assert_eq!(fake.get::<u64>(&dom0, BUFFER), 0);
        assert_eq!(
            fails(
                &fake,
                &dom0,
                XEN_SYSCTL_CPUPOOL_OP,
                &op(XEN_SYSCTL_CPUPOOL_OP_INFO, 1)
            ),
            Errno::ENOENT
        );
    }

    #[test]
    fn pool_is_made_filled_used_and_removed() {
        let (fake, dom0) = machine();
        let guest = fake.domain(1);
        let go = |what| done(&fake, &dom0, XEN_SYSCTL_CPUPOOL_OP, &what);
        let pool = go(op(XEN_SYSCTL_CPUPOOL_OP_CREATE, ANY)).cpupool_id;
        assert_eq!(pool, 1);
        go(op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0));
        go(op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, pool));
        let with = |domid| SysctlCpupoolOp {
            domid,
            ..op(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, pool)
        };
        go(with(1));
        assert_eq!(
            (guest.share.pool(), guest.pause.is_paused()),
            (PoolId(1), false)
        );
        let fail = |what| fails(&fake, &dom0, XEN_SYSCTL_CPUPOOL_OP, &what);
        assert_eq!(
            [
                fail(with(0)),
                fail(with(0x7ff0)),
                fail(with(0x1_0001)),
                fail(with(9))
            ],
            [Errno::EPERM, Errno::EPERM, Errno::ESRCH, Errno::ESRCH]
        );
        assert_eq!(fail(op(XEN_SYSCTL_CPUPOOL_OP_DESTROY, pool)), Errno::EBUSY);
        go(SysctlCpupoolOp {
            domid: 1,
            ..op(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, 0)
        });
        go(op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, pool));
        go(op(XEN_SYSCTL_CPUPOOL_OP_DESTROY, pool));
        assert_eq!([fail(op(0, 0)), fail(op(8, 0))], [Errno::ENOSYS; 2]);
    }
}
