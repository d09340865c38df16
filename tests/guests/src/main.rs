//! Tiny PVH kernels.
fn main() {}
