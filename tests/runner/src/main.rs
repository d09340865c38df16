//! Boots emulators.
fn main() {}
