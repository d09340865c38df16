//! Consoles of guests: the daemon that gives each a terminal and a log, the client that attaches to the terminal, and what dom0 needs in the
//! store before either can work.

pub mod client;
pub mod daemon;
pub mod dom0;
