//! The daemon as a process: in the background, with a file of its number, ended by signals.
//!
//! A process goes into the background by starting itself once more and waiting until that one serves: whoever started it may use the store as soon as it
//! returns, and is told by its exit status when it can not.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::process::Resource;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::daemon::Signals;

/// Set for the process in the background.
const IN_BACKGROUND: &str = "XENSTORED_IN_BACKGROUND";
/// What that process says when it serves.
const READY: &[u8] = b"ready";
/// How long a daemon that was ended may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether this is the process in the background.
pub fn is_in_background() -> bool {
    std::env::var_os(IN_BACKGROUND).is_some()
}

/// Starts this program once more, in the background, and waits until it serves. Gives what to end with.
pub fn start_in_background() -> io::Result<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .env(IN_BACKGROUND, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = Vec::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut said)?;
    }
    if said == READY {
        return Ok(ExitCode::SUCCESS);
    }
    let code = child
        .wait()?
        .code()
        .and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Allows as many open files as the host does: each process that uses the store is one.
pub fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, limit) {
        tracing::debug!("the limit of open files stays: {error}");
    }
}

/// Leaves the session of whoever started this process, and the directory it was in.
pub fn leave_session() -> io::Result<()> {
    // Fails for the leader of a group, which a process that was just started by another is not.
    rustix::process::setsid()?;
    std::env::set_current_dir("/")
}

/// Says that the daemon serves: to systemd, if that asked for it, and to the process that waits in the foreground.
pub fn ready() -> io::Result<()> {
    notify_systemd();
    if is_in_background() {
        io::stdout().write_all(READY)?;
        io::stdout().flush()?;
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        crate::notices::detach();
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(())
}

fn notify_systemd() {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let text = format!("READY=1\nMAINPID={}\n", std::process::id());
    if let Err(error) = notify(&path, text.as_bytes()) {
        tracing::warn!("systemd is not told: {error}");
    }
}

fn notify(path: &std::ffi::OsStr, text: &[u8]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(text, &address).map(drop)
}

/// Writes this process's number into a file and locks it as long as the process lives. `None`: another daemon has it.
pub fn write_pid_file(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.mode(0o600).open(path)?;
    match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Some(file))
}

/// Locks the directory of the state as long as the process lives. One that is being ended is waited for.
pub fn lock_state(dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(dir.join("lock"))?;
    let end = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let what = "another xenstored is running";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The signals the daemon listens to: TERM and INT to end, HUP to open the trace again.
pub fn signals() -> io::Result<Signals> {
    let (end, sender) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGTERM, sender.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGINT, sender)?;
    let (reopen, sender) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGHUP, sender)?;
    end.set_nonblocking(true)?;
    reopen.set_nonblocking(true)?;
    Ok(Signals { end, reopen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_has_the_number_and_nothing_of_before() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("pid");
        std::fs::write(&path, "12345678\n").expect("written");
        let file = write_pid_file(&path).expect("a file");
        assert!(file.is_some());
        let text = std::fs::read_to_string(&path).expect("there");
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_state_that_is_in_use_is_not_shared() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let first = lock_state(dir.path()).expect("free");
        let waiter = {
            let dir = dir.path().to_owned();
            std::thread::spawn(move || lock_state(&dir).map(drop))
        };
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiter.is_finished());
        drop(first);
        let second = waiter.join().expect("no panic");
        second.expect("free again");
    }
}
