//! `xl cpupool-list`.

use serde::Serialize;
use xenctl::CpuPool;

use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::{say, select};

/// Which pool, and whether to name its processors.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Name the processors
    #[arg(short = 'c', long)]
    cpus: bool,
    /// All without.
    #[arg(value_name = "CPU Pool")]
    pool: Option<String>,
    #[command(flatten)]
    ignored: super::Ignored,
}

#[derive(Serialize)]
struct Row {
    name: String,
    poolid: u32,
    cpus: Vec<u32>,
    scheduler: &'static str,
    domains: u32,
}

impl Arguments {
    /// Lists.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let only = self.pool.as_ref().map(|name| {
            let found = select::pool_by_name(context, name)?;
            found.ok_or_else(|| Failure::said(format!("Pool '{name}' does not exist")).into())
        });
        let only: Option<CpuPool> = only.transpose().map_err(|error: anyhow::Error| error)?;
        let pools = context
            .xen()?
            .cpu_pools()
            .or_fail("error getting cpupool info")?;
        let wanted = |pool: &&CpuPool| only.as_ref().is_none_or(|only| only.id == pool.id);
        let rows: Vec<Row> = pools
            .iter()
            .filter(wanted)
            .map(|pool| row(context, pool))
            .collect();
        if context.json() {
            context.output.print_json(&rows);
            return Ok(());
        }
        let titles = if self.cpus {
            "CPU list"
        } else {
            "CPUs   Sched     Active   Domain count"
        };
        say!(context, "{:<19}{titles}\n", "Name");
        rows.iter()
            .for_each(|row| say!(context, "{}\n", line(row, self.cpus)));
        Ok(())
    }
}

fn row(context: &Context, pool: &CpuPool) -> Row {
    Row {
        name: select::shown_pool(context, pool.id),
        poolid: pool.id,
        cpus: pool.cpus.iter().collect(),
        scheduler: select::scheduler_name(pool.scheduler),
        domains: pool.domains,
    }
}

fn line(row: &Row, names_cpus: bool) -> String {
    if names_cpus {
        let cpus: Vec<String> = row.cpus.iter().map(ToString::to_string).collect();
        return format!("{:<19}{}", row.name, cpus.join(","));
    }
    format!(
        "{:<19}{:>3} {:>9}       y       {:>4}",
        row.name,
        row.cpus.len(),
        row.scheduler,
        row.domains
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_xl() {
        let row = Row {
            name: "second".into(),
            poolid: 1,
            cpus: vec![1, 4],
            scheduler: "credit",
            domains: 0,
        };
        assert_eq!(
            line(&row, false),
            "second               2    credit       y          0"
        );
        assert_eq!(line(&row, true), "second             1,4");
    }
}
