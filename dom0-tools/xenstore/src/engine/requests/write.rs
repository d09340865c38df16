//! `WRITE` and `MKDIR`: values, and nodes that are made with all that is missing above them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Answer, Call, arguments, ok};
use crate::Errno;
use crate::engine::node::Node;
use crate::engine::quota::Item;
use crate::engine::rights::{Entry, Needs, settled};
use crate::engine::server::Server;
use crate::engine::store::cost;
use crate::engine::transaction::Event;
use crate::path::Path;

/// `WRITE`: a path, and the value without a nul at its end.
pub fn write(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let [path] = arguments::first(call.payload)?;
    let value = &call.payload[path.len() + 1..];
    let path = server.node_path(call, path)?;
    match server.find(call, &path, Needs::WRITE) {
        Ok(mut node) => {
            node.value = value.into();
            server.change(call, &path, node)?;
        }
        Err(Errno::ENOENT) => server.create(call, &path, value.into())?,
        Err(errno) => return Err(errno),
    }
    ok()
}

/// `MKDIR`: a node that is there stays as it is.
pub fn mkdir(server: &mut Server, call: &mut Call<'_>) -> Answer {
    let path = server.node_path(call, arguments::only(call.payload)?)?;
    match server.find(call, &path, Needs::WRITE) {
        Ok(_) => {}
        Err(Errno::ENOENT) => server.create(call, &path, Arc::new([]))?,
        Err(errno) => return Err(errno),
    }
    ok()
}

impl Server {
    /// Changes the value of a node that was found.
    fn change(&mut self, call: &mut Call<'_>, path: &Path, node: Node) -> Result<(), Errno> {
        self.admit(call, &[(path.clone(), node.clone())])?;
        self.store.set(&mut call.tx, call.caller, path, Some(node));
        self.announce(call, path, Event::Upwards, &[]);
        Ok(())
    }

    /// Makes a node that was not found, and those above it that are missing.
    fn create(&mut self, call: &mut Call<'_>, path: &Path, value: Arc<[u8]>) -> Result<(), Errno> {
        let (mut missing, top, parent) = self.missing(call, path)?;
        missing.reverse();
        let mut parent = parent;
        let mut nodes = Vec::with_capacity(missing.len() + 1);
        let mut above = top;
        for path in &missing {
            let mut node = Node::new(self.inherited(call, &parent));
            // So that entries which are void stay so: the node is as old as what its rights come from.
            node.generation = parent.generation;
            node.position = parent.children.push(path.name());
            nodes.push((std::mem::replace(&mut above, path.clone()), parent));
            parent = node;
        }
        parent.value = value;
        nodes.push((above, parent));
        self.admit_new(call, missing.len())?;
        self.admit(call, &nodes)?;
        for (path, node) in nodes {
            self.store.set(&mut call.tx, call.caller, &path, Some(node));
        }
        self.announce(call, path, Event::Upwards, &[]);
        Ok(())
    }

    /// The nodes to make, the lowest first, and the nearest one above them that is there.
    fn missing(
        &mut self,
        call: &mut Call<'_>,
        path: &Path,
    ) -> Result<(Vec<Path>, Path, Node), Errno> {
        let mut missing = vec![path.clone()];
        let mut above = path.parent();
        while let Some(path) = above {
            match self.store.look(&mut call.tx, call.caller, &path)? {
                Some(node) => return Ok((missing, path, node)),
                None => {
                    above = path.parent();
                    missing.push(path);
                }
            }
        }
        Err(Errno::ENOENT)
    }

    /// A new node's permissions are its parent's, but a domain without privilege owns what it makes.
    fn inherited(&self, call: &Call<'_>, parent: &Node) -> Arc<[Entry]> {
        let entries = settled(&parent.entries, parent.generation, &self.store.domains);
        let mine = |entry: &Entry| entry.permission.domain == call.caller.domain;
        if call.caller.privileged || entries.first().is_some_and(mine) {
            return entries;
        }
        let mut entries = entries.to_vec();
        if let Some(owner) = entries.first_mut() {
            owner.permission.domain = call.caller.domain;
        }
        entries.into()
    }

    /// Whether the caller may have as many nodes more.
    fn admit_new(&mut self, call: &mut Call<'_>, count: usize) -> Result<(), Errno> {
        let domain = call.caller.domain;
        let in_tx = call
            .tx
            .as_ref()
            .and_then(|tx| tx.nodes.get(&domain))
            .copied();
        let used = self.store.domains.used(domain, Item::Nodes);
        let all = used
            .saturating_add_signed(in_tx.unwrap_or(0))
            .saturating_add(count as u64);
        if !call.caller.privileged && all > self.store.quotas.limit(Item::Nodes) {
            return Err(Errno::ENOSPC);
        }
        Ok(())
    }

    /// Whether the caller may write nodes of such a size. If not, a transaction fails, as what the caller believes to be in it is not.
    pub(super) fn admit(
        &mut self,
        call: &mut Call<'_>,
        nodes: &[(Path, Node)],
    ) -> Result<(), Errno> {
        let mut changes = BTreeMap::new();
        let mut admit =
            |(path, node): &(Path, Node)| self.admit_node(call, path, node, &mut changes);
        let admitted = nodes.iter().try_for_each(&mut admit);
        if let (Err(_), Some(tx)) = (admitted, &mut call.tx) {
            tx.failed = true;
        }
        admitted
    }

    /// `changes` is what all nodes so far cost and did cost before, by who pays.
    fn admit_node(
        &mut self,
        call: &Call<'_>,
        path: &Path,
        node: &Node,
        changes: &mut BTreeMap<u16, (u64, u64)>,
    ) -> Result<(), Errno> {
        let size = node.size() as u64;
        if !call.caller.privileged && size > self.store.quotas.limit(Item::NodeSize) {
            return Err(Errno::ENOSPC);
        }
        self.store
            .domains
            .saw(call.caller.domain, Item::NodeSize, size);
        let (old, payer) = match &call.tx {
            None => (self.store.get(path), node.owner()),
            Some(tx) => (tx.node(path).flatten(), call.caller.domain),
        };
        // The memory of a node that has another owner until now does not become this one's to give back.
        let old = old.filter(|old| call.tx.is_some() || old.owner() == payer);
        let (more, less) = changes.entry(payer).or_default();
        *more += cost(path, node);
        *less += old.map_or(0, |old| cost(path, old));
        self.check_memory(call.caller, payer, *more, *less)
    }
}
