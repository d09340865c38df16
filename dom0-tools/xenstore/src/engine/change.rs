//! What has to be written down for the store to be the same after its daemon ended, however it ended.
//!
//! The state of a store is the changes that make it: [`Server::snapshot`](super::Server::snapshot) gives them, [`Server::take_changes`](super::Server::take_changes) those since. Only
//! what outlives the daemon is in them: nodes, domains, and the rings with all that belongs to them. Sockets and what belongs to them do not.

mod codec;

pub use codec::Damaged;

use super::rights::Entry;

/// The name of the limit above which a domain's use of memory is warned of.
pub const SOFT_MEMORY: &str = "soft-memory";

/// One change. Paths are absolute; of those above a node, each has been made before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node was made, at the end of its parent's children, or changed.
    Node {
        /// Which.
        path: String,
        /// Its number of the last change.
        generation: u64,
        /// Who may do what.
        entries: Vec<Entry>,
        /// The value.
        value: Vec<u8>,
    },
    /// The list of a node's children changed: it has a new number of the last change.
    Touched {
        /// Which.
        path: String,
        /// Its number of the last change.
        generation: u64,
    },
    /// A node, which has no children any longer, was removed.
    Removed {
        /// Which.
        path: String,
    },
    /// No number up to this one is to be given to a change again.
    Generation(u64),
    /// A limit was set.
    Quota {
        /// Its name, `soft-memory` for the one that only warns.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// A domain became known, or something about it changed.
    Domain {
        /// Which.
        domain: u16,
        /// Since when it is known.
        generation: u64,
        /// Its event channel, if it has a ring.
        ring: Option<u32>,
        /// That it shut down was told.
        shutdown: bool,
        /// The domain it is the device model of.
        target: Option<u16>,
    },
    /// A domain is known no longer, and its ring is gone.
    DomainGone {
        /// Which.
        domain: u16,
    },
    /// A ring starts anew: no watches, transactions, input or output, and indices of 0.
    Reset {
        /// Whose.
        domain: u16,
    },
    /// The ring is broken and not served any longer.
    Ignored {
        /// Whose.
        domain: u16,
    },
    /// A watch of a ring was set.
    Watch {
        /// Whose.
        domain: u16,
        /// What it is for.
        path: String,
        /// What comes with its events.
        token: Vec<u8>,
        /// Whether its events carry paths below the domain's home.
        relative: bool,
    },
    /// A watch of a ring was taken back.
    Unwatch {
        /// Whose.
        domain: u16,
        /// What it was for.
        path: String,
        /// What came with its events.
        token: Vec<u8>,
    },
    /// A transaction of a ring was started.
    Begin {
        /// Whose.
        domain: u16,
        /// Its number.
        id: u32,
    },
    /// A transaction of a ring ended.
    End {
        /// Whose.
        domain: u16,
        /// Its number.
        id: u32,
    },
    /// Bytes were taken from a ring which are no whole message yet.
    Input {
        /// Whose.
        domain: u16,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A message of a ring was handled: what of it was in [`Self::Input`] is used up.
    Handled {
        /// Whose.
        domain: u16,
        /// Bytes of the message.
        size: u32,
    },
    /// A message for a ring waits to be sent.
    Output {
        /// Whose.
        domain: u16,
        /// The message.
        bytes: Vec<u8>,
        /// Whether it is an event. Only those may be dropped if they are not taken in time.
        event: bool,
    },
    /// Bytes of the messages that wait were sent.
    Sent {
        /// Whose.
        domain: u16,
        /// How many.
        bytes: u32,
    },
    /// Of the events that wait, those which the ring did not take in time were dropped, except the first if it was sent in part.
    Expired {
        /// Whose.
        domain: u16,
        /// How many, beginning with the oldest.
        events: u32,
    },
}
