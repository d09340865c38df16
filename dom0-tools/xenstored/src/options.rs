//! The command line: the options of xenstored 4.20, and a few of our own.

use std::path::PathBuf;

use clap::Parser;
use xenstore::engine::{Item, Quotas, Settings};

/// Longest path a limit can allow.
const PATH_MAX: u64 = 2048;

/// The daemon that keeps the store of a Xen host.
#[derive(Parser, Debug)]
#[command(
    name = "xenstored",
    disable_help_flag = true,
    args_override_self = true
)]
pub struct Options {
    /// Write the daemon's process number into a file
    #[arg(short = 'F', long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Print this help
    #[arg(short = 'H', long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    /// Stay in the foreground
    #[arg(short = 'N', long)]
    pub no_fork: bool,
    /// Write a line for every message into a file
    #[arg(short = 'T', long, value_name = "FILE")]
    pub trace_file: Option<PathBuf>,
    /// Switch parts of the trace on (+) or off (-): obj, io
    #[arg(long, value_name = "+SWITCH|-SWITCH", allow_hyphen_values = true, action = clap::ArgAction::Append)]
    pub trace_control: Vec<String>,
    /// Most nodes of a domain
    #[arg(short = 'E', long, value_name = "NB")]
    entry_nb: Option<u32>,
    /// Most bytes of a node of a domain
    #[arg(short = 'S', long, value_name = "SIZE")]
    entry_size: Option<u32>,
    /// Most watches of a domain
    #[arg(short = 'W', long, value_name = "NB")]
    watch_nb: Option<u32>,
    /// Most transactions of a domain
    #[arg(short = 't', long, value_name = "NB")]
    transaction: Option<u32>,
    /// Most permissions of a node
    #[arg(short = 'A', long, value_name = "NB")]
    perm_nb: Option<u32>,
    /// Longest path of a node
    #[arg(short = 'M', long, value_name = "CHARS")]
    path_max: Option<u32>,
    /// Set a quota: transaction-nodes, memory, nodes, node-permissions, node-size, outstanding, path-length, transactions, watches
    #[arg(short = 'Q', long, value_name = "WHAT=NB", action = clap::ArgAction::Append, value_parser = quota)]
    quota: Vec<(Item, u64)>,
    /// Set a quota that only warns: memory
    #[arg(short = 'q', long, value_name = "WHAT=NB", action = clap::ArgAction::Append, value_parser = soft_quota)]
    quota_soft: Vec<u64>,
    /// How long things may take: watch-event, the time an event waits for a domain that does not take it; 0 for ever
    #[arg(short = 'w', long, value_name = "WHAT=SECONDS", action = clap::ArgAction::Append, value_parser = timeout)]
    timeout: Vec<u64>,
    /// Keep the nodes of domains that are gone, as domain 0's (a security risk: the next domain of that number may see them)
    #[arg(short = 'K', long)]
    keep_orphans: bool,
    /// A domain besides 0 that may do everything
    #[arg(long, value_name = "DOMID")]
    priv_domid: Option<u16>,
    /// The domain this daemon runs in: 0 alone is supported
    #[arg(long, value_name = "DOMID", value_parser = clap::value_parser!(u16).range(0..=0))]
    master_domid: Option<u16>,
    /// The port of domain 0's ring: asked from the kernel, so this is not used
    #[arg(long, value_name = "PORT", hide = true)]
    event: Option<u32>,
    /// Say more
    #[arg(short = 'V', long)]
    pub verbose: bool,
    /// Of older versions; not used
    #[arg(short = 'I', long, hide = true)]
    internal_db: bool,
    /// Keep the state in this directory instead of /run/xenstored
    #[arg(long, value_name = "DIR", conflicts_with = "no_state")]
    pub state_dir: Option<PathBuf>,
    /// Keep no state: when the daemon ends, so do all connections of guests
    #[arg(long)]
    pub no_state: bool,
    /// Begin with an empty store, whatever state there is
    #[arg(long)]
    pub discard_state: bool,
    /// Serve the socket alone, without any hypervisor (for tests)
    #[arg(long)]
    pub no_domains: bool,
}

impl Options {
    /// How the store is to behave.
    pub fn store(&self) -> Settings {
        let defaults = Settings::default();
        let timeout = self.timeout.last().copied();
        Settings {
            quotas: self.quotas(),
            privileged: self.priv_domid.filter(|&domain| domain != 0),
            keep_orphans: self.keep_orphans,
            event_timeout_ms: match timeout {
                None => defaults.event_timeout_ms,
                Some(0) => None,
                Some(seconds) => Some(seconds.saturating_mul(1000)),
            },
        }
    }

    fn quotas(&self) -> Quotas {
        let mut quotas = Quotas::default();
        let short = [
            (Item::Nodes, self.entry_nb),
            (Item::NodeSize, self.entry_size),
            (Item::Watches, self.watch_nb),
            (Item::Transactions, self.transaction),
            (Item::NodePermissions, self.perm_nb),
            (Item::PathMax, self.path_max),
        ];
        let short = short
            .into_iter()
            .filter_map(|(item, limit)| Some((item, limit?.into())));
        for (item, limit) in short.chain(self.quota.iter().copied()) {
            let limit = if item == Item::PathMax {
                limit.min(PATH_MAX)
            } else {
                limit
            };
            quotas.set(item, limit);
        }
        if let Some(&limit) = self.quota_soft.last() {
            quotas.soft_memory = limit;
        }
        quotas
    }
}

fn quota(text: &str) -> Result<(Item, u64), String> {
    let (name, limit) = pair(text)?;
    // The help of xenstored 4.20 has another name for it than its code.
    let name = if name == "path-length" {
        "path-max"
    } else {
        name
    };
    let item = Item::named(name).ok_or_else(|| format!("unknown quota \"{text}\""))?;
    Ok((item, limit))
}

fn soft_quota(text: &str) -> Result<u64, String> {
    match pair(text)? {
        ("memory", limit) => Ok(limit),
        _ => Err(format!("unknown quota \"{text}\"")),
    }
}

fn timeout(text: &str) -> Result<u64, String> {
    match pair(text)? {
        ("watch-event", seconds) => Ok(seconds),
        _ => Err(format!("unknown timeout \"{text}\"")),
    }
}

fn pair(text: &str) -> Result<(&str, u64), String> {
    let (name, number) = text.split_once('=').ok_or("expected <what>=<nb>")?;
    let number: u32 = number
        .parse()
        .map_err(|_| format!("invalid parameter value \"{number}\""))?;
    Ok((name, number.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(words.split(' '))
    }

    #[test]
    fn options_of_the_original_are_understood() {
        let line = "xenstored -F /run/x.pid -N -E 5 -S 6 -W 7 -t 8 -A 9 -M 9999 -Q memory=0 --quota outstanding=3 \
                    -q memory=77 -w watch-event=3 -K --verbose --internal-db --trace-control=-io -T /tmp/trace";
        let options = parse(line).expect("all known");
        let store = options.store();
        let limits: Vec<u64> = Item::all().map(|item| store.quotas.limit(item)).collect();
        assert_eq!(limits, [5, 7, 3, 0, 8, 1024, 9, 2048, 6]);
        assert_eq!(store.quotas.soft_memory, 77);
        assert_eq!(store.event_timeout_ms, Some(3000));
        assert!(store.keep_orphans && options.no_fork && options.verbose);
        assert_eq!(options.trace_control, ["-io"]);
        assert_eq!(options.pid_file, Some("/run/x.pid".into()));
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for line in [
            "xenstored -E x",
            "xenstored -E -1",
            "xenstored -Q memory",
            "xenstored -Q nothing=3",
            "xenstored -q nodes=3",
            "xenstored -w event=3",
            "xenstored --master-domid 3",
            "xenstored argument",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn events_wait_twenty_seconds_unless_they_may_wait_for_ever() {
        let store = parse("xenstored -N").expect("known").store();
        assert_eq!(store.event_timeout_ms, Some(20_000));
        let store = parse("xenstored -w watch-event=0").expect("known").store();
        assert_eq!(store.event_timeout_ms, None);
    }
}
