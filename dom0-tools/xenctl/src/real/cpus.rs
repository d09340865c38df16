//! vCPUs and their scheduling.

use xen_abi::domctl::{
    DomctlGetvcpuinfo, DomctlSchedulerOp, DomctlVcpuaffinity, XEN_DOMCTL_GETVCPUAFFINITY,
    XEN_DOMCTL_GETVCPUINFO, XEN_DOMCTL_SCHEDULER_OP, XEN_DOMCTL_SETVCPUAFFINITY,
    XEN_VCPUAFFINITY_FORCE, XEN_VCPUAFFINITY_HARD, XEN_VCPUAFFINITY_SOFT,
};
use xen_abi::sysctl::{SysctlSchedulerOp, XEN_SYSCTL_SCHEDULER_OP};

use super::Xen;
use super::frames::set_of;
use crate::{Affinity, CpuSet, DomId, Result, call};

pub(super) fn info(xen: &Xen, domain: DomId, vcpu: u32) -> Result<DomctlGetvcpuinfo> {
    let mut info = DomctlGetvcpuinfo {
        vcpu,
        ..DomctlGetvcpuinfo::default()
    };
    xen.domctl(call::VCPU_INFO, XEN_DOMCTL_GETVCPUINFO, domain, &mut info)?;
    Ok(info)
}

pub(super) fn affinity(xen: &Xen, domain: DomId, vcpu: u32) -> Result<Affinity> {
    let flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT;
    let request = Request {
        call: call::GET_AFFINITY,
        cmd: XEN_DOMCTL_GETVCPUAFFINITY,
        domain,
        vcpu,
        flags,
    };
    request.run(xen, &CpuSet::new(), &CpuSet::new())
}

pub(super) fn set_affinity(
    xen: &Xen,
    domain: DomId,
    vcpu: u32,
    hard: Option<&CpuSet>,
    soft: Option<&CpuSet>,
    force: bool,
) -> Result<Affinity> {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    let request = Request {
        call: call::SET_AFFINITY,
        cmd: XEN_DOMCTL_SETVCPUAFFINITY,
        domain,
        vcpu,
        flags: flag(hard.is_some(), XEN_VCPUAFFINITY_HARD)
            | flag(soft.is_some(), XEN_VCPUAFFINITY_SOFT)
            | flag(force, XEN_VCPUAFFINITY_FORCE),
    };
    let none = CpuSet::new();
    let effective = request.run(xen, hard.unwrap_or(&none), soft.unwrap_or(&none))?;
    // What was not set is not told either.
    let before = affinity(xen, domain, vcpu)?;
    Ok(Affinity {
        hard: if hard.is_some() {
            effective.hard
        } else {
            before.hard
        },
        soft: if soft.is_some() {
            effective.soft
        } else {
            before.soft
        },
    })
}

pub(super) fn domain_scheduler(
    xen: &Xen,
    domain: DomId,
    mut op: DomctlSchedulerOp,
) -> Result<DomctlSchedulerOp> {
    xen.domctl(
        call::DOMAIN_SCHEDULER,
        XEN_DOMCTL_SCHEDULER_OP,
        domain,
        &mut op,
    )?;
    Ok(op)
}

pub(super) fn pool_scheduler(xen: &Xen, mut op: SysctlSchedulerOp) -> Result<SysctlSchedulerOp> {
    xen.sysctl(call::POOL_SCHEDULER, XEN_SYSCTL_SCHEDULER_OP, &mut op)?;
    Ok(op)
}

/// A domctl with both bitmaps, in and out.
struct Request {
    call: &'static str,
    cmd: u32,
    domain: DomId,
    vcpu: u32,
    flags: u32,
}

impl Request {
    fn run(&self, xen: &Xen, hard: &CpuSet, soft: &CpuSet) -> Result<Affinity> {
        let cpus = xen.limits()?.cpus;
        let in_limits = |set: &CpuSet| set.intersection(&CpuSet::first(cpus));
        let (hard, cpumap_hard) = xen.bitmap(self.call, cpus, &in_limits(hard))?;
        let (soft, cpumap_soft) = xen.bitmap(self.call, cpus, &in_limits(soft))?;
        let mut payload = DomctlVcpuaffinity {
            vcpu: self.vcpu,
            flags: self.flags,
            cpumap_hard,
            cpumap_soft,
        };
        xen.domctl(self.call, self.cmd, self.domain, &mut payload)?;
        Ok(Affinity {
            hard: set_of(&hard, cpus),
            soft: set_of(&soft, cpus),
        })
    }
}
