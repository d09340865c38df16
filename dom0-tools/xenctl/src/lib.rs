//! Handles to the hypervisor from dom0: hypercalls, event channels, grants and guest memory.
//!
//! Everything that asks the hypervisor for something takes a [`Hypervisor`]: [`Xen`](real::Xen) over `/dev/xen/*` on a real dom0,
//! [`fake::FakeXen`] in tests. Unsafe code is in `sys` alone.

mod error;
mod hypervisor;

pub use error::{Error, Result};
pub use hypervisor::*;
