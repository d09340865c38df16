//! The two halves of a turn: requests of all peers, then what is sent to them.

use std::collections::BTreeSet;

use xenstore::engine::{ConnectionId, Peer};

use super::Daemon;
use super::outside::position;
use crate::ring::{Fault, WrongIndex};
use crate::trace::Way;

/// Pieces (headers, and what follows them) that are taken from a peer in a turn: half as many requests.
const PIECES_A_TURN: usize = 64;
/// Bytes of a piece at most.
const PIECE: usize = 4096;

/// Why a peer is served no longer.
enum End {
    /// A process closed its connection.
    Closed,
    /// A ring's indices are wrong.
    WrongIndex,
    /// A message is too long.
    Oversized,
}

impl From<WrongIndex> for End {
    fn from(_: WrongIndex) -> Self {
        Self::WrongIndex
    }
}

/// What became of a peer's turn.
enum Taken {
    /// There is no more for now.
    All,
    /// There may be more.
    Some,
    /// There is more, but the store does not want it now.
    Stalled,
}

impl Daemon {
    /// Takes requests from all peers that may have some. Nothing of it can be seen outside yet.
    pub(super) fn take_requests(&mut self) {
        for connection in self.awake.clone() {
            if self.server.peer(connection).is_none() {
                self.forget(connection);
                continue;
            }
            match self.take_from(connection) {
                // What it is awake for besides is looked at when all is sent.
                Ok(Taken::All | Taken::Some) => {}
                Ok(Taken::Stalled) => {
                    self.stalled.insert(connection);
                }
                Err(end) => self.end(connection, &end),
            }
        }
    }

    fn take_from(&mut self, connection: ConnectionId) -> Result<Taken, End> {
        if matches!(self.server.peer(connection), Some(Peer::Ring(_))) {
            self.settle_ring(connection);
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        let taken = self.take_pieces(connection, &mut bytes);
        self.scratch = bytes;
        taken
    }

    fn take_pieces(&mut self, connection: ConnectionId, bytes: &mut Vec<u8>) -> Result<Taken, End> {
        for _ in 0..PIECES_A_TURN {
            let wanted = self.server.wanted(connection).min(PIECE);
            if wanted == 0 {
                return Ok(Taken::Stalled);
            }
            self.piece(connection, wanted, bytes)?;
            if bytes.is_empty() {
                return Ok(Taken::All);
            }
            let domain = self.domain_of(connection);
            let starts = wanted == xenstore::wire::HEADER_SIZE;
            let peer = (connection, domain);
            self.outside.trace.bytes(Way::In, peer, starts, bytes);
            let received = self.server.receive(connection, bytes, &mut self.outside);
            received.map_err(|_| End::Oversized)?;
            if self.server.peer(connection).is_none() {
                return Ok(Taken::All);
            }
        }
        Ok(Taken::Some)
    }

    /// Begins anew with a ring whose domain asks for that, or follows one that was moved.
    fn settle_ring(&mut self, connection: ConnectionId) {
        let at = position(&self.server, connection);
        let Some(link) = self.outside.link_of(connection) else {
            return;
        };
        if link.ring.wants_reset() {
            link.ring.reset();
            (link.greet, link.mid_message) = (true, false);
            self.server.reset_ring(connection);
        } else if !link.ring.follow(at) {
            return;
        }
        self.outside.rebase(connection);
    }

    /// Takes at most `wanted` bytes from a peer, in place of what `bytes` has.
    fn piece(
        &mut self,
        connection: ConnectionId,
        wanted: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), End> {
        bytes.clear();
        let at = position(&self.server, connection);
        if let Some(link) = self.outside.link_of(connection) {
            bytes.resize(wanted, 0);
            let count = link.ring.take(at, bytes)?;
            bytes.truncate(count);
        } else if let Some(socket) = self.sockets.get(connection) {
            socket.take(wanted, bytes).map_err(|_| End::Closed)?;
        }
        Ok(())
    }

    /// Sends what waits, and makes what was taken count. To be called when the turn is kept.
    pub(super) fn send(&mut self) {
        let mut peers = std::mem::take(&mut self.awake);
        peers.extend(self.server.take_ready());
        peers.extend(std::mem::take(&mut self.outside.fresh));
        let mut progress = false;
        for connection in peers {
            match self.send_to(connection) {
                Ok(sent) => progress |= sent,
                Err(end) => self.end(connection, &end),
            }
            self.publish(connection);
        }
        if progress {
            self.awake.append(&mut self.stalled);
        }
    }

    /// Whether it took something.
    fn send_to(&mut self, connection: ConnectionId) -> Result<bool, End> {
        let mut progress = false;
        loop {
            let at = position(&self.server, connection);
            let bytes = self.server.output(connection);
            let whole = bytes.len();
            if whole == 0 {
                return Ok(progress);
            }
            let (count, starts) = if let Some(link) = self.outside.link_of(connection) {
                let count = link.ring.put(at, bytes)?;
                let starts = !link.mid_message;
                link.mid_message = count < whole && (count > 0 || link.mid_message);
                (count, starts)
            } else if let Some(socket) = self.sockets.get(connection) {
                let count = socket.put(bytes).map_err(|_| End::Closed)?;
                let starts = !socket.mid_message;
                socket.mid_message = count < whole && (count > 0 || socket.mid_message);
                (count, starts)
            } else {
                return Ok(progress);
            };
            if count == 0 {
                return Ok(progress);
            }
            let peer = (connection, self.server.peer(connection).map_or(0, domain));
            self.outside
                .trace
                .bytes(Way::Out, peer, starts, &bytes[..count]);
            self.server.sent(connection, count);
            progress = true;
        }
    }

    /// Makes a ring's progress count, and finds out what there is to do next.
    fn publish(&mut self, connection: ConnectionId) {
        let at = position(&self.server, connection);
        let waiting = !self.server.output(connection).is_empty();
        let stalled = self.stalled.contains(&connection);
        let ignored = self.server.is_ignored(connection);
        let more = if let Some(link) = self.outside.link_of(connection) {
            let greet = std::mem::take(&mut link.greet);
            if greet {
                link.ring.connected();
            }
            let news = !ignored && link.ring.publish(at);
            let more =
                link.ring.wants_reset() || (!ignored && link.ring.has_more(at, !stalled, waiting));
            if greet || news {
                self.outside.kick(connection);
            }
            more
        } else if let Some(socket) = self.sockets.get(connection) {
            if ignored {
                return self.end(connection, &End::Closed);
            }
            (!stalled && socket.has_more()) || (waiting && !socket.full)
        } else {
            false
        };
        if more {
            self.awake.insert(connection);
        }
    }

    fn end(&mut self, connection: ConnectionId, end: &End) {
        let fault = match end {
            End::Closed => None,
            End::WrongIndex => Some(Fault::WrongIndex),
            End::Oversized => Some(Fault::Oversized),
        };
        if matches!(self.server.peer(connection), Some(Peer::Ring(_))) {
            self.server.ignore(connection);
            if let Some(fault) = fault {
                self.outside.fail(connection, fault);
            }
            return;
        }
        self.server.disconnect(connection);
        self.forget(connection);
    }

    /// A peer is no more.
    fn forget(&mut self, connection: ConnectionId) {
        self.sockets.close(connection, self.poll.registry());
        let forget = |set: &mut BTreeSet<ConnectionId>| set.remove(&connection);
        forget(&mut self.awake);
        forget(&mut self.stalled);
        self.outside.trace.object("DESTROY", connection, 0);
    }

    fn domain_of(&self, connection: ConnectionId) -> u16 {
        self.server.peer(connection).map_or(0, domain)
    }
}

const fn domain(peer: Peer) -> u16 {
    match peer {
        Peer::Socket => 0,
        Peer::Ring(domain) => domain,
    }
}
