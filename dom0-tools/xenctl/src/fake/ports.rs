//! Event channels between the domains of a fake host.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use xen_abi::errno::Errno;
use xen_abi::xen::NR_VIRQS;

use crate::DomId;

/// Ports a domain may have.
const MAX_PORTS: u32 = 4096;

/// A port of a domain.
type Place = (DomId, u32);

/// What a port is connected to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// May be bound by this domain.
    Unbound(DomId),
    /// Connected.
    Interdomain(Place),
    /// A virtual interrupt.
    Virq(u32),
}

struct Channel {
    kind: Kind,
    /// The handle that takes its events; a guest's port that the tools made has none, the guest's first handle takes them.
    owner: Option<u64>,
    pending: bool,
    masked: bool,
}

struct Handle {
    domain: DomId,
    fd: Arc<OwnedFd>,
    queue: VecDeque<u32>,
}

/// All ports of all domains.
#[derive(Default)]
pub(super) struct Ports {
    channels: BTreeMap<Place, Channel>,
    handles: BTreeMap<u64, Handle>,
    next_handle: u64,
}

impl Ports {
    /// A new handle of `domain`; `fd` is an eventfd that says whether something is pending.
    pub(super) fn open(&mut self, domain: DomId, fd: Arc<OwnedFd>) -> u64 {
        let id = self.next_handle;
        self.next_handle += 1;
        self.handles.insert(
            id,
            Handle {
                domain,
                fd,
                queue: VecDeque::new(),
            },
        );
        for place in self.places(|place, channel| {
            place.0 == domain && channel.owner.is_none() && channel.pending
        }) {
            self.raise(place);
        }
        id
    }

    /// Closes a handle and its ports.
    pub(super) fn close_handle(&mut self, id: u64) {
        for place in self.places(|_, channel| channel.owner == Some(id)) {
            self.close(place);
        }
        self.handles.remove(&id);
    }

    /// Closes every port of a domain that is no more.
    pub(super) fn close_domain(&mut self, domain: DomId) {
        for place in self.places(|place, _| place.0 == domain) {
            self.close(place);
        }
    }

    /// A new port of `domain` for `remote`, owned by no handle.
    pub(super) fn alloc_unbound(&mut self, domain: DomId, remote: DomId) -> Result<u32, Errno> {
        self.add(domain, Kind::Unbound(remote), None)
    }

    /// A new port of the handle's domain for `remote`.
    pub(super) fn bind_unbound(&mut self, handle: u64, remote: DomId) -> Result<u32, Errno> {
        let domain = self.domain(handle)?;
        self.add(domain, Kind::Unbound(remote), Some(handle))
    }

    /// Connects a new port of the handle to a port left open for its domain.
    pub(super) fn bind_interdomain(&mut self, handle: u64, remote: Place) -> Result<u32, Errno> {
        let domain = self.domain(handle)?;
        let open = self.channels.get(&remote).map(|channel| channel.kind);
        if open != Some(Kind::Unbound(domain)) {
            return Err(Errno::EINVAL);
        }
        let port = self.add(domain, Kind::Interdomain(remote), Some(handle))?;
        if let Some(channel) = self.channels.get_mut(&remote) {
            channel.kind = Kind::Interdomain((domain, port));
        }
        // Xen does so too: an event may have been lost while the port was open.
        self.raise((domain, port));
        Ok(port)
    }

    /// Gives a virtual interrupt to a handle.
    pub(super) fn bind_virq(&mut self, handle: u64, virq: u32) -> Result<u32, Errno> {
        if virq >= NR_VIRQS {
            return Err(Errno::EINVAL);
        }
        let domain = self.domain(handle)?;
        if !self.virq_places(domain, virq).is_empty() {
            return Err(Errno::EEXIST);
        }
        self.add(domain, Kind::Virq(virq), Some(handle))
    }

    /// Closes a port of a handle.
    pub(super) fn unbind(&mut self, handle: u64, port: u32) -> Result<(), Errno> {
        let place = self.owned(handle, port)?;
        self.close(place);
        Ok(())
    }

    /// Raises the other end of a port.
    pub(super) fn notify(&mut self, handle: u64, port: u32) -> Result<(), Errno> {
        let place = self.owned(handle, port)?;
        match self.channels.get(&place).map(|channel| channel.kind) {
            Some(Kind::Interdomain(remote)) => self.raise(remote),
            // Xen says yes to an event that nobody listens to.
            Some(Kind::Unbound(_)) => {}
            Some(Kind::Virq(_)) | None => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// Takes a pending port of a handle.
    pub(super) fn take(&mut self, handle: u64) -> Option<u32> {
        let handle = self.handles.get_mut(&handle)?;
        let port = handle.queue.pop_front();
        if handle.queue.is_empty() {
            // Without an event it says so, which is what is wanted.
            let _ = rustix::io::read(&handle.fd, &mut [0; 8]);
        }
        port
    }

    /// Lets a port be raised again.
    pub(super) fn unmask(&mut self, handle: u64, port: u32) -> Result<(), Errno> {
        let place = self.owned(handle, port)?;
        let Some(channel) = self.channels.get_mut(&place) else {
            return Err(Errno::EINVAL);
        };
        channel.masked = false;
        if channel.pending {
            self.raise(place);
        }
        Ok(())
    }

    /// Raises a virtual interrupt in `domain`.
    pub(super) fn raise_virq(&mut self, domain: DomId, virq: u32) {
        for place in self.virq_places(domain, virq) {
            self.raise(place);
        }
    }

    /// How many ports `domain` has.
    pub(super) fn count(&self, domain: DomId) -> usize {
        self.places(|place, _| place.0 == domain).len()
    }

    fn add(&mut self, domain: DomId, kind: Kind, owner: Option<u64>) -> Result<u32, Errno> {
        let port = (1..MAX_PORTS)
            .find(|&port| !self.channels.contains_key(&(domain, port)))
            .ok_or(Errno::ENOSPC)?;
        let channel = Channel {
            kind,
            owner,
            pending: false,
            masked: false,
        };
        self.channels.insert((domain, port), channel);
        Ok(port)
    }

    fn close(&mut self, place: Place) {
        let Some(channel) = self.channels.remove(&place) else {
            return;
        };
        if let Kind::Interdomain(remote) = channel.kind
            && let Some(other) = self.channels.get_mut(&remote)
        {
            other.kind = Kind::Unbound(place.0);
        }
        for handle in self.handles.values_mut() {
            if handle.domain == place.0 {
                handle.queue.retain(|&port| port != place.1);
            }
        }
    }

    fn raise(&mut self, place: Place) {
        let Some(channel) = self.channels.get_mut(&place) else {
            return;
        };
        channel.pending = true;
        let owner = channel.owner;
        let handle = self.handles.iter_mut().find(|(id, handle)| match owner {
            Some(owner) => owner == **id,
            None => handle.domain == place.0,
        });
        if let Some((_, handle)) = handle
            && !channel.masked
        {
            channel.masked = true;
            channel.pending = false;
            handle.queue.push_back(place.1);
            // Only a full counter refuses, and that is readable as well.
            let _ = rustix::io::write(&handle.fd, &1_u64.to_ne_bytes());
        }
    }

    fn domain(&self, handle: u64) -> Result<DomId, Errno> {
        let handle = self.handles.get(&handle).ok_or(Errno::EBADF)?;
        Ok(handle.domain)
    }

    /// A port that the handle may use.
    fn owned(&self, handle: u64, port: u32) -> Result<Place, Errno> {
        let place = (self.domain(handle)?, port);
        let channel = self.channels.get(&place).ok_or(Errno::ENOTCONN)?;
        if channel.owner.is_some_and(|owner| owner != handle) {
            return Err(Errno::ENOTCONN);
        }
        Ok(place)
    }

    fn virq_places(&self, domain: DomId, virq: u32) -> Vec<Place> {
        self.places(|place, channel| place.0 == domain && channel.kind == Kind::Virq(virq))
    }

    fn places(&self, wanted: impl Fn(&Place, &Channel) -> bool) -> Vec<Place> {
        self.channels
            .iter()
            .filter(|(place, channel)| wanted(place, channel))
            .map(|(place, _)| *place)
            .collect()
    }
}
