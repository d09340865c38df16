//! `XEN_DOMCTL_scheduler_op`: weight and cap of a domain.

use xen_abi::domctl::*;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::sched::Policy;

/// See the module. Under the null scheduler nothing can be set, and that is no error; credit2 has no parameters of single vCPUs.
///
/// # Errors
/// `EINVAL` if the domain's cpupool has another scheduler, for an unknown command, and for a cap beyond all vCPUs.
pub fn run(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let mut op: DomctlSchedulerOp = frame.payload.get();
    let pool = call
        .hv
        .scheduler
        .with_pools(|pools| pools.exactly(frame.domain.share.pool()))
        .map_err(|_| Errno::EINVAL)?;
    let known = [
        XEN_DOMCTL_SCHEDOP_PUTINFO,
        XEN_DOMCTL_SCHEDOP_GETINFO,
        XEN_DOMCTL_SCHEDOP_PUTVCPUINFO,
        XEN_DOMCTL_SCHEDOP_GETVCPUINFO,
    ];
    if op.sched_id != pool.policy.sched_id() || !known.contains(&op.cmd) {
        return Err(Errno::EINVAL);
    }
    let share = &frame.domain.share;
    match (pool.policy, op.cmd) {
        (Policy::Null, _) => {}
        (Policy::Credit2, XEN_DOMCTL_SCHEDOP_PUTINFO) => {
            share.set_params(op.credit.weight, op.credit.cap)?
        }
        (Policy::Credit2, XEN_DOMCTL_SCHEDOP_GETINFO) => {
            op.credit = DomctlSchedCredit {
                weight: clip(share.weight()),
                cap: clip(share.cap()),
            };
        }
        (Policy::Credit2, _) => return Err(Errno::EINVAL),
    }
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

fn clip(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hypercall::domctl::testing::*;

    fn op(cmd: u32, weight: u16, cap: u16) -> DomctlSchedulerOp {
        DomctlSchedulerOp {
            sched_id: 6,
            cmd,
            credit: DomctlSchedCredit { weight, cap },
            ..DomctlSchedulerOp::default()
        }
    }

    #[test]
    fn weight_and_cap_are_set_and_read() {
        let (fake, dom0, _) = machine();
        let read = || {
            done(
                &fake,
                &dom0,
                XEN_DOMCTL_SCHEDULER_OP,
                1,
                &op(XEN_DOMCTL_SCHEDOP_GETINFO, 0, 0),
            )
            .credit
        };
        assert_eq!((read().weight, read().cap), (256, 0));
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_SCHEDULER_OP,
            1,
            &op(XEN_DOMCTL_SCHEDOP_PUTINFO, 512, 150),
        );
        assert_eq!((read().weight, read().cap), (512, 150));
    }

    #[test]
    fn wrong_scheduler_command_or_cap_is_einval() {
        let (fake, dom0, _) = machine();
        let credit = DomctlSchedulerOp {
            sched_id: 5,
            ..op(1, 0, 0)
        };
        for wrong in [credit, op(2, 0, 0), op(3, 0, 0), op(4, 0, 0), op(0, 0, 201)] {
            assert_eq!(
                fails(&fake, &dom0, XEN_DOMCTL_SCHEDULER_OP, 1, &wrong),
                Errno::EINVAL
            );
        }
    }

    #[test]
    fn null_scheduler_has_nothing_to_set() {
        let fake = Fake::with_options("sched=null");
        let dom0 = fake.dom0(1);
        let null = DomctlSchedulerOp {
            sched_id: 9,
            ..op(XEN_DOMCTL_SCHEDOP_PUTINFO, 1, 1)
        };
        done(&fake, &dom0, XEN_DOMCTL_SCHEDULER_OP, 0, &null);
    }
}
