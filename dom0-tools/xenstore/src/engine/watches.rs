//! Who wants to know what: watches, found by the path they are for.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::ConnectionId;
use crate::path::Path;

/// What comes with the events of a watch. Any bytes but nul.
pub type Token = Arc<[u8]>;

/// A watch.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Counts up: a connection gets the events of one change in the order in which it set its watches.
    pub order: u64,
    /// How many bytes at the beginning of a path its events do not have.
    pub prefix: usize,
}

/// All watches.
#[derive(Default)]
pub struct Watches {
    at: HashMap<Path, BTreeMap<(ConnectionId, Token), Watch>>,
    /// The same, by connection and order.
    of: BTreeMap<(ConnectionId, u64), (Path, Token)>,
    next: u64,
}

/// A watch that an event concerns.
pub struct Match {
    /// Whose.
    pub connection: ConnectionId,
    /// The watch.
    pub watch: Watch,
    /// Its token.
    pub token: Token,
}

impl Watches {
    /// Whether there is this watch.
    pub fn has(&self, connection: ConnectionId, path: &Path, token: &Token) -> bool {
        self.get(connection, path, token).is_some()
    }

    fn get(&self, connection: ConnectionId, path: &Path, token: &Token) -> Option<&Watch> {
        self.at.get(path)?.get(&(connection, token.clone()))
    }

    /// Adds a watch, which must be new.
    pub fn add(&mut self, connection: ConnectionId, path: Path, token: Token, prefix: usize) {
        let order = self.next;
        self.next += 1;
        let watch = Watch { order, prefix };
        self.at
            .entry(path.clone())
            .or_default()
            .insert((connection, token.clone()), watch);
        self.of.insert((connection, order), (path, token));
    }

    /// Removes a watch. `false`: there is none.
    pub fn remove(&mut self, connection: ConnectionId, path: &Path, token: &Token) -> bool {
        let Some(watch) = self.get(connection, path, token) else {
            return false;
        };
        self.of.remove(&(connection, watch.order));
        self.unlist(connection, path, token);
        true
    }

    /// Removes all watches of a connection and gives them.
    pub fn remove_all(&mut self, connection: ConnectionId) -> Vec<(Path, Token)> {
        let mut rest = self.of.split_off(&(connection, 0));
        let mut others = rest.split_off(&(ConnectionId(connection.0 + 1), 0));
        self.of.append(&mut others);
        let gone: Vec<_> = rest.into_values().collect();
        for (path, token) in &gone {
            self.unlist(connection, path, token);
        }
        gone
    }

    fn unlist(&mut self, connection: ConnectionId, path: &Path, token: &Token) {
        if let Some(watches) = self.at.get_mut(path) {
            watches.remove(&(connection, token.clone()));
            if watches.is_empty() {
                self.at.remove(path);
            }
        }
    }

    /// The watches of a connection, in the order in which they were set.
    pub fn of(&self, connection: ConnectionId) -> impl Iterator<Item = (&Path, &Token, &Watch)> {
        let range: RangeInclusive<_> = (connection, 0)..=(connection, u64::MAX);
        self.of.range(range).filter_map(move |(_, (path, token))| {
            Some((path, token, self.get(connection, path, token)?))
        })
    }

    /// The watches that a change of `path` concerns: those for it and, unless `exact`, for what is above it. By connection, then in the order
    /// in which they were set.
    pub fn concerned(&self, path: &Path, exact: bool) -> Vec<Match> {
        let paths = path.upwards().take(if exact { 1 } else { usize::MAX });
        let mut matches: Vec<Match> = paths
            .filter_map(|path| self.at.get(path))
            .flatten()
            .map(|((connection, token), watch)| Match {
                connection: *connection,
                watch: watch.clone(),
                token: token.clone(),
            })
            .collect();
        matches.sort_unstable_by_key(|found| (found.connection, found.watch.order));
        matches
    }
}
