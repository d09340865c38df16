//! `/dev/xen/xenbus_backend`: the ring between dom0's kernel and the store's daemon.

use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::ioctl::Opcode;
use xen_abi::errno::Errno;

use super::{Mapping, ioctl, open};

const EVTCHN: Opcode = 0x0000_4200;

/// The handle.
pub(crate) struct XenbusBackend(OwnedFd);

impl XenbusBackend {
    pub(crate) fn open() -> Result<Self, Errno> {
        open("/dev/xen/xenbus_backend", OFlags::empty()).map(Self)
    }

    /// The kernel's port.
    pub(crate) fn port(&self) -> Result<u32, Errno> {
        // SAFETY: The number is that of an ioctl without an argument: what is passed is not looked at.
        let port = unsafe { ioctl::call(&self.0, EVTCHN, &mut ()) }?;
        u32::try_from(port).map_err(|_| Errno::ERANGE)
    }

    /// The ring.
    pub(crate) fn page(&self) -> Result<Mapping, Errno> {
        Mapping::of_file(&self.0, 0, 1)
    }
}
