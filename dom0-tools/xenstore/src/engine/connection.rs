//! What belongs to one peer.

use std::collections::BTreeMap;

use super::output::Output;
use super::transaction::Transaction;
use crate::path::Path;
use crate::wire::Decoder;

/// How a peer reaches the store.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process in this domain, which may do everything.
    Socket,
    /// The ring of a domain.
    Ring(u16),
}

/// A peer.
pub struct Connection {
    /// How it reaches the store.
    pub peer: Peer,
    /// What its relative paths are below.
    pub home: Path,
    /// What came and is no whole message yet.
    pub input: Decoder,
    /// What waits to be sent.
    pub output: Output,
    /// Its open transactions.
    pub transactions: BTreeMap<u32, Transaction>,
    next_transaction: u32,
    /// It broke the protocol, or its ring can not be reached: it is not served any longer.
    pub ignored: bool,
    /// Bytes of all messages that were handled, modulo 2^32.
    pub handled: u32,
    /// Bytes that were sent, modulo 2^32.
    pub sent: u32,
}

impl Connection {
    /// A new peer.
    pub fn new(peer: Peer) -> Self {
        let domain = match peer {
            Peer::Socket => 0,
            Peer::Ring(domain) => domain,
        };
        Self {
            peer,
            home: Path::home(domain),
            input: Decoder::new(),
            output: Output::default(),
            transactions: BTreeMap::new(),
            next_transaction: 1,
            ignored: false,
            handled: 0,
            sent: 0,
        }
    }

    /// The domain it is.
    pub const fn domain(&self) -> u16 {
        match self.peer {
            Peer::Socket => 0,
            Peer::Ring(domain) => domain,
        }
    }

    /// A number for a transaction: not 0, and of none that is open.
    pub fn new_transaction_id(&mut self) -> u32 {
        loop {
            let id = self.next_transaction;
            self.next_transaction = self.next_transaction.wrapping_add(1);
            if id != 0 && !self.transactions.contains_key(&id) {
                return id;
            }
        }
    }

    /// A transaction of this number was open before.
    pub fn skip_transaction_id(&mut self, id: u32) {
        self.next_transaction = self.next_transaction.max(id.wrapping_add(1));
    }
}
