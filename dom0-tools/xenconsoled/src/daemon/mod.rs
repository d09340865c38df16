//! The console daemon.
//!
//! Each guest has a page with two rings and an event channel. What it writes is appended to its log and shown on a pseudo-terminal, whose name
//! the store tells to whoever wants to attach; what is typed there goes to the guest. The daemon keeps no state that matters: killed at any
//! moment and started again, it finds the guests in the store and their output in their rings.

mod backlog;
mod complaint;
mod console;
mod departed;
mod hypervisor_log;
mod log_file;
mod log_text;
mod logs;
mod nodes;
mod poller;
mod pty;
mod rate;
mod ring;
mod service;
mod store_link;
mod table;

pub use backlog::Overflow;
pub use log_file::Rotation;
pub use log_text::LogStyle;
pub use logs::Logs;
pub use service::{Host, Service};
pub use store_link::Connect;
