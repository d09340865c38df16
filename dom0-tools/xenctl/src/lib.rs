//! Handles to the hypervisor from dom0: hypercalls, event channels, grants and guest memory.
//!
//! Everything that asks the hypervisor for something takes a [`Hypervisor`], daemons take a [`Backend`] too: [`real::Xen`] over `/dev/xen/*` on a
//! real dom0 is both, and so is [`fake::FakeXen`] in tests. Unsafe code is in the private module `sys`
//! alone.

mod backend;
pub mod call;
mod cpu_set;
mod error;
mod events;
pub mod fake;
mod hypervisor;
pub mod loop_device;
mod page;
pub mod real;
mod sys;

pub use backend::{Backend, OwnRing};
pub use cpu_set::CpuSet;
pub use error::{Error, Result};
pub use events::{Events, Port};
pub use hypervisor::*;
pub use page::{PAGE_SIZE, SharedPage, full_barrier};
