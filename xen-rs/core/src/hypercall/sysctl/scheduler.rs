//! `XEN_SYSCTL_sched_id` and `scheduler_op`: the default scheduler, and what can be set for all of it.

use xen_abi::errno::Errno;
use xen_abi::sysctl::*;

use super::SysctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::sched::{Policy, PoolId};

/// The scheduler of new cpupools unless told otherwise: that of pool 0.
///
/// # Errors
/// None.
pub fn id(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let pool = call
        .hv
        .scheduler
        .with_pools(|pools| pools.exactly(PoolId::ZERO))?;
    frame.payload.put(&SysctlSchedId {
        sched_id: pool.policy.sched_id(),
    });
    Ok(Copyback::Frame)
}

/// Reads or sets credit2's rate limit, which is one for all cpupools; the null scheduler has nothing to set, and that is no error.
///
/// # Errors
/// `EINVAL` for an unknown command, another scheduler than the cpupool's, or a limit out of range; `ESRCH` without such a cpupool.
pub fn run(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlSchedulerOp = frame.payload.get();
    if !matches!(
        op.cmd,
        XEN_SYSCTL_SCHEDOP_PUTINFO | XEN_SYSCTL_SCHEDOP_GETINFO
    ) {
        return Err(Errno::EINVAL);
    }
    let scheduler = &call.hv.scheduler;
    let pool = scheduler
        .with_pools(|pools| pools.exactly(PoolId(op.cpupool_id)))
        .map_err(|_| Errno::ESRCH)?;
    if op.sched_id != pool.policy.sched_id() {
        return Err(Errno::EINVAL);
    }
    if pool.policy == Policy::Credit2 {
        if op.cmd == XEN_SYSCTL_SCHEDOP_PUTINFO {
            scheduler.set_ratelimit_us(op.value0)?;
        }
        op.value0 = scheduler.ratelimit_us();
    }
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;

    #[test]
    fn rate_limit_is_set_and_read() {
        let (fake, dom0) = machine();
        assert_eq!(
            done(&fake, &dom0, XEN_SYSCTL_SCHED_ID, &SysctlSchedId::default()).sched_id,
            6
        );
        let op = |cmd, value0| SysctlSchedulerOp {
            sched_id: 6,
            cmd,
            value0,
            ..SysctlSchedulerOp::default()
        };
        done(
            &fake,
            &dom0,
            XEN_SYSCTL_SCHEDULER_OP,
            &op(XEN_SYSCTL_SCHEDOP_PUTINFO, 500),
        );
        assert_eq!(
            done(
                &fake,
                &dom0,
                XEN_SYSCTL_SCHEDULER_OP,
                &op(XEN_SYSCTL_SCHEDOP_GETINFO, 0)
            )
            .value0,
            500
        );
        for wrong in [
            op(0, 99),
            op(0, 500_001),
            op(2, 0),
            SysctlSchedulerOp {
                sched_id: 5,
                ..op(1, 0)
            },
        ] {
            assert_eq!(
                fails(&fake, &dom0, XEN_SYSCTL_SCHEDULER_OP, &wrong),
                Errno::EINVAL
            );
        }
        let elsewhere = SysctlSchedulerOp {
            cpupool_id: 1,
            ..op(1, 0)
        };
        assert_eq!(
            fails(&fake, &dom0, XEN_SYSCTL_SCHEDULER_OP, &elsewhere),
            Errno::ESRCH
        );
    }
}
