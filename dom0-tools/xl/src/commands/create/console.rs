//! The console of a domain that is being created: connected before it runs, so that nothing of its boot is missed.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use anyhow::Context as _;
use rustix::pipe::{PipeFlags, pipe_with};
use xenconsoled::client::{self, Attach, DEFAULT_ESCAPE, Kind};
use xenctl::{DomId, Hypervisor};

use crate::context::Context;
use crate::failure::OrFail;

/// Connects, lets the domain run as soon as the console is there, and returns when the session ends.
pub fn attach(context: &Context, domain: DomId, stays_paused: bool) -> anyhow::Result<()> {
    let (connected, started) = pipe_with(PipeFlags::CLOEXEC).context("can not make a pipe")?;
    let store = context.shared_store()?;
    let xen = context.shared_xen()?;
    let what = Attach {
        domain,
        number: 0,
        kind: Kind::Pv,
        escape: DEFAULT_ESCAPE,
        is_interactive: false,
        started: Some(started),
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(move || start(xen.as_ref(), domain, &connected, stays_paused));
        let session = client::attach(&store, what).or_fail("Unable to attach console");
        let running = running
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        running.and(session)
    })
}

/// Waits for the console's byte, or for the end of a console that failed: the domain runs in either case.
fn start(
    xen: &dyn Hypervisor,
    domain: DomId,
    connected: &OwnedFd,
    stays_paused: bool,
) -> anyhow::Result<()> {
    while matches!(
        rustix::io::read(connected, &mut [0; 1]),
        Err(rustix::io::Errno::INTR)
    ) {}
    if !stays_paused {
        xen.unpause_domain(domain)?;
    }
    Ok(())
}

/// Connects in a process of its own, for `-F`.
pub fn spawn(domain: DomId) -> anyhow::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("xl");
    command.args(["console", "-t", "pv", "-n", "0", &domain.to_string()]);
    command.spawn().context("can not start the console client")
}
