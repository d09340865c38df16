//! A live table of domains: processor, memory, network and disk use.

fn main() {}
