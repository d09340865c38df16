//! `xl cpupool-numa-split`: a pool for each NUMA node; pool 0 keeps the first node.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use xenctl::{CpuPool, DomId, Hypervisor};

use super::{Ignored, cpupool, vcpu_set};
use crate::context::Context;
use crate::failure::{Failure, OrFail};

/// How often dom0 is asked whether it gave up its virtual processors, a second apart.
const ATTEMPTS: u32 = 10;

/// No options.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    ignored: Ignored,
}

impl Arguments {
    /// Splits.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let xen = context.xen()?;
        let pools = xen.cpu_pools().or_fail("error getting cpupool info")?;
        let [pool] = pools.as_slice() else {
            let message = "splitting not possible, already cpupools in use";
            return Err(Failure::said(message).into());
        };
        let nodes = nodes(xen)?;
        let Some(((first, cpus), others)) = nodes.split_first() else {
            return Err(Failure::said("libxl_get_topologyinfo failed").into());
        };
        keep(context, *first, cpus)?;
        for (node, cpus) in others {
            split(context, pool, *node, cpus)?;
        }
        context.done(&json!({ "pools": nodes.len() }));
        Ok(())
    }
}

/// The nodes, the first processor's first, each with its processors.
fn nodes(xen: &dyn Hypervisor) -> anyhow::Result<Vec<(u32, Vec<u32>)>> {
    let topology = xen
        .cpu_topology()
        .or_fail("libxl_get_topologyinfo failed")?;
    let places: Vec<(u32, u32)> = (0_u32..)
        .zip(&topology)
        .map(|(cpu, place)| (cpu, place.node))
        .collect();
    let mut seen = BTreeSet::new();
    let unknown = xen_abi::sysctl::XEN_INVALID_NODE_ID;
    let order = places
        .iter()
        .map(|&(_, node)| node)
        .filter(|&node| node != unknown && seen.insert(node));
    let order: Vec<u32> = order.collect();
    let cpus_of = |node: u32| {
        places
            .iter()
            .filter(move |place| place.1 == node)
            .map(|place| place.0)
    };
    Ok(order
        .iter()
        .map(|&node| (node, cpus_of(node).collect()))
        .collect())
}

/// Gives pool 0 the first node's free processors and its name, and dom0 no more virtual processors than the node has.
fn keep(context: &Context, node: u32, cpus: &[u32]) -> anyhow::Result<()> {
    let xen = context.xen()?;
    let free = xen.free_cpus().or_fail("error on adding cpu to Pool 0")?;
    for &cpu in cpus.iter().filter(|&&cpu| free.contains(cpu)) {
        xen.add_pool_cpu(0, Some(cpu))
            .or_fail("error on adding cpu to Pool 0")?;
    }
    let renamed = cpupool::rename(context.store()?, 0, &format!("Pool-node{node}"));
    renamed.or_fail("error on renaming Pool 0")?;
    shrink(context, u32::try_from(cpus.len()).unwrap_or(u32::MAX))
}

fn shrink(context: &Context, count: u32) -> anyhow::Result<()> {
    let online = || {
        let info = context.xen()?.domain(DomId::DOM0);
        anyhow::Ok(
            info.or_fail("error on getting info for Domain-0")?
                .nr_online_vcpus,
        )
    };
    if online()? > count {
        let set = vcpu_set::apply(context, DomId::DOM0, count);
        set.or_fail("error on removing vcpus for Domain-0")?;
    }
    for _ in 0..ATTEMPTS {
        if online()? <= count {
            return Ok(());
        }
        sleep(Duration::from_secs(1));
    }
    Err(Failure::said("failed to offline vcpus").into())
}

fn split(context: &Context, from: &CpuPool, node: u32, cpus: &[u32]) -> anyhow::Result<()> {
    let xen = context.xen()?;
    for &cpu in cpus.iter().filter(|&&cpu| from.cpus.contains(cpu)) {
        let removed = xen.remove_pool_cpu(from.id, Some(cpu));
        removed.or_fail("error on removing cpu from Pool 0")?;
    }
    let name = format!("Pool-node{node}");
    let pool = super::cpupool_create::make(xen, context.store()?, &name, from.scheduler, cpus);
    pool.or_fail("error on creating cpupool")?;
    Ok(())
}
