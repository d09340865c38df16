//! Going into the background: another process of this program does the work, and this one ends when the other is ready, or says why it is not.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;
use rustix::fs::Mode;

/// Starts the process in the background with the same arguments and waits until it is [`ready`].
pub fn start() -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut child = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .arg("--in-background")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut word = [0];
    if let Some(mut pipe) = child.stdout.take()
        && pipe.read_exact(&mut word).is_ok()
    {
        return Ok(ExitCode::SUCCESS);
    }
    // It said why on standard error, which it shares with us.
    let status = child.wait().context("lost the process in the background")?;
    let code = status.code().and_then(|code| code.try_into().ok());
    Ok(ExitCode::from(code.filter(|&code| code != 0).unwrap_or(1)))
}

/// Leaves the terminal and the directory this was started from.
pub fn detach() -> anyhow::Result<()> {
    rustix::process::setsid().context("cannot begin a session")?;
    rustix::process::umask(Mode::from_raw_mode(0o027));
    rustix::process::chdir("/").context("cannot leave the directory")?;
    Ok(())
}

/// Tells the process that waits that all is well; from now on, nothing is said on standard output and standard error.
pub fn ready() -> anyhow::Result<()> {
    let nothing = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .context("cannot open /dev/null")?;
    // Whoever waited may be gone, which does not matter.
    let _ = rustix::io::write(rustix::stdio::stdout(), b"\n");
    rustix::stdio::dup2_stdout(nothing.as_fd())?;
    rustix::stdio::dup2_stderr(nothing.as_fd())?;
    Ok(())
}
