//! A node: value, rights and names of children. Copies share all of it.

use std::sync::Arc;

use super::children::Children;
use super::rights::{Entry, Rights};

/// A node of the tree, or of a transaction's copy.
#[derive(Clone)]
pub struct Node {
    /// When it was changed last: its value, its rights or the list of its children. No two changes of the store have the same number.
    pub generation: u64,
    /// Where it is in its parent's [`Children`].
    pub position: u64,
    /// Who may do what.
    pub entries: Arc<[Entry]>,
    /// The value.
    pub value: Arc<[u8]>,
    /// The names of its children.
    pub children: Children,
}

impl Node {
    /// Without value and children.
    pub fn new(entries: Arc<[Entry]>) -> Self {
        Self {
            generation: 0,
            position: 0,
            entries,
            value: Arc::new([]),
            children: Children::default(),
        }
    }

    /// Who may do what.
    pub fn rights(&self) -> Rights {
        let entries = self.entries.clone();
        let generation = self.generation;
        Rights {
            entries,
            generation,
        }
    }

    /// The domain whose node it is.
    pub fn owner(&self) -> u16 {
        self.entries
            .first()
            .map_or(0, |entry| entry.permission.domain)
    }

    /// Bytes as quotas count them: those of xenstored's record of a node, a header of 16 bytes and 8 for each permission.
    pub fn size(&self) -> usize {
        16 + 8 * self.entries.len() + self.value.len() + self.children.bytes()
    }
}
