//! The daemon: one thread, in turns.
//!
//! A turn waits until there is something to do, takes requests from all peers that have some (a bounded number from each, so that none
//! holds up the others), keeps all that changed ([`crate::state`]), and only then sends what came of it. A daemon that ends at any point of a turn has
//! either not begun it, as far as anybody can see, or the next daemon sends what this one did not.

mod outside;
mod peers;
mod sockets;
mod start;
mod warnings;

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use xenctl::{Backend, Hypervisor};
use xenstore::engine::{ConnectionId, Server};

use crate::state::{Keeper, Turn};
use outside::Outside;
use sockets::Sockets;
use warnings::Warnings;

/// What is told that the listening socket has a peer.
const LISTENER: Token = Token(0);
/// An event channel is pending.
const CHANNELS: Token = Token(1);
/// A signal came that asks for the end.
const END: Token = Token(2);
/// A signal came that asks to open the trace file again.
const REOPEN: Token = Token(3);
/// The first of the peers at the socket.
const FIRST_PEER: usize = 16;

/// The hypervisor, as the daemon uses it.
#[derive(Clone)]
pub struct Xen {
    /// Who lives.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// Rings and event channels.
    pub backend: Arc<dyn Backend>,
}

/// How the daemon behaves.
pub struct Settings {
    /// Of the store.
    pub store: xenstore::engine::Settings,
    /// The socket.
    pub socket: PathBuf,
    /// The directory of the state; `None` keeps none.
    pub state: Option<PathBuf>,
    /// Begins with nothing, whatever state there is.
    pub discard_state: bool,
    /// `None`: the socket alone is served.
    pub xen: Option<Xen>,
    /// The file of the trace.
    pub trace: Option<PathBuf>,
    /// Its switches, `+io` and the like.
    pub trace_switches: Vec<String>,
}

/// Streams that become readable when a signal comes.
pub struct Signals {
    /// One that asks for the end.
    pub end: UnixStream,
    /// One that asks to open the trace file again.
    pub reopen: UnixStream,
}

/// What a turn came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// There will be more.
    GoOn,
    /// A signal asked for the end.
    End,
}

/// The daemon.
pub struct Daemon {
    server: Server,
    outside: Outside,
    sockets: Sockets,
    keeper: Option<Keeper>,
    poll: Poll,
    events: Events,
    signals: Option<Signals>,
    begun: Instant,
    /// Peers with requests, or room for answers, as far as is known.
    awake: BTreeSet<ConnectionId>,
    /// Peers whose requests wait until something was sent to anybody.
    stalled: BTreeSet<ConnectionId>,
    /// When the store is to be told the time at the latest.
    wake_at: Option<Instant>,
    warnings: Warnings,
    /// For bytes on their way from a peer to the store.
    scratch: Vec<u8>,
}

impl Daemon {
    /// Runs until a signal asks for the end. An error is one of the host: nothing a peer does ends the daemon.
    pub fn run(&mut self) -> std::io::Result<()> {
        while self.turn(None)? == After::GoOn {}
        Ok(())
    }

    /// Listens to signals from now on.
    pub fn listen_to_signals(&mut self, signals: Signals) -> std::io::Result<()> {
        start::register(&self.poll, &signals.end, END)?;
        start::register(&self.poll, &signals.reopen, REOPEN)?;
        self.signals = Some(signals);
        Ok(())
    }

    /// One turn; waits for something to do, at most for so long.
    pub fn turn(&mut self, limit: Option<Duration>) -> std::io::Result<After> {
        let after = self.wait(limit)?;
        self.advance();
        self.take_requests();
        self.keep();
        self.send();
        self.set_alarm();
        Ok(after)
    }

    fn wait(&mut self, limit: Option<Duration>) -> std::io::Result<After> {
        let idle =
            self.awake.is_empty() && !self.outside.has_pending() && !self.sockets.has_pending();
        let timer = self
            .wake_at
            .map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = match idle {
            true => [limit, timer].into_iter().flatten().min(),
            false => Some(Duration::ZERO),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let mut after = After::GoOn;
        for event in &self.events {
            match event.token() {
                LISTENER => self.sockets.expect_peers(),
                CHANNELS => self.outside.expect_events(),
                END => after = After::End,
                REOPEN => self.outside.trace.open(),
                Token(number) => self.awake.extend(self.sockets.peer(number)),
            }
        }
        if let Some(signals) = &mut self.signals {
            start::drain(&mut signals.reopen);
        }
        self.admit()?;
        Ok(after)
    }

    /// Takes new peers, and events of rings.
    fn admit(&mut self) -> std::io::Result<()> {
        for connection in self.sockets.accept(&mut self.server, &self.poll)? {
            self.outside.trace.object("CREATE", connection, 0);
            self.awake.insert(connection);
        }
        let news = self.outside.take_events();
        self.awake.extend(news.rings);
        if news.domains {
            self.server.check_domains(&mut self.outside);
        }
        Ok(())
    }

    /// Tells the store the time.
    fn advance(&mut self) {
        self.warnings.look(&self.server, Instant::now());
        let now_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.server.advance(now_ms);
        // Events that were dropped make room for requests, and who wrote too much may go on.
        if self.wake_at.is_some_and(|at| at <= Instant::now()) {
            self.awake.append(&mut self.stalled);
        }
    }

    /// Says when the store is to be told the time again, after all that this turn did.
    fn set_alarm(&mut self) {
        let next = self.server.next_deadline();
        let next = next.and_then(|at| self.begun.checked_add(Duration::from_millis(at)));
        let retry = self.keeper.as_ref().and_then(Keeper::retry_at);
        self.wake_at = [next, retry].into_iter().flatten().min();
    }

    /// Keeps what this turn changed, as far as that is possible.
    fn keep(&mut self) {
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        let turn = Turn {
            changes: self.server.take_changes(),
            bases: std::mem::take(&mut self.outside.rebased),
        };
        let bases = || self.outside.bases();
        keeper.keep(&turn, &self.server, bases, Instant::now());
    }
}

#[cfg(test)]
mod tests;
