//! [`Events`] of a domain of the fake host.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use xen_abi::errno::Errno;

use super::FakeXen;
use crate::{DomId, Error, Events, Port, Result, call};

/// A handle of dom0, or of a guest that a test plays.
pub struct FakeEvents {
    xen: FakeXen,
    fd: Arc<OwnedFd>,
    handle: u64,
}

impl FakeEvents {
    pub(super) fn open(xen: &FakeXen, domain: DomId) -> Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Error::new(call::OPEN_EVENTS, Errno(errno.raw_os_error())))?;
        let fd = Arc::new(fd);
        let handle = xen.request(call::OPEN_EVENTS, |state| {
            Ok(state.ports.open(domain, fd.clone()))
        })?;
        Ok(Self {
            xen: xen.clone(),
            fd,
            handle,
        })
    }
}

impl Drop for FakeEvents {
    fn drop(&mut self) {
        self.xen.state().ports.close_handle(self.handle);
    }
}

impl AsFd for FakeEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Events for FakeEvents {
    fn bind_interdomain(&self, domain: DomId, remote: u32) -> Result<Port> {
        self.xen.request(call::BIND_INTERDOMAIN, |state| {
            state.domain(domain)?;
            let remote = (domain, remote);
            Ok(Port(state.ports.bind_interdomain(self.handle, remote)?))
        })
    }

    fn bind_virq(&self, virq: u32) -> Result<Port> {
        self.xen.request(call::BIND_VIRQ, |state| {
            Ok(Port(state.ports.bind_virq(self.handle, virq)?))
        })
    }

    fn bind_unbound(&self, remote: DomId) -> Result<Port> {
        self.xen.request(call::BIND_UNBOUND, |state| {
            state.domain(remote)?;
            Ok(Port(state.ports.bind_unbound(self.handle, remote)?))
        })
    }

    fn unbind(&self, port: Port) -> Result<()> {
        self.xen.request(call::UNBIND, |state| {
            state.ports.unbind(self.handle, port.0)
        })
    }

    fn notify(&self, port: Port) -> Result<()> {
        self.xen.request(call::NOTIFY, |state| {
            state.ports.notify(self.handle, port.0)
        })
    }

    fn pending(&self) -> Result<Option<Port>> {
        self.xen.request(call::PENDING, |state| {
            Ok(state.ports.take(self.handle).map(Port))
        })
    }

    fn unmask(&self, port: Port) -> Result<()> {
        self.xen.request(call::UNMASK, |state| {
            state.ports.unmask(self.handle, port.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use xen_abi::domctl::{DomctlCreatedomain, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM};
    use xen_abi::sched::SHUTDOWN_CRASH;
    use xen_abi::xen::VIRQ_DOM_EXC;

    use super::*;
    use crate::{Backend, Hypervisor};

    fn guest(xen: &FakeXen) -> DomId {
        let how = DomctlCreatedomain {
            flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
            max_vcpus: 1,
            ..DomctlCreatedomain::default()
        };
        xen.create_domain(DomId(0), &how).unwrap()
    }

    fn is_readable(events: &dyn Events) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn an_event_makes_the_handle_readable_until_it_is_taken() {
        let xen = FakeXen::new();
        let domain = guest(&xen);
        let port = xen.alloc_unbound_port(domain, DomId::DOM0).unwrap();
        let ours = xen.events().unwrap();
        let theirs = xen.guest_events(domain).unwrap();
        let local = ours.bind_interdomain(domain, port).unwrap();
        assert_eq!(ours.pending().unwrap(), Some(local), "raised when bound");
        ours.unmask(local).unwrap();
        assert!(!is_readable(ours.as_ref()));

        theirs.notify(Port(port)).unwrap();
        assert!(is_readable(ours.as_ref()));
        assert_eq!(ours.pending().unwrap(), Some(local));
        assert_eq!(ours.pending().unwrap(), None);

        theirs.notify(Port(port)).unwrap();
        assert!(!is_readable(ours.as_ref()), "masked until it says so");
        ours.unmask(local).unwrap();
        assert_eq!(ours.pending().unwrap(), Some(local));

        ours.notify(local).unwrap();
        assert_eq!(theirs.pending().unwrap(), Some(Port(port)));
    }

    #[test]
    fn a_port_is_bound_only_once_and_only_by_whom_it_is_for() {
        let xen = FakeXen::new();
        let (first, second) = (guest(&xen), guest(&xen));
        let port = xen.alloc_unbound_port(first, second).unwrap();
        let ours = xen.events().unwrap();
        let error = ours.bind_interdomain(first, port).unwrap_err();
        assert_eq!(error.errno, Errno::EINVAL);
        let theirs = xen.guest_events(second).unwrap();
        theirs.bind_interdomain(first, port).unwrap();
        assert!(theirs.bind_interdomain(first, port).is_err());
    }

    #[test]
    fn the_end_of_a_guest_raises_the_virtual_interrupt_and_opens_the_other_end() {
        let xen = FakeXen::new();
        let domain = guest(&xen);
        let ours = xen.events().unwrap();
        let virq = ours.bind_virq(VIRQ_DOM_EXC).unwrap();
        let error = xen.events().unwrap().bind_virq(VIRQ_DOM_EXC).unwrap_err();
        assert_eq!(error.errno, Errno::EEXIST);
        let port = xen.alloc_unbound_port(domain, DomId::DOM0).unwrap();
        let local = ours.bind_interdomain(domain, port).unwrap();
        assert_eq!(ours.pending().unwrap(), Some(local));

        xen.guest_shuts_down(domain, SHUTDOWN_CRASH).unwrap();
        assert_eq!(ours.pending().unwrap(), Some(virq));
        xen.destroy_domain(domain).unwrap();
        assert_eq!(ours.pending().unwrap(), None, "still masked");
        ours.unmask(virq).unwrap();
        assert_eq!(ours.pending().unwrap(), Some(virq));
        ours.notify(local).unwrap();
        ours.unbind(local).unwrap();
        assert_eq!(ours.notify(local).unwrap_err().errno, Errno::ENOTCONN);
    }

    #[test]
    fn a_closed_handle_closes_its_ports() {
        let xen = FakeXen::new();
        let ours = xen.events().unwrap();
        ours.bind_virq(VIRQ_DOM_EXC).unwrap();
        assert_eq!(xen.port_count(DomId::DOM0), 1);
        drop(ours);
        assert_eq!(xen.port_count(DomId::DOM0), 0);
    }
}
