//! A store as simple as can be: nodes by path, everything that is counted counted anew each time. It is slow, and right by inspection.

mod requests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use xenstore::engine::{DomainState, Item};
use xenstore::wire::{Message, MessageType};
use xenstore::{Errno, Permission};

/// A peer: one of two processes in domain 0, or a domain's ring.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Socket(u8),
    Ring(u16),
}

impl Key {
    pub fn domain(self) -> u16 {
        match self {
            Self::Socket(_) => 0,
            Self::Ring(domain) => domain,
        }
    }
}

/// An entry of a node's permissions, and whether it lost its meaning.
pub type Entry = (Permission, bool);

#[derive(Clone, Debug)]
pub struct Node {
    pub value: Vec<u8>,
    pub entries: Vec<Entry>,
    pub children: Vec<String>,
    pub generation: u64,
}

impl Node {
    fn size(&self) -> usize {
        let names: usize = self.children.iter().map(|name| name.len() + 1).sum();
        16 + 8 * self.entries.len() + self.value.len() + names
    }

    fn owner(&self) -> u16 {
        self.entries[0].0.domain
    }
}

#[derive(Clone, Debug, Default)]
pub struct Tx {
    /// In the order in which they were looked at: the node then.
    base: Vec<(String, Option<Node>)>,
    /// The node now.
    local: BTreeMap<String, Option<Node>>,
    modified: BTreeSet<String>,
    /// Whether only watches for this very path are told.
    events: BTreeMap<String, bool>,
    failed: bool,
    /// [`Model::era`] when it was started.
    era: u64,
    /// What was asked and answered, to see at the end whether it could have been done at once.
    log: Vec<(Message, Result<Vec<u8>, Errno>)>,
}

#[derive(Clone, Debug)]
pub struct Watch {
    path: String,
    token: Vec<u8>,
    prefix: usize,
}

#[derive(Clone, Debug)]
pub struct Out {
    pub message: Message,
    request: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct Peer {
    watches: Vec<Watch>,
    txs: BTreeMap<u32, Tx>,
    last_tx: u32,
    pub out: VecDeque<Out>,
}

impl Peer {
    /// The number of an open transaction.
    pub fn transaction(&self, nth: usize) -> Option<u32> {
        self.txs.keys().nth(nth).copied()
    }
}

#[derive(Clone, Debug, Default)]
pub struct Domain {
    generation: u64,
    introduced: bool,
    shutdown: bool,
    target: Option<u16>,
}

#[derive(Clone)]
pub struct Model {
    nodes: BTreeMap<String, Node>,
    generation: u64,
    pub domains: BTreeMap<u16, Domain>,
    pub peers: BTreeMap<Key, Peer>,
    pub limits: BTreeMap<&'static str, u64>,
    /// What the hypervisor says; others are absent.
    pub world: BTreeMap<u16, DomainState>,
    /// Counts changes of domains and limits, on which answers depend and with which transactions do not conflict.
    era: u64,
    /// Of requests that count: whose they are.
    requests: BTreeMap<u64, (u16, u64)>,
    next_request: u64,
}

/// A request on its way.
struct Call {
    key: Key,
    tx: Option<Tx>,
    request: Option<u64>,
    first_event: Option<(String, Vec<u8>)>,
}

const READ: u8 = 1;
const WRITE: u8 = 2;
const OWN: u8 = 4;

impl Model {
    pub fn new() -> Self {
        let limits = Item::all()
            .map(|item| item.name())
            .zip([1000, 128, 20, 2_621_440, 10, 1024, 5, 2048, 2048]);
        let mut model = Self {
            nodes: BTreeMap::new(),
            generation: 0,
            domains: BTreeMap::from([(0, Domain::default())]),
            peers: BTreeMap::from([0, 1].map(|i| (Key::Socket(i), Peer::default()))),
            limits: limits.collect(),
            world: BTreeMap::new(),
            era: 0,
            requests: BTreeMap::new(),
            next_request: 0,
        };
        let family: [(&str, &[&str]); 5] = [
            ("/", &["tool"]),
            ("/tool", &["xenstored"]),
            ("/tool/xenstored", &[]),
            ("@releaseDomain", &[]),
            ("@introduceDomain", &[]),
        ];
        for (path, children) in family {
            let node = Node {
                value: Vec::new(),
                entries: vec![(Permission::none(0), false)],
                children: children.iter().map(|name| name.to_string()).collect(),
                generation: model.next_generation(),
            };
            model.nodes.insert(path.to_owned(), node);
        }
        model
    }

    fn limit(&self, name: &str) -> u64 {
        self.limits[name]
    }

    fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    // What domains use, by counting.

    pub fn nodes_of(&self, domain: u16) -> u64 {
        self.nodes
            .values()
            .filter(|node| node.owner() == domain)
            .count() as u64
    }

    pub fn watches_of(&self, domain: u16) -> u64 {
        self.peers_of(domain)
            .map(|peer| peer.watches.len() as u64)
            .sum()
    }

    pub fn transactions_of(&self, domain: u16) -> u64 {
        self.peers_of(domain)
            .map(|peer| peer.txs.len() as u64)
            .sum()
    }

    pub fn memory_of(&self, domain: u16) -> u64 {
        let owned = self.nodes.iter().filter(|(_, node)| node.owner() == domain);
        let nodes: u64 = owned.map(|(path, node)| cost(path, node)).sum();
        nodes + self.peers_of(domain).map(memory_of_peer).sum::<u64>()
    }

    pub fn outstanding_of(&self, domain: u16) -> u64 {
        let since = self.domains.get(&domain).map(|known| known.generation);
        let waiting: BTreeSet<u64> = self
            .peers
            .values()
            .flat_map(|peer| &peer.out)
            .filter_map(|out| out.request)
            .collect();
        let own = |id: &&u64| {
            let (whose, then) = self.requests[id];
            whose == domain && Some(then) == since
        };
        waiting.iter().filter(own).count() as u64
    }

    fn peers_of(&self, domain: u16) -> impl Iterator<Item = &Peer> {
        self.peers
            .iter()
            .filter(move |(key, _)| key.domain() == domain)
            .map(|(_, peer)| peer)
    }

    /// Whether a peer's next request is taken.
    pub fn may_ask(&self, key: Key) -> bool {
        let domain = key.domain();
        domain == 0
            || (self.outstanding_of(domain) < self.limit("outstanding")
                && self.memory_of(domain) < self.limit("memory"))
    }

    // Permissions.

    fn void(&self, entry: &Entry, generation: u64) -> bool {
        let known = self.domains.get(&entry.0.domain);
        entry.1 || known.is_none_or(|known| known.generation > generation)
    }

    fn rights(&self, domain: u16, entries: &[Entry], generation: u64) -> u8 {
        let target = self.domains.get(&domain).and_then(|known| known.target);
        let is = |other: u16| domain == other || target == Some(other);
        if domain == 0 || is(entries[0].0.domain) {
            return READ | WRITE | OWN;
        }
        let mut access = entries[0].0.access;
        for entry in &entries[1..] {
            if is(entry.0.domain) && !self.void(entry, generation) {
                access = entry.0.access;
                break;
            }
        }
        u8::from(access.reads()) * READ + u8::from(access.writes()) * WRITE
    }

    /// With what is void marked, as every write does.
    fn settle(&self, node: &mut Node) {
        for i in 1..node.entries.len() {
            node.entries[i].1 = self.void(&node.entries[i], node.generation);
        }
    }

    // Nodes, in a transaction or not.

    fn look(&mut self, call: &mut Call, path: &str) -> Result<Option<Node>, Errno> {
        let domain = call.key.domain();
        let limit = self.limit("transaction-nodes");
        let Some(tx) = &mut call.tx else {
            return Ok(self.nodes.get(path).cloned());
        };
        if let Some(node) = tx.local.get(path) {
            return Ok(node.clone());
        }
        if domain != 0 && tx.base.len() as u64 + 1 > limit {
            tx.failed = true;
            return Err(Errno::ENOSPC);
        }
        let node = self.nodes.get(path).cloned();
        tx.base.push((path.to_owned(), node.clone()));
        tx.local.insert(path.to_owned(), node.clone());
        Ok(node)
    }

    fn set(&mut self, call: &mut Call, path: &str, node: Option<Node>) {
        let node = node.map(|mut node| {
            self.settle(&mut node);
            node.generation = self.next_generation();
            node
        });
        match &mut call.tx {
            Some(tx) => {
                tx.local.insert(path.to_owned(), node);
                tx.modified.insert(path.to_owned());
            }
            None => self.set_in_tree(path, node),
        }
    }

    fn set_in_tree(&mut self, path: &str, node: Option<Node>) {
        match node {
            Some(node) => drop(self.nodes.insert(path.to_owned(), node)),
            None => drop(self.nodes.remove(path)),
        }
    }

    // Events.

    fn fire(&mut self, path: &str, exact: bool, witnesses: &[Node], request: Option<u64>) {
        let keys: Vec<Key> = self.peers.keys().copied().collect();
        for key in keys {
            let reads =
                |node: &Node| self.rights(key.domain(), &node.entries, node.generation) & READ != 0;
            if !witnesses.iter().any(reads) {
                continue;
            }
            for watch in self.peers[&key].watches.clone() {
                let below = path.strip_prefix(&watch.path).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('/') || watch.path == "/"
                });
                let hit = if exact {
                    path == watch.path
                } else {
                    below || watch.path == "/"
                };
                if hit {
                    self.send_event(key, &path[watch.prefix..], &watch.token, request);
                }
            }
        }
    }

    fn send_event(&mut self, key: Key, path: &str, token: &[u8], request: Option<u64>) {
        let payload = [path.as_bytes(), b"\0", token, b"\0"].concat();
        if payload.len() > 4096 {
            return;
        }
        let message = Message::new(MessageType::WATCH_EVENT, payload);
        let waits = |out: &Out| out.message == message;
        let twice = !path.starts_with('@') && self.peers[&key].out.iter().any(waits);
        let domain = key.domain();
        let full =
            domain != 0 && self.memory_of(domain) + message.size() as u64 >= self.limit("memory");
        if !twice && !full {
            self.push(key, message, request);
        }
    }

    fn push(&mut self, key: Key, message: Message, request: Option<u64>) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.out.push_back(Out { message, request });
        }
    }

    fn fire_special(&mut self, name: &str) {
        let witnesses = [name, "/"].map(|path| self.nodes[path].clone());
        self.fire(name, true, &witnesses, None);
    }

    // Domains.

    pub fn check_domains(&mut self) {
        self.era += 1;
        let mut tell = false;
        let known: Vec<u16> = self
            .domains
            .keys()
            .copied()
            .filter(|&domain| domain != 0)
            .collect();
        for domain in known {
            let introduced = self.domains[&domain].introduced;
            match self.world.get(&domain) {
                None | Some(DomainState::Absent) => self.destroy(domain),
                Some(DomainState::Dying) if introduced => self.destroy(domain),
                Some(DomainState::Shutdown) if introduced => {
                    let known = self.domains.get_mut(&domain).expect("known");
                    tell |= !known.shutdown;
                    known.shutdown = true;
                }
                Some(_) => {}
            }
        }
        if tell {
            self.fire_special("@releaseDomain");
        }
    }

    fn destroy(&mut self, domain: u16) {
        self.peers.remove(&Key::Ring(domain));
        let owned = |model: &Self| {
            let mut paths = model
                .nodes
                .iter()
                .filter(|(_, node)| node.owner() == domain);
            paths.next().map(|(path, _)| path.clone())
        };
        while let Some(path) = owned(self) {
            if path == "/" || path.starts_with('@') {
                let generation = self.next_generation();
                let node = self.nodes.get_mut(&path).expect("owned");
                node.entries[0].0.domain = 0;
                node.generation = generation;
            } else {
                let mut call = Call {
                    key: Key::Socket(0),
                    tx: None,
                    request: None,
                    first_event: None,
                };
                self.remove(&mut call, &path).expect("no limits");
            }
        }
        let introduced = self
            .domains
            .remove(&domain)
            .is_some_and(|known| known.introduced);
        for known in self.domains.values_mut() {
            known.target.take_if(|target| *target == domain);
        }
        if introduced {
            self.fire_special("@releaseDomain");
        }
    }
}

fn cost(path: &str, node: &Node) -> u64 {
    (path.len() + node.size()) as u64
}

fn memory_of_peer(peer: &Peer) -> u64 {
    let locals = peer.txs.values().flat_map(|tx| &tx.local);
    let txs: u64 = locals
        .filter_map(|(path, node)| Some(cost(path, node.as_ref()?)))
        .sum();
    let watches: usize = peer
        .watches
        .iter()
        .map(|w| w.path.len() + w.token.len())
        .sum();
    let out: usize = peer.out.iter().map(|out| out.message.size()).sum();
    txs + (watches + out) as u64
}

fn parent(path: &str) -> Option<String> {
    if path == "/" {
        return None;
    }
    let above = path.rfind('/').map_or("", |slash| &path[..slash]);
    Some(if above.is_empty() { "/" } else { above }.to_owned())
}

fn child(path: &str, name: &str) -> String {
    if path == "/" {
        format!("/{name}")
    } else {
        format!("{path}/{name}")
    }
}
