//! What is around the store: the hypervisor, the rings and their event channels, and the trace.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use xen_abi::domctl::{XEN_DOMINF_DYING, XEN_DOMINF_SHUTDOWN};
use xen_abi::xen::VIRQ_DOM_EXC;
use xenctl::{DomId, Events, Port, SharedPage};
use xenstore::Errno;
use xenstore::engine::{ConnectionId, DomainState, Host, Ring as Introduced};

use super::Xen;
use crate::control;
use crate::ring::{Fault, Ring, Streams};
use crate::state::RingBase;
use crate::trace::Trace;

/// The entry of a domain's grant table that is the ring's page (`GNTTAB_RESERVED_XENSTORE`).
const RING_REFERENCE: u32 = 1;
/// Between complaints about rings.
const QUIET: Duration = Duration::from_secs(1);
/// Pending ports that are taken in a turn.
const PORTS_A_TURN: usize = 64;

/// The hypervisor and the handle of all event channels.
pub struct Channels {
    xen: Xen,
    events: Box<dyn Events>,
    /// `VIRQ_DOM_EXC`: something happened to a domain.
    deaths: Port,
}

/// A ring that is served.
pub struct Link {
    /// Whose.
    pub domain: u16,
    /// The page.
    pub ring: Ring,
    /// The event channel; `None` where it could not be bound.
    port: Option<Port>,
    /// The domain waits to be told that it is connected.
    pub greet: bool,
    /// What was sent last did not end a message.
    pub mid_message: bool,
}

/// What the event channels told.
#[derive(Default)]
pub struct News {
    /// Rings to look at.
    pub rings: Vec<ConnectionId>,
    /// Domains are to be checked.
    pub domains: bool,
}

/// All of it.
pub struct Outside {
    channels: Option<Channels>,
    links: BTreeMap<ConnectionId, Link>,
    by_port: HashMap<Port, ConnectionId>,
    /// Bases that are new since they were kept.
    pub rebased: Vec<RingBase>,
    pub trace: Trace,
    /// Rings that were connected or began anew, and are to be looked at.
    pub fresh: Vec<ConnectionId>,
    pending: bool,
    /// No complaint about rings before this.
    quiet_until: Option<Instant>,
}

impl Channels {
    /// Opens the event channels and asks to be told of deaths.
    pub fn open(xen: Xen) -> xenctl::Result<Self> {
        let events = xen.backend.events()?;
        let deaths = events.bind_virq(VIRQ_DOM_EXC)?;
        Ok(Self {
            xen,
            events,
            deaths,
        })
    }

    /// To wait on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    fn bind(&self, domain: u16, port: u32) -> xenctl::Result<Port> {
        self.events.bind_interdomain(DomId(domain), port)
    }

    fn map(&self, domain: u16) -> xenctl::Result<Box<dyn SharedPage>> {
        self.xen.backend.map_grant(DomId(domain), RING_REFERENCE)
    }
}

impl Outside {
    pub fn new(channels: Option<Channels>, trace: Trace) -> Self {
        Self {
            pending: channels.is_some(),
            channels,
            links: BTreeMap::new(),
            by_port: HashMap::new(),
            rebased: Vec::new(),
            trace,
            fresh: Vec::new(),
            quiet_until: None,
        }
    }

    /// Takes over the ring of dom0's kernel. Its port, and how the ring is to be seen, is for `open` to say.
    pub fn link_master(
        &mut self,
        connection: ConnectionId,
        open: impl FnOnce(Box<dyn SharedPage>) -> Ring,
    ) -> xenctl::Result<()> {
        let Some(channels) = &self.channels else {
            return Ok(());
        };
        let own = channels.xen.backend.own_store_ring()?;
        let port = channels.bind(0, own.port)?;
        self.link(connection, 0, open(own.page), port);
        self.kick(connection);
        Ok(())
    }

    /// Connects the ring of a domain again that another daemon served.
    pub fn link_again(
        &mut self,
        connection: ConnectionId,
        (domain, port): (u16, u32),
        open: impl FnOnce(Box<dyn SharedPage>) -> Ring,
    ) -> xenctl::Result<()> {
        let Some(channels) = &self.channels else {
            return Ok(());
        };
        let page = channels.map(domain)?;
        let port = channels.bind(domain, port)?;
        self.link(connection, domain, open(page), port);
        self.kick(connection);
        Ok(())
    }

    fn link(&mut self, connection: ConnectionId, domain: u16, ring: Ring, port: Port) {
        self.by_port.insert(port, connection);
        let base = ring.base();
        self.rebased.push(RingBase { domain, base });
        let link = Link {
            domain,
            ring,
            port: Some(port),
            greet: false,
            mid_message: false,
        };
        self.links.insert(connection, link);
        self.fresh.push(connection);
        self.trace.object("CREATE", connection, domain);
    }

    /// A ring that is served.
    pub fn link_of(&mut self, connection: ConnectionId) -> Option<&mut Link> {
        self.links.get_mut(&connection)
    }

    /// How many rings are served.
    pub fn count(&self) -> usize {
        self.links.len()
    }

    /// A domain that asked to begin anew is to be told, once that is kept.
    pub fn greet(&mut self, connection: ConnectionId) {
        if let Some(link) = self.links.get_mut(&connection) {
            link.greet = link.ring.wants_reset();
        }
    }

    /// A ring's base changed.
    pub fn rebase(&mut self, connection: ConnectionId) {
        if let Some(link) = self.links.get(&connection) {
            let base = link.ring.base();
            let domain = link.domain;
            self.rebased.push(RingBase { domain, base });
        }
    }

    /// The bases of all rings.
    pub fn bases(&self) -> Vec<RingBase> {
        let base = |link: &Link| RingBase {
            domain: link.domain,
            base: link.ring.base(),
        };
        self.links.values().map(base).collect()
    }

    /// Raises a ring's event channel.
    pub fn kick(&self, connection: ConnectionId) {
        let Some(link) = self.links.get(&connection) else {
            return;
        };
        if let (Some(port), Some(channels)) = (link.port, &self.channels)
            && let Err(error) = channels.events.notify(port)
        {
            tracing::debug!("domain {} is not told: {error}", link.domain);
        }
    }

    /// A ring is served no longer: its domain is told why.
    pub fn fail(&mut self, connection: ConnectionId, fault: Fault) {
        if let Some(link) = self.links.get(&connection) {
            let now = Instant::now();
            // A domain may begin anew, and fail, without end.
            if self.quiet_until.is_none_or(|until| until <= now) {
                self.quiet_until = Some(now + QUIET);
                tracing::warn!(
                    "the ring of domain {} is not served any longer: {fault:?}",
                    link.domain
                );
            }
            link.ring.fail(fault);
            self.kick(connection);
        }
    }

    /// The event channels' descriptor became readable.
    pub fn expect_events(&mut self) {
        self.pending = true;
    }

    /// Whether there may be events that were not taken.
    pub const fn has_pending(&self) -> bool {
        self.pending
    }

    /// Takes pending events, of each port one, and not more in a turn than are good for the others.
    pub fn take_events(&mut self) -> News {
        let mut news = News::default();
        let Some(channels) = self.channels.as_ref().filter(|_| self.pending) else {
            return news;
        };
        for _ in 0..PORTS_A_TURN {
            let port = match channels.events.pending() {
                Ok(Some(port)) => port,
                Ok(None) => {
                    self.pending = false;
                    break;
                }
                Err(error) => {
                    tracing::error!("event channels can not be read: {error}");
                    self.pending = false;
                    break;
                }
            };
            // Before the ring is looked at: what comes after that is another event.
            if let Err(error) = channels.events.unmask(port) {
                tracing::debug!("port {port} stays masked: {error}");
            }
            news.domains |= port == channels.deaths;
            news.rings.extend(self.by_port.get(&port));
        }
        news
    }

    fn unlink(&mut self, connection: ConnectionId) {
        let Some(link) = self.links.remove(&connection) else {
            return;
        };
        self.unbind(link.port);
        self.trace.object("DESTROY", connection, link.domain);
    }

    fn unbind(&mut self, port: Option<Port>) {
        let (Some(port), Some(channels)) = (port, &self.channels) else {
            return;
        };
        self.by_port.remove(&port);
        if let Err(error) = channels.events.unbind(port) {
            tracing::debug!("port {port} stays bound: {error}");
        }
    }

    fn report(&self) -> String {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let memory = status.lines().filter(|line| line.starts_with("Vm"));
        let memory: Vec<&str> = memory.collect();
        format!("{} rings\n{}", self.links.len(), memory.join("\n"))
    }
}

/// The store's name of a hypervisor's error.
fn errno(error: &xenctl::Error) -> Errno {
    let name = error.errno.name().and_then(|name| name.parse().ok());
    name.unwrap_or(Errno::EINVAL)
}

impl Host for Outside {
    fn domain_state(&mut self, domain: u16) -> DomainState {
        let Some(channels) = &self.channels else {
            return DomainState::Running;
        };
        match channels.xen.hypervisor.domain(DomId(domain)) {
            Ok(info) if info.flags & XEN_DOMINF_DYING != 0 => DomainState::Dying,
            Ok(info) if info.flags & XEN_DOMINF_SHUTDOWN != 0 => DomainState::Shutdown,
            Ok(_) => DomainState::Running,
            Err(error) if error.errno == xen_abi::errno::Errno::ESRCH => DomainState::Absent,
            Err(error) => {
                // Better to keep what a domain has than to take it away from one that lives.
                tracing::error!("domain {domain} can not be looked at: {error}");
                DomainState::Running
            }
        }
    }

    fn connect(&mut self, connection: ConnectionId, ring: Introduced) -> Result<(), Errno> {
        let channels = self.channels.as_ref().ok_or(Errno::ENOSYS)?;
        let domain = ring.domain;
        let refused = |error: xenctl::Error| {
            tracing::warn!("domain {domain} can not be introduced: {error}");
            errno(&error)
        };
        let page = channels.map(domain).map_err(refused)?;
        let port = channels.bind(domain, ring.port).map_err(refused)?;
        self.link(connection, domain, Ring::begin(page), port);
        self.greet(connection);
        Ok(())
    }

    fn reconnect(&mut self, connection: ConnectionId, ring: Introduced) {
        let old = self.links.get(&connection).and_then(|link| link.port);
        self.unbind(old);
        let bound = self
            .channels
            .as_ref()
            .map(|channels| channels.bind(ring.domain, ring.port));
        let port = bound.and_then(|port| {
            let failed = |error: &xenctl::Error| tracing::warn!("domain {}: {error}", ring.domain);
            port.inspect_err(failed).ok()
        });
        if let Some(port) = port {
            self.by_port.insert(port, connection);
        }
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        link.port = port;
        link.ring.reset();
        link.mid_message = false;
        self.fresh.push(connection);
        self.greet(connection);
        self.rebase(connection);
    }

    fn disconnect(&mut self, connection: ConnectionId, _: u16) {
        self.unlink(connection);
    }

    fn control(&mut self, words: &[&[u8]]) -> Result<String, Errno> {
        let report = self.report();
        control::run(words, &mut self.trace, &report)
    }

    fn commands(&self) -> &[(&'static str, &'static str)] {
        &control::COMMANDS
    }
}

/// Where the store is in a ring's streams.
pub fn position(server: &xenstore::engine::Server, connection: ConnectionId) -> Streams {
    let (req, rsp) = server.ring_position(connection).unwrap_or_default();
    Streams { req, rsp }
}
