//! The xenstore daemon.

fn main() {}
