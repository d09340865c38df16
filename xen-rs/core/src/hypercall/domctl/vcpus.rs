//! `XEN_DOMCTL_getvcpuinfo` and `max_vcpus`.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::domctl::{DomctlGetvcpuinfo, DomctlMaxVcpus};
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::sched::Schedulable;
use crate::vcpu::{BLOCKED, POLLING};

/// What a vCPU does.
///
/// # Errors
/// `EINVAL` for a vCPU beyond the domain's number, `ESRCH` for one not created yet.
pub fn info(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let mut info: DomctlGetvcpuinfo = frame.payload.get();
    if info.vcpu >= frame.domain.config.max_vcpus {
        return Err(Errno::EINVAL);
    }
    let vcpu = frame.vcpu(info.vcpu, Errno::ESRCH)?;
    info.online = u8::from(vcpu.is_up());
    info.blocked = u8::from(vcpu.flags.load(SeqCst) & (BLOCKED | POLLING) != 0);
    info.running = u8::from(call.hv.scheduler.is_running_on(&vcpu).is_some());
    info.cpu_time = call.hv.scheduler.cpu_time_ns(&vcpu, call.hv.now_ns());
    info.cpu = vcpu.unit().last_cpu().0;
    frame.payload.put(&info);
    Ok(Copyback::Frame)
}

/// Creates the domain's vCPUs, all down; nothing if it has them.
///
/// # Errors
/// `EINVAL` for the caller itself, a dying domain, and another number than at creation; `ENOMEM`.
pub fn max(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    let asked: DomctlMaxVcpus = frame.payload.get();
    if asked.max != domain.config.max_vcpus || domain.is_dying() {
        return Err(Errno::EINVAL);
    }
    if domain.vcpus().is_empty() {
        call.hv.create_vcpus(&domain)?;
    }
    Ok(Copyback::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;
    use xen_abi::domctl::*;

    #[test]
    fn vcpus_are_created_once_in_the_number_agreed() {
        let (fake, dom0, _) = machine();
        let domain = create(&fake, &dom0);
        let id = domain.id.0;
        for max in [0, 1, 3, u32::MAX] {
            assert_eq!(
                fails(
                    &fake,
                    &dom0,
                    XEN_DOMCTL_MAX_VCPUS,
                    id,
                    &DomctlMaxVcpus { max }
                ),
                Errno::EINVAL
            );
        }
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_MAX_VCPUS,
            id,
            &DomctlMaxVcpus { max: 2 },
        );
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_MAX_VCPUS,
            id,
            &DomctlMaxVcpus { max: 2 },
        );
        assert_eq!(domain.vcpus().len(), 2);
        assert_eq!(
            fails(
                &fake,
                &dom0,
                XEN_DOMCTL_MAX_VCPUS,
                0,
                &DomctlMaxVcpus { max: 2 }
            ),
            Errno::EINVAL
        );
    }

    #[test]
    fn vcpu_states_are_told_apart() {
        let (fake, dom0, guest) = machine();
        let ask = |vcpu| {
            done(
                &fake,
                &dom0,
                XEN_DOMCTL_GETVCPUINFO,
                1,
                &DomctlGetvcpuinfo {
                    vcpu,
                    ..DomctlGetvcpuinfo::default()
                },
            )
        };
        assert_eq!((ask(0).online, ask(0).blocked), (1, 0));
        guest.vcpus()[1].flags.store(BLOCKED, SeqCst);
        assert_eq!((ask(1).online, ask(1).blocked, ask(1).running), (1, 1, 0));
        fake.run(&guest, 0);
        assert_eq!(ask(0).running, 1);
        let missing = DomctlGetvcpuinfo {
            vcpu: 2,
            ..DomctlGetvcpuinfo::default()
        };
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_GETVCPUINFO, 1, &missing),
            Errno::EINVAL
        );
        let early = create(&fake, &dom0).id.0;
        assert_eq!(
            fails(
                &fake,
                &dom0,
                XEN_DOMCTL_GETVCPUINFO,
                early,
                &DomctlGetvcpuinfo::default()
            ),
            Errno::ESRCH
        );
    }
}
