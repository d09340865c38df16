//! `xl vcpu-list`: where virtual processors run and may run.

use serde::Serialize;
use xen_abi::domctl::XEN_INVALID_MAX_VCPU_ID;
use xenctl::{DomId, Hypervisor};

use crate::context::Context;
use crate::output::{cpus, time};
use crate::{complain, say, select};

/// Which domains.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// All without.
    #[arg(value_name = "Domain")]
    domains: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    domid: u16,
    vcpu: u32,
    cpu: Option<u32>,
    running: bool,
    blocked: bool,
    cpu_seconds: f64,
    hard_affinity: String,
    soft_affinity: String,
}

impl Arguments {
    /// Lists.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let xen = context.xen()?;
        let host = match xen.physinfo() {
            Ok(host) => host,
            Err(error) => {
                complain!(context, "xl: {error}\nlibxl_physinfo failed.\n");
                return Ok(());
            }
        };
        let count = host.max_cpu_id.saturating_add(1);
        if !context.json() {
            say!(context, "{}\n", header());
        }
        let mut rows = Vec::new();
        for domain in self.domains(context) {
            match of_domain(context, xen, domain?, count) {
                Ok(more) if context.json() => rows.extend(more),
                Ok(more) => more.iter().for_each(|row| say!(context, "{}\n", line(row))),
                Err(error) => complain!(context, "xl: {error}\n"),
            }
        }
        if context.json() {
            context.output.print_json(&rows);
        }
        Ok(())
    }

    fn domains<'a>(
        &'a self,
        context: &'a Context,
    ) -> Box<dyn Iterator<Item = anyhow::Result<DomId>> + 'a> {
        if !self.domains.is_empty() {
            return Box::new(
                self.domains
                    .iter()
                    .map(|word| select::domain(context, word)),
            );
        }
        match super::list::all(context) {
            Ok(all) => Box::new(all.into_iter().map(|info| Ok(DomId(info.domain)))),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }
}

fn of_domain(
    context: &Context,
    xen: &dyn Hypervisor,
    domain: DomId,
    count: u32,
) -> anyhow::Result<Vec<Row>> {
    let last = xen.domain(domain)?.max_vcpu_id;
    if last == XEN_INVALID_MAX_VCPU_ID {
        return Ok(Vec::new());
    }
    let name = select::shown_name(context, domain);
    (0..=last)
        .map(|vcpu| row(xen, &name, domain, vcpu, count))
        .collect()
}

fn row(
    xen: &dyn Hypervisor,
    name: &str,
    domain: DomId,
    vcpu: u32,
    count: u32,
) -> anyhow::Result<Row> {
    let info = xen.vcpu(domain, vcpu)?;
    let affinity = xen.vcpu_affinity(domain, vcpu)?;
    Ok(Row {
        name: name.into(),
        domid: domain.0,
        vcpu,
        cpu: (info.online != 0).then_some(info.cpu),
        running: info.running != 0,
        blocked: info.blocked != 0,
        cpu_seconds: time::cpu_seconds(info.cpu_time),
        hard_affinity: cpus::ranges(&affinity.hard, count),
        soft_affinity: cpus::ranges(&affinity.soft, count),
    })
}

fn header() -> String {
    format!(
        "{:<32} {:>5} {:>5} {:>5} {:>5} {:>9} Affinity (Hard / Soft)",
        "Name", "ID", "VCPU", "CPU", "State", "Time(s)"
    )
}

fn line(row: &Row) -> String {
    let place = match row.cpu {
        None => format!("{:>5} {:>3}-p ", '-', '-'),
        Some(cpu) => {
            let running = if row.running { 'r' } else { '-' };
            let blocked = if row.blocked { 'b' } else { '-' };
            format!("{cpu:>5} {running:>3}{blocked}- ")
        }
    };
    format!(
        "{:<32} {:>5} {:>5}{place}{:9.1}  {} / {}",
        row.name, row.domid, row.vcpu, row.cpu_seconds, row.hard_affinity, row.soft_affinity
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_xl() {
        let mut row = Row {
            name: "alpha".into(),
            domid: 2,
            vcpu: 0,
            cpu: Some(1),
            running: false,
            blocked: true,
            cpu_seconds: 10.1,
            hard_affinity: "all".into(),
            soft_affinity: "all".into(),
        };
        assert_eq!(
            header(),
            "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)"
        );
        assert_eq!(
            line(&row),
            "alpha                                2     0    1   -b-      10.1  all / all"
        );
        row.vcpu = 1;
        row.cpu = None;
        row.cpu_seconds = 5.5;
        row.hard_affinity = "0".into();
        assert_eq!(
            line(&row),
            "alpha                                2     1    -   --p       5.5  0 / all"
        );
    }
}
