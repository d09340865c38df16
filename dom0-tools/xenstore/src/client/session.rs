//! What a client remembers of its conversation, so that a new connection can go on where the old one ended.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::location::Location;
use crate::wire::{Message, MessageType, strings, terminated};
use crate::{Errno, Error, Result, Tx, WatchEvent};

/// How long a lost daemon may take to come back.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Between attempts to reach it.
const RETRY: Duration = Duration::from_millis(10);

/// A transaction as the daemon knows it.
#[derive(Copy, Clone)]
struct Begun {
    /// Which connection it belongs to.
    generation: u32,
    id: u32,
}

/// The state behind a client's lock.
pub(super) struct Session {
    location: Location,
    /// `None` once it is lost.
    connection: Option<Connection>,
    /// Counts connections.
    generation: u32,
    last_request: u32,
    last_transaction: u32,
    transactions: HashMap<u32, Begun>,
    watches: Vec<(String, String)>,
    pub events: VecDeque<WatchEvent>,
}

impl Session {
    pub fn open(location: Location) -> io::Result<Self> {
        let connection = Connection::open(&location)?;
        Ok(Self {
            location,
            connection: Some(connection),
            generation: 0,
            last_request: 0,
            last_transaction: 0,
            transactions: HashMap::new(),
            watches: Vec::new(),
            events: VecDeque::new(),
        })
    }

    /// Sends a request and waits for its answer. Events that come in between are kept. After an error the connection is gone.
    pub fn exchange(
        &mut self,
        kind: MessageType,
        tx_id: u32,
        payload: &[u8],
    ) -> io::Result<Message> {
        let mut connection = self.connection.take().ok_or_else(disconnected)?;
        self.last_request = self.last_request.wrapping_add(1).max(1);
        let request = Message {
            kind,
            req_id: self.last_request,
            tx_id,
            payload: payload.to_vec(),
        };
        connection.send(&request)?;
        let answer = loop {
            let message = connection.receive()?;
            if message.kind != MessageType::WATCH_EVENT {
                break message;
            }
            self.keep(&message)?;
        };
        let is_answer = answer.kind == kind || answer.kind == MessageType::ERROR;
        if !is_answer || !connection.answers(&request, &answer) {
            return Err(invalid("an answer to another request"));
        }
        // Nobody would be told that bytes are waiting which are read already.
        while let Some(message) = connection.decode()? {
            self.keep(&message)?;
        }
        self.connection = Some(connection);
        Ok(answer)
    }

    /// Takes in what has come by itself.
    pub fn collect(&mut self) -> io::Result<()> {
        let mut connection = self.connection.take().ok_or_else(disconnected)?;
        while let Some(message) = connection.receive_available()? {
            self.keep(&message)?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    fn keep(&mut self, message: &Message) -> io::Result<()> {
        if message.kind != MessageType::WATCH_EVENT {
            return Err(invalid("an answer that nobody asked for"));
        }
        self.events.push_back(event(message)?);
        Ok(())
    }

    /// Of the connection there is, or was.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// To wait on, while there is a connection.
    pub fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        self.connection.as_ref().map(Connection::descriptor)
    }

    /// Connects anew and watches again whatever was watched; tries until `deadline`. Every watch fires once, so that whoever waits looks
    /// again at what may have changed meanwhile.
    pub fn reconnect(&mut self, deadline: Instant) -> io::Result<()> {
        loop {
            match self.try_reconnect() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(RETRY),
            }
        }
    }

    fn try_reconnect(&mut self) -> io::Result<()> {
        self.connection = Some(Connection::open(&self.location)?);
        self.generation += 1;
        for (path, token) in self.watches.clone() {
            self.exchange(MessageType::WATCH, 0, &terminated(&[path, token]))?;
        }
        Ok(())
    }

    /// Remembers a watch. To be called before it is asked for: a connection that is lost meanwhile asks for it.
    pub fn add_watch(&mut self, path: &str, token: &str) {
        self.watches.push((path.to_owned(), token.to_owned()));
    }

    /// Forgets a watch.
    pub fn remove_watch(&mut self, path: &str, token: &str) {
        let is_this = |(p, t): &(String, String)| p == path && t == token;
        if let Some(place) = self.watches.iter().position(is_this) {
            self.watches.swap_remove(place);
        }
    }

    /// Forgets the events of a watch that is no more, unless another watch has the same token.
    pub fn drop_events(&mut self, token: &str) {
        if !self.watches.iter().any(|(_, t)| t == token) {
            self.events.retain(|event| event.token != token);
        }
    }

    /// Remembers a transaction that the daemon began on a connection.
    pub fn begun(&mut self, generation: u32, id: u32) -> Tx {
        self.last_transaction = self.last_transaction.wrapping_add(1).max(1);
        let begun = Begun { generation, id };
        self.transactions.insert(self.last_transaction, begun);
        Tx(self.last_transaction)
    }

    /// The daemon's number of a transaction. `EAGAIN`: it went away with its connection.
    pub fn transaction(&self, tx: Tx) -> std::result::Result<u32, Errno> {
        match self.transactions.get(&tx.0) {
            _ if tx == Tx::NONE => Ok(0),
            None => Err(Errno::ENOENT),
            Some(begun) if begun.generation != self.generation => Err(Errno::EAGAIN),
            Some(begun) => Ok(begun.id),
        }
    }

    pub fn ended(&mut self, tx: Tx) {
        self.transactions.remove(&tx.0);
    }
}

/// Whether a request that failed may have reached the daemon.
pub(super) fn was_sent(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::NotConnected
}

/// Whether the daemon (or its answer) is gone, so that a new connection may help.
pub(super) fn is_lost(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::InvalidData
}

/// An error of the connection, as the caller sees it.
pub(super) fn failure(error: io::Error) -> Error {
    if is_lost(&error) {
        Error::Io(error)
    } else {
        Error::Protocol(error.to_string())
    }
}

/// What an answer says.
pub(super) fn outcome(answer: Message, operation: &'static str, path: &str) -> Result<Vec<u8>> {
    if answer.kind != MessageType::ERROR {
        return Ok(answer.payload);
    }
    let name = strings(&answer.payload).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    match name.parse() {
        Ok(errno) => Err(Error::refused(operation, path, errno)),
        Err(_) => Err(Error::Protocol(format!("{operation} {path}: {name}"))),
    }
}

fn event(message: &Message) -> io::Result<WatchEvent> {
    let mut parts = strings(&message.payload).map(|part| String::from_utf8(part.to_vec()));
    match (parts.next(), parts.next()) {
        (Some(Ok(path)), Some(Ok(token))) => Ok(WatchEvent { path, token }),
        _ => Err(invalid("an event without path and token")),
    }
}

fn disconnected() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection is lost")
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
