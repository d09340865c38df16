//! `xl mem-max` and `xl mem-set`: the most memory a domain may have, and what it should use.
//!
//! Both numbers are in the store, in KiB: `memory/static-max`, which `mem-set` does not exceed, and `memory/target`, which the guest's
//! balloon driver follows. The hypervisor's own limit is set along.

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use xenctl::{DomId, Hypervisor};
use xenstore::{Access, Tx, read_optional, transaction};

use super::{Ignored, list};
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::parse::number;
use crate::select;

/// Dom0 is never asked to use less, in KiB.
const LEAST_DOM0: u64 = 131_072;

/// What a domain may have beyond what the store says, for pages that are no memory of the guest, in KiB.
const EXTRA: u64 = 1024;

/// The most memory a domain may have.
#[derive(clap::Args, Debug)]
pub struct Max {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// With a unit.
    #[arg(value_name = "MemMB['b'|'k'|'m'|'g'|'t']")]
    size: String,
    #[command(flatten)]
    ignored: Ignored,
}

/// The memory a domain should use.
#[derive(clap::Args, Debug)]
pub struct Set {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// With a unit.
    #[arg(value_name = "MemMB['b'|'k'|'m'|'g'|'t']")]
    size: String,
    #[command(flatten)]
    ignored: Ignored,
}

fn size(text: &str) -> anyhow::Result<u64> {
    let kib = number::memory_kib(text);
    Ok(kib.ok_or_else(|| Failure::said(format!("invalid memory size: {text}")))?)
}

impl Max {
    /// Sets it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        let kib = size(&self.size)?;
        let set = set_max(context.xen()?, context.store()?, domain, kib);
        let failed = format!(
            "cannot set domid {domain} static max memory to : {}",
            self.size
        );
        set.or_fail(failed)?;
        context.done(&json!({ "domid": domain.0, "static_max_kib": kib }));
        Ok(())
    }
}

fn set_max(
    xen: &dyn Hypervisor,
    store: &dyn Access,
    domain: DomId,
    kib: u64,
) -> anyhow::Result<()> {
    let home = format!("/local/domain/{domain}/memory");
    let target = number_at(store, Tx::NONE, &format!("{home}/target"))?;
    let target = target.with_context(|| format!("{home}/target is missing"))?;
    ensure!(
        kib >= target,
        "the domain's target is {target} KiB, which is more"
    );
    xen.set_max_memory(domain, kib.saturating_add(EXTRA))?;
    store.write(
        Tx::NONE,
        &format!("{home}/static-max"),
        kib.to_string().as_bytes(),
    )?;
    Ok(())
}

fn number_at(store: &dyn Access, tx: Tx, path: &str) -> anyhow::Result<Option<u64>> {
    let Some(text) = read_optional(store, tx, path)? else {
        return Ok(None);
    };
    let number = text
        .parse()
        .with_context(|| format!("{path} is {text:?}, no number"))?;
    Ok(Some(number))
}

impl Set {
    /// Sets it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        let kib = size(&self.size)?;
        let set = set_target(context.xen()?, context.store()?, domain, kib, Enforce::Yes);
        let failed = format!(
            "cannot set domid {domain} dynamic max memory to : {}",
            self.size
        );
        set.or_fail(failed)?;
        context.done(&json!({ "domid": domain.0, "target_kib": kib }));
        Ok(())
    }
}

/// Whether the hypervisor's limit follows the target.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Enforce {
    /// The domain can not use more.
    Yes,
    /// The domain is only asked.
    No,
}

/// Sets a domain's target. Dom0's numbers are made if the store does not have them yet.
pub fn set_target(
    xen: &dyn Hypervisor,
    store: &dyn Access,
    domain: DomId,
    kib: u64,
    enforce: Enforce,
) -> anyhow::Result<()> {
    if domain == DomId::DOM0 {
        fill_dom0(xen, store)?;
    }
    let info = xen.domain(domain)?;
    let home = format!("/local/domain/{domain}/memory");
    let most = number_at(store, Tx::NONE, &format!("{home}/static-max"))?;
    let most = most.with_context(|| format!("{home}/static-max is missing"))?;
    let video = number_at(store, Tx::NONE, &format!("{home}/videoram"))?.unwrap_or(0);
    let target = kib.saturating_sub(video);
    ensure!(
        target <= most,
        "the domain's maximum is {most} KiB, which is less"
    );
    if domain == DomId::DOM0 && target < LEAST_DOM0 {
        bail!("dom0 needs at least {LEAST_DOM0} KiB");
    }
    if enforce == Enforce::Yes {
        xen.set_max_memory(domain, target.saturating_add(video).saturating_add(EXTRA))?;
    }
    if info.flags & xen_abi::domctl::XEN_DOMINF_HVM_GUEST != 0 {
        xen.set_pod_target(domain, target.saturating_add(EXTRA) / 4)?;
    }
    let vm = format!("/vm/{}/memory", list::uuid(&info.handle));
    transaction(store, |tx| {
        store.write(tx, &format!("{home}/target"), target.to_string().as_bytes())?;
        store.write(tx, &vm, (target / 1024).to_string().as_bytes())
    })?;
    Ok(())
}

/// Dom0's target and maximum, which nobody wrote when it booted.
pub fn fill_dom0(xen: &dyn Hypervisor, store: &dyn Access) -> anyhow::Result<()> {
    let info = xen.domain(DomId::DOM0)?;
    let numbers = [("target", info.tot_pages), ("static-max", info.max_pages)];
    transaction(store, |tx| {
        for (name, pages) in numbers {
            let path = format!("/local/domain/0/memory/{name}");
            if read_optional(store, tx, &path)?.is_none() {
                let kib = pages.saturating_mul(4);
                store.write(tx, &path, kib.to_string().as_bytes())?;
            }
        }
        Ok(())
    })?;
    Ok(())
}
