//! The commands that change CPU pools: destroy, rename, cpu-add, cpu-remove and migrate.

use serde_json::json;
use xenctl::{CpuPool, CpuSet, Hypervisor};
use xenstore::{Access, Tx, transaction};

use super::Ignored;
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::parse::cpus;
use crate::{complain, select};

/// Which pool to remove.
#[derive(clap::Args, Debug)]
pub struct Destroy {
    /// Name or number.
    #[arg(value_name = "CPU Pool")]
    pool: String,
    #[command(flatten)]
    ignored: Ignored,
}

/// Which pool to rename.
#[derive(clap::Args, Debug)]
pub struct Rename {
    /// Name or number.
    #[arg(value_name = "CPU Pool")]
    pool: String,
    /// Its new name.
    #[arg(value_name = "new name")]
    name: String,
    #[command(flatten)]
    ignored: Ignored,
}

/// Processors for a pool.
#[derive(clap::Args, Debug)]
pub struct CpuAdd {
    /// Name or number.
    #[arg(value_name = "CPU Pool")]
    pool: String,
    /// The processors.
    #[arg(value_name = "CPU nr|node:node nr")]
    cpus: String,
    #[command(flatten)]
    ignored: Ignored,
}

/// Processors from a pool.
#[derive(clap::Args, Debug)]
pub struct CpuRemove {
    /// Name or number.
    #[arg(value_name = "CPU Pool")]
    pool: String,
    /// The processors.
    #[arg(value_name = "CPU nr|node:node nr")]
    cpus: String,
    #[command(flatten)]
    ignored: Ignored,
}

/// Which domain to move where.
#[derive(clap::Args, Debug)]
pub struct Migrate {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// Name or number.
    #[arg(value_name = "CPU Pool")]
    pool: String,
    #[command(flatten)]
    ignored: Ignored,
}

impl Destroy {
    /// Removes it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let pool = select::pool(context, &self.pool)?;
        let destroyed = destroy(context.xen()?, context.store()?, &pool);
        destroyed.or_fail(format!("Can't destroy cpupool '{}'", self.pool))?;
        context.done(&json!({ "poolid": pool.id }));
        Ok(())
    }
}

/// Takes a pool's processors out and removes it.
pub fn destroy(xen: &dyn Hypervisor, store: &dyn Access, pool: &CpuPool) -> anyhow::Result<()> {
    anyhow::ensure!(pool.domains == 0, "{} domains are in it", pool.domains);
    for cpu in pool.cpus.iter() {
        xen.remove_pool_cpu(pool.id, Some(cpu))?;
    }
    xen.destroy_pool(pool.id)?;
    store.remove(Tx::NONE, &format!("/local/pool/{}", pool.id))?;
    Ok(())
}

impl Rename {
    /// Renames it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let pool = select::pool(context, &self.pool)?;
        let renamed = rename(context.store()?, pool.id, &self.name);
        renamed.or_fail(format!("Can't rename cpupool '{}'", self.pool))?;
        context.done(&json!({ "poolid": pool.id, "name": self.name }));
        Ok(())
    }
}

/// Writes a pool's name.
pub fn rename(store: &dyn Access, pool: u32, name: &str) -> xenstore::Result<()> {
    let path = format!("/local/pool/{pool}/name");
    transaction(store, |tx| store.write(tx, &path, name.as_bytes()))
}

impl CpuAdd {
    /// Adds them; those that can not be added are reported.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let (pool, wanted) = arguments(context, &self.pool, &self.cpus)?;
        let xen = context.xen()?;
        let failed = failures(context, &wanted, |cpu| xen.add_pool_cpu(pool.id, Some(cpu)));
        if failed {
            complain!(
                context,
                "some cpus may not have been added to {}\n",
                self.pool
            );
        }
        context.done(&json!({ "poolid": pool.id, "complete": !failed }));
        Ok(())
    }
}

impl CpuRemove {
    /// Removes them; those that can not be removed are reported.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let (pool, wanted) = arguments(context, &self.pool, &self.cpus)?;
        let xen = context.xen()?;
        let failed = failures(context, &wanted, |cpu| {
            xen.remove_pool_cpu(pool.id, Some(cpu))
        });
        if failed {
            let name = &self.pool;
            complain!(
                context,
                "Some cpus may have not or only partially been removed from '{name}'.\n\
                 If a cpu can't be added to another cpupool, add it to '{name}' again and retry.\n"
            );
        }
        context.done(&json!({ "poolid": pool.id, "complete": !failed }));
        Ok(())
    }
}

fn arguments(context: &Context, pool: &str, list: &str) -> anyhow::Result<(CpuPool, CpuSet)> {
    let wanted = cpus::list(context.xen()?, list)?;
    Ok((select::pool(context, pool)?, wanted))
}

fn failures(
    context: &Context,
    wanted: &CpuSet,
    change: impl Fn(u32) -> xenctl::Result<()>,
) -> bool {
    let mut failed = false;
    for cpu in wanted.iter() {
        if let Err(error) = change(cpu) {
            complain!(context, "xl: cpu {cpu}: {error}\n");
            failed = true;
        }
    }
    failed
}

impl Migrate {
    /// Moves it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let unknown = || Failure::said(format!("unknown domain '{}'", self.domain));
        let domain = select::try_domain(context, &self.domain)?.ok_or_else(unknown)?;
        select::name_of(context.store()?, domain)?.ok_or_else(unknown)?;
        let pool = select::pool(context, &self.pool)?;
        context.xen()?.move_to_pool(pool.id, domain).or_fail("")?;
        context.done(&json!({ "domid": domain.0, "poolid": pool.id }));
        Ok(())
    }
}
