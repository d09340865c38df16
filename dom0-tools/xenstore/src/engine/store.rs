//! The nodes, with what they cost their owners, and the record of all that changes.

use std::collections::HashMap;

use super::change::Change;
use super::domains::Domains;
use super::node::Node;
use super::quota::{Item, Quotas};
use super::rate::Rates;
use super::rights::{Caller, Needs, settled};
use super::transaction::Transaction;
use crate::Errno;
use crate::path::Path;

/// The tree and what belongs to it.
pub struct Store {
    nodes: HashMap<Path, Node>,
    /// Counts changes.
    generation: u64,
    /// Who owns what.
    pub domains: Domains,
    /// The limits.
    pub quotas: Quotas,
    /// Changes that were not taken yet, if they are recorded at all.
    pub changes: Option<Vec<Change>>,
    /// How fast domains may write.
    pub rates: Rates,
    /// How many nodes and watches requests touched.
    pub work: u64,
}

impl Store {
    /// Nothing.
    pub fn new(quotas: Quotas, domains: Domains) -> Self {
        Self {
            nodes: HashMap::new(),
            generation: 0,
            domains,
            quotas,
            changes: None,
            rates: Rates::default(),
            work: 0,
        }
    }

    /// A node of the tree.
    pub fn get(&self, path: &Path) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// How many nodes there are.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// All, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.nodes.iter()
    }

    /// The number of the last change.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of the next change.
    pub const fn advance(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// No change gets this number or a lower one.
    pub fn skip_to(&mut self, generation: u64) {
        self.generation = self.generation.max(generation);
    }

    /// Writes a change down.
    pub fn record(&mut self, change: impl FnOnce() -> Change) {
        if let Some(changes) = &mut self.changes {
            changes.push(change());
        }
    }

    /// A node as `tx` sees it, or as it is in the tree. `ENOSPC`: the transaction looks at too many nodes; it fails.
    pub fn look(
        &mut self,
        tx: &mut Option<Transaction>,
        caller: Caller,
        path: &Path,
    ) -> Result<Option<Node>, Errno> {
        self.work += 1;
        let Some(tx) = tx else {
            return Ok(self.nodes.get(path).cloned());
        };
        if let Some(node) = tx.node(path) {
            return Ok(node.cloned());
        }
        let count = tx.count() as u64 + 1;
        if !caller.privileged && count > self.quotas.limit(Item::TransactionNodes) {
            tx.failed = true;
            return Err(Errno::ENOSPC);
        }
        self.domains
            .saw(caller.domain, Item::TransactionNodes, count);
        let node = self.nodes.get(path).cloned();
        let memory = node.as_ref().map_or(0, |node| cost(path, node));
        tx.memory += memory;
        self.domains.add(caller.domain, Item::Memory, memory);
        tx.saw(path.clone(), node.clone());
        Ok(node)
    }

    /// Writes (or with `None` removes) a node which was looked at before, in `tx` or in the tree.
    pub fn set(
        &mut self,
        tx: &mut Option<Transaction>,
        caller: Caller,
        path: &Path,
        node: Option<Node>,
    ) {
        let node = node.map(|node| self.renewed(node));
        match tx {
            None => {
                if !caller.privileged {
                    self.rates.debit(caller.domain);
                }
                self.set_in_tree(path, node);
            }
            Some(tx) => self.set_in_transaction(tx, caller, path, node),
        }
    }

    /// With a new generation, and so with the permissions settled that depend on the old.
    pub fn renewed(&mut self, node: Node) -> Node {
        let entries = settled(&node.entries, node.generation, &self.domains);
        let generation = self.advance();
        Node {
            entries,
            generation,
            ..node
        }
    }

    fn set_in_transaction(
        &mut self,
        tx: &mut Transaction,
        caller: Caller,
        path: &Path,
        node: Option<Node>,
    ) {
        if let Some(old) = tx.node(path).flatten() {
            let (memory, owner) = (cost(path, old), old.owner());
            tx.memory -= memory;
            self.domains.sub(caller.domain, Item::Memory, memory);
            *tx.nodes.entry(owner).or_default() -= 1;
        }
        if let Some(new) = &node {
            let memory = cost(path, new);
            tx.memory += memory;
            self.domains.add(caller.domain, Item::Memory, memory);
            *tx.nodes.entry(new.owner()).or_default() += 1;
        }
        tx.set(path, node);
    }

    /// Writes a node that has its generation, or removes one without children, for everybody to see.
    pub fn set_in_tree(&mut self, path: &Path, node: Option<Node>) {
        self.work += 1;
        let old = match node.clone() {
            Some(node) => self.nodes.insert(path.clone(), node),
            None => self.nodes.remove(path),
        };
        if let Some(old) = &old {
            self.account(path, old, false);
        }
        if let Some(new) = &node {
            self.account(path, new, true);
        }
        self.record_node(path, old.as_ref(), node.as_ref());
    }

    fn account(&mut self, path: &Path, node: &Node, more: bool) {
        let (owner, memory) = (node.owner(), cost(path, node));
        let indexed = !self.domains.is_privileged(owner);
        let domain = self.domains.know(owner, self.generation);
        if more {
            if indexed {
                domain.nodes.insert(path.clone());
            }
            self.domains.add(owner, Item::Nodes, 1);
            self.domains.add(owner, Item::Memory, memory);
        } else {
            domain.nodes.remove(path);
            self.domains.sub(owner, Item::Nodes, 1);
            self.domains.sub(owner, Item::Memory, memory);
        }
    }

    fn record_node(&mut self, path: &Path, old: Option<&Node>, new: Option<&Node>) {
        let path = || path.as_str().to_owned();
        let moved = |old: &Node| new.is_none_or(|new| new.position != old.position);
        if old.is_some_and(moved) {
            self.record(|| Change::Removed { path: path() });
        }
        let Some(new) = new else {
            return;
        };
        let generation = new.generation;
        match old {
            Some(old) if !moved(old) && same_content(old, new) => self.record(|| Change::Touched {
                path: path(),
                generation,
            }),
            _ => self.record(|| node_change(path(), new)),
        }
    }

    /// The nearest node at or above `path` lets `caller` do any of `needs`.
    pub fn allowed_above(
        &mut self,
        tx: &mut Option<Transaction>,
        caller: Caller,
        path: &Path,
        needs: Needs,
    ) -> Result<bool, Errno> {
        let mut above = path.parent();
        while let Some(path) = above {
            if let Some(node) = self.look(tx, caller, &path)? {
                return Ok(node.rights().of(caller, &self.domains).touch(needs));
            }
            above = path.parent();
        }
        Ok(false)
    }
}

/// The change that makes a node.
pub fn node_change(path: String, node: &Node) -> Change {
    Change::Node {
        path,
        generation: node.generation,
        entries: node.entries.to_vec(),
        value: node.value.to_vec(),
    }
}

fn same_content(old: &Node, new: &Node) -> bool {
    std::sync::Arc::ptr_eq(&old.value, &new.value) && old.entries == new.entries
}

/// Bytes a node costs.
pub fn cost(path: &Path, node: &Node) -> u64 {
    (path.as_str().len() + node.size()) as u64
}
