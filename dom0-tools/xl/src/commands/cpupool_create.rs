//! `xl cpupool-create`: a pool from a file, from `key=value` arguments, or both.

use std::path::PathBuf;

use domcfg::grammar::{Settings, parse_settings};
use serde_json::json;
use xenctl::{CpuSet, Hypervisor};
use xenstore::{Access, transaction};

use super::cpupool;
use crate::cli::usage;
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::parse::{cpus, number};
use crate::{configuration, say, select};

/// What to make.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Read this file
    #[arg(short = 'f', long, value_name = "FILE", allow_hyphen_values = true)]
    defconfig: Option<PathBuf>,
    /// Only say what would be made
    #[arg(short = 'n', long)]
    dryrun: bool,
    /// A file, and settings that are added to it.
    #[arg(value_name = "ConfigFile|Variable=value")]
    words: Vec<String>,
}

/// A pool to be made.
struct Plan {
    name: String,
    scheduler: u32,
    cpus: CpuSet,
}

impl Arguments {
    /// Makes it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let source = configuration::Source::of(self.defconfig.as_ref(), &self.words);
        let Ok(source) = source else {
            say!(context, "{}", usage::one("cpupool-create"));
            return Err(Failure::silent().into());
        };
        let text = match &source.file {
            Some(path) => configuration::read(path, Failure::FAILED)?,
            None => Vec::new(),
        };
        let shown = source
            .file
            .as_ref()
            .map_or("command line".into(), |path| path.display().to_string());
        let settings = parse_settings(&shown, &text, &source.overrides)
            .or_fail("Failed to parse config file: Invalid argument")?;
        let plan = plan(context, &settings, source.file.as_ref())?;
        if !context.json() {
            say!(
                context,
                "Using config file \"{shown}\"\ncpupool name:   {}\nscheduler:      {}\nnumber of cpus: {}\n",
                plan.name,
                select::scheduler_name(plan.scheduler),
                plan.cpus.count()
            );
        }
        let mut id = None;
        if !(self.dryrun || context.globals.dry_run) {
            let cpus: Vec<u32> = plan.cpus.iter().collect();
            let made = make(
                context.xen()?,
                context.store()?,
                &plan.name,
                plan.scheduler,
                &cpus,
            );
            id = Some(made.or_fail("error on creating cpupool")?);
        }
        context.done(&json!({ "poolid": id, "name": plan.name }));
        Ok(())
    }
}

fn plan(context: &Context, settings: &Settings, file: Option<&PathBuf>) -> anyhow::Result<Plan> {
    let base = || {
        file?
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let name = configuration::text_of(settings, "name")
        .map(str::to_owned)
        .or_else(base);
    let name = name.ok_or_else(|| Failure::said("Missing cpupool name!"))?;
    if select::pool_by_name(context, &name)?.is_some() {
        return Err(Failure::said(format!("Pool name \"{name}\" already exists")).into());
    }
    let xen = context.xen()?;
    let scheduler = match configuration::text_of(settings, "sched") {
        Some(name) => {
            let number = select::scheduler_number(name);
            number.ok_or_else(|| Failure::said("Unknown scheduler"))?
        }
        None => xen.scheduler().or_fail("get_scheduler sysctl failed.")?,
    };
    let cpus = chosen(xen, settings)?;
    Ok(Plan {
        name,
        scheduler,
        cpus,
    })
}

/// The processors: all free ones of `nodes`, or those of `cpus`, which must be free.
fn chosen(xen: &dyn Hypervisor, settings: &Settings) -> anyhow::Result<CpuSet> {
    let free = xen.free_cpus().or_fail("libxl_get_freecpus failed")?;
    if let Some(nodes) = configuration::list_of(settings, "nodes") {
        let nodes: Vec<i64> = nodes.iter().map(|text| number::lenient(text)).collect();
        let topology = xen
            .cpu_topology()
            .or_fail("libxl_get_topologyinfo failed")?;
        let places = (0_u32..).zip(topology);
        let wanted = places
            .filter(|(cpu, place)| free.contains(*cpu) && nodes.contains(&i64::from(place.node)));
        let cpus: CpuSet = wanted.map(|(cpu, _)| cpu).collect();
        anyhow::ensure!(!cpus.is_empty(), Failure::said("no free cpu found"));
        return Ok(cpus);
    }
    let cpus: Vec<i64> = match configuration::list_of(settings, "cpus") {
        Some(list) => list.iter().map(|text| number::lenient(text)).collect(),
        None => match configuration::text_of(settings, "cpus") {
            Some(text) => cpus::list(xen, text)?.iter().map(i64::from).collect(),
            None => Vec::new(),
        },
    };
    let checked = cpus.into_iter().map(|cpu| {
        let number = u32::try_from(cpu).ok().filter(|&cpu| free.contains(cpu));
        number.ok_or_else(|| Failure::said(format!("cpu {cpu} illegal or not free")).into())
    });
    checked.collect()
}

/// Makes a pool of `cpus` and tells the store of it. A pool that can not have them all is removed again.
pub fn make(
    xen: &dyn Hypervisor,
    store: &dyn Access,
    name: &str,
    scheduler: u32,
    cpus: &[u32],
) -> anyhow::Result<u32> {
    let id = xen.create_pool(scheduler)?;
    let filled = cpus
        .iter()
        .try_for_each(|&cpu| xen.add_pool_cpu(id, Some(cpu)));
    if let Err(error) = filled {
        let pools = xen.cpu_pools()?;
        if let Some(pool) = pools.iter().find(|pool| pool.id == id) {
            // What the caller must know is why it could not be filled.
            drop(cpupool::destroy(xen, store, pool));
        }
        return Err(error.into());
    }
    let home = format!("/local/pool/{id}");
    let uuid = super::list::uuid(&configuration::random_uuid()?);
    transaction(store, |tx| {
        store.write(tx, &format!("{home}/uuid"), uuid.as_bytes())?;
        store.write(tx, &format!("{home}/name"), name.as_bytes())
    })?;
    Ok(id)
}
