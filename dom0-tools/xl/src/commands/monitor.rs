//! `xl monitor-domain`, which `xl create` leaves behind: waits for a domain's end and does what its configuration says then.
//!
//! It logs to `/var/log/xen/xl-NAME.log`; older logs are kept as `.1` to `.10`.

mod log_file;

use std::any::Any;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use domain::lifecycle::Request;
use domcfg::DomainConfig;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use xenctl::DomId;

use super::create::memory;
use crate::configuration::{self, running};
use crate::context::Context;
use crate::{complain, life, select};

/// The command's name.
pub const NAME: &str = "monitor-domain";
/// What it prints when it has begun.
pub const READY: &str = "watching";
/// Where logs are.
const LOGS: &str = "/var/log/xen";

/// Which domain.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Its number.
    #[arg(value_name = "DomainId")]
    domain: String,
    /// Its name, for the log's.
    #[arg(value_name = "Name")]
    name: String,
}

impl Arguments {
    /// Watches until there is nothing more to watch.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        let config = running::stored(context, domain)?;
        // A process that was started by hand leads its group and can not leave its session; it works there as well.
        let _ = rustix::process::setsid();
        // Started as /proc/self/exe it would be `exe` in lists of processes.
        let _ = rustix::thread::set_name(c"xl");
        let log = log_file::open(Path::new(LOGS), &self.name)?;
        println!("{READY}");
        detach(&log)?;
        follow(context, domain, config)
    }
}

/// From now on nothing ties the process to the terminal it was started from.
fn detach(log: &File) -> anyhow::Result<()> {
    std::io::stdout().flush()?;
    let null = File::open("/dev/null").context("can not open /dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(log)?;
    dup2_stderr(log)?;
    Ok(())
}

/// Follows a domain through its ends and restarts, telling standard error.
pub fn follow(context: &Context, domain: DomId, config: DomainConfig) -> anyhow::Result<()> {
    let name = config.c_info.name.clone().unwrap_or_default();
    let log = |line: &str| complain!(context, "{line}\n");
    let reparse = |text: &str| {
        configuration::domain(context, "<updated>", text.as_bytes(), &[])
            .map_err(|error| format!("{error:#}"))
    };
    log(&format!(
        "Waiting for domain {name} (domid {domain}) to die [pid {}]",
        std::process::id()
    ));
    let make_room = |request: &Request| match memory::free(context, request) {
        Ok(lock) => Ok(Box::new(lock) as Box<dyn Any>),
        Err(error) => Err(format!("{error:#}")),
    };
    life::toolstack(context)?.follow(domain, config, &reparse, &make_room, &log)?;
    Ok(())
}
