//! `xl vcpu-pin`: where virtual processors may and should run.

use serde_json::json;
use xen_abi::domctl::XEN_INVALID_MAX_VCPU_ID;
use xenctl::{CpuSet, DomId, Hypervisor};

use super::Ignored;
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::output::cpus::ranges;
use crate::parse::{cpus, number};
use crate::{complain, say, select};

/// Which processors for which virtual processor.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Override a pin that the domain's kernel asked for
    #[arg(short = 'f', long)]
    force: bool,
    /// Ignore the masks in xl.conf
    #[arg(short = 'i', long)]
    ignore_global_affinity_masks: bool,
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// Number, or all.
    #[arg(value_name = "VCPU|all", allow_negative_numbers = true)]
    vcpu: String,
    /// Where it may run; - leaves it.
    #[arg(value_name = "Hard affinity|-|all", allow_hyphen_values = true)]
    hard: String,
    /// Where it should run; - leaves it.
    #[arg(value_name = "Soft affinity|-|all", allow_hyphen_values = true)]
    soft: Option<String>,
    #[command(flatten)]
    ignored: Ignored,
}

impl Arguments {
    /// Pins, or with `-N` says how.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        let vcpu = self.vcpu()?;
        let xen = context.xen()?;
        let hard = affinity(xen, Some(&self.hard))?;
        let soft = affinity(xen, self.soft.as_deref())?;
        if context.globals.dry_run {
            return print(context, hard.as_ref(), soft.as_ref());
        }
        let hard = hard
            .map(|hard| self.masked(context, domain, hard))
            .transpose()?;
        match vcpu {
            Some(vcpu) => self.pin(context, domain, vcpu, hard.as_ref(), soft.as_ref())?,
            None => self.pin_all(context, domain, hard.as_ref(), soft.as_ref())?,
        }
        context.done(&json!({ "domid": domain.0, "vcpu": vcpu }));
        Ok(())
    }

    /// The virtual processor, `None` for all.
    fn vcpu(&self) -> Result<Option<u32>, Failure> {
        let text = &self.vcpu;
        let parsed = number::leading(text)
            .map(|(vcpu, _)| vcpu)
            .filter(|vcpu| *vcpu >= 0);
        match parsed {
            Some(vcpu) => Ok(Some(u32::try_from(vcpu).unwrap_or(u32::MAX))),
            None if text != "all" => Err(Failure::said(format!(
                "Error: Invalid argument {text} as VCPU."
            ))),
            None if self.force => Err(Failure::said(
                "Error: --force and 'all' as VCPU not allowed.",
            )),
            None => Ok(None),
        }
    }

    /// A hard affinity without what xl.conf forbids.
    fn masked(&self, context: &Context, domain: DomId, hard: CpuSet) -> anyhow::Result<CpuSet> {
        if self.ignore_global_affinity_masks {
            return Ok(hard);
        }
        let xen = context.xen()?;
        xen.domain(domain).or_fail("Could not get domain info")?;
        // As in libxl the processors of whole bytes count as there: to refuse the rest is Xen's.
        let host = CpuSet::first((xen.physinfo()?.max_cpu_id | 7).saturating_add(1));
        let allowed = context
            .settings()
            .allowed_cpus(xen)?
            .unwrap_or(host.clone());
        let masked = hard.intersection(&allowed).intersection(&host);
        anyhow::ensure!(
            !masked.is_empty(),
            Failure::said("vcpu hard affinity map is empty")
        );
        Ok(masked)
    }

    fn pin(
        &self,
        context: &Context,
        domain: DomId,
        vcpu: u32,
        hard: Option<&CpuSet>,
        soft: Option<&CpuSet>,
    ) -> anyhow::Result<()> {
        let failed = || format!("Could not set affinity for vcpu `{vcpu}'.");
        if hard.is_none() && soft.is_none() && !self.force {
            return Err(anyhow::anyhow!("neither affinity is given")).or_fail(failed());
        }
        let set = context
            .xen()?
            .set_vcpu_affinity(domain, vcpu, hard, soft, self.force);
        let effective = set.or_fail(failed())?;
        if soft.is_some() && effective.soft.is_empty() {
            complain!(
                context,
                "xl: vCPU {vcpu} of domain {domain} can run on none of the processors of its soft affinity\n"
            );
        }
        Ok(())
    }

    fn pin_all(
        &self,
        context: &Context,
        domain: DomId,
        hard: Option<&CpuSet>,
        soft: Option<&CpuSet>,
    ) -> anyhow::Result<()> {
        let last = context
            .xen()?
            .domain(domain)
            .or_fail("libxl_list_vcpu failed.")?
            .max_vcpu_id;
        if last == XEN_INVALID_MAX_VCPU_ID {
            return Err(Failure::said("libxl_list_vcpu failed.").into());
        }
        let mut failed = false;
        for vcpu in 0..=last {
            if let Err(error) = self.pin(context, domain, vcpu, hard, soft) {
                complain!(context, "xl: vCPU {vcpu}: {:#}\n", error.root_cause());
                failed = true;
            }
        }
        if failed {
            complain!(context, "Could not set affinity.\n");
        }
        Ok(())
    }
}

fn affinity(xen: &dyn Hypervisor, text: Option<&str>) -> anyhow::Result<Option<CpuSet>> {
    let text = text.filter(|text| *text != "-");
    text.map(|text| cpus::list(xen, text)).transpose()
}

fn print(context: &Context, hard: Option<&CpuSet>, soft: Option<&CpuSet>) -> anyhow::Result<()> {
    let host = context
        .xen()?
        .physinfo()
        .or_fail("libxl_get_max_cpus failed.")?;
    let count = host.max_cpu_id.saturating_add(1);
    let hard = hard.map_or_else(|| "-".into(), |hard| ranges(hard, count));
    let soft = soft.map(|soft| ranges(soft, count));
    if context.json() {
        context
            .output
            .print_json(&json!({ "hard": hard, "soft": soft }));
    } else {
        let soft = soft.map(|soft| format!(" {soft}")).unwrap_or_default();
        say!(context, "cpumap: {hard}{soft}\n");
    }
    Ok(())
}
