//! A transaction: what it looked at, and what it made of it.
//!
//! A node is copied when it is looked at first, and from then on the transaction has its own. It conflicts if one of these nodes was changed
//! by somebody else since; changes to other nodes, and changes before it looked, do no harm.

use std::collections::{BTreeMap, HashMap};

use super::node::Node;
use crate::path::Path;

/// An open transaction.
#[derive(Default)]
pub struct Transaction {
    accessed: Vec<Accessed>,
    at: HashMap<Path, usize>,
    /// How many nodes more (or fewer) each domain will have.
    pub nodes: BTreeMap<u16, i64>,
    /// Bytes its owner pays for.
    pub memory: u64,
    /// A limit was reached in the middle: it can not be committed.
    pub failed: bool,
    /// It was open when the daemon was restarted, and what it had is lost: it conflicts.
    pub lost: bool,
}

/// A node a transaction looked at.
pub struct Accessed {
    /// Which.
    pub path: Path,
    /// The node when it was looked at first.
    pub base: Option<Node>,
    /// The node as the transaction has it.
    pub current: Option<Node>,
    /// Whether the transaction changed it.
    pub modified: bool,
    /// What watches are to be told of it.
    pub event: Option<Event>,
}

/// What watches are to be told of a node.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Those for this very path.
    Exact,
    /// Those for what is above, too.
    Upwards,
}

impl Transaction {
    /// One that was open when the daemon was restarted.
    pub fn lost() -> Self {
        Self {
            lost: true,
            ..Self::default()
        }
    }

    /// A node as the transaction has it: `None` if it did not look at it yet.
    pub fn node(&self, path: &Path) -> Option<Option<&Node>> {
        let at = *self.at.get(path)?;
        Some(self.accessed[at].current.as_ref())
    }

    /// How many nodes it looked at.
    pub fn count(&self) -> usize {
        self.accessed.len()
    }

    /// It looked at a node for the first time.
    pub fn saw(&mut self, path: Path, base: Option<Node>) {
        self.at.insert(path.clone(), self.accessed.len());
        self.accessed.push(Accessed {
            path,
            current: base.clone(),
            base,
            modified: false,
            event: None,
        });
    }

    /// It changed a node, which it looked at before.
    pub fn set(&mut self, path: &Path, node: Option<Node>) {
        if let Some(accessed) = self.accessed_mut(path) {
            accessed.current = node;
            accessed.modified = true;
        }
    }

    /// Watches are to be told of a node, which it looked at before.
    pub fn announce(&mut self, path: &Path, event: Event) {
        if let Some(accessed) = self.accessed_mut(path)
            && accessed.event != Some(Event::Upwards)
        {
            accessed.event = Some(event);
        }
    }

    fn accessed_mut(&mut self, path: &Path) -> Option<&mut Accessed> {
        let at = *self.at.get(path)?;
        self.accessed.get_mut(at)
    }

    /// All nodes it looked at, in this order.
    pub fn accessed(&self) -> &[Accessed] {
        &self.accessed
    }

    /// The nodes it changed, in an order in which they can be made in the tree: first those that go, from the bottom up, then the others from
    /// the top down and siblings in the order in which they were made.
    pub fn modified(&self) -> Vec<&Accessed> {
        let changed = |accessed: &&Accessed| {
            accessed.modified && (accessed.base.is_some() || accessed.current.is_some())
        };
        let mut nodes: Vec<&Accessed> = self.accessed.iter().filter(changed).collect();
        nodes.sort_by_cached_key(|accessed| {
            let depth = accessed.path.upwards().count();
            match &accessed.current {
                None => (false, usize::MAX - depth, None, 0),
                Some(node) => (true, depth, accessed.path.parent(), node.position),
            }
        });
        nodes
    }
}
