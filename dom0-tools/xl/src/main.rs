//! The command xl: manages domains as Xen's xl does.

fn main() {}
