//! [`Backend`] of the fake host, and the kernel's side of dom0's store ring.

use xen_abi::errno::Errno;

use super::{FakeEvents, FakeXen, MemoryPage};
use crate::{Backend, DomId, Events, OwnRing, Port, Result, SharedPage, call};

/// The other end of [`Backend::own_store_ring`]: what the kernel of dom0 holds.
pub struct KernelSide {
    /// The ring.
    pub page: MemoryPage,
    /// Event channels of the kernel.
    pub events: FakeEvents,
    /// The kernel's port.
    pub port: Port,
}

impl FakeXen {
    /// Makes dom0's own store ring, as its kernel does when it starts.
    pub fn kernel_store_ring(&self) -> Result<KernelSide> {
        let events = FakeEvents::open(self, DomId::DOM0)?;
        let port = events.bind_unbound(DomId::DOM0)?;
        let page = MemoryPage::new();
        self.state().kernel_ring = Some((page.clone(), port.0));
        Ok(KernelSide { page, events, port })
    }
}

impl Backend for FakeXen {
    fn events(&self) -> Result<Box<dyn Events>> {
        Ok(Box::new(FakeEvents::open(self, DomId::DOM0)?))
    }

    fn map_grant(&self, domain: DomId, reference: u32) -> Result<Box<dyn SharedPage>> {
        self.request(call::MAP_GRANT, |state| {
            let guest = state.domain(domain).map_err(|_| Errno::EINVAL)?;
            let &(gfn, to) = guest.built.grants.get(&reference).ok_or(Errno::EINVAL)?;
            if to != DomId::DOM0 {
                return Err(Errno::EINVAL);
            }
            Ok(Box::new(guest.memory.page(gfn)?) as Box<dyn SharedPage>)
        })
    }

    fn map_foreign(&self, domain: DomId, gfn: u64) -> Result<Box<dyn SharedPage>> {
        self.request(call::MAP_FOREIGN, |state| {
            let guest = state.domain(domain)?;
            Ok(Box::new(guest.memory.page(gfn)?) as Box<dyn SharedPage>)
        })
    }

    fn own_store_ring(&self) -> Result<OwnRing> {
        self.request(call::MAP_STORE_RING, |state| {
            let (page, port) = state.kernel_ring.clone().ok_or(Errno::ENODEV)?;
            Ok(OwnRing {
                page: Box::new(page),
                port,
            })
        })
    }
}
