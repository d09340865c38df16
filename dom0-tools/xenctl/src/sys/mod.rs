//! The devices under `/dev/xen`, loop devices, and memory that the hypervisor or other domains use too: the only place with unsafe code.
//!
//! What makes it sound: memory shared with others is reached through [`Mapping`] alone, which copies and never lends a reference; the
//! kernel's structures are passed by [`ioctl`] with the number that belongs to them; the addresses that a hypercall's arguments name are
//! those of live mappings, a rule that the private modules above keep by taking every address from [`Mapping::address`].
#![expect(
    unsafe_code,
    reason = "system calls and shared memory; each block is argued"
)]

mod evtchn;
mod gntdev;
mod ioctl;
mod loop_device;
mod mapping;
mod privcmd;
mod xenbus;

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use xen_abi::errno::Errno;

pub(crate) use evtchn::Evtchn;
pub(crate) use gntdev::Gntdev;
pub use loop_device::{LoopControl, LoopDevice, LoopOptions, LoopStatus};
pub(crate) use mapping::Mapping;
pub(crate) use privcmd::{Arg, Privcmd, Resource};
pub(crate) use xenbus::XenbusBackend;

/// Opens a device for reading and writing.
fn open(path: &str, more: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC | more, Mode::empty()).map_err(errno)
}

/// Linux's number is Xen's.
fn errno(errno: rustix::io::Errno) -> Errno {
    Errno(errno.raw_os_error())
}
