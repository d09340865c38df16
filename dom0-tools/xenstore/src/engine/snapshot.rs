//! The store as the changes that make it, and from them.

use std::collections::BTreeMap;

use super::ConnectionId;
use super::change::{Change, SOFT_MEMORY};
use super::connection::{Connection, Peer};
use super::node::Node;
use super::output::{Kind, Pending};
use super::quota::Item;
use super::server::{Server, Settings};
use super::store::node_change;
use super::transaction::Transaction;
use crate::path::Path;
use crate::wire::Decoder;

/// A change that can not follow those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store can not be restored: {what} {subject}")]
pub struct Unsound {
    what: &'static str,
    subject: String,
}

fn unsound(what: &'static str, subject: impl ToString) -> Unsound {
    let subject = subject.to_string();
    Unsound { what, subject }
}

/// Makes a store again from its changes.
pub struct Restorer {
    server: Server,
}

impl Server {
    /// The changes that make this store, as it is without its sockets.
    pub fn snapshot(&self) -> Vec<Change> {
        let mut changes = vec![Change::Generation(self.store.generation())];
        changes.extend(Item::all().map(|item| Change::Quota {
            name: item.name().to_owned(),
            limit: self.store.quotas.limit(item),
        }));
        changes.push(Change::Quota {
            name: SOFT_MEMORY.to_owned(),
            limit: self.store.quotas.soft_memory,
        });
        let domains = self.store.domains.iter();
        changes.extend(domains.filter_map(|(domain, _)| self.domain_change(domain)));
        self.snapshot_nodes(&mut changes);
        for (domain, _, connection) in self.rings() {
            self.snapshot_ring(domain, connection, &mut changes);
        }
        changes
    }

    fn snapshot_nodes(&self, changes: &mut Vec<Change>) {
        let special = ["@introduceDomain", "@releaseDomain"]
            .into_iter()
            .filter_map(Path::new);
        let mut rest: Vec<Path> = special.chain([Path::root()]).collect();
        while let Some(path) = rest.pop() {
            if let Some(node) = self.store.get(&path) {
                let children: Vec<&str> = node.children.iter().collect();
                rest.extend(children.iter().rev().map(|name| path.child(name)));
                changes.push(node_change(path.as_str().to_owned(), node));
            }
        }
    }

    fn snapshot_ring(&self, domain: u16, connection: ConnectionId, changes: &mut Vec<Change>) {
        let Some(peer) = self.connections.get(&connection) else {
            return;
        };
        let size = peer.handled;
        changes.push(Change::Handled { domain, size });
        let bytes = peer.input.partial().to_vec();
        changes.push(Change::Input { domain, bytes });
        for (path, token, watch) in self.watches.of(connection) {
            changes.push(Change::Watch {
                domain,
                path: path.as_str().to_owned(),
                token: token.to_vec(),
                relative: watch.prefix > 0,
            });
        }
        let begin = |&id: &u32| Change::Begin { domain, id };
        changes.extend(peer.transactions.keys().map(begin));
        let (messages, first_sent) = peer.output.messages();
        let first_sent = u32::try_from(first_sent).unwrap_or(0);
        let bytes = peer.sent.wrapping_sub(first_sent);
        changes.push(Change::Sent { domain, bytes });
        changes.extend(messages.iter().map(|pending| Change::Output {
            domain,
            bytes: pending.bytes.to_vec(),
            event: pending.is_event(),
        }));
        let bytes = first_sent;
        changes.push(Change::Sent { domain, bytes });
        if peer.ignored {
            changes.push(Change::Ignored { domain });
        }
    }

    /// Whether all that is counted is what there is, and all nodes hang together.
    pub fn check(&self) -> Result<(), Unsound> {
        let mut owned: BTreeMap<u16, u64> = BTreeMap::new();
        let mut listed = 0;
        for (path, node) in self.store.iter() {
            *owned.entry(node.owner()).or_default() += 1;
            for name in node.children.iter() {
                listed += 1;
                if self.store.get(&path.child(name)).is_none() {
                    return Err(unsound("missing is", path.child(name)));
                }
            }
        }
        let roots = 3;
        if listed + roots != self.store.count() {
            return Err(unsound(
                "nodes that have no parent:",
                self.store.count() - listed,
            ));
        }
        for (domain, known) in self.store.domains.iter() {
            let counted = self.store.domains.used(domain, Item::Nodes);
            let there = owned.remove(&domain).unwrap_or(0);
            let indexed = known.nodes.len() as u64;
            let privileged = self.store.domains.is_privileged(domain);
            if counted != there || (!privileged && indexed != there) {
                return Err(unsound("wrong is the count of nodes of domain", domain));
            }
        }
        owned
            .keys()
            .next()
            .map_or(Ok(()), |domain| Err(unsound("unknown is domain", domain)))
    }
}

impl Restorer {
    /// Nothing yet.
    pub fn new(settings: &Settings) -> Self {
        let server = Server::empty(settings);
        Self { server }
    }

    /// The next change.
    pub fn apply(&mut self, change: Change) -> Result<(), Unsound> {
        match change {
            Change::Node {
                path,
                generation,
                entries,
                value,
            } => {
                let mut node = Node::new(entries.into());
                node.value = value.into();
                node.generation = generation;
                self.node(&path, node)
            }
            Change::Touched { path, generation } => self.touched(&path, generation),
            Change::Removed { path } => self.removed(&path),
            Change::Generation(generation) => {
                self.server.store.skip_to(generation);
                Ok(())
            }
            Change::Quota { name, limit } => self.quota(&name, limit),
            Change::Domain {
                domain,
                generation,
                ring,
                shutdown,
                target,
            } => {
                self.domain(domain, generation, ring);
                if let Some(known) = self.server.store.domains.get_mut(domain) {
                    (known.shutdown, known.target) = (shutdown, target);
                }
                Ok(())
            }
            Change::DomainGone { domain } => {
                self.domain(domain, 0, None);
                self.server.store.domains.forget(domain);
                Ok(())
            }
            other => self.of_ring(other),
        }
    }

    /// The store, with all its rings to be connected again.
    pub fn finish(self) -> Result<Server, Unsound> {
        self.server.check()?;
        Ok(self.server)
    }

    fn node(&mut self, path: &str, mut node: Node) -> Result<(), Unsound> {
        let path = Path::new(path).ok_or_else(|| unsound("no path is", path))?;
        let store = &mut self.server.store;
        store.skip_to(node.generation);
        match store.get(&path) {
            Some(old) => {
                node.position = old.position;
                node.children = old.children.clone();
            }
            None => {
                let parent = path.parent().filter(|_| !path.is_special());
                if parent.is_some_and(|parent| store.get(&parent).is_none()) {
                    return Err(unsound("missing is the parent of", path));
                }
                node.position = self.server.list_in_parent(&path);
            }
        }
        self.server.store.set_in_tree(&path, Some(node));
        Ok(())
    }

    fn existing(&self, path: &str) -> Result<(Path, Node), Unsound> {
        let missing = || unsound("missing is", path);
        let path = Path::new(path).ok_or_else(missing)?;
        let node = self.server.store.get(&path).ok_or_else(missing)?.clone();
        Ok((path, node))
    }

    fn touched(&mut self, path: &str, generation: u64) -> Result<(), Unsound> {
        let (path, mut node) = self.existing(path)?;
        node.generation = generation;
        self.server.store.skip_to(generation);
        self.server.store.set_in_tree(&path, Some(node));
        Ok(())
    }

    fn removed(&mut self, path: &str) -> Result<(), Unsound> {
        let (path, node) = self.existing(path)?;
        if node.children.count() > 0 || path.is_root() || path.is_special() {
            return Err(unsound("not to be removed is", path));
        }
        let parent = path
            .parent()
            .ok_or_else(|| unsound("without parent is", &path))?;
        let (parent, mut above) = self.existing(parent.as_str())?;
        above.children.remove(node.position, path.name());
        self.server.store.set_in_tree(&path, None);
        self.server.store.set_in_tree(&parent, Some(above));
        Ok(())
    }

    fn quota(&mut self, name: &str, limit: u64) -> Result<(), Unsound> {
        let quotas = &mut self.server.store.quotas;
        if name == SOFT_MEMORY {
            quotas.soft_memory = limit;
            return Ok(());
        }
        let item = Item::named(name).ok_or_else(|| unsound("no quota is", name))?;
        quotas.set(item, limit);
        Ok(())
    }

    /// A domain is known, with or without a ring.
    fn domain(&mut self, domain: u16, generation: u64, port: Option<u32>) {
        self.server.store.skip_to(generation);
        let known = self.server.store.domains.know(domain, generation);
        known.generation = generation;
        known.port = port.unwrap_or(0);
        let had = known.ring;
        match (had, port) {
            (None, Some(_)) => {
                let connection = self.server.connect(Peer::Ring(domain));
                if let Some(known) = self.server.store.domains.get_mut(domain) {
                    known.ring = Some(connection);
                }
                self.server.open_rate(domain);
            }
            (Some(connection), None) => {
                known.ring = None;
                self.server.disconnect(connection);
                self.server.store.rates.close(domain);
            }
            _ => {}
        }
    }

    fn ring(&mut self, domain: u16) -> Result<(ConnectionId, &mut Connection), Unsound> {
        let missing = || unsound("without a ring is domain", domain);
        let connection = self.server.ring(domain).ok_or_else(missing)?;
        let peer = self
            .server
            .connections
            .get_mut(&connection)
            .ok_or_else(missing)?;
        Ok((connection, peer))
    }

    fn of_ring(&mut self, change: Change) -> Result<(), Unsound> {
        match change {
            Change::Reset { domain } => {
                let (connection, peer) = self.ring(domain)?;
                (peer.handled, peer.sent, peer.ignored) = (0, 0, false);
                self.server.empty_connection(connection);
            }
            Change::Ignored { domain } => {
                let (connection, _) = self.ring(domain)?;
                self.server.ignore(connection);
            }
            Change::Watch {
                domain,
                path,
                token,
                relative,
            } => {
                let (connection, peer) = self.ring(domain)?;
                let prefix = if relative {
                    peer.home.as_str().len() + 1
                } else {
                    0
                };
                let path = Path::new(&path).filter(|path| path.as_str().len() >= prefix);
                let path = path.ok_or_else(|| unsound("no path for", domain))?;
                self.server
                    .add_watch(connection, domain, (path, token.into()), prefix);
            }
            Change::Unwatch {
                domain,
                path,
                token,
            } => {
                let (connection, _) = self.ring(domain)?;
                let missing = || unsound("missing is a watch for", &path);
                let path = Path::new(&path).ok_or_else(missing)?;
                self.server
                    .remove_watch(connection, domain, &path, &token.into());
            }
            Change::Begin { domain, id } => self.begin(domain, id)?,
            Change::End { domain, id } => {
                let (_, peer) = self.ring(domain)?;
                if let Some(tx) = peer.transactions.remove(&id) {
                    self.server.account_end(domain, &tx);
                }
            }
            other => self.of_stream(other)?,
        }
        Ok(())
    }

    /// What a transaction had is lost: it will conflict.
    fn begin(&mut self, domain: u16, id: u32) -> Result<(), Unsound> {
        let (_, peer) = self.ring(domain)?;
        let tx = Transaction::lost();
        peer.transactions.insert(id, tx);
        peer.skip_transaction_id(id);
        self.server.store.domains.add(domain, Item::Transactions, 1);
        self.server.store.rates.transactions += 1;
        Ok(())
    }

    fn of_stream(&mut self, change: Change) -> Result<(), Unsound> {
        match change {
            Change::Input { domain, bytes } => {
                let (_, peer) = self.ring(domain)?;
                let partial = [peer.input.partial(), &bytes].concat();
                peer.input = Decoder::resume(partial);
            }
            Change::Handled { domain, size } => {
                let (_, peer) = self.ring(domain)?;
                peer.handled = peer.handled.wrapping_add(size);
                peer.input = Decoder::new();
            }
            Change::Output {
                domain,
                bytes,
                event,
            } => self.output(domain, &bytes, event)?,
            Change::Sent { domain, bytes } => {
                let (connection, peer) = self.ring(domain)?;
                let waiting = peer.output.front().len();
                if waiting == 0 {
                    peer.sent = peer.sent.wrapping_add(bytes);
                } else {
                    self.server.sent(connection, bytes as usize);
                }
            }
            Change::Expired { domain, events } => {
                let (connection, _) = self.ring(domain)?;
                self.server.drop_events(connection, events);
            }
            _ => {}
        }
        Ok(())
    }

    fn output(&mut self, domain: u16, bytes: &[u8], event: bool) -> Result<(), Unsound> {
        let (connection, _) = self.ring(domain)?;
        let deadline = self.server.deadline_of(connection);
        // The first bytes of an event's payload are its path.
        let once = bytes.get(crate::wire::HEADER_SIZE) != Some(&b'@');
        let kind = if event {
            Kind::Event { once, deadline }
        } else {
            Kind::Reply
        };
        let caller = self.server.caller(connection).filter(|_| !event);
        let request = caller.and_then(|caller| self.server.hold(caller));
        let pending = Pending {
            bytes: bytes.into(),
            request,
            kind,
        };
        self.server.queue(connection, pending);
        Ok(())
    }
}
