//! The configuration of a domain that runs: what it was made from, brought up to date with what hypervisor and store say now.

use anyhow::Context as _;
use domain::lifecycle::CONFIG;
use domcfg::DomainConfig;
use domcfg::cpus::CpuSet as ConfigCpus;
use domcfg::identity::Uuid;
use serde_json::{Value, json};
use xen_abi::domctl::{DomctlGetdomaininfo, DomctlSchedulerOp, XEN_DOMCTL_SCHEDOP_GETINFO};
use xenctl::DomId;
use xenstore::{Tx, read_optional};

use crate::context::Context;
use crate::{complain, life, select};

/// `xl list -l`: the configurations as an array. Domains without one are reported and left out.
pub fn print_all(context: &Context, domains: &[DomctlGetdomaininfo]) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for info in domains {
        match load(context, info) {
            Ok(config) => all.push(entry(Some(info.domain), &config)),
            Err(error) => complain!(context, "xl: domain {}: {error:#}\n", info.domain),
        }
    }
    crate::say!(context, "{}\n", domcfg::pretty(&Value::from(all)));
    Ok(())
}

/// A configuration with the domain's number.
pub fn entry(domain: Option<u16>, config: &DomainConfig) -> Value {
    json!({ "domid": domain, "config": config.to_libxl_json() })
}

/// What a domain was made from, as it is kept in its files.
pub fn stored(context: &Context, domain: DomId) -> anyhow::Result<DomainConfig> {
    let kept = life::toolstack(context)?.userdata(domain)?.read(CONFIG)?;
    let text = kept.context("its configuration is not kept")?;
    DomainConfig::from_libxl_json_text(&text).context("its kept configuration can not be read")
}

fn load(context: &Context, info: &DomctlGetdomaininfo) -> anyhow::Result<DomainConfig> {
    let domain = DomId(info.domain);
    let mut config = stored(context, domain)?;
    config.c_info.name = select::name_of(context.store()?, domain)?;
    config.c_info.uuid = Uuid(info.handle);
    vcpus(context, domain, &mut config)?;
    memory(context, domain, info, &mut config)?;
    scheduling(context, info, &mut config)?;
    devices(context, domain, &mut config)?;
    Ok(config)
}

fn vcpus(context: &Context, domain: DomId, config: &mut DomainConfig) -> anyhow::Result<()> {
    let store = context.store()?;
    let mut available = ConfigCpus::new();
    let count = u32::try_from(config.b_info.max_vcpus).unwrap_or(0);
    for vcpu in 0..count.min(domcfg::cpus::MAX_CPUS) {
        let path = format!("/local/domain/{domain}/cpu/{vcpu}/availability");
        if read_optional(store, Tx::NONE, &path)?.as_deref() == Some("online") {
            available.insert(vcpu);
        }
    }
    config.b_info.avail_vcpus = available;
    Ok(())
}

/// The target and the maximum from the store; dom0's from the hypervisor where the store does not have them.
fn memory(
    context: &Context,
    domain: DomId,
    info: &DomctlGetdomaininfo,
    config: &mut DomainConfig,
) -> anyhow::Result<()> {
    let store = context.store()?;
    let number = |name: &str, pages: u64| {
        let path = format!("/local/domain/{domain}/memory/{name}");
        match read_optional(store, Tx::NONE, &path)? {
            Some(text) => text
                .parse::<u64>()
                .with_context(|| format!("{path} is {text:?}")),
            None if domain == DomId::DOM0 => Ok(pages.saturating_mul(4)),
            None => anyhow::bail!("{path} is missing"),
        }
    };
    config.b_info.target_memkb = Some(number("target", info.tot_pages)?);
    config.b_info.max_memkb = Some(number("static-max", info.max_pages)?);
    Ok(())
}

fn scheduling(
    context: &Context,
    info: &DomctlGetdomaininfo,
    config: &mut DomainConfig,
) -> anyhow::Result<()> {
    let xen = context.xen()?;
    let pools = xen.cpu_pools()?;
    let Some(pool) = pools.iter().find(|pool| pool.id == info.cpupool) else {
        return Ok(());
    };
    let op = DomctlSchedulerOp {
        sched_id: pool.scheduler,
        cmd: XEN_DOMCTL_SCHEDOP_GETINFO,
        ..Default::default()
    };
    let name = select::scheduler_name(pool.scheduler);
    let mut parameters = json!({ "sched": name });
    if matches!(name, "credit" | "credit2") {
        let credit = xen.domain_scheduler(DomId(info.domain), op)?.credit;
        parameters = json!({ "sched": name, "weight": credit.weight, "cap": credit.cap });
    }
    let mut json = config.to_libxl_json();
    if let Some(build) = json.get_mut("b_info").and_then(Value::as_object_mut) {
        build.insert("sched_params".into(), parameters);
    }
    *config = DomainConfig::from_libxl_json(&json)?;
    Ok(())
}

/// Devices that are gone are left out.
fn devices(context: &Context, domain: DomId, config: &mut DomainConfig) -> anyhow::Result<()> {
    let devices = crate::device::devices(context)?;
    let disks = devices.disks(domain.0)?;
    config.disks.retain(|disk| {
        let vdev = disk.vdev.as_deref().and_then(|name| name.parse().ok());
        disks.iter().any(|present| Some(present.vdev) == vdev)
    });
    let vifs = devices.vifs(domain.0)?;
    config
        .nics
        .retain(|nic| vifs.iter().any(|present| Some(present.number) == nic.devid));
    Ok(())
}
