//! `xl pause` and `xl unpause`. A refusal is reported, but xl exits with 0 all the same.

use serde_json::json;
use xenctl::{DomId, Hypervisor};

use super::Ignored;
use crate::context::Context;
use crate::{complain, select};

/// Which domain to stop.
#[derive(clap::Args, Debug)]
pub struct Pause {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    #[command(flatten)]
    ignored: Ignored,
}

/// Which domain to let run.
#[derive(clap::Args, Debug)]
pub struct Unpause {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    #[command(flatten)]
    ignored: Ignored,
}

impl Pause {
    /// Pauses it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        apply(context, &self.domain, "paused", |xen, domain| {
            xen.pause_domain(domain)
        })
    }
}

impl Unpause {
    /// Unpauses it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        apply(context, &self.domain, "unpaused", |xen, domain| {
            xen.unpause_domain(domain)
        })
    }
}

fn apply(
    context: &Context,
    word: &str,
    done: &str,
    change: impl Fn(&dyn Hypervisor, DomId) -> xenctl::Result<()>,
) -> anyhow::Result<()> {
    let domain = select::domain(context, word)?;
    match change(context.xen()?, domain) {
        Ok(()) => context.done(&json!({ done: domain.0 })),
        Err(error) => complain!(context, "xl: domain {domain} is not {done}: {error}\n"),
    }
    Ok(())
}
