//! Where the daemon's own messages go: to standard error, and once it is in the background to the system's log.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::level_filters::LevelFilter;

/// The system's log.
const SYSTEM_LOG: &str = "/dev/log";
/// Facility daemon (3), severity notice (5): the level is in the text.
const PRIORITY: u8 = 3 << 3 | 5;

static DETACHED: AtomicBool = AtomicBool::new(false);

/// Begins to write messages to standard error; `verbose` more than what an administrator should know.
pub fn begin(verbose: bool) {
    let level = if verbose {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .with_writer(|| Notice(Vec::new()))
        .finish();
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        tracing::debug!("messages were set up before");
    }
}

/// From now on messages go to the system's log.
pub fn detach() {
    DETACHED.store(true, Ordering::Relaxed);
}

/// One message, sent when it is whole.
struct Notice(Vec<u8>);

impl Write for Notice {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Notice {
    /// Nobody is left to be told when a message can not be written.
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.0);
        if DETACHED.load(Ordering::Relaxed) {
            let _ = to_system_log(text.trim());
        } else {
            let _ = io::stderr().write_all(format!("xenstored: {}\n", text.trim()).as_bytes());
        }
    }
}

fn to_system_log(text: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // A log that does not keep up must not hold up the store.
    socket.set_nonblocking(true)?;
    let pid = std::process::id();
    let line = format!("<{PRIORITY}>xenstored[{pid}]: {text}");
    socket.send_to(line.as_bytes(), SYSTEM_LOG).map(drop)
}
