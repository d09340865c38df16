//! `xl sharing`: memory that domains share.

use serde::Serialize;
use xenctl::DomId;

use super::list;
use crate::cli::usage;
use crate::context::Context;
use crate::failure::Failure;
use crate::{say, select};

/// Which domain.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// All without.
    #[arg(value_name = "Domain")]
    domain: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    domid: u16,
    memory_mib: u64,
    shared_mib: u64,
}

impl Arguments {
    /// Lists.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domains = match self.domain.as_slice() {
            [] => list::all(context)?,
            [word] => vec![list::one(context, word)?],
            _ => {
                say!(context, "{}", usage::one("sharing"));
                return Err(Failure::silent().into());
            }
        };
        let rows = domains.iter().map(|info| Row {
            name: select::shown_name(context, DomId(info.domain)),
            domid: info.domain,
            memory_mib: info.tot_pages.saturating_add(info.outstanding_pages) / 256,
            shared_mib: info.shr_pages / 256,
        });
        let rows: Vec<Row> = rows.collect();
        if context.json() {
            context.output.print_json(&rows);
            return Ok(());
        }
        say!(
            context,
            "Name                                        ID   Mem Shared\n"
        );
        for Row {
            name,
            domid,
            memory_mib,
            shared_mib,
        } in rows
        {
            say!(
                context,
                "{name:<40} {domid:>5} {memory_mib:>5}  {shared_mib:>5}\n"
            );
        }
        Ok(())
    }
}
