//! Who may do what with a node.

use std::sync::Arc;

use super::domains::Domains;
use crate::{Permission, PermissionKind};

/// An entry of a node's permissions.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it was given.
    pub permission: Permission,
    /// Its domain did not exist when it was given, or is gone since: it means nobody, and not a new domain of the same number.
    pub void: bool,
}

/// What a request needs, or what somebody may: any of these.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Needs(u8);

impl Needs {
    pub const READ: Self = Self(1);
    pub const WRITE: Self = Self(2);
    /// To change permissions.
    pub const OWNERSHIP: Self = Self(2 | 4);
    const ALL: Self = Self(1 | 2 | 4);

    const fn of(kind: PermissionKind) -> Self {
        Self(kind.reads() as u8 | (kind.writes() as u8) << 1)
    }

    /// Whether all of `needed` is in this.
    pub const fn cover(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// Whether any of `needed` is in this.
    pub const fn touch(self, needed: Self) -> bool {
        self.0 & needed.0 != 0
    }
}

/// Who asks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The domain.
    pub domain: u16,
    /// A domain whose device model it is, and whose rights it has besides its own.
    pub target: Option<u16>,
    /// May do everything.
    pub privileged: bool,
}

impl Caller {
    const fn is(self, domain: u16) -> bool {
        self.domain == domain || matches!(self.target, Some(target) if target == domain)
    }
}

/// The permissions of a node at some time.
#[derive(Clone, Debug)]
pub struct Rights {
    /// The first names the owner and what domains without an entry may.
    pub entries: Arc<[Entry]>,
    /// Of the node.
    pub generation: u64,
}

impl Rights {
    /// What `caller` may.
    pub fn of(&self, caller: Caller, domains: &Domains) -> Needs {
        let Some((owner, others)) = self.entries.split_first() else {
            return if caller.privileged {
                Needs::ALL
            } else {
                Needs(0)
            };
        };
        if caller.privileged || caller.is(owner.permission.domain) {
            return Needs::ALL;
        }
        let valid = |entry: &&Entry| {
            caller.is(entry.permission.domain) && !is_void(entry, self.generation, domains)
        };
        let entry = others.iter().find(valid).unwrap_or(owner);
        Needs::of(entry.permission.access)
    }
}

/// The entries with those marked that no longer mean their domain. A node that is written gets a new generation and needs this before.
pub fn settled(entries: &Arc<[Entry]>, generation: u64, domains: &Domains) -> Arc<[Entry]> {
    let stale = |entry: &Entry| !entry.void && is_void(entry, generation, domains);
    if !entries.iter().skip(1).any(stale) {
        return entries.clone();
    }
    let settle = |(i, entry): (usize, &Entry)| Entry {
        void: entry.void || (i > 0 && is_void(entry, generation, domains)),
        ..*entry
    };
    entries.iter().enumerate().map(settle).collect()
}

/// An entry means the domain that existed when the node was written.
fn is_void(entry: &Entry, generation: u64, domains: &Domains) -> bool {
    entry.void || !domains.existed(entry.permission.domain, generation)
}
