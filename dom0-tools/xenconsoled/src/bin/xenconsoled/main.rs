//! `xenconsoled`: gives every guest a terminal and a log.

mod background;
mod options;
mod pid_file;
mod system_log;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use tracing::Level;
use xenconsoled::daemon::{Host, Service};
use xenctl::real::Xen;
use xenstore::Access;
use xenstore::client::Client;

use options::Options;
use pid_file::PidFile;
use system_log::SystemLog;

/// Of a wrong command line: `EINVAL`.
const USAGE: u8 = 22;
/// Of a caller that is not root: `EPERM`.
const NOT_ROOT: u8 = 1;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Nobody to tell when standard error is closed.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    if options.version {
        println!(
            "Xen Console Daemon 3.0 (xen-rs {})",
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::SUCCESS;
    }
    if !geteuid().is_root() {
        eprintln!("xenconsoled requires root to run.");
        return ExitCode::from(NOT_ROOT);
    }
    let result = if options.interactive || options.in_background {
        serve(&options).map(|()| ExitCode::SUCCESS)
    } else {
        background::start()
    };
    result.unwrap_or_else(|error| {
        eprintln!("xenconsoled: {error:#}");
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

fn serve(options: &Options) -> anyhow::Result<()> {
    if options.in_background {
        background::detach()?;
    }
    start_tracing(options);
    allow_many_files();
    let _pid_file = PidFile::take(&options.pid_file)?;
    let logs = options.logs();
    if logs.guests.is_some() || logs.hypervisor.is_some() {
        std::fs::create_dir_all(&logs.directory)
            .with_context(|| format!("cannot make {}", logs.directory.display()))?;
    }
    let mut service = Service::start(host()?, logs, options.overflow())?;
    if options.in_background {
        background::ready()?;
    }
    service.run()
}

fn host() -> anyhow::Result<Host> {
    let xen = Arc::new(Xen::open().context("Failed to contact hypervisor")?);
    Ok(Host {
        hypervisor: xen.clone(),
        backend: xen,
        connect: Box::new(|| Ok(Arc::new(Client::connect()?) as Arc<dyn Access>)),
    })
}

/// Warnings and worse, or all; to the system's log, or to standard error where somebody reads it.
fn start_tracing(options: &Options) {
    let level = match options.verbose {
        true => Level::DEBUG,
        false => Level::WARN,
    };
    let messages = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(false)
        .without_time();
    if options.in_background {
        messages.with_level(false).with_writer(SystemLog).init();
    } else {
        messages.with_writer(std::io::stderr).init();
    }
}

/// A guest needs up to four files; there are up to 32752 guests.
fn allow_many_files() {
    let wanted = u64::from(xen_abi::xen::DOMID_FIRST_RESERVED) * 4 + 1000;
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|now| now >= wanted) {
        return;
    }
    let limit = Some(wanted);
    let more = Rlimit {
        current: limit,
        maximum: now.maximum.max(limit).or(limit),
    };
    if let Err(error) = setrlimit(Resource::Nofile, more) {
        tracing::warn!(
            "cannot have more than {:?} files open: {error}",
            now.current
        );
    }
}
