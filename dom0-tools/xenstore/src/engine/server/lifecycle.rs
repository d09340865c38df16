//! Peers and domains that come and go.

use super::Server;
use crate::Errno;
use crate::engine::ConnectionId;
use crate::engine::change::Change;
use crate::engine::connection::Peer;
use crate::engine::host::{DomainState, Host, Ring};
use crate::engine::quota::Item;
use crate::engine::rights::Entry;
use crate::path::Path;

impl Server {
    /// A peer is gone: a socket that was closed. Its transactions and watches go with it.
    pub fn disconnect(&mut self, connection: ConnectionId) {
        self.empty_connection(connection);
        self.connections.remove(&connection);
        self.ready.remove(&connection);
    }

    /// A peer can not be served any longer: it broke the protocol, or its ring can not be reached. A socket is to be closed and
    /// [disconnected](Self::disconnect); a ring stays, silent, until its domain is gone or is introduced anew.
    pub fn ignore(&mut self, connection: ConnectionId) {
        self.empty_connection(connection);
        let Some(peer) = self.connections.get_mut(&connection) else {
            return;
        };
        peer.ignored = true;
        if let Peer::Ring(domain) = peer.peer {
            self.store.record(|| Change::Ignored { domain });
        }
    }

    /// Whether a peer is not served any longer.
    pub fn is_ignored(&self, connection: ConnectionId) -> bool {
        self.connections
            .get(&connection)
            .is_none_or(|peer| peer.ignored)
    }

    /// No watches, transactions, input or output any longer.
    pub(in crate::engine) fn empty_connection(&mut self, connection: ConnectionId) {
        self.drop_watches(connection);
        self.drop_transactions(connection);
        let Some(peer) = self.connections.get_mut(&connection) else {
            return;
        };
        let domain = peer.domain();
        peer.input = crate::wire::Decoder::new();
        for pending in peer.output.clear() {
            self.release(domain, &pending);
        }
    }

    pub(in crate::engine) fn drop_watches(&mut self, connection: ConnectionId) {
        let Some(domain) = self.connections.get(&connection).map(|peer| peer.domain()) else {
            return;
        };
        for (path, token) in self.watches.remove_all(connection) {
            let memory = (path.as_str().len() + token.len()) as u64;
            self.store.domains.sub(domain, Item::Memory, memory);
            self.store.domains.sub(domain, Item::Watches, 1);
        }
    }

    pub(in crate::engine) fn drop_transactions(&mut self, connection: ConnectionId) {
        let Some(peer) = self.connections.get_mut(&connection) else {
            return;
        };
        let domain = peer.domain();
        for tx in std::mem::take(&mut peer.transactions).into_values() {
            self.account_end(domain, &tx);
        }
    }

    /// The ring of the domain the store serves from the beginning, and of which nobody is told: domain 0's kernel.
    pub fn connect_master(&mut self, port: u32) -> ConnectionId {
        if let Some(connection) = self.ring(0) {
            return connection;
        }
        self.attach(Ring {
            domain: 0,
            gfn: 0,
            port,
        })
    }

    /// The ring of a domain that is introduced.
    pub fn ring(&self, domain: u16) -> Option<ConnectionId> {
        self.store.domains.get(domain)?.ring
    }

    /// All rings, by their domains' numbers: the domain, its port, and how the store calls the ring.
    pub fn rings(&self) -> impl Iterator<Item = (u16, u32, ConnectionId)> {
        let ring = |(number, domain): (u16, &super::super::domains::Domain)| {
            Some((number, domain.port, domain.ring?))
        };
        self.store.domains.iter().filter_map(ring)
    }

    /// Where the store is in a ring's streams: what its indices `req_cons` and `rsp_prod` are, all bytes being counted since the ring was
    /// introduced.
    pub fn ring_position(&self, connection: ConnectionId) -> Option<(u32, u32)> {
        let peer = self.connections.get(&connection)?;
        let partial = u32::try_from(peer.input.partial().len()).ok()?;
        Some((peer.handled.wrapping_add(partial), peer.sent))
    }

    /// The domains without privilege that use more memory than the limit above which a warning is due.
    pub fn over_soft_memory(&self) -> Vec<u16> {
        let domains = &self.store.domains;
        let limit = self.store.quotas.soft_memory;
        let is_over = |&domain: &u16| {
            !domains.is_privileged(domain) && domains.used(domain, Item::Memory) > limit
        };
        let numbers = domains.iter().map(|(number, _)| number);
        numbers.filter(is_over).collect()
    }

    fn attach(&mut self, ring: Ring) -> ConnectionId {
        let connection = self.connect(Peer::Ring(ring.domain));
        let generation = self.store.generation();
        let domain = self.store.domains.know(ring.domain, generation);
        domain.ring = Some(connection);
        domain.port = ring.port;
        domain.shutdown = false;
        self.open_rate(ring.domain);
        self.record_domain(ring.domain);
        connection
    }

    /// `INTRODUCE`: connects a domain, or begins anew with one that is connected.
    pub(in crate::engine) fn introduce(
        &mut self,
        ring: Ring,
        host: &mut dyn Host,
    ) -> Result<(), Errno> {
        if let Some(connection) = self.ring(ring.domain) {
            host.reconnect(connection, ring);
            self.begin_anew(connection, ring);
            return Ok(());
        }
        let connection = self.attach(ring);
        if let Err(errno) = host.connect(connection, ring) {
            self.detach(ring.domain, connection);
            return Err(errno);
        }
        self.fire_special("@introduceDomain");
        Ok(())
    }

    fn begin_anew(&mut self, connection: ConnectionId, ring: Ring) {
        let Ring { domain, port, .. } = ring;
        self.reset_ring(connection);
        if let Some(known) = self.store.domains.get_mut(domain) {
            known.port = port;
        }
        self.record_domain(domain);
    }

    /// A domain asks to begin anew with its ring (`XENSTORE_RECONNECT`): no watches, transactions, input or output any longer, and its streams
    /// begin at 0. Nothing for a socket.
    pub fn reset_ring(&mut self, connection: ConnectionId) {
        let Some(Peer::Ring(domain)) = self.peer(connection) else {
            return;
        };
        self.empty_connection(connection);
        if let Some(peer) = self.connections.get_mut(&connection) {
            (peer.handled, peer.sent) = (0, 0);
            peer.ignored = false;
        }
        self.store.record(|| Change::Reset { domain });
    }

    /// A domain with a ring writes only so fast.
    pub(in crate::engine) fn open_rate(&mut self, domain: u16) {
        if !self.store.domains.is_privileged(domain) {
            self.store.rates.open(domain);
        }
    }

    fn detach(&mut self, domain: u16, connection: ConnectionId) {
        self.disconnect(connection);
        self.store.rates.close(domain);
        if let Some(known) = self.store.domains.get_mut(domain) {
            known.ring = None;
        }
        self.record_domain(domain);
    }

    pub(in crate::engine) fn record_domain(&mut self, domain: u16) {
        if let Some(change) = self.domain_change(domain) {
            self.store.record(|| change);
        }
    }

    pub(in crate::engine) fn domain_change(&self, domain: u16) -> Option<Change> {
        let known = self.store.domains.get(domain)?;
        Some(Change::Domain {
            domain,
            generation: known.generation,
            ring: known.ring.map(|_| known.port),
            shutdown: known.shutdown,
            target: known.target,
        })
    }

    /// Something happened to a domain (`VIRQ_DOM_EXC`): asks about all that are known. Those that shut down are told of once, those that are
    /// gone are forgotten, with their nodes.
    pub fn check_domains(&mut self, host: &mut dyn Host) {
        let known: Vec<u16> = self
            .store
            .domains
            .iter()
            .map(|(number, _)| number)
            .collect();
        let mut tell = false;
        for domain in known.into_iter().filter(|&number| number != 0) {
            let introduced = self.ring(domain).is_some();
            match host.domain_state(domain) {
                DomainState::Absent => self.destroy(domain, host),
                DomainState::Dying if introduced => self.destroy(domain, host),
                DomainState::Shutdown if introduced => tell |= self.note_shutdown(domain),
                DomainState::Dying | DomainState::Shutdown | DomainState::Running => {}
            }
        }
        if tell {
            self.fire_special("@releaseDomain");
        }
    }

    /// Whether that is news.
    fn note_shutdown(&mut self, domain: u16) -> bool {
        let Some(known) = self.store.domains.get_mut(domain) else {
            return false;
        };
        let news = !std::mem::replace(&mut known.shutdown, true);
        if news {
            self.record_domain(domain);
        }
        news
    }

    /// The domain goes on: its next shutdown is news again.
    pub(in crate::engine) fn resume(&mut self, domain: u16) {
        if let Some(known) = self.store.domains.get_mut(domain) {
            known.shutdown = false;
            self.record_domain(domain);
        }
    }

    /// A domain is gone, or is to be treated so: its ring, its nodes, and what it was to others.
    pub(in crate::engine) fn destroy(&mut self, domain: u16, host: &mut dyn Host) {
        let ring = self.ring(domain);
        if let Some(connection) = ring {
            self.disconnect(connection);
            self.store.rates.close(domain);
            host.disconnect(connection, domain);
        }
        self.remove_nodes_of(domain);
        self.store.domains.forget(domain);
        self.store.record(|| Change::DomainGone { domain });
        if ring.is_some() {
            self.fire_special("@releaseDomain");
        }
    }

    fn remove_nodes_of(&mut self, domain: u16) {
        let first = |server: &Self| {
            let known = server.store.domains.get(domain)?;
            known.nodes.first().cloned()
        };
        while let Some(path) = first(self) {
            if self.keep_orphans || path.is_root() || path.is_special() {
                self.adopt(&path);
            } else {
                self.remove_tree(&path);
            }
        }
    }

    /// A node becomes domain 0's.
    fn adopt(&mut self, path: &Path) {
        let Some(mut node) = self.store.get(path).cloned() else {
            return;
        };
        let mut entries: Vec<Entry> = node.entries.to_vec();
        if let Some(owner) = entries.first_mut() {
            owner.permission.domain = 0;
        }
        node.entries = entries.into();
        node.generation = self.store.advance();
        self.store.set_in_tree(path, Some(node));
    }
}
