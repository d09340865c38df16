//! The console daemon: a terminal and a log for every domain.

fn main() {}
