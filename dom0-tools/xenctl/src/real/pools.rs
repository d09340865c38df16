//! CPU pools.

use xen_abi::errno::Errno;
use xen_abi::sysctl::{
    SysctlCpupoolOp, XEN_SYSCTL_CPUPOOL_OP, XEN_SYSCTL_CPUPOOL_OP_ADDCPU,
    XEN_SYSCTL_CPUPOOL_OP_CREATE, XEN_SYSCTL_CPUPOOL_OP_DESTROY, XEN_SYSCTL_CPUPOOL_OP_FREEINFO,
    XEN_SYSCTL_CPUPOOL_OP_INFO, XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, XEN_SYSCTL_CPUPOOL_OP_RMCPU,
    XEN_SYSCTL_CPUPOOL_PAR_ANY,
};

use super::Xen;
use super::frames::set_of;
use crate::{CpuPool, CpuSet, DomId, Result, call};

pub(super) fn list(xen: &Xen) -> Result<Vec<CpuPool>> {
    let mut pools = Vec::new();
    let mut from = 0;
    loop {
        match first_from(xen, from) {
            Ok(pool) => {
                let next = pool.id.checked_add(1);
                pools.push(pool);
                match next {
                    Some(next) if next > from => from = next,
                    _ => return Ok(pools),
                }
            }
            Err(error) if error.errno == Errno::ENOENT => return Ok(pools),
            Err(error) => return Err(error),
        }
    }
}

/// The first pool whose number is not below `from`.
fn first_from(xen: &Xen, from: u32) -> Result<CpuPool> {
    let cpus = xen.limits()?.cpus;
    let (buffer, cpumap) = xen.bitmap(call::POOL_INFO, cpus, &CpuSet::new())?;
    let mut request = SysctlCpupoolOp {
        op: XEN_SYSCTL_CPUPOOL_OP_INFO,
        cpupool_id: from,
        cpumap,
        ..SysctlCpupoolOp::default()
    };
    run(xen, call::POOL_INFO, &mut request)?;
    Ok(CpuPool {
        id: request.cpupool_id,
        scheduler: request.sched_id,
        domains: request.n_dom,
        cpus: set_of(&buffer, cpus),
    })
}

pub(super) fn free_cpus(xen: &Xen) -> Result<CpuSet> {
    let cpus = xen.limits()?.cpus;
    let (buffer, cpumap) = xen.bitmap(call::POOL_FREE_INFO, cpus, &CpuSet::new())?;
    let mut request = SysctlCpupoolOp {
        op: XEN_SYSCTL_CPUPOOL_OP_FREEINFO,
        cpumap,
        ..SysctlCpupoolOp::default()
    };
    run(xen, call::POOL_FREE_INFO, &mut request)?;
    Ok(set_of(&buffer, cpus))
}

pub(super) fn create(xen: &Xen, sched_id: u32) -> Result<u32> {
    let mut request = SysctlCpupoolOp {
        op: XEN_SYSCTL_CPUPOOL_OP_CREATE,
        cpupool_id: XEN_SYSCTL_CPUPOOL_PAR_ANY,
        sched_id,
        ..SysctlCpupoolOp::default()
    };
    run(xen, call::POOL_CREATE, &mut request)?;
    Ok(request.cpupool_id)
}

pub(super) fn destroy(xen: &Xen, cpupool_id: u32) -> Result<()> {
    let mut request = SysctlCpupoolOp {
        op: XEN_SYSCTL_CPUPOOL_OP_DESTROY,
        cpupool_id,
        ..SysctlCpupoolOp::default()
    };
    run(xen, call::POOL_DESTROY, &mut request)
}

pub(super) fn add_cpu(xen: &Xen, cpupool_id: u32, cpu: Option<u32>) -> Result<()> {
    let mut request = SysctlCpupoolOp {
        op: XEN_SYSCTL_CPUPOOL_OP_ADDCPU,
        cpupool_id,
        cpu: cpu.unwrap_or(XEN_SYSCTL_CPUPOOL_PAR_ANY),
        ..SysctlCpupoolOp::default()
    };
    run(xen, call::POOL_ADD_CPU, &mut request)
}

pub(super) fn remove_cpu(xen: &Xen, cpupool_id: u32, cpu: Option<u32>) -> Result<()> {
    let mut request = SysctlCpupoolOp {
        op: XEN_SYSCTL_CPUPOOL_OP_RMCPU,
        cpupool_id,
        cpu: cpu.unwrap_or(XEN_SYSCTL_CPUPOOL_PAR_ANY),
        ..SysctlCpupoolOp::default()
    };
    run(xen, call::POOL_REMOVE_CPU, &mut request)
}

pub(super) fn move_domain(xen: &Xen, cpupool_id: u32, domain: DomId) -> Result<()> {
    let mut request = SysctlCpupoolOp {
        op: XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN,
        cpupool_id,
        domid: domain.0.into(),
        ..SysctlCpupoolOp::default()
    };
    run(xen, call::POOL_MOVE_DOMAIN, &mut request)
}

fn run(xen: &Xen, call: &'static str, request: &mut SysctlCpupoolOp) -> Result<()> {
    xen.sysctl(call, XEN_SYSCTL_CPUPOOL_OP, request)
}
