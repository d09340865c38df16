//! What a new domain may do and where it runs: everything set between its creation and its memory (`libxl__build_pre` of Xen 4.20).

use xen_abi::domctl::{
    DomctlSchedulerOp, XEN_DOMCTL_SCHEDOP_GETINFO, XEN_DOMCTL_SCHEDOP_PUTINFO,
    XEN_SCHEDULER_CREDIT, XEN_SCHEDULER_CREDIT2,
};
use xen_abi::hvm::params::HVM_PARAM_TIMER_MODE;
use xenctl::{DomId, Hypervisor};

use super::error::{BuildError, Result, Step};
use super::plan::Plan;
use super::policy;

/// KiB a domain may have beyond its memory, for what the hypervisor and the tools add (`LIBXL_MAXMEM_CONSTANT`).
const MEMORY_SLACK_KIB: u64 = 1024;

/// Sets vCPUs, memory limits, clock and policy.
pub fn set(hypervisor: &dyn Hypervisor, domain: DomId, plan: &Plan, hap: bool) -> Result<()> {
    let vcpus = plan.max_vcpus;
    let step = "give the domain its vCPUs";
    hypervisor.set_max_vcpus(domain, vcpus).step(step)?;
    set_affinity(hypervisor, domain, plan)?;
    let limit = plan.memory_kib + MEMORY_SLACK_KIB;
    let step = "limit the domain's memory";
    hypervisor.set_max_memory(domain, limit).step(step)?;
    let step = "set the timer mode";
    let timer = hypervisor.set_hvm_param(domain, HVM_PARAM_TIMER_MODE, plan.timer_mode);
    timer.step(step)?;
    let tsc = hypervisor.set_tsc_info(domain, plan.tsc_mode, 0, 0, 0);
    tsc.step("set the TSC mode")?;
    if plan.time_offset != 0 {
        let step = "set the clock's offset";
        hypervisor
            .set_time_offset(domain, plan.time_offset)
            .step(step)?;
    }
    let paging = plan.paging_kib.unwrap_or(plan.default_paging_kib(hap));
    let step = "give memory for page tables";
    hypervisor
        .set_paging_memory(domain, paging.saturating_mul(1024))
        .step(step)?;
    policy::apply(hypervisor, domain, plan)
}

fn set_affinity(hypervisor: &dyn Hypervisor, domain: DomId, plan: &Plan) -> Result<()> {
    if let Some(nodes) = &plan.nodes {
        let step = "set the memory nodes";
        hypervisor.set_node_affinity(domain, nodes).step(step)?;
    }
    let count = plan.hard_affinity.len().max(plan.soft_affinity.len());
    for (index, vcpu) in (0..plan.max_vcpus).enumerate().take(count) {
        let (hard, soft) = (plan.hard_affinity.get(index), plan.soft_affinity.get(index));
        let set = hypervisor.set_vcpu_affinity(domain, vcpu, hard, soft, false);
        set.step("set where vCPUs run")?;
    }
    Ok(())
}

/// Sets weight and cap, which only the credit schedulers have.
///
/// # Errors
/// [`BuildError::OutOfRange`], [`BuildError::Scheduler`], [`BuildError::Hypervisor`].
pub fn set_scheduling(hypervisor: &dyn Hypervisor, domain: DomId, plan: &Plan) -> Result<()> {
    let (weight, cap) = (plan.weight, plan.cap);
    if weight.is_none() && cap.is_none() {
        return Ok(());
    }
    check("cpu_weight", weight, 1, 65535)?;
    check("cap", cap, 0, plan.max_vcpus * 100)?;
    let pools = hypervisor.cpu_pools().step("list the CPU pools")?;
    let pool = pools.iter().find(|pool| pool.id == plan.pool);
    let sched_id = match pool.map(|pool| pool.scheduler) {
        Some(id @ (XEN_SCHEDULER_CREDIT | XEN_SCHEDULER_CREDIT2)) => id,
        _ => {
            return Err(BuildError::Scheduler(
                "cpu_weight and cap need the scheduler credit or credit2",
            ));
        }
    };
    let get = DomctlSchedulerOp {
        sched_id,
        cmd: XEN_DOMCTL_SCHEDOP_GETINFO,
        ..DomctlSchedulerOp::default()
    };
    let step = "read the scheduling parameters";
    let mut params = hypervisor.domain_scheduler(domain, get).step(step)?;
    params.cmd = XEN_DOMCTL_SCHEDOP_PUTINFO;
    // Both were checked to fit.
    if let Some(weight) = weight {
        params.credit.weight = weight as u16;
    }
    if let Some(cap) = cap {
        params.credit.cap = cap as u16;
    }
    let step = "set the scheduling parameters";
    hypervisor.domain_scheduler(domain, params).step(step)?;
    Ok(())
}

fn check(what: &'static str, value: Option<u32>, min: u32, max: u32) -> Result<()> {
    match value {
        Some(value) if !(min..=max).contains(&value) => Err(BuildError::OutOfRange {
            what,
            value: value.into(),
            min: min.into(),
            max: max.into(),
        }),
        _ => Ok(()),
    }
}
