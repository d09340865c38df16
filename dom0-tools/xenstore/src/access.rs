//! What the tools ask of a store, whichever way they reach it.

use std::time::Duration;

use crate::{Errno, Permission};

/// A transaction of a connection.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tx(pub u32);

impl Tx {
    /// Outside any transaction.
    pub const NONE: Self = Self(0);
}

/// A watched path changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// What changed: at or below the watched path, and relative if that was.
    pub path: String,
    /// What the watch was registered with.
    pub token: String,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused.
    #[error("xenstore: {operation} {path}: {name}")]
    Errno {
        /// The request, for instance `write`.
        operation: &'static str,
        /// What it was about.
        path: String,
        /// The store's reason.
        name: Errno,
    },
    /// The store can not be reached.
    #[error("xenstore: {0}")]
    Io(#[from] std::io::Error),
    /// The store answered something that is no answer, or the request can not be sent.
    #[error("xenstore: {0}")]
    Protocol(String),
}

impl Error {
    /// The store refused `operation` on `path`.
    pub fn refused(operation: &'static str, path: impl Into<String>, name: Errno) -> Self {
        let path = path.into();
        Self::Errno {
            operation,
            path,
            name,
        }
    }

    /// The store's reason, if it was the store that refused.
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Errno { name, .. } => Some(*name),
            Self::Io(_) | Self::Protocol(_) => None,
        }
    }

    /// There is no such node (or watch, domain, transaction).
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(Errno::ENOENT)
    }

    /// A node that was to be removed is gone already. In a transaction that has seen it before the store says so with `EINVAL`, when
    /// somebody else has removed it meanwhile with what was above it; the transaction will not be committed then.
    pub fn is_removed(&self) -> bool {
        matches!(self.errno(), Some(Errno::ENOENT | Errno::EINVAL))
    }
}

/// What a request gives.
pub type Result<T> = std::result::Result<T, Error>;

/// A connection to a store. Paths without a leading `/` are below the connection's own home, `/local/domain/<domid>`.
pub trait Access: Send + Sync {
    /// The value of a node.
    fn read(&self, tx: Tx, path: &str) -> Result<Vec<u8>>;
    /// Sets a value; makes the node and its parents.
    fn write(&self, tx: Tx, path: &str, value: &[u8]) -> Result<()>;
    /// Makes a node and its parents, if they are missing.
    fn mkdir(&self, tx: Tx, path: &str) -> Result<()>;
    /// Removes a node and all below it. A missing node is no error, a missing parent is.
    fn remove(&self, tx: Tx, path: &str) -> Result<()>;
    /// The names of a node's children, however many there are.
    fn list(&self, tx: Tx, path: &str) -> Result<Vec<String>>;
    /// Who may do what with a node.
    fn permissions(&self, tx: Tx, path: &str) -> Result<Vec<Permission>>;
    /// Sets who may do what with a node.
    fn set_permissions(&self, tx: Tx, path: &str, permissions: &[Permission]) -> Result<()>;
    /// Starts a transaction.
    fn begin(&self) -> Result<Tx>;
    /// Ends a transaction. `false`: it conflicted with another and nothing was changed, start anew. A daemon that ended at this moment leaves open
    /// whether the transaction was committed; that is `false` as well, so what is done anew must be fit to be done twice, or look first.
    fn end(&self, tx: Tx, commit: bool) -> Result<bool>;
    /// Asks for an event now and whenever something at or below `path` changes.
    fn watch(&self, path: &str, token: &str) -> Result<()>;
    /// Takes a watch back.
    fn unwatch(&self, path: &str, token: &str) -> Result<()>;
    /// The next event, in the order in which they came. `None` after `timeout`; no timeout waits for ever.
    fn next_event(&self, timeout: Option<Duration>) -> Result<Option<WatchEvent>>;
    /// Where a domain's home is.
    fn domain_path(&self, domain: u16) -> Result<String>;
    /// Tells the store to serve a domain's ring: its page and its event channel.
    fn introduce(&self, domain: u16, gfn: u64, port: u32) -> Result<()>;
    /// Tells the store to serve a domain's ring no longer.
    fn release(&self, domain: u16) -> Result<()>;
    /// Whether the store serves a domain's ring.
    fn is_introduced(&self, domain: u16) -> Result<bool>;
    /// Gives `domain`, a device model, the rights of `target`.
    fn set_target(&self, domain: u16, target: u16) -> Result<()>;
    /// The domain goes on after a suspension: watch for its shutdown again.
    fn resume(&self, domain: u16) -> Result<()>;
    /// A command to the store itself, and its answer.
    fn control(&self, words: &[&str]) -> Result<String>;
}

/// How often a transaction is tried before the conflict is reported.
const ATTEMPTS: usize = 100;

/// Runs `body` in a transaction and commits it; anew if another came between, up to a hundred times. An error of `body` drops the transaction.
pub fn transaction<T>(store: &dyn Access, mut body: impl FnMut(Tx) -> Result<T>) -> Result<T> {
    for _ in 0..ATTEMPTS {
        let tx = store.begin()?;
        match body(tx) {
            Ok(value) if store.end(tx, true)? => return Ok(value),
            Ok(_) => {}
            // Lost with its connection, before anything was changed.
            Err(error) if error.errno() == Some(Errno::EAGAIN) => drop(store.end(tx, false)),
            Err(error) => {
                // The body's error says more than a failure to drop what it left behind.
                drop(store.end(tx, false));
                return Err(error);
            }
        }
    }
    Err(Error::refused("transaction", "", Errno::EAGAIN))
}

/// The value of a node as text. A value that is not UTF-8 is an error.
pub fn read_string(store: &dyn Access, tx: Tx, path: &str) -> Result<String> {
    let value = store.read(tx, path)?;
    String::from_utf8(value).map_err(|_| Error::Protocol(format!("the value of {path} is no text")))
}

/// The value of a node as text, if there is such a node.
pub fn read_optional(store: &dyn Access, tx: Tx, path: &str) -> Result<Option<String>> {
    found(read_string(store, tx, path))
}

/// Whether there is such a node.
pub fn exists(store: &dyn Access, tx: Tx, path: &str) -> Result<bool> {
    Ok(found(store.read(tx, path))?.is_some())
}

fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
