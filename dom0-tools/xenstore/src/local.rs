//! A store within the process: everything a daemon's store does, with domains that exist as the test says. For tests of what uses a store.

mod requests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{ConnectionId, DomainState, Host, Ring, Server, Settings};
use crate::wire::{Decoder, Message, MessageType, strings};
use crate::{Errno, Error, Result, Tx, WatchEvent};

/// A connection to a store within the process. Clones are the same connection.
#[derive(Clone)]
pub struct LocalStore {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
}

struct Shared {
    state: Mutex<State>,
    /// Something was put up for somebody.
    changed: Condvar,
}

struct State {
    server: Server,
    domains: Domains,
    events: HashMap<ConnectionId, VecDeque<WatchEvent>>,
}

/// The connection, which goes when its last clone does, unless it is a ring.
struct Peer {
    shared: Arc<Shared>,
    connection: ConnectionId,
    ring: bool,
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !self.ring {
            let mut state = lock(&self.shared);
            state.server.disconnect(self.connection);
            state.events.remove(&self.connection);
        }
    }
}

impl Default for LocalStore {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}

impl LocalStore {
    /// A new store, and a connection to it from domain 0. Every domain exists until [`Self::set_domain`] says something else.
    pub fn new(settings: &Settings) -> Self {
        let state = State {
            server: Server::new(settings),
            domains: Domains::default(),
            events: HashMap::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        Self::socket(&shared)
    }

    /// Another connection from domain 0.
    pub fn connect(&self) -> Self {
        Self::socket(&self.shared)
    }

    fn socket(shared: &Arc<Shared>) -> Self {
        let connection = lock(shared).server.connect_socket();
        Self::of(shared, connection, false)
    }

    fn of(shared: &Arc<Shared>, connection: ConnectionId, ring: bool) -> Self {
        let peer = Arc::new(Peer {
            shared: shared.clone(),
            connection,
            ring,
        });
        let shared = shared.clone();
        Self { shared, peer }
    }

    /// What a domain's kernel has: the domain's ring. `None`: the domain is not introduced.
    pub fn guest(&self, domain: u16) -> Option<Self> {
        let connection = self.lock().server.ring(domain)?;
        Some(Self::of(&self.shared, connection, true))
    }

    /// The hypervisor's word on a domain changes, and the store hears of it.
    pub fn set_domain(&self, domain: u16, domain_state: DomainState) {
        let mut state = self.lock();
        let State {
            server, domains, ..
        } = &mut *state;
        domains.states.insert(domain, domain_state);
        server.check_domains(domains);
        self.shared.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }

    /// Sends a request and takes the answer.
    fn request(
        &self,
        (operation, subject): (&'static str, &str),
        kind: MessageType,
        tx: Tx,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>> {
        let mut state = self.lock();
        let answer = state.exchange(self.peer.connection, kind, tx, payload);
        self.shared.changed.notify_all();
        answer.map_err(|refusal| match refusal {
            Some(errno) => Error::refused(operation, subject, errno),
            None => Error::Io(std::io::ErrorKind::NotConnected.into()),
        })
    }

    fn wait_for_event(&self, timeout: Option<Duration>) -> Option<WatchEvent> {
        let end = timeout.map(|timeout| Instant::now() + timeout);
        let connection = self.peer.connection;
        let mut state = self.lock();
        loop {
            state.take_output(connection);
            if let Some(event) = state.next_event(connection) {
                return Some(event);
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let changed = &self.shared.changed;
            state = match left {
                None => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return None,
                Some(left) => {
                    let waited = changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    // A test that panicked with the lock held has failed already.
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// The answer, or why it was refused: `None` if there is nobody to answer.
    fn exchange(
        &mut self,
        connection: ConnectionId,
        kind: MessageType,
        tx: Tx,
        payload: Vec<u8>,
    ) -> std::result::Result<Vec<u8>, Option<Errno>> {
        let message = Message {
            tx_id: tx.0,
            ..Message::new(kind, payload)
        };
        self.server.handle(connection, &message, &mut self.domains);
        let reply = self.take_output(connection).ok_or(None)?;
        if reply.kind != MessageType::ERROR {
            return Ok(reply.payload);
        }
        let name = strings(&reply.payload).next().unwrap_or_default();
        Err(String::from_utf8_lossy(name).parse().ok())
    }

    /// Takes all that waits for a peer: events are put aside, the answer is given.
    fn take_output(&mut self, connection: ConnectionId) -> Option<Message> {
        let mut answer = None;
        loop {
            let bytes = self.server.output(connection).to_vec();
            if bytes.is_empty() {
                return answer;
            }
            self.server.sent(connection, bytes.len());
            match Decoder::new().next(&mut bytes.as_slice()) {
                Ok(Some(message)) if message.kind == MessageType::WATCH_EVENT => {
                    self.put_event_aside(connection, &message.payload);
                }
                Ok(message) => answer = message,
                Err(_) => return answer,
            }
        }
    }

    fn put_event_aside(&mut self, connection: ConnectionId, payload: &[u8]) {
        let mut texts = strings(payload).map(|text| String::from_utf8_lossy(text).into_owned());
        if let (Some(path), Some(token)) = (texts.next(), texts.next()) {
            let events = self.events.entry(connection).or_default();
            events.push_back(WatchEvent { path, token });
        }
    }

    fn next_event(&mut self, connection: ConnectionId) -> Option<WatchEvent> {
        self.events.get_mut(&connection)?.pop_front()
    }
}

/// The hypervisor of a store within the process.
#[derive(Default)]
struct Domains {
    states: BTreeMap<u16, DomainState>,
}

/// Numbers from here on are no domains'.
const FIRST_RESERVED: u16 = 0x7ff0;

impl Host for Domains {
    fn domain_state(&mut self, domain: u16) -> DomainState {
        let state = self.states.get(&domain).copied();
        state.unwrap_or(if domain < FIRST_RESERVED {
            DomainState::Running
        } else {
            DomainState::Absent
        })
    }

    fn connect(&mut self, _: ConnectionId, ring: Ring) -> std::result::Result<(), Errno> {
        match self.domain_state(ring.domain) {
            DomainState::Absent => Err(Errno::EINVAL),
            _ => Ok(()),
        }
    }

    fn reconnect(&mut self, _: ConnectionId, _: Ring) {}

    fn disconnect(&mut self, _: ConnectionId, _: u16) {}

    fn control(&mut self, _: &[&[u8]]) -> std::result::Result<String, Errno> {
        Err(Errno::EINVAL)
    }
}

#[cfg(test)]
mod tests;
