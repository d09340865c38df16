//! Event channels and pages of others, on the real dom0.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use xen_abi::errno::Errno;

use super::{Xen, memory};
use crate::sys::{Evtchn, Gntdev, Mapping, XenbusBackend};
use crate::{Backend, DomId, Error, Events, OwnRing, Port, Result, SharedPage, call};

impl Backend for Xen {
    fn events(&self) -> Result<Box<dyn Events>> {
        Ok(Box::new(EventChannels::open()?))
    }

    fn map_grant(&self, domain: DomId, reference: u32) -> Result<Box<dyn SharedPage>> {
        let about = |errno| {
            let text = format!("reference {reference} of domain {domain}");
            Error::new(call::MAP_GRANT, errno).about(text)
        };
        let device = self.gntdev().map_err(about)?;
        let (mapping, index) = device.map(domain.0, reference).map_err(about)?;
        Ok(Box::new(GrantPage {
            mapping: Some(mapping),
            index,
            device,
        }))
    }

    fn map_foreign(&self, domain: DomId, gfn: u64) -> Result<Box<dyn SharedPage>> {
        Ok(Box::new(memory::map(self, domain, &[gfn])?))
    }

    fn own_store_ring(&self) -> Result<OwnRing> {
        let fail = |errno| Error::new(call::MAP_STORE_RING, errno);
        let device = XenbusBackend::open().map_err(fail)?;
        Ok(OwnRing {
            page: Box::new(device.page().map_err(fail)?),
            port: device.port().map_err(fail)?,
        })
    }
}

impl Xen {
    fn gntdev(&self) -> std::result::Result<Arc<Gntdev>, Errno> {
        if let Some(device) = self.gntdev.get() {
            return Ok(device.clone());
        }
        let device = Arc::new(Gntdev::open()?);
        Ok(self.gntdev.get_or_init(|| device).clone())
    }
}

/// A page that was granted, mapped.
struct GrantPage {
    /// Until it is dropped.
    mapping: Option<Mapping>,
    index: u64,
    device: Arc<Gntdev>,
}

impl GrantPage {
    fn page(&self) -> &Mapping {
        self.mapping.as_ref().expect("a page in use")
    }
}

impl Drop for GrantPage {
    fn drop(&mut self) {
        // The driver keeps its record as long as it is mapped, so the mapping goes first.
        self.mapping = None;
        self.device.forget(self.index);
    }
}

impl SharedPage for GrantPage {
    fn load_u32(&self, offset: usize) -> u32 {
        self.page().load_u32(offset)
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.page().store_u32(offset, value);
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        self.page().copy_out(offset, bytes);
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) {
        self.page().copy_in(offset, bytes);
    }
}

/// Event channels by `/dev/xen/evtchn`.
pub struct EventChannels(Evtchn);

impl EventChannels {
    /// A new handle.
    pub fn open() -> Result<Self> {
        let device = Evtchn::open().map_err(|errno| Error::new(call::OPEN_EVENTS, errno))?;
        Ok(Self(device))
    }
}

impl AsFd for EventChannels {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Events for EventChannels {
    fn bind_interdomain(&self, domain: DomId, remote: u32) -> Result<Port> {
        let port = self.0.bind_interdomain(domain.0, remote);
        port.map(Port).map_err(|errno| {
            let text = format!("port {remote} of domain {domain}");
            Error::new(call::BIND_INTERDOMAIN, errno).about(text)
        })
    }

    fn bind_virq(&self, virq: u32) -> Result<Port> {
        let port = self.0.bind_virq(virq);
        port.map(Port).map_err(|errno| {
            Error::new(call::BIND_VIRQ, errno).about(format!("virtual interrupt {virq}"))
        })
    }

    fn bind_unbound(&self, remote: DomId) -> Result<Port> {
        let port = self.0.bind_unbound(remote.0);
        port.map(Port)
            .map_err(|errno| Error::new(call::BIND_UNBOUND, errno))
    }

    fn unbind(&self, port: Port) -> Result<()> {
        let result = self.0.unbind(port.0);
        result.map_err(|errno| Error::new(call::UNBIND, errno))
    }

    fn notify(&self, port: Port) -> Result<()> {
        let result = self.0.notify(port.0);
        result.map_err(|errno| Error::new(call::NOTIFY, errno))
    }

    fn pending(&self) -> Result<Option<Port>> {
        let port = self.0.read();
        port.map(|port| port.map(Port))
            .map_err(|errno| Error::new(call::PENDING, errno))
    }

    fn unmask(&self, port: Port) -> Result<()> {
        let result = self.0.unmask(port.0);
        result.map_err(|errno| Error::new(call::UNMASK, errno))
    }
}
