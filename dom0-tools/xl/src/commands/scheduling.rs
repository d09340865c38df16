//! What `sched-credit` and `sched-credit2` share: tables of weights and caps, pool by pool.

use serde_json::{Value, json};
use xen_abi::domctl::{
    DomctlSchedCredit, DomctlSchedulerOp, XEN_DOMCTL_SCHEDOP_GETINFO, XEN_DOMCTL_SCHEDOP_PUTINFO,
};
use xen_abi::sysctl::{
    SysctlSchedulerOp, XEN_SYSCTL_SCHED_RATELIMIT_MAX, XEN_SYSCTL_SCHED_RATELIMIT_MIN,
    XEN_SYSCTL_SCHEDOP_GETINFO, XEN_SYSCTL_SCHEDOP_PUTINFO,
};
use xenctl::{CpuPool, DomId};

use super::list;
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::{complain, say, select};

/// A scheduler with weights and caps.
pub struct Scheduler {
    /// `XEN_SCHEDULER_*`.
    pub id: u32,
    /// The line about a pool's parameters, after the pool's name.
    pub describe: fn(&SysctlSchedulerOp) -> String,
    /// The parameters as JSON.
    pub json: fn(&SysctlSchedulerOp) -> Value,
    /// What libxl calls reading the parameters.
    pub get_name: &'static str,
    /// What libxl calls setting them.
    pub set_name: &'static str,
}

/// Prints all pools of the scheduler, or the one that `only` names, with their domains.
pub fn print_pools(
    context: &Context,
    scheduler: &Scheduler,
    only: Option<&str>,
) -> anyhow::Result<()> {
    let only = only.map(|word| select::pool(context, word)).transpose()?;
    let domains = list::all(context)?;
    let pools = context
        .xen()?
        .cpu_pools()
        .or_fail("error getting cpupool info")?;
    let wanted = |pool: &&CpuPool| {
        pool.scheduler == scheduler.id && only.as_ref().is_none_or(|only| only.id == pool.id)
    };
    let mut all = Vec::new();
    for pool in pools.iter().filter(wanted) {
        let members = domains.iter().filter(|info| info.cpupool == pool.id);
        let members: Vec<DomId> = members.map(|info| DomId(info.domain)).collect();
        if context.json() {
            all.push(pool_json(context, scheduler, pool.id, &members)?);
            continue;
        }
        print_parameters(context, scheduler, pool.id);
        say!(context, "{}\n", header());
        for domain in members {
            // A domain that just ended hides those after it, as in xl, but does not make the command fail.
            if let Err(error) = print_domain_line(context, scheduler, domain) {
                let (_, lines) = crate::failure::report(&error);
                complain!(context, "{}\n", lines.join("\n"));
                break;
            }
        }
    }
    if context.json() {
        context.output.print_json(&all);
    }
    Ok(())
}

fn pool_json(
    context: &Context,
    scheduler: &Scheduler,
    pool: u32,
    members: &[DomId],
) -> anyhow::Result<Value> {
    let domains = members.iter().map(|&domain| {
        let credit = credit_of(context, scheduler, domain)?;
        Ok(json!({
            "name": select::shown_name(context, domain), "domid": domain.0,
            "weight": credit.weight, "cap": credit.cap,
        }))
    });
    let domains: Vec<Value> = domains.collect::<anyhow::Result<_>>()?;
    let parameters = parameters(context, scheduler, pool).ok();
    Ok(json!({
        "cpupool": select::shown_pool(context, pool),
        "parameters": parameters.map(|found| (scheduler.json)(&found)),
        "domains": domains,
    }))
}

/// Prints a pool's parameters, or that it has none.
pub fn print_parameters(context: &Context, scheduler: &Scheduler, pool: u32) {
    let name = select::shown_pool(context, pool);
    match parameters(context, scheduler, pool) {
        Ok(found) if context.json() => context.output.print_json(&json!({
            "cpupool": name, "parameters": (scheduler.json)(&found)
        })),
        Ok(found) => say!(
            context,
            "Cpupool {name}: {}\n",
            (scheduler.describe)(&found)
        ),
        Err(error) => {
            let (_, lines) = crate::failure::report(&error);
            complain!(context, "{}\n", lines.join("\n"));
            say!(context, "Cpupool {name}: [sched params unavailable]\n");
        }
    }
}

/// A pool's parameters.
pub fn parameters(
    context: &Context,
    scheduler: &Scheduler,
    pool: u32,
) -> anyhow::Result<SysctlSchedulerOp> {
    let op = SysctlSchedulerOp {
        cpupool_id: pool,
        sched_id: scheduler.id,
        cmd: XEN_SYSCTL_SCHEDOP_GETINFO,
        ..Default::default()
    };
    let read = context.xen()?.pool_scheduler(op);
    read.or_fail(format!("{} failed.", scheduler.get_name))
}

/// Sets a pool's parameters.
pub fn set_parameters(
    context: &Context,
    scheduler: &Scheduler,
    parameters: SysctlSchedulerOp,
) -> anyhow::Result<()> {
    let op = SysctlSchedulerOp {
        cmd: XEN_SYSCTL_SCHEDOP_PUTINFO,
        ..parameters
    };
    let set = context.xen()?.pool_scheduler(op);
    set.or_fail(format!("{} failed.", scheduler.set_name))?;
    context.done(&json!({ "cpupool": parameters.cpupool_id }));
    Ok(())
}

/// Whether a rate limit is allowed.
pub fn check_rate_limit(scheduler: &Scheduler, microseconds: i64) -> anyhow::Result<u32> {
    let range = XEN_SYSCTL_SCHED_RATELIMIT_MIN..=XEN_SYSCTL_SCHED_RATELIMIT_MAX;
    let value = u32::try_from(microseconds)
        .ok()
        .filter(|value| *value == 0 || range.contains(value));
    let why = || {
        let (first, last) = (range.start(), range.end());
        anyhow::anyhow!("a rate limit is from {first} to {last} microseconds, or 0")
    };
    value
        .ok_or_else(why)
        .or_fail(format!("{} failed.", scheduler.set_name))
}

/// Prints a domain's weight and cap, below a header.
pub fn print_domain(context: &Context, scheduler: &Scheduler, domain: DomId) -> anyhow::Result<()> {
    if context.json() {
        let credit = credit_of(context, scheduler, domain)?;
        let name = select::shown_name(context, domain);
        let (id, weight, cap) = (domain.0, credit.weight, credit.cap);
        context
            .output
            .print_json(&json!({ "name": name, "domid": id, "weight": weight, "cap": cap }));
        return Ok(());
    }
    say!(context, "{}\n", header());
    print_domain_line(context, scheduler, domain)
}

fn print_domain_line(
    context: &Context,
    scheduler: &Scheduler,
    domain: DomId,
) -> anyhow::Result<()> {
    let credit = credit_of(context, scheduler, domain)?;
    let name = select::shown_name(context, domain);
    let (weight, cap) = (credit.weight, credit.cap);
    say!(
        context,
        "{name:<33} {domain:>4} {weight:>6} {cap:>4}\n",
        domain = domain.0
    );
    Ok(())
}

fn header() -> String {
    format!("{:<33} {:>4} {:>6} {:>4}", "Name", "ID", "Weight", "Cap")
}

fn credit_of(
    context: &Context,
    scheduler: &Scheduler,
    domain: DomId,
) -> anyhow::Result<DomctlSchedCredit> {
    let failed = "libxl_domain_sched_params_get failed.";
    let xen = context.xen()?;
    let pool = xen.domain(domain).or_fail(failed)?.cpupool;
    let pools = xen.cpu_pools().or_fail(failed)?;
    let own = pools
        .iter()
        .find(|known| known.id == pool)
        .map_or(0, |pool| pool.scheduler);
    if own != scheduler.id {
        let (own, wanted) = (
            select::scheduler_name(own),
            select::scheduler_name(scheduler.id),
        );
        let message = format!("libxl_domain_sched_params_get returned {own} not {wanted}.");
        return Err(Failure::said(message).into());
    }
    let op = DomctlSchedulerOp {
        sched_id: scheduler.id,
        cmd: XEN_DOMCTL_SCHEDOP_GETINFO,
        ..Default::default()
    };
    Ok(xen.domain_scheduler(domain, op).or_fail(failed)?.credit)
}

/// Sets a domain's weight and cap, where given.
pub fn set_domain(
    context: &Context,
    scheduler: &Scheduler,
    domain: DomId,
    weight: Option<i64>,
    cap: Option<i64>,
) -> anyhow::Result<()> {
    let failed = "libxl_domain_sched_params_set failed.";
    let xen = context.xen()?;
    let info = xen.domain(domain).or_fail(failed)?;
    let get = DomctlSchedulerOp {
        sched_id: scheduler.id,
        cmd: XEN_DOMCTL_SCHEDOP_GETINFO,
        ..Default::default()
    };
    let mut credit = xen.domain_scheduler(domain, get).or_fail(failed)?.credit;
    // A weight of -1 and a cap of -1 mean "as it is".
    if let Some(weight) = weight.filter(|weight| *weight != -1) {
        credit.weight = checked_weight(weight).or_fail(failed)?;
    }
    if let Some(cap) = cap.filter(|cap| *cap != -1) {
        credit.cap = checked_cap(cap, info.max_vcpu_id.wrapping_add(1)).or_fail(failed)?;
    }
    let put = DomctlSchedulerOp {
        cmd: XEN_DOMCTL_SCHEDOP_PUTINFO,
        credit,
        ..get
    };
    xen.domain_scheduler(domain, put).or_fail(failed)?;
    context.done(&json!({ "domid": domain.0, "weight": credit.weight, "cap": credit.cap }));
    Ok(())
}

fn checked_weight(weight: i64) -> anyhow::Result<u16> {
    let checked = u16::try_from(weight).ok().filter(|weight| *weight > 0);
    checked.ok_or_else(|| anyhow::anyhow!("a weight is from 1 to 65535"))
}

fn checked_cap(cap: i64, vcpus: u32) -> anyhow::Result<u16> {
    let most = vcpus.saturating_mul(100);
    let checked = u16::try_from(cap)
        .ok()
        .filter(|cap| u32::from(*cap) <= most);
    checked.ok_or_else(|| anyhow::anyhow!("a cap is from 0 to {most} for {vcpus} vCPUs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_caps_have_ranges() {
        assert_eq!(checked_weight(256).ok(), Some(256));
        for bad in [0, -5, 65536, 70000] {
            assert!(checked_weight(bad).is_err(), "{bad}");
        }
        assert_eq!(checked_cap(200, 2).ok(), Some(200));
        for bad in [-5, 201] {
            assert!(checked_cap(bad, 2).is_err(), "{bad}");
        }
    }
}
