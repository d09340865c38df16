//! A connection to a store's daemon, over its Unix socket or through the kernel.
//!
//! A client may be shared by threads: requests take turns, and waiting for an event holds up none of them. When the daemon is restarted the client
//! connects again and goes on: it watches again what was watched (each watch fires once then), and repeats requests that may be repeated. A
//! transaction that was open is lost: its requests give `EAGAIN`, its end a conflict, so that [`transaction`](crate::transaction) starts it anew.
//! One that was being committed when the daemon ended may have been: it is started anew, too, and finds its own changes then.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFlags, eventfd};

use crate::wire::{MessageType, PAYLOAD_MAX, terminated};
use crate::{Access, Errno, Error, Permission, Result, Tx, WatchEvent};

mod connection;
mod directory;
mod location;
mod requests;
mod session;

use location::{Environment, Location};
use session::{PATIENCE, Session, failure, is_lost, outcome, was_sent};

/// A connection to a store's daemon.
pub struct Client {
    session: Mutex<Session>,
    /// How many threads wait for an event.
    waiting: AtomicUsize,
    /// Readable when an event came while another thread had the connection.
    wake: OwnedFd,
}

/// Whether a request may be sent again when its answer was lost.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Repeat {
    Always,
    /// A repeated request that is refused like this was done the first time.
    DoneIf(Errno),
    Never,
}

/// What a request gave.
struct Answer {
    payload: Vec<u8>,
    /// Of the connection that answered.
    generation: u32,
}

impl Repeat {
    fn was_done(self, error: &Error) -> bool {
        matches!(self, Self::DoneIf(errno) if error.errno() == Some(errno))
    }
}

/// A request without its transaction.
struct Request<'a> {
    operation: &'static str,
    /// What errors speak of.
    path: &'a str,
    kind: MessageType,
    repeat: Repeat,
}

impl Client {
    /// Connects as libxenstore does: to the daemon's socket, `/run/xenstored/socket` or what `XENSTORED_RUNDIR` and `XENSTORED_PATH` say, and
    /// if there is none, to `/dev/xen/xenbus`.
    pub fn connect() -> Result<Self> {
        let is_socket = |path: &Path| path.metadata().is_ok_and(|at| at.file_type().is_socket());
        let locations = Environment::of_process().locations(is_socket);
        let mut first = None;
        for location in locations {
            match Self::open(location.clone()) {
                Ok(client) => return Ok(client),
                Err(error) => first.get_or_insert(named(&location, &error)),
            };
        }
        Err(first
            .unwrap_or_else(|| std::io::ErrorKind::NotFound.into())
            .into())
    }

    /// Connects to the daemon's socket at `path`.
    pub fn connect_socket(path: &Path) -> Result<Self> {
        let location = Location::Socket(path.to_owned());
        Self::open(location.clone()).map_err(|error| named(&location, &error).into())
    }

    /// Connects to the kernel's device at `path`.
    pub fn connect_device(path: &Path) -> Result<Self> {
        let location = Location::Device(path.to_owned());
        Self::open(location.clone()).map_err(|error| named(&location, &error).into())
    }

    fn open(location: Location) -> std::io::Result<Self> {
        Ok(Self {
            session: Mutex::new(Session::open(location)?),
            waiting: AtomicUsize::new(0),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request; again after the daemon was lost, if that is allowed.
    fn request(&self, request: &Request<'_>, tx: Tx, payload: &[u8]) -> Result<Answer> {
        let &Request {
            operation,
            path,
            kind,
            repeat,
            ..
        } = request;
        let refused = |errno| Error::refused(operation, path, errno);
        if payload.len() > PAYLOAD_MAX {
            return Err(refused(Errno::E2BIG));
        }
        let mut session = self.session();
        let mut deadline = None;
        loop {
            let id = session.transaction(tx).map_err(refused)?;
            let answer = session.exchange(kind, id, payload);
            self.wake_others(&session);
            match answer {
                Ok(answer) => {
                    let payload = match outcome(answer, operation, path) {
                        Err(error) if deadline.is_some() && repeat.was_done(&error) => Vec::new(),
                        outcome => outcome?,
                    };
                    let generation = session.generation();
                    return Ok(Answer {
                        payload,
                        generation,
                    });
                }
                Err(error) if !is_lost(&error) => return Err(failure(error)),
                Err(error) if repeat == Repeat::Never && was_sent(&error) => {
                    return Err(failure(error));
                }
                Err(error) => {
                    let until = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
                    if Instant::now() >= until {
                        return Err(failure(error));
                    }
                    session.reconnect(until).map_err(failure)?;
                }
            }
        }
    }

    /// An event may be waiting that another thread wants: it sleeps on a descriptor that has nothing more to say.
    fn wake_others(&self, session: &Session) {
        if !session.events.is_empty() && self.waiting.load(Ordering::SeqCst) > 0 {
            // A full counter (it never is) wakes as well.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    fn take_event(&self, timeout: Option<Duration>) -> Result<Option<WatchEvent>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let descriptor = {
                let mut session = self.session();
                self.collect(&mut session, deadline)?;
                if let Some(event) = session.events.pop_front() {
                    self.wake_others(&session);
                    return Ok(Some(event));
                }
                let _ = rustix::io::read(&self.wake, &mut [0; 8]);
                session.descriptor()
            };
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
            self.sleep(descriptor, deadline)?;
        }
    }

    /// Takes in what has come, over a new connection if the old one is lost.
    fn collect(&self, session: &mut Session, deadline: Option<Instant>) -> Result<()> {
        let error = match session.collect() {
            Ok(()) => return Ok(()),
            // Events that came before the loss are told first.
            Err(_) if !session.events.is_empty() => return Ok(()),
            Err(error) => error,
        };
        if !is_lost(&error) {
            return Err(failure(error));
        }
        let patience = Instant::now() + PATIENCE;
        let until = deadline.map_or(patience, |deadline| deadline.min(patience));
        match session.reconnect(until) {
            Err(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => Ok(()),
            result => result.map_err(failure),
        }
    }

    fn sleep(&self, connection: Option<Arc<OwnedFd>>, deadline: Option<Instant>) -> Result<()> {
        let mut fds = vec![(self.wake.as_fd(), PollFlags::IN)];
        fds.extend(connection.iter().map(|fd| (fd.as_fd(), PollFlags::IN)));
        Ok(connection::wait(&fds, deadline)?)
    }
}

fn named(location: &Location, error: &std::io::Error) -> std::io::Error {
    let (Location::Socket(path) | Location::Device(path)) = location;
    std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Counts a thread that waits for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
