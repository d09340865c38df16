//! `XEN_DOMCTL_setvcpuaffinity` and `getvcpuaffinity`: the CPUs a vCPU must (hard) and should (soft) run on.

use alloc::sync::Arc;

use xen_abi::domctl::*;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::framed::Copyback;
use crate::hypercall::{Call, bitmap};
use crate::sched::{CpuMask, Schedulable};
use crate::vcpu::Vcpu;

fn fetch(frame: &DomctlFrame) -> Result<(DomctlVcpuaffinity, Arc<Vcpu>), Errno> {
    let affinity: DomctlVcpuaffinity = frame.payload.get();
    if affinity.vcpu >= frame.domain.config.max_vcpus {
        return Err(Errno::EINVAL);
    }
    let vcpu = frame.vcpu(affinity.vcpu, Errno::ESRCH)?;
    let lacks_map = |flag, map: u64| affinity.flags & flag != 0 && map == 0;
    if affinity.flags == 0
        || lacks_map(XEN_VCPUAFFINITY_HARD, affinity.cpumap_hard.bitmap)
        || lacks_map(XEN_VCPUAFFINITY_SOFT, affinity.cpumap_soft.bitmap)
    {
        return Err(Errno::EINVAL);
    }
    Ok((affinity, vcpu))
}

/// Reads the affinities asked for.
///
/// # Errors
/// `EINVAL` for a vCPU beyond the domain's number or a missing bitmap, `ESRCH` for one not created yet, `EFAULT`.
pub fn get(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let (affinity, vcpu) = fetch(frame)?;
    let (hard, soft) = vcpu.unit().affinity();
    if affinity.flags & XEN_VCPUAFFINITY_HARD != 0 {
        bitmap::store_cpus(call, &affinity.cpumap_hard, hard)?;
    }
    if affinity.flags & XEN_VCPUAFFINITY_SOFT != 0 {
        bitmap::store_cpus(call, &affinity.cpumap_soft, soft)?;
    }
    Ok(Copyback::Nothing)
}

/// Sets them, both or neither, and reports which CPUs they come to in the domain's cpupool. A preference for CPUs elsewhere is none.
///
/// # Errors
/// As [`get`]; `EINVAL` too if none of the CPUs that the vCPU must run on is in the cpupool.
pub fn set(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let (affinity, vcpu) = fetch(frame)?;
    let (with_hard, with_soft) = (
        affinity.flags & XEN_VCPUAFFINITY_HARD != 0,
        affinity.flags & XEN_VCPUAFFINITY_SOFT != 0,
    );
    let hard = with_hard
        .then(|| bitmap::fetch_cpus(call, &affinity.cpumap_hard))
        .transpose()?;
    let soft = with_soft
        .then(|| bitmap::fetch_cpus(call, &affinity.cpumap_soft))
        .transpose()?;
    let pool = call
        .hv
        .scheduler
        .with_pools(|pools| pools.exactly(frame.domain.share.pool()))
        .map_err(|_| Errno::EINVAL)?
        .cpus;
    if let Some(mask) = hard {
        let kick =
            call.hv
                .scheduler
                .set_hard_affinity(&vcpu, everywhere(call, mask), call.hv.now_ns())?;
        call.hv.kick_all(kick);
        bitmap::store_cpus(call, &affinity.cpumap_hard, mask.and(&pool))?;
    }
    if let Some(mask) = soft {
        if let Some(cpu) = call
            .hv
            .scheduler
            .set_soft_affinity(&vcpu, everywhere(call, mask))
        {
            call.hv.machine.kick(cpu);
        }
        let hard = vcpu.unit().affinity().0;
        bitmap::store_cpus(call, &affinity.cpumap_soft, mask.and(&pool).and(&hard))?;
    }
    Ok(Copyback::Nothing)
}

/// "All CPUs there are" is meant as no affinity at all.
fn everywhere(call: &Call<'_>, mask: CpuMask) -> CpuMask {
    if mask == CpuMask::first(call.hv.host.cpus) {
        CpuMask::ALL
    } else {
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;

    fn both(vcpu: u32) -> DomctlVcpuaffinity {
        DomctlVcpuaffinity {
            vcpu,
            flags: XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT,
            cpumap_hard: bitmap(0, 64),
            cpumap_soft: bitmap(8, 64),
        }
    }

    #[test]
    fn pinning_reports_the_cpus_that_exist() {
        let (fake, dom0, guest) = machine();
        fake.put(&dom0, BUFFER, &[0xff00_0000_0000_0002u64, 0xff]);
        done(&fake, &dom0, XEN_DOMCTL_SETVCPUAFFINITY, 1, &both(1));
        assert_eq!(fake.get::<[u64; 2]>(&dom0, BUFFER), [2, 2]);
        fake.put(&dom0, BUFFER, &[u64::MAX; 2]);
        done(&fake, &dom0, XEN_DOMCTL_GETVCPUAFFINITY, 1, &both(1));
        assert_eq!(fake.get::<[u64; 2]>(&dom0, BUFFER), [2, 3]);
        assert_eq!(
            guest
                .vcpu(crate::ids::VcpuId(1))
                .unwrap()
                .unit()
                .affinity()
                .1,
            CpuMask::ALL
        );
    }

    #[test]
    fn no_cpu_of_the_pool_to_run_on_is_einval_and_changes_neither() {
        let (fake, dom0, _) = machine();
        fake.put(&dom0, BUFFER, &[4u64, 1]);
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_SETVCPUAFFINITY, 1, &both(0)),
            Errno::EINVAL
        );
        done(&fake, &dom0, XEN_DOMCTL_GETVCPUAFFINITY, 1, &both(0));
        assert_eq!(fake.get::<[u64; 2]>(&dom0, BUFFER), [3, 3]);
    }

    #[test]
    fn preference_for_cpus_that_do_not_exist_is_taken_and_reported_as_none() {
        let (fake, dom0, guest) = machine();
        fake.put(&dom0, BUFFER, &[1u64, 4]);
        done(&fake, &dom0, XEN_DOMCTL_SETVCPUAFFINITY, 1, &both(0));
        assert_eq!(fake.get::<[u64; 2]>(&dom0, BUFFER), [1, 0]);
        assert_eq!(
            guest.vcpus()[0].unit().affinity(),
            (CpuMask::only(crate::ids::CpuId(0)), CpuMask::EMPTY)
        );
    }

    #[test]
    fn hostile_arguments_are_errors() {
        let (fake, dom0, _) = machine();
        let fail = |domain, change: fn(&mut DomctlVcpuaffinity)| {
            let mut asked = both(0);
            change(&mut asked);
            [XEN_DOMCTL_SETVCPUAFFINITY, XEN_DOMCTL_GETVCPUAFFINITY]
                .map(|op| fails(&fake, &dom0, op, domain, &asked))
        };
        assert_eq!(fail(1, |asked| asked.vcpu = 2), [Errno::EINVAL; 2]);
        assert_eq!(fail(1, |asked| asked.flags = 0), [Errno::EINVAL; 2]);
        assert_eq!(
            fail(1, |asked| asked.cpumap_hard.bitmap = 0),
            [Errno::EINVAL; 2]
        );
        assert_eq!(
            fail(1, |asked| asked.cpumap_hard.bitmap = NOWHERE),
            [Errno::EFAULT; 2]
        );
        assert_eq!(
            fail(1, |asked| asked.cpumap_hard.bitmap = u64::MAX),
            [Errno::EFAULT; 2]
        );
        assert_eq!(fail(create(&fake, &dom0).id.0, |_| ()), [Errno::ESRCH; 2]);
    }
}
