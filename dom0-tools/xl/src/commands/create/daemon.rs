//! Leaves a process behind that watches over a domain: this program again, as `xl monitor-domain`, in a session of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use domcfg::DomainConfig;
use xenctl::DomId;

use crate::commands::monitor;

/// Starts it; returns when it watches.
pub fn start(domain: DomId, config: &DomainConfig) -> anyhow::Result<()> {
    let name = config.c_info.name.as_deref().unwrap_or_default();
    let mut command = Command::new("/proc/self/exe");
    command.arg0("xl");
    command.args([monitor::NAME, "--", &domain.to_string(), name]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .current_dir("/");
    let failed = || {
        format!(
            "nobody watches over domain {domain}: can not start `xl {}`",
            monitor::NAME
        )
    };
    let mut child = command.spawn().with_context(failed)?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output)
            .read_line(&mut line)
            .with_context(failed)?;
    }
    if line.trim_end() == monitor::READY {
        return Ok(());
    }
    let status = child.wait().with_context(failed)?;
    anyhow::bail!(
        "nobody watches over domain {domain}: `xl {}` ended with {status}",
        monitor::NAME
    )
}
