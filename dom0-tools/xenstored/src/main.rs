//! xenstored: reads the command line, goes into the background, and serves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use xenctl::real;
use xenstored::options::Options;
use xenstored::{Daemon, Settings, Xen, notices, process};

/// Where the socket and the state are, unless the environment says otherwise.
const RUN_DIR: &str = "/run/xenstored";

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
            // Nobody is left to be told when this can not be printed.
            let _ = error.print();
            return code;
        }
    };
    match run(&options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xenstored: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if !options.no_fork && !process::is_in_background() {
        return process::start_in_background().context("can not start in the background");
    }
    notices::begin(options.verbose);
    process::raise_file_limit();
    let settings = settings(options)?;
    let pid_file = options.pid_file.as_deref().map(absolute).transpose()?;
    if process::is_in_background() {
        process::leave_session().context("can not leave the session")?;
    }
    // Held until the process ends.
    let _pid_file = match pid_file.as_deref() {
        None => None,
        Some(path) => match process::write_pid_file(path).with_context(|| named(path))? {
            Some(file) => Some(file),
            // As the original: another daemon is there, so all is well.
            None => return Ok(ExitCode::SUCCESS),
        },
    };
    let _lock = match &settings.state {
        Some(dir) => Some(process::lock_state(dir).with_context(|| named(dir))?),
        None => None,
    };
    serve(settings)
}

fn serve(settings: Settings) -> anyhow::Result<ExitCode> {
    let mut daemon = Daemon::start(settings)?;
    let signals = process::signals().context("can not listen to signals")?;
    daemon.listen_to_signals(signals)?;
    process::ready().context("can not go into the background")?;
    daemon.run()?;
    tracing::info!("ended by a signal");
    Ok(ExitCode::SUCCESS)
}

fn settings(options: &Options) -> anyhow::Result<Settings> {
    let run_dir = std::env::var_os("XENSTORED_RUNDIR").map_or(RUN_DIR.into(), PathBuf::from);
    let socket = std::env::var_os("XENSTORED_PATH").map_or(run_dir.join("socket"), PathBuf::from);
    let state = options.state_dir.clone().unwrap_or(run_dir);
    for dir in [Some(state.as_path()), socket.parent()]
        .into_iter()
        .flatten()
    {
        std::fs::create_dir_all(dir).with_context(|| named(dir))?;
    }
    Ok(Settings {
        store: options.store(),
        socket: absolute(&socket)?,
        state: (!options.no_state).then(|| absolute(&state)).transpose()?,
        discard_state: options.discard_state,
        xen: (!options.no_domains).then(open_xen).transpose()?,
        trace: options.trace_file.as_deref().map(absolute).transpose()?,
        trace_switches: options.trace_control.clone(),
    })
}

fn open_xen() -> anyhow::Result<Xen> {
    let xen = Arc::new(real::Xen::open().context("no access to the hypervisor")?);
    Ok(Xen {
        hypervisor: xen.clone(),
        backend: xen,
    })
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| named(path))
}

fn named(path: &Path) -> String {
    path.display().to_string()
}
