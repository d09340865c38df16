//! Learns from the store which terminal a console has now: another one after the daemon was restarted, none after the guest's end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use xenstore::{Access, Tx, read_optional};

use super::Error;

/// How soon the thread notices that nobody listens any more.
const LIFE_SIGN: Duration = Duration::from_millis(500);

/// Where pseudo-terminals are, by number.
const PTYS: &str = "/dev/pts/";

const TOKEN: &str = "console-tty";

/// Readable whenever the node changed.
pub struct StoreEvents {
    store: Arc<dyn Access>,
    path: String,
    changed: Arc<OwnedFd>,
    is_lost: Arc<AtomicBool>,
}

impl StoreEvents {
    /// Watches the node at `path`.
    pub fn watch(store: &Arc<dyn Access>, path: String) -> Result<Self, Error> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let changed = Arc::new(eventfd(0, flags).map_err(std::io::Error::from)?);
        store.watch(&path, TOKEN)?;
        let is_lost = Arc::new(AtomicBool::new(false));
        let (source, wake) = (Arc::downgrade(store), Arc::downgrade(&changed));
        let lost = is_lost.clone();
        thread::Builder::new()
            .name("store-events".into())
            .spawn(move || {
                pass_on(&source, &wake);
                lost.store(true, Ordering::Release);
            })?;
        Ok(Self {
            store: store.clone(),
            path,
            changed,
            is_lost,
        })
    }

    /// Forgets what changed so far.
    pub fn acknowledge(&self) {
        // Nothing to read is no error.
        let _ = rustix::io::read(&*self.changed, &mut [0; 8]);
    }

    /// Whether the store can not be asked any more.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// The terminal's name, if there is one.
    pub fn terminal_name(&self) -> Result<Option<String>, Error> {
        let name = read_optional(&*self.store, Tx::NONE, &self.path)?;
        Ok(name.filter(|name| !name.is_empty()))
    }

    /// Opens the terminal, waiting for it at most for `patience`.
    pub fn wait_for_terminal(&self, patience: Duration) -> Result<Terminal, Error> {
        let until = Instant::now() + patience;
        loop {
            self.acknowledge();
            let opened = match self.terminal_name()? {
                Some(name) => Terminal::open(name),
                None => Err(Error::NoTerminal {
                    path: self.path.clone(),
                    seconds: patience.as_secs(),
                }),
            };
            let left = until.saturating_duration_since(Instant::now());
            match opened {
                Ok(terminal) => return Ok(terminal),
                Err(error) if left.is_zero() || self.is_lost() => return Err(error),
                Err(_) => super::relay::wait_readable(&self.changed, left)?,
            }
        }
    }
}

impl AsFd for StoreEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changed.as_fd()
    }
}

impl Drop for StoreEvents {
    fn drop(&mut self) {
        // The connection may end before this arrives; then the watch does too.
        let _ = self.store.unwatch(&self.path, TOKEN);
    }
}

/// The thread: ends with the connection, or when nobody listens.
fn pass_on(store: &Weak<dyn Access>, changed: &Weak<OwnedFd>) {
    loop {
        let (Some(store), Some(changed)) = (store.upgrade(), changed.upgrade()) else {
            return;
        };
        let event = store.next_event(Some(LIFE_SIGN));
        if !matches!(event, Ok(None)) {
            // The counter is full only when the listener has been woken already.
            let _ = rustix::io::write(&changed, &1_u64.to_ne_bytes());
        }
        if event.is_err() {
            return;
        }
    }
}

/// An open terminal of a guest.
#[derive(Debug)]
pub struct Terminal {
    /// Its name.
    pub name: String,
    fd: OwnedFd,
}

impl Terminal {
    /// Opens it. A guest may write the names of its secondary consoles: nothing but a pseudo-terminal is touched.
    pub fn open(name: String) -> Result<Self, Error> {
        match open_raw(&name) {
            Ok(fd) => Ok(Self { name, fd }),
            Err(errno) => Err(Error::Open { path: name, errno }),
        }
    }
}

fn open_raw(name: &str) -> Result<OwnedFd, Errno> {
    let number = name.strip_prefix(PTYS).ok_or(Errno::NOTTY)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Errno::NOTTY);
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = open(name, flags, Mode::empty())?;
    let mut settings = tcgetattr(&fd)?;
    settings.make_raw();
    tcsetattr(&fd, OptionalActions::Now, &settings)?;
    Ok(fd)
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_can_not_make_the_client_open_anything_but_a_terminal() {
        for name in [
            "/dev/null",
            "/dev/pts/../null",
            "/dev/pts/",
            "/dev/pts/ptmx",
            "/etc/passwd",
            "1",
        ] {
            let error = Terminal::open(name.into()).unwrap_err();
            assert_eq!(
                error.exit_code(),
                Errno::NOTTY.raw_os_error() as u8,
                "{name}"
            );
        }
    }
}
