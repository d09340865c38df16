//! `/dev/xen/evtchn`: event channels.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::ioctl::Opcode;
use xen_abi::errno::Errno;

use super::{errno, ioctl, open};

const BIND_VIRQ: Opcode = 0x0004_4500;
const BIND_INTERDOMAIN: Opcode = 0x0008_4501;
const BIND_UNBOUND_PORT: Opcode = 0x0004_4502;
const UNBIND: Opcode = 0x0004_4503;
const NOTIFY: Opcode = 0x0004_4504;

/// The handle; its ports are closed with it.
pub(crate) struct Evtchn(OwnedFd);

impl Evtchn {
    pub(crate) fn open() -> Result<Self, Errno> {
        open("/dev/xen/evtchn", OFlags::NONBLOCK).map(Self)
    }

    pub(crate) fn bind_virq(&self, virq: u32) -> Result<u32, Errno> {
        self.port(BIND_VIRQ, virq)
    }

    pub(crate) fn bind_interdomain(&self, domain: u16, port: u32) -> Result<u32, Errno> {
        let mut pair = [u32::from(domain), port];
        // SAFETY: The number is that of `struct ioctl_evtchn_bind_interdomain`, two words: domain and port.
        let port = unsafe { ioctl::call(&self.0, BIND_INTERDOMAIN, &mut pair) }?;
        u32::try_from(port).map_err(|_| Errno::ERANGE)
    }

    pub(crate) fn bind_unbound(&self, domain: u16) -> Result<u32, Errno> {
        self.port(BIND_UNBOUND_PORT, domain.into())
    }

    pub(crate) fn unbind(&self, port: u32) -> Result<(), Errno> {
        self.one_word(UNBIND, port).map(drop)
    }

    pub(crate) fn notify(&self, port: u32) -> Result<(), Errno> {
        self.one_word(NOTIFY, port).map(drop)
    }

    /// A pending port, which is masked now; never waits.
    pub(crate) fn read(&self) -> Result<Option<u32>, Errno> {
        let mut port = [0; 4];
        loop {
            return match rustix::io::read(&self.0, &mut port) {
                Ok(4) => Ok(Some(u32::from_ne_bytes(port))),
                Ok(_) => Err(Errno::EIO),
                Err(rustix::io::Errno::AGAIN) => Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                Err(other) => Err(errno(other)),
            };
        }
    }

    pub(crate) fn unmask(&self, port: u32) -> Result<(), Errno> {
        match rustix::io::write(&self.0, &port.to_ne_bytes()).map_err(errno)? {
            4 => Ok(()),
            _ => Err(Errno::EIO),
        }
    }

    fn port(&self, opcode: Opcode, argument: u32) -> Result<u32, Errno> {
        let port = self.one_word(opcode, argument)?;
        u32::try_from(port).map_err(|_| Errno::ERANGE)
    }

    fn one_word(&self, opcode: Opcode, mut argument: u32) -> Result<i32, Errno> {
        // SAFETY: The numbers used here are those of structures of one word: a virtual interrupt, a domain or a port.
        unsafe { ioctl::call(&self.0, opcode, &mut argument) }
    }
}

impl AsFd for Evtchn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
