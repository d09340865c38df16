//! `xl vcpu-set`: how many of its virtual processors a domain should use, through the store.

use serde_json::json;
use xen_abi::errno::Errno;
use xenctl::DomId;
use xenstore::transaction;

use super::Ignored;
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::parse::number;
use crate::select;

/// How many.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Allow more than the host has
    #[arg(short = 'i', long)]
    ignore_host: bool,
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// How many.
    #[arg(value_name = "vCPUs", allow_negative_numbers = true)]
    count: String,
    #[command(flatten)]
    ignored: Ignored,
}

impl Arguments {
    /// Sets it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        let count = number::leading(&self.count).map(|(count, _)| count);
        let count = count
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| *count <= i32::MAX as u32);
        let count = count.ok_or_else(|| Failure::said("Error: Invalid argument."))?;
        if !self.ignore_host {
            check_host(context, domain, count)?;
        }
        apply(context, domain, count)?;
        context.done(&json!({ "domid": domain.0, "vcpus": count }));
        Ok(())
    }
}

fn check_host(context: &Context, domain: DomId, count: u32) -> anyhow::Result<()> {
    let xen = context.xen()?;
    let online = xen.domain(domain).or_fail("")?.nr_online_vcpus;
    let host = xen.physinfo().or_fail("")?.max_cpu_id.saturating_add(1);
    if count > online && count > host {
        let message = format!(
            "You are overcommmitting! You have {host} physical CPUs and want {count} vCPUs! \
             Aborting, use --ignore-host to continue"
        );
        return Err(Failure::said(message).into());
    }
    Ok(())
}

/// Marks the first `count` virtual processors online and the others offline.
pub fn apply(context: &Context, domain: DomId, count: u32) -> anyhow::Result<()> {
    let set = mark(context, domain, count);
    set.map_err(|error| {
        let refused = error
            .downcast_ref::<xenctl::Error>()
            .map(|error| error.errno);
        let message = match refused {
            Some(Errno::ESRCH) => format!("Domain {domain} does not exist."),
            _ => format!("libxl_set_vcpuonline failed domid={domain} max_vcpus={count}, rc: -3"),
        };
        Failure::because(error, message)
    })
}

fn mark(context: &Context, domain: DomId, count: u32) -> anyhow::Result<()> {
    let most = context.xen()?.domain(domain)?.max_vcpu_id.wrapping_add(1);
    anyhow::ensure!(count > 0, "a domain can not do without virtual processors");
    anyhow::ensure!(
        count <= most,
        "domain {domain} has {most} virtual processors"
    );
    let store = context.store()?;
    transaction(store, |tx| {
        for vcpu in 0..most {
            let value = if vcpu < count { "online" } else { "offline" };
            let path = format!("/local/domain/{domain}/cpu/{vcpu}/availability");
            store.write(tx, &path, value.as_bytes())?;
        }
        Ok(())
    })?;
    Ok(())
}
