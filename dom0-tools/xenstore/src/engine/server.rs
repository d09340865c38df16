//! The whole store: its tree, its peers, and the way of a request through it.

mod events;
mod lifecycle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ConnectionId;
use super::change::Change;
use super::connection::{Connection, Peer};
use super::domains::Domains;
use super::host::Host;
use super::node::Node;
use super::output::{Kind, Pending};
use super::quota::{Item, Quotas};
use super::requests::{self, Call};
use super::requests_held::{RequestId, RequestsHeld};
use super::rights::{Caller, Entry};
use super::store::Store;
use super::transaction::Transaction;
use super::watches::Watches;
use crate::path::Path;
use crate::wire::{Message, MessageType, Oversized, PAYLOAD_MAX};
use crate::{Errno, Permission};

/// How a store behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Limits for domains without privilege.
    pub quotas: Quotas,
    /// A domain besides 0 that may do everything.
    pub privileged: Option<u16>,
    /// Nodes of a domain that is gone become domain 0's instead of being removed. That lets later domains see them.
    pub keep_orphans: bool,
    /// How long an event waits for a domain without privilege before it is dropped, in milliseconds.
    pub event_timeout_ms: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quotas: Quotas::default(),
            privileged: None,
            keep_orphans: false,
            event_timeout_ms: Some(20_000),
        }
    }
}

/// Bytes that wait for a peer above which no request of it is taken.
const OUTPUT_ENOUGH: usize = 1 << 20;
/// Bytes that wait for a socket above which it is given up: it asked for events and does not take them.
const OUTPUT_LIMIT: usize = 64 << 20;

/// The store.
pub struct Server {
    pub(super) store: Store,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) watches: Watches,
    pub(super) held: RequestsHeld,
    keep_orphans: bool,
    event_timeout_ms: Option<u64>,
    next_connection: u64,
    /// Peers of which messages may wait that did not when this was taken last.
    ready: BTreeSet<ConnectionId>,
    /// Peers for which events may wait that are dropped in time: all that is looked at when the time is told, which is after every message.
    timed: BTreeSet<ConnectionId>,
}

impl Server {
    /// A store with nothing but the nodes every store has.
    pub fn new(settings: &Settings) -> Self {
        let mut server = Self::empty(settings);
        let tool = Path::root().child("tool");
        let nodes = [Path::root(), tool.clone(), tool.child("xenstored")];
        let special = ["@releaseDomain", "@introduceDomain"]
            .into_iter()
            .filter_map(Path::new);
        for path in nodes.into_iter().chain(special) {
            server.make_first(&path);
        }
        server
    }

    /// Without any node: what the changes of a snapshot are applied to.
    pub(super) fn empty(settings: &Settings) -> Self {
        let domains = Domains::new(settings.privileged);
        Self {
            store: Store::new(settings.quotas.clone(), domains),
            connections: BTreeMap::new(),
            watches: Watches::default(),
            held: RequestsHeld::default(),
            keep_orphans: settings.keep_orphans,
            event_timeout_ms: settings.event_timeout_ms,
            next_connection: 0,
            ready: BTreeSet::new(),
            timed: BTreeSet::new(),
        }
    }

    fn make_first(&mut self, path: &Path) {
        let owner = Entry {
            permission: Permission::none(0),
            void: false,
        };
        let mut node = Node::new(Arc::new([owner]));
        node.generation = self.store.advance();
        node.position = self.list_in_parent(path);
        self.store.set_in_tree(path, Some(node));
    }

    /// Adds the name of a new node to its parent's children, if it has a parent of which it is a child.
    pub(super) fn list_in_parent(&mut self, path: &Path) -> u64 {
        let Some(parent) = path.parent().filter(|_| !path.is_special()) else {
            return 0;
        };
        let Some(mut node) = self.store.get(&parent).cloned() else {
            return 0;
        };
        let position = node.children.push(path.name());
        self.store.set_in_tree(&parent, Some(node));
        position
    }

    /// Begins (or ends) to write down changes for [`Self::take_changes`].
    pub fn record_changes(&mut self, record: bool) {
        self.store.changes = record.then(Vec::new);
    }

    /// What changed since the last call. To be kept before any output that came with it is sent.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.store
            .changes
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// What a domain uses of an item, and the most it ever used. `None`: the domain is not known.
    pub fn usage(&self, domain: u16, item: Item) -> Option<(u64, u64)> {
        self.store.domains.usage(domain, item)
    }

    /// How many nodes and watches requests touched so far: what they cost, apart from the time each takes.
    pub fn work(&self) -> u64 {
        self.store.work
    }

    /// Tells the time, in milliseconds since any moment: events that waited too long are dropped. When the next will be, if any waits.
    pub fn advance(&mut self, now_ms: u64) -> Option<u64> {
        self.store.rates.advance(now_ms);
        for id in std::mem::take(&mut self.timed) {
            self.expire_events(id);
            let peer = self.connections.get(&id);
            if peer.is_some_and(|peer| peer.output.is_timed()) {
                self.timed.insert(id);
            }
        }
        self.next_deadline()
    }

    /// When the store is to be told the time next: an event will have waited too long, or a domain that wrote too much may go on.
    pub fn next_deadline(&self) -> Option<u64> {
        let events = self.timed.iter().filter_map(|id| self.deadline(id));
        events.chain(self.store.rates.next_ms()).min()
    }

    /// When the first event that waits for a peer is dropped.
    fn deadline(&self, connection: &ConnectionId) -> Option<u64> {
        self.connections.get(connection)?.output.deadline()
    }

    /// A process connected to the daemon's socket.
    pub fn connect_socket(&mut self) -> ConnectionId {
        self.connect(Peer::Socket)
    }

    pub(super) fn connect(&mut self, peer: Peer) -> ConnectionId {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(id, Connection::new(peer));
        id
    }

    /// How a peer reaches the store. `None`: it is not connected any longer.
    pub fn peer(&self, connection: ConnectionId) -> Option<Peer> {
        Some(self.connections.get(&connection)?.peer)
    }

    /// How many bytes may be read from a peer now. Never more than the message at hand lacks; 0 while it has enough requests waiting, or is
    /// over a limit, or is not served any longer.
    pub fn wanted(&self, connection: ConnectionId) -> usize {
        match self.connections.get(&connection) {
            Some(peer) if self.may_ask(peer) => peer.input.missing().unwrap_or(0),
            _ => 0,
        }
    }

    fn may_ask(&self, peer: &Connection) -> bool {
        let domain = peer.domain();
        let below = |item| {
            let limit = self.store.quotas.limit(item);
            self.store.domains.used(domain, item) < limit || (item == Item::Memory && limit == 0)
        };
        let free = self.store.domains.is_privileged(domain);
        !peer.ignored
            && peer.output.size() < OUTPUT_ENOUGH
            && (free
                || (below(Item::Outstanding)
                    && below(Item::Memory)
                    && self.store.rates.may_write(domain)))
    }

    /// Bytes came from a peer. Whole messages are handled. On an error the peer is not served any longer: a socket is to be closed, a ring to
    /// be told.
    pub fn receive(
        &mut self,
        connection: ConnectionId,
        mut bytes: &[u8],
        host: &mut dyn Host,
    ) -> Result<(), Oversized> {
        while let Some(peer) = self.connections.get_mut(&connection) {
            if peer.ignored || bytes.is_empty() {
                return Ok(());
            }
            let before = bytes;
            match peer.input.next(&mut bytes) {
                Ok(None) => self.record_input(connection, before),
                Ok(Some(message)) => {
                    self.record_handled(connection, message.size());
                    self.handle(connection, &message, host);
                }
                Err(oversized) => {
                    self.ignore(connection);
                    return Err(oversized);
                }
            }
        }
        Ok(())
    }

    fn record_input(&mut self, connection: ConnectionId, bytes: &[u8]) {
        if let Some(Peer::Ring(domain)) = self.peer(connection) {
            let bytes = || bytes.to_vec();
            self.store.record(|| Change::Input {
                domain,
                bytes: bytes(),
            });
        }
    }

    fn record_handled(&mut self, connection: ConnectionId, size: usize) {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        if let Some(peer) = self.connections.get_mut(&connection)
            && let Peer::Ring(domain) = peer.peer
        {
            peer.handled = peer.handled.wrapping_add(size);
            self.store.record(|| Change::Handled { domain, size });
        }
    }

    /// Handles a request: the answer and the events it causes wait in the peers' output afterwards.
    pub fn handle(&mut self, connection: ConnectionId, message: &Message, host: &mut dyn Host) {
        let Some(caller) = self.caller(connection) else {
            return;
        };
        let Some(home) = self
            .connections
            .get(&connection)
            .map(|peer| peer.home.clone())
        else {
            return;
        };
        let request = self.hold(caller);
        let mut call = Call {
            connection,
            caller,
            home,
            request,
            tx: None,
            tx_id: message.tx_id,
            payload: &message.payload,
            first_event: None,
            host,
        };
        let outcome = self.dispatch(&mut call, message.kind);
        let first_event = call.first_event.take();
        self.answer(connection, request, message, outcome);
        if let Some((path, token)) = first_event {
            self.send_event(connection, &path, &token, None);
        }
    }

    fn dispatch(&mut self, call: &mut Call<'_>, kind: MessageType) -> Result<Vec<u8>, Errno> {
        let row = requests::row(kind).ok_or(Errno::ENOSYS)?;
        if row.privileged && !call.caller.privileged {
            return Err(Errno::EACCES);
        }
        if row.in_transaction && call.tx_id != 0 {
            call.tx = Some(self.take_transaction(call).ok_or(Errno::ENOENT)?);
        }
        let outcome = (row.run)(self, call);
        if let Some(tx) = call.tx.take() {
            self.put_transaction_back(call, tx);
        }
        outcome
    }

    fn take_transaction(&mut self, call: &Call<'_>) -> Option<Transaction> {
        let peer = self.connections.get_mut(&call.connection)?;
        peer.transactions.remove(&call.tx_id)
    }

    fn put_transaction_back(&mut self, call: &Call<'_>, tx: Transaction) {
        match self.connections.get_mut(&call.connection) {
            Some(peer) => drop(peer.transactions.insert(call.tx_id, tx)),
            None => self.account_end(call.caller.domain, &tx),
        }
    }

    /// A transaction is over, one way or the other.
    pub(super) fn account_end(&mut self, domain: u16, tx: &Transaction) {
        self.store.domains.sub(domain, Item::Memory, tx.memory);
        self.store.domains.sub(domain, Item::Transactions, 1);
        self.store.rates.transactions -= 1;
    }

    /// Who a peer is.
    pub(super) fn caller(&self, connection: ConnectionId) -> Option<Caller> {
        let domain = self.connections.get(&connection)?.domain();
        Some(Caller {
            domain,
            target: self
                .store
                .domains
                .get(domain)
                .and_then(|known| known.target),
            privileged: self.store.domains.is_privileged(domain),
        })
    }

    /// Counts a request of a domain without privilege until all that comes of it is sent.
    pub(super) fn hold(&mut self, caller: Caller) -> Option<RequestId> {
        if caller.privileged {
            return None;
        }
        let since = self.store.domains.get(caller.domain)?.generation;
        self.store.domains.add(caller.domain, Item::Outstanding, 1);
        Some(self.held.begin(caller.domain, since))
    }

    /// One message of a counted request is sent or dropped.
    pub(super) fn release_held(&mut self, request: Option<RequestId>) {
        let Some((domain, since)) = request.and_then(|id| self.held.done(id)) else {
            return;
        };
        let same = |known: &super::domains::Domain| known.generation == since;
        if self.store.domains.get(domain).is_some_and(same) {
            self.store.domains.sub(domain, Item::Outstanding, 1);
        }
    }

    fn answer(
        &mut self,
        connection: ConnectionId,
        request: Option<RequestId>,
        message: &Message,
        outcome: Result<Vec<u8>, Errno>,
    ) {
        let outcome = outcome.and_then(|payload| self.check_answer(connection, payload));
        let reply = match outcome {
            Ok(payload) => message.reply(payload),
            Err(errno) => message.refuse(errno),
        };
        let kind = Kind::Reply;
        let bytes = reply.encode().into();
        let pending = Pending {
            bytes,
            request,
            kind,
        };
        self.queue(connection, pending);
    }

    fn check_answer(&self, connection: ConnectionId, payload: Vec<u8>) -> Result<Vec<u8>, Errno> {
        if payload.len() > PAYLOAD_MAX {
            return Err(Errno::E2BIG);
        }
        // Short answers always fit, so that an error can be told.
        let long = payload.len() > 16;
        if long && let Some(caller) = self.caller(connection) {
            self.check_memory(caller, caller.domain, payload.len() as u64 + 16, 0)?;
        }
        Ok(payload)
    }

    /// Whether `caller` may use `more` bytes at the cost of `payer`, who gets `less` back.
    pub(super) fn check_memory(
        &self,
        caller: Caller,
        payer: u16,
        more: u64,
        less: u64,
    ) -> Result<(), Errno> {
        let limit = self.store.quotas.limit(Item::Memory);
        let used = self.store.domains.used(payer, Item::Memory);
        let used = used.saturating_sub(less).saturating_add(more);
        if !caller.privileged && limit != 0 && used >= limit {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// Puts a message in a peer's output. If the peer is gone, what it counts for is over.
    pub(super) fn queue(&mut self, connection: ConnectionId, pending: Pending) {
        let Some(peer) = self
            .connections
            .get_mut(&connection)
            .filter(|peer| !peer.ignored)
        else {
            return self.release_held(pending.request);
        };
        let domain = peer.domain();
        if let Peer::Ring(domain) = peer.peer {
            self.store.record(|| Change::Output {
                domain,
                bytes: pending.bytes.to_vec(),
                event: pending.is_event(),
            });
        }
        self.store
            .domains
            .add(domain, Item::Memory, pending.bytes.len() as u64);
        if pending.deadline().is_some() {
            self.timed.insert(connection);
        }
        peer.output.push(pending);
        self.ready.insert(connection);
        if peer.peer == Peer::Socket && peer.output.size() > OUTPUT_LIMIT {
            self.ignore(connection);
        }
    }

    /// What is to be sent to a peer next: the rest of one message, nothing if none waits.
    pub fn output(&self, connection: ConnectionId) -> &[u8] {
        self.connections
            .get(&connection)
            .map_or(&[], |peer| peer.output.front())
    }

    /// How many bytes wait to be sent to a peer.
    pub fn waiting(&self, connection: ConnectionId) -> usize {
        self.connections
            .get(&connection)
            .map_or(0, |peer| peer.output.waiting())
    }

    /// The peers for which messages were put up since the last call.
    pub fn take_ready(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.ready).into_iter().collect()
    }

    /// A peer took bytes of [`Self::output`].
    pub fn sent(&mut self, connection: ConnectionId, bytes: usize) {
        let Some(peer) = self.connections.get_mut(&connection) else {
            return;
        };
        let bytes = bytes.min(peer.output.front().len());
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        peer.sent = peer.sent.wrapping_add(count);
        let domain = peer.domain();
        let ring = matches!(peer.peer, Peer::Ring(_));
        let done = peer.output.sent(bytes);
        if ring {
            self.store.record(|| Change::Sent {
                domain,
                bytes: count,
            });
        }
        if let Some(pending) = done {
            self.release(domain, &pending);
        }
    }

    /// A message that waited is gone.
    pub(super) fn release(&mut self, domain: u16, pending: &Pending) {
        self.store
            .domains
            .sub(domain, Item::Memory, pending.bytes.len() as u64);
        self.release_held(pending.request);
    }
}
