//! The Unix socket and the processes connected to it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use mio::unix::SourceFd;
use mio::{Interest, Poll, Registry, Token};
use rustix::net::{RecvFlags, SendFlags};
use xenstore::engine::{ConnectionId, Server};

use super::FIRST_PEER;

/// Peers that are let in in a turn.
const PEERS_A_TURN: usize = 16;
/// Bytes read from a peer at a time.
const CHUNK: usize = 4112;

/// A process.
pub struct Socket {
    stream: UnixStream,
    token: Token,
    /// Read, but not taken yet.
    input: Vec<u8>,
    /// What was sent last did not end a message.
    pub mid_message: bool,
    /// There may be more to read.
    readable: bool,
    /// It takes no more for now.
    pub full: bool,
}

/// A peer is gone.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Gone;

/// All of them.
pub struct Sockets {
    listener: Option<UnixListener>,
    peers: BTreeMap<ConnectionId, Socket>,
    by_token: HashMap<Token, ConnectionId>,
    next_token: usize,
    pending: bool,
}

impl Sockets {
    /// Nobody yet; `listener` does not block.
    pub fn new(listener: Option<UnixListener>) -> Self {
        Self {
            pending: listener.is_some(),
            listener,
            peers: BTreeMap::new(),
            by_token: HashMap::new(),
            next_token: FIRST_PEER,
        }
    }

    /// There may be somebody at the socket.
    pub const fn expect_peers(&mut self) {
        self.pending = true;
    }

    /// Whether there may be somebody who was not let in.
    pub const fn has_pending(&self) -> bool {
        self.pending
    }

    /// The peer that was registered under a number, which has news.
    pub fn peer(&mut self, number: usize) -> Option<ConnectionId> {
        let connection = *self.by_token.get(&Token(number))?;
        let socket = self.peers.get_mut(&connection)?;
        (socket.readable, socket.full) = (true, false);
        Some(connection)
    }

    /// A peer.
    pub fn get(&mut self, connection: ConnectionId) -> Option<&mut Socket> {
        self.peers.get_mut(&connection)
    }

    /// Lets in who waits at the socket.
    pub fn accept(&mut self, server: &mut Server, poll: &Poll) -> io::Result<Vec<ConnectionId>> {
        let mut new = Vec::new();
        for _ in 0..PEERS_A_TURN {
            let Some(stream) = self.next_stream()? else {
                break;
            };
            new.push(self.add(stream, server, poll)?);
        }
        Ok(new)
    }

    fn next_stream(&mut self) -> io::Result<Option<UnixStream>> {
        let Some(listener) = self.listener.as_ref().filter(|_| self.pending) else {
            return Ok(None);
        };
        match listener.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => {
                self.pending = false;
                // Too many open files, for instance: whoever waits, waits on.
                if error.kind() != io::ErrorKind::WouldBlock {
                    tracing::error!("a process can not be let in: {error}");
                }
                Ok(None)
            }
        }
    }

    fn add(
        &mut self,
        stream: UnixStream,
        server: &mut Server,
        poll: &Poll,
    ) -> io::Result<ConnectionId> {
        stream.set_nonblocking(true)?;
        let token = Token(self.next_token);
        self.next_token += 1;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut SourceFd(&stream.as_raw_fd()), token, interest)?;
        let connection = server.connect_socket();
        self.by_token.insert(token, connection);
        let socket = Socket {
            stream,
            token,
            input: Vec::new(),
            mid_message: false,
            readable: true,
            full: false,
        };
        self.peers.insert(connection, socket);
        Ok(connection)
    }

    /// Closes a peer's connection.
    pub fn close(&mut self, connection: ConnectionId, registry: &Registry) {
        if let Some(socket) = self.peers.remove(&connection) {
            self.by_token.remove(&socket.token);
            // Somebody may have been left waiting because there were too many.
            self.pending = self.listener.is_some();
            let deregistered = registry.deregister(&mut SourceFd(&socket.stream.as_raw_fd()));
            if let Err(error) = deregistered {
                tracing::debug!("{connection} stays registered: {error}");
            }
        }
    }
}

impl Socket {
    /// Adds at most `wanted` bytes to `bytes`; none if none have come.
    pub fn take(&mut self, wanted: usize, bytes: &mut Vec<u8>) -> Result<(), Gone> {
        if self.input.is_empty() && self.readable {
            self.read()?;
        }
        let count = wanted.min(self.input.len());
        bytes.extend(self.input.drain(..count));
        Ok(())
    }

    /// Whether there may be something to take.
    pub const fn has_more(&self) -> bool {
        self.readable || !self.input.is_empty()
    }

    fn read(&mut self) -> Result<(), Gone> {
        let mut chunk = [0; CHUNK];
        match rustix::net::recv(self.stream.as_fd(), &mut chunk, RecvFlags::empty()) {
            Ok((0, _)) => Err(Gone),
            Ok((count, _)) => {
                self.input.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(rustix::io::Errno::AGAIN) => {
                self.readable = false;
                Ok(())
            }
            Err(rustix::io::Errno::INTR) => Ok(()),
            Err(_) => Err(Gone),
        }
    }

    /// Sends bytes, as many as it takes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        loop {
            match rustix::net::send(self.stream.as_fd(), bytes, SendFlags::NOSIGNAL) {
                Ok(count) => return Ok(count),
                Err(rustix::io::Errno::AGAIN) => {
                    self.full = true;
                    return Ok(0);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Err(Gone),
            }
        }
    }
}
