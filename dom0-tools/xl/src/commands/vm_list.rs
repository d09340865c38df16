//! `xl vm-list`: UUIDs, numbers and names.

use serde::Serialize;
use xenctl::DomId;

use super::{Ignored, list};
use crate::context::Context;
use crate::failure::OrFail;
use crate::{say, select};

/// No options.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    ignored: Ignored,
}

#[derive(Serialize)]
struct Row {
    uuid: String,
    domid: u16,
    name: String,
}

impl Arguments {
    /// Lists.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domains = context.xen()?.domains().or_fail("libxl_list_vm failed.")?;
        let rows = domains.iter().map(|info| Row {
            uuid: list::uuid(&info.handle),
            domid: info.domain,
            name: select::shown_name(context, DomId(info.domain)),
        });
        let rows: Vec<Row> = rows.collect();
        if context.json() {
            context.output.print_json(&rows);
            return Ok(());
        }
        say!(
            context,
            "UUID                                  ID    name\n"
        );
        for Row { uuid, domid, name } in rows {
            say!(context, "{uuid}  {domid}    {name:<30}\n");
        }
        Ok(())
    }
}
