//! The store itself, without any input or output: it is told what peers send and what happened to domains, and says what to send to whom.
//!
//! The semantics are those of xenstored 4.20 (`docs/misc/xenstore.txt`); where a request costs more there than what it touches, it does not here.
//! [`Server`] is the entry.

pub mod change;
mod children;
mod connection;
mod domains;
mod host;
mod node;
mod output;
mod quota;
mod rate;
mod requests;
mod requests_held;
mod rights;
mod server;
mod snapshot;
mod store;
mod transaction;
mod watches;

pub use change::Change;
pub use connection::Peer;
pub use host::{DomainState, Host, Ring};
pub use quota::{Item, Quotas};
pub use rights::Entry;
pub use server::{Server, Settings};
pub use snapshot::{Restorer, Unsound};

/// A peer of the store, as long as it is connected. Never used again for another.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl std::fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "c{}", self.0)
    }
}
