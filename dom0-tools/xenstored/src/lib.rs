//! xenstored: the daemon that keeps the store of a host, for processes in dom0 over a Unix socket and for domains over their rings.
//!
//! [`Daemon`] owns everything; it runs in one thread, in turns: see [`daemon`]. What the store means is in [`xenstore::engine`], how it survives a
//! restart in [`state`], and how a domain's page is handled in [`ring`].

#![forbid(unsafe_code)]

pub mod control;
pub mod daemon;
pub mod notices;
pub mod options;
pub mod process;
pub mod ring;
pub mod state;
pub mod trace;

pub use daemon::{Daemon, Settings, Xen};
