//! The beginning of a daemon: with nothing, or with what the one before left.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use xen_abi::errno::Errno;
use xenstore::engine::{ConnectionId, Restorer, Server, Unsound};

use super::outside::{Channels, Outside, position};
use super::sockets::Sockets;
use super::warnings::Warnings;
use super::{CHANNELS, Daemon, LISTENER, Settings};
use crate::ring::{Ring, Streams};
use crate::state::{Keeper, LoadError, Loaded, RingBase};
use crate::trace::Trace;

/// How long a daemon that was ended may take to give its event channels back.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between attempts.
const RETRY: Duration = Duration::from_millis(20);

/// Why a daemon can not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state can not be used.
    #[error("{0}; --discard-state begins with an empty store, and without the domains there are")]
    State(#[from] LoadError),
    /// The state can not be.
    #[error("{0}; --discard-state begins with an empty store, and without the domains there are")]
    Unsound(#[from] Unsound),
    /// The hypervisor refuses. Another daemon may be running.
    #[error("{0}")]
    Xen(#[from] xenctl::Error),
    /// A file can not be used.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The host can not give what every process needs.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Daemon {
    /// A daemon that serves from its first [turn](Self::turn) on.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let poll = Poll::new()?;
        let trace = open_trace(&settings);
        let channels = settings.xen.clone().map(open_channels).transpose()?;
        if let Some(channels) = &channels {
            register(&poll, &channels.descriptor(), CHANNELS)?;
        }
        let loaded = load(&settings)?;
        let mut outside = Outside::new(channels, trace);
        let mut server = match loaded {
            Some(loaded) => resume(&settings, loaded, &mut outside)?,
            None => begin(&settings, &mut outside)?,
        };
        server.record_changes(settings.state.is_some());
        outside.rebased.clear();
        let keeper = settings
            .state
            .as_deref()
            .map(|dir| Keeper::begin(dir, &server, &outside.bases(), Instant::now()));
        let listener = listen(&settings.socket)?;
        register(&poll, &listener, LISTENER)?;
        let awake: BTreeSet<ConnectionId> =
            std::mem::take(&mut outside.fresh).into_iter().collect();
        Ok(Self {
            server,
            outside,
            sockets: Sockets::new(Some(listener)),
            keeper,
            poll,
            events: Events::with_capacity(256),
            signals: None,
            begun: Instant::now(),
            awake,
            stalled: BTreeSet::new(),
            wake_at: None,
            warnings: Warnings::default(),
            scratch: Vec::new(),
        })
    }
}

fn open_trace(settings: &Settings) -> Trace {
    let mut trace = Trace::new(settings.trace.clone());
    for switch in &settings.trace_switches {
        if let Err(error) = trace.switch(switch) {
            tracing::warn!("{switch}: {error}");
        }
    }
    trace
}

fn open_channels(xen: super::Xen) -> xenctl::Result<Channels> {
    patiently(Instant::now() + PATIENCE, || Channels::open(xen.clone()))
}

/// Tries until `end`: a daemon that was killed just now may hold its event channels a moment longer. The virtual interrupt is `EEXIST` then, and
/// ports of others are `EINVAL`.
fn patiently<T>(end: Instant, mut attempt: impl FnMut() -> xenctl::Result<T>) -> xenctl::Result<T> {
    const HELD: [Errno; 2] = [Errno::EEXIST, Errno::EINVAL];
    loop {
        match attempt() {
            Err(error) if HELD.contains(&error.errno) && Instant::now() < end => {
                std::thread::sleep(RETRY);
            }
            result => return result,
        }
    }
}

fn load(settings: &Settings) -> Result<Option<Loaded>, StartError> {
    match &settings.state {
        Some(dir) if !settings.discard_state => Ok(Keeper::load(dir)?),
        _ => Ok(None),
    }
}

/// A store with nothing in it, and dom0's kernel as its first peer.
fn begin(settings: &Settings, outside: &mut Outside) -> Result<Server, StartError> {
    let mut server = Server::new(&settings.store);
    connect_kernel(settings, &mut server, outside)?;
    Ok(server)
}

fn connect_kernel(
    settings: &Settings,
    server: &mut Server,
    outside: &mut Outside,
) -> xenctl::Result<()> {
    if let Some(xen) = &settings.xen {
        let own = xen.backend.own_store_ring()?;
        let connection = server.connect_master(own.port);
        let end = Instant::now() + PATIENCE;
        patiently(end, || outside.link_master(connection, Ring::adopt))?;
    }
    Ok(())
}

/// The store as it was left, with the domains that still are.
fn resume(
    settings: &Settings,
    loaded: Loaded,
    outside: &mut Outside,
) -> Result<Server, StartError> {
    if loaded.torn > 0 {
        tracing::warn!(
            "{} bytes of an unfinished turn are cut off the state",
            loaded.torn
        );
    }
    let mut restorer = Restorer::new(&settings.store);
    for change in loaded.changes {
        restorer.apply(change)?;
    }
    let mut server = restorer.finish()?;
    // Those that died meanwhile are told of now.
    server.check_domains(outside);
    let rings: Vec<_> = server.rings().collect();
    let end = Instant::now() + PATIENCE;
    for (domain, port, connection) in rings {
        let base = base_of(&loaded.bases, domain);
        let ring = (domain, port);
        let resumed = patiently(end, || {
            resume_ring(&mut server, outside, connection, ring, base)
        });
        if let Err(error) = resumed {
            tracing::error!("domain {domain} can not be connected again: {error}");
        }
    }
    if server.ring(0).is_none() {
        connect_kernel(settings, &mut server, outside)?;
    }
    tracing::info!("{} rings are served as before", outside.count());
    Ok(server)
}

fn base_of(bases: &[RingBase], domain: u16) -> Streams {
    let of_domain = |known: &&RingBase| known.domain == domain;
    bases
        .iter()
        .find(of_domain)
        .map_or(Streams::default(), |known| known.base)
}

/// Goes on with a ring where the daemon before was: what that had put there, but could not write down any more, counts as sent.
fn resume_ring(
    server: &mut Server,
    outside: &mut Outside,
    connection: ConnectionId,
    (domain, port): (u16, u32),
    base: Streams,
) -> xenctl::Result<()> {
    let at = position(server, connection);
    let waiting = u32::try_from(server.waiting(connection)).unwrap_or(u32::MAX);
    let mut ahead = 0;
    let open = |page| {
        let (ring, sent) = Ring::resume(page, base, at, waiting);
        ahead = sent as usize;
        ring
    };
    match domain {
        0 => outside.link_master(connection, open)?,
        _ => outside.link_again(connection, (domain, port), open)?,
    }
    while ahead > 0 {
        let front = server.output(connection).len().min(ahead);
        if front == 0 {
            break;
        }
        server.sent(connection, front);
        ahead -= front;
    }
    Ok(())
}

/// The socket, for root alone, in the place of one that nobody serves any longer.
fn listen(path: &Path) -> Result<UnixListener, StartError> {
    let failed = |error| StartError::File {
        path: path.to_owned(),
        error,
    };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.map_err(failed)?;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).map_err(failed)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Asks to be told when something can be read.
pub fn register(poll: &Poll, source: &impl std::os::fd::AsFd, token: Token) -> io::Result<()> {
    let fd = source.as_fd().as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&fd), token, Interest::READABLE)
}

/// Takes what a stream has, which says no more than that there was something.
pub fn drain(stream: &mut UnixStream) {
    let mut bytes = [0; 16];
    while matches!(stream.read(&mut bytes), Ok(1..)) {}
}
