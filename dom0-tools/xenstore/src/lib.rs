//! xenstore: the tree of small values through which domains, their back ends and the tools find each other.
//!
//! Whoever uses a store takes a `&dyn` [`Access`]. [`client`] is the way to a daemon. [`wire`] is the protocol, as `public/io/xs_wire.h` has it.

#![forbid(unsafe_code)]

mod access;
pub mod client;
pub mod engine;
mod errno;
pub mod local;
pub mod path;
mod permission;
pub mod wire;

pub use access::{
    Access, Error, Result, Tx, WatchEvent, exists, read_optional, read_string, transaction,
};
pub use errno::Errno;
pub use permission::{ParsePermissionError, Permission, PermissionKind};
