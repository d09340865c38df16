//! `xl uptime`: how long domains have been up. A guest's start is in the store, dom0's in `/proc/uptime`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use xenctl::DomId;
use xenstore::{Tx, read_optional};

use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::output::time;
use crate::parse::number;
use crate::{complain, say, select};

/// Which domains.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Print the time of day, and no seconds
    #[arg(short = 's')]
    short: bool,
    /// All without.
    #[arg(value_name = "Domain")]
    domains: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    domid: u16,
    uptime_seconds: u64,
}

impl Arguments {
    /// Prints.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let chosen = self
            .domains
            .iter()
            .map(|word| select::domain(context, word));
        let chosen: Vec<DomId> = chosen.collect::<anyhow::Result<_>>()?;
        let domains = if chosen.is_empty() {
            every(context)?
        } else {
            chosen
        };
        if !self.short && !context.json() {
            say!(context, "{:<33} {:>4} {}\n", "Name", "ID", "Uptime");
        }
        let mut rows = Vec::new();
        for domain in domains {
            let Some(uptime_seconds) = seconds(context, domain)? else {
                continue;
            };
            let name = select::shown_name(context, domain);
            rows.push(Row {
                name,
                domid: domain.0,
                uptime_seconds,
            });
        }
        if context.json() {
            context.output.print_json(&rows);
            return Ok(());
        }
        for Row {
            name,
            domid,
            uptime_seconds,
        } in rows
        {
            let uptime = time::uptime(uptime_seconds, self.short);
            if self.short {
                say!(
                    context,
                    " {} up {uptime}, {name} ({domid})\n",
                    time::of_day()
                );
            } else {
                say!(context, "{name:<33} {domid:>4} {uptime}\n");
            }
        }
        Ok(())
    }
}

fn every(context: &Context) -> anyhow::Result<Vec<DomId>> {
    let all = context.xen()?.domains().or_fail("Could not list vms.")?;
    Ok(all.iter().map(|info| DomId(info.domain)).collect())
}

fn seconds(context: &Context, domain: DomId) -> anyhow::Result<Option<u64>> {
    if domain == DomId::DOM0 {
        let text = std::fs::read_to_string("/proc/uptime");
        let text = text.or_fail("Can not get Dom0 uptime.")?;
        return Ok(u64::try_from(number::lenient(&text)).ok());
    }
    let Some(start) = start(context, domain)? else {
        complain!(context, "xl: the start of domain {domain} is not known\n");
        return Ok(None);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_err(|error| Failure::because(error, "Get localtime error"))?;
    Ok(Some(now.as_secs().saturating_sub(start)))
}

fn start(context: &Context, domain: DomId) -> anyhow::Result<Option<u64>> {
    let store = context.store()?;
    let Some(vm) = read_optional(store, Tx::NONE, &format!("/local/domain/{domain}/vm"))? else {
        return Ok(None);
    };
    let start = read_optional(store, Tx::NONE, &format!("{vm}/start_time"))?;
    let start = start.and_then(|text| number::leading(&text).map(|(start, _)| start));
    Ok(start.and_then(|start| u64::try_from(start).ok()))
}
