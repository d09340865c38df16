//! `xl list`: the domains and what they are doing, as a table or, with `-l`, their configurations.

use serde::Serialize;
use xen_abi::domctl::{
    DomctlGetdomaininfo, XEN_DOMINF_BLOCKED, XEN_DOMINF_DYING, XEN_DOMINF_PAUSED,
    XEN_DOMINF_RUNNING, XEN_DOMINF_SHUTDOWN, XEN_DOMINF_SHUTDOWNMASK, XEN_DOMINF_SHUTDOWNSHIFT,
};
use xen_abi::errno::Errno;
use xenctl::DomId;

use crate::cli::usage;
use crate::configuration::running;
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::output::{cpus, time};
use crate::{say, select};

/// What to list, and how much of it.
#[derive(clap::Args, Debug, Default)]
pub struct Arguments {
    /// Print the configurations
    #[arg(short = 'l', long)]
    long: bool,
    /// Print UUIDs, reasons of shutdowns and security labels
    #[arg(short = 'v', long)]
    verbose: bool,
    /// Print security labels
    #[arg(short = 'Z', long)]
    context: bool,
    /// Print the CPU pools
    #[arg(short = 'c', long)]
    cpupool: bool,
    /// Print the NUMA nodes
    #[arg(short = 'n', long)]
    numa: bool,
    /// All without.
    #[arg(value_name = "Domain")]
    domain: Vec<String>,
}

impl Arguments {
    /// Lists.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domains = match self.domain.as_slice() {
            [] => all(context)?,
            [word] => vec![one(context, word)?],
            _ => {
                say!(context, "{}", usage::one("list"));
                return Err(Failure::silent().into());
            }
        };
        if self.long {
            return running::print_all(context, &domains);
        }
        let columns = Columns {
            verbose: self.verbose,
            label: self.context || self.verbose,
            claim: false,
            pool: self.cpupool,
            nodes: self.numa,
        };
        print(context, &domains, &columns)
    }
}

/// All domains.
pub fn all(context: &Context) -> anyhow::Result<Vec<DomctlGetdomaininfo>> {
    context
        .xen()?
        .domains()
        .or_fail("libxl_list_domain failed.")
}

/// The domain that `word` names.
pub fn one(context: &Context, word: &str) -> anyhow::Result<DomctlGetdomaininfo> {
    let domain = select::domain(context, word)?;
    let found = context.xen()?.domain(domain);
    found.map_err(|error| {
        let message = if error.errno == Errno::ESRCH {
            format!("Error: Domain '{word}' does not exist.")
        } else {
            "libxl_domain_info failed (code -3).".into()
        };
        Failure::because(error, message)
    })
}

/// Columns beyond the usual ones.
#[derive(Copy, Clone, Default)]
pub struct Columns {
    /// UUID and reason of the shutdown.
    pub verbose: bool,
    /// Security label.
    pub label: bool,
    /// Claimed memory.
    pub claim: bool,
    /// CPU pool.
    pub pool: bool,
    /// NUMA nodes.
    pub nodes: bool,
}

/// A line of the table.
#[derive(Serialize)]
struct Row {
    name: String,
    domid: u16,
    memory_mib: u64,
    vcpus: u32,
    state: String,
    cpu_seconds: f64,
    uuid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    shutdown_reason: Option<u32>,
    claimed_mib: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpupool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<String>,
}

/// Prints the table.
pub fn print(
    context: &Context,
    domains: &[DomctlGetdomaininfo],
    columns: &Columns,
) -> anyhow::Result<()> {
    let nodes = if columns.nodes {
        let host = context
            .xen()?
            .physinfo()
            .or_fail("libxl_physinfo failed.")?;
        Some(host.nr_nodes)
    } else {
        None
    };
    let rows = domains
        .iter()
        .map(|info| row(context, info, columns, nodes));
    let rows: Vec<Row> = rows.collect::<anyhow::Result<_>>()?;
    if context.json() {
        context.output.print_json(&rows);
        return Ok(());
    }
    say!(context, "{}\n", header(columns));
    for row in rows {
        say!(context, "{}\n", line(&row, columns));
    }
    Ok(())
}

fn row(
    context: &Context,
    info: &DomctlGetdomaininfo,
    columns: &Columns,
    host_nodes: Option<u32>,
) -> anyhow::Result<Row> {
    let domain = DomId(info.domain);
    // A hypervisor that does not know, or a domain that just ended, leaves the column empty of nodes.
    let nodes = host_nodes.map(|count| {
        let nodes = context.xen()?.node_affinity(domain).unwrap_or_default();
        anyhow::Ok(cpus::ranges(&nodes, count))
    });
    Ok(Row {
        name: select::shown_name(context, domain),
        domid: info.domain,
        memory_mib: info.tot_pages.saturating_add(info.outstanding_pages) / 256,
        vcpus: info.nr_online_vcpus,
        state: state(info),
        cpu_seconds: time::cpu_seconds(info.cpu_time),
        uuid: uuid(&info.handle),
        shutdown_reason: shutdown_reason(info),
        claimed_mib: info.outstanding_pages / 256,
        cpupool: columns
            .pool
            .then(|| select::shown_pool(context, info.cpupool)),
        nodes: nodes.transpose()?,
    })
}

/// Why a domain shut down, `SHUTDOWN_*`, if it did.
pub fn shutdown_reason(info: &DomctlGetdomaininfo) -> Option<u32> {
    let reason = (info.flags >> XEN_DOMINF_SHUTDOWNSHIFT) & XEN_DOMINF_SHUTDOWNMASK;
    (info.flags & XEN_DOMINF_SHUTDOWN != 0).then_some(reason)
}

/// Six letters: running, blocked, paused, shut down, why, dying.
fn state(info: &DomctlGetdomaininfo) -> String {
    let flag = |bit: u32, letter: char| if info.flags & bit != 0 { letter } else { '-' };
    let reasons = ['-', 'r', 's', 'c', 'w', 'S'];
    let reason = shutdown_reason(info).unwrap_or(0);
    let reason = usize::try_from(reason)
        .ok()
        .and_then(|reason| reasons.get(reason));
    [
        flag(XEN_DOMINF_RUNNING, 'r'),
        flag(XEN_DOMINF_BLOCKED, 'b'),
        flag(XEN_DOMINF_PAUSED, 'p'),
        flag(XEN_DOMINF_SHUTDOWN, 's'),
        reason.copied().unwrap_or('?'),
        flag(XEN_DOMINF_DYING, 'd'),
    ]
    .iter()
    .collect()
}

/// A UUID as text.
pub fn uuid(handle: &[u8; 16]) -> String {
    let hex: Vec<String> = handle.iter().map(|byte| format!("{byte:02x}")).collect();
    [0..4, 4..6, 6..8, 8..10, 10..16]
        .map(|part| hex.get(part).unwrap_or_default().concat())
        .join("-")
}

fn header(columns: &Columns) -> String {
    let mut text =
        "Name                                        ID   Mem VCPUs\tState\tTime(s)".to_owned();
    if columns.verbose {
        text.push_str("   UUID                            Reason-Code\tSecurity Label");
    } else if columns.label {
        text.push_str("   Security Label");
    }
    for (wanted, title) in [
        (columns.claim, "  Claimed"),
        (columns.pool, "         Cpupool"),
        (columns.nodes, " NODE Affinity"),
    ] {
        if wanted {
            text.push_str(title);
        }
    }
    text
}

fn line(row: &Row, columns: &Columns) -> String {
    let mut text = format!(
        "{:<40} {:>5} {:>5} {:>5}     {}  {:8.1}",
        row.name, row.domid, row.memory_mib, row.vcpus, row.state, row.cpu_seconds
    );
    if columns.verbose {
        let reason = row
            .shutdown_reason
            .map_or("-".into(), |reason| format!("{reason:x}"));
        text.push_str(&format!(" {} {reason:>8}", row.uuid));
    }
    if columns.claim {
        text.push_str(&format!(" {:>5}", row.claimed_mib));
    }
    if columns.label {
        text.push_str(&format!(" {:>16}", "-"));
    }
    if columns.pool {
        text.push_str(&format!(
            "{:>16}",
            row.cpupool.as_deref().unwrap_or("(null)")
        ));
    }
    if columns.nodes {
        text.push_str(&format!(" {}", row.nodes.as_deref().unwrap_or("none")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            name: "beta".into(),
            domid: 4,
            memory_mib: 128,
            vcpus: 1,
            state: "---sr-".into(),
            cpu_seconds: 1.2,
            uuid: "9903a7ad-ae4b-4b9c-b117-c034810e14b5".into(),
            shutdown_reason: Some(1),
            claimed_mib: 0,
            cpupool: Some("Pool-0".into()),
            nodes: Some("all".into()),
        }
    }

    #[test]
    fn lines_are_those_of_xl() {
        let plain = Columns::default();
        assert_eq!(
            line(&row(), &plain),
            "beta                                         4   128     1     ---sr-       1.2"
        );
        let verbose = Columns {
            verbose: true,
            label: true,
            ..plain
        };
        assert_eq!(
            line(&row(), &verbose),
            "beta                                         4   128     1     ---sr-       1.2 9903a7ad-ae4b-4b9c-b117-c034810e14b5        1                -"
        );
        let pool = Columns {
            pool: true,
            ..plain
        };
        assert_eq!(
            line(&row(), &pool),
            "beta                                         4   128     1     ---sr-       1.2          Pool-0"
        );
        let nodes = Columns {
            nodes: true,
            ..plain
        };
        assert_eq!(
            line(&row(), &nodes),
            "beta                                         4   128     1     ---sr-       1.2 all"
        );
        let claim = Columns {
            claim: true,
            ..plain
        };
        assert_eq!(
            line(&row(), &claim),
            "beta                                         4   128     1     ---sr-       1.2     0"
        );
    }

    #[test]
    fn headers_are_those_of_xl() {
        let all = Columns {
            verbose: true,
            label: true,
            pool: true,
            nodes: true,
            claim: false,
        };
        assert_eq!(
            header(&all),
            "Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label         Cpupool NODE Affinity"
        );
    }
}
