//! The guests and their consoles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use rustix::event::epoll::EventFlags;
use xenctl::{Backend, DomId, Events, Port};
use xenstore::Access;

use super::backlog::{Backlog, DEFAULT_LIMIT, Overflow};
use super::console::{Console, Link};
use super::departed::Departed;
use super::logs::Logs;
use super::nodes;
use super::poller::{Poller, Source};
use super::pty::Pty;

/// Why a console's nodes are read again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refresh {
    /// Something changed, perhaps.
    Changed,
    /// The guest has a new event channel, perhaps with the number of the old one.
    PortWritten,
}

/// All guests.
pub struct Table {
    backend: Arc<dyn Backend>,
    events: Arc<dyn Events>,
    logs: Logs,
    overflow: Overflow,
    /// A guest is known before it has a console.
    guests: BTreeMap<DomId, Option<Console>>,
    ports: BTreeMap<Port, DomId>,
    /// Those that used up their allowance.
    held: BTreeSet<DomId>,
    /// What is left of those that are gone.
    departed: Vec<Departed>,
}

impl Table {
    /// No guests.
    pub fn new(
        backend: Arc<dyn Backend>,
        events: Arc<dyn Events>,
        logs: Logs,
        overflow: Overflow,
    ) -> Self {
        Self {
            backend,
            events,
            logs,
            overflow,
            guests: BTreeMap::new(),
            ports: BTreeMap::new(),
            held: BTreeSet::new(),
            departed: Vec::new(),
        }
    }

    /// All that are known.
    pub fn domains(&self) -> BTreeSet<DomId> {
        self.guests.keys().copied().collect()
    }

    /// A new guest, without a console so far.
    pub fn insert(&mut self, domain: DomId) {
        self.guests.entry(domain).or_insert(None);
    }

    /// The guest is gone: its last words go to its log and its terminal.
    pub fn remove(&mut self, poller: &Poller, domain: DomId) {
        self.held.remove(&domain);
        let Some(Some(console)) = self.guests.remove(&domain) else {
            return;
        };
        let console = self.unlink(console);
        want(poller, domain, &console, EventFlags::empty());
        self.departed.push(console.depart(Instant::now()));
        tracing::debug!("domain {domain} is gone");
    }

    /// Reads a guest's nodes again and does what they ask for.
    pub fn refresh(&mut self, store: &dyn Access, poller: &Poller, domain: DomId, why: Refresh) {
        if let Err(error) = self.try_refresh(store, poller, domain, why) {
            tracing::error!("console of domain {domain}: {error:#}");
        }
    }

    fn try_refresh(
        &mut self,
        store: &dyn Access,
        poller: &Poller,
        domain: DomId,
        why: Refresh,
    ) -> anyhow::Result<()> {
        let Some(slot) = self.guests.get(&domain) else {
            return Ok(());
        };
        let Some(place) = nodes::place(store, domain)? else {
            return Ok(());
        };
        let same = |console: &Console| console.link().place == place;
        let is_current = slot.as_ref().is_some_and(same);
        if !is_current || why == Refresh::PortWritten {
            self.link(store, poller, domain, place)?;
        }
        self.open_log(store, domain)?;
        self.serve(poller, domain, Instant::now());
        Ok(())
    }

    /// Binds a guest's rings, new or changed ones, to its terminal, which is made if it has none.
    fn link(
        &mut self,
        store: &dyn Access,
        poller: &Poller,
        domain: DomId,
        place: nodes::Place,
    ) -> anyhow::Result<()> {
        let former = self.guests.insert(domain, None).flatten();
        let former = former.map(|console| self.unlink(console));
        let link = Link::new(&*self.backend, &*self.events, domain, place)?;
        let port = link.port;
        let console = match former {
            Some(former) => former.relink(link),
            None => self.open(store, poller, domain, link)?,
        };
        self.ports.insert(port, domain);
        self.guests.insert(domain, Some(console));
        Ok(())
    }

    /// The guest's port can be bound once: ours to it must go before another comes. What came through it is kept.
    fn unlink(&mut self, mut console: Console) -> Console {
        console.take_output(&*self.events, Instant::now());
        let port = console.link().port;
        self.ports.remove(&port);
        if let Err(error) = self.events.unbind(port) {
            tracing::debug!("port {port}: {error}");
        }
        console
    }

    fn open(
        &self,
        store: &dyn Access,
        poller: &Poller,
        domain: DomId,
        link: Link,
    ) -> anyhow::Result<Console> {
        let limit = nodes::limit(store, domain)?.filter(|&limit| limit > 0);
        let backlog = Backlog::new(limit.unwrap_or(DEFAULT_LIMIT), self.overflow);
        let pty = open_terminal(store, poller, domain)?;
        tracing::debug!("domain {domain} has a console: {}", pty.name());
        Ok(Console::new(domain, link, pty, backlog, Instant::now()))
    }

    fn open_log(&mut self, store: &dyn Access, domain: DomId) -> anyhow::Result<()> {
        if let Some(Some(console)) = self.guests.get_mut(&domain)
            && self.logs.guests.is_some()
            && console.log.is_none()
            && let Some(name) = nodes::name(store, domain)?
        {
            console.log = self.logs.open_guest(&name)?;
        }
        Ok(())
    }

    /// Opens all guests' logs again, where they are to be now.
    pub fn open_logs(&mut self, store: &dyn Access) {
        for domain in self.domains() {
            if let Some(Some(console)) = self.guests.get_mut(&domain) {
                console.log = None;
            }
            if let Err(error) = self.open_log(store, domain) {
                tracing::error!("{error:#}");
            }
        }
    }

    /// Tells a store where the guest's terminal is.
    pub fn announce(&self, store: &dyn Access, domain: DomId) {
        if let Some(Some(console)) = self.guests.get(&domain)
            && let Err(error) = nodes::announce(store, domain, console.pty().name())
        {
            tracing::error!("console of domain {domain}: {error}");
        }
    }

    /// A port is pending.
    pub fn notified(&mut self, poller: &Poller, port: Port, now: Instant) {
        let Some(&domain) = self.ports.get(&port) else {
            return;
        };
        if let Some(Some(console)) = self.guests.get_mut(&domain) {
            console.notified();
            self.serve(poller, domain, now);
        }
    }

    /// The guest's terminal can take or give something, or is broken.
    pub fn terminal_ready(
        &mut self,
        store: Option<&dyn Access>,
        poller: &Poller,
        domain: DomId,
        flags: EventFlags,
        now: Instant,
    ) {
        let Some(Some(console)) = self.guests.get_mut(&domain) else {
            return;
        };
        let mut result = Ok(());
        if flags.contains(EventFlags::OUT) {
            result = console.show();
        }
        if flags.contains(EventFlags::IN) {
            result = result.and_then(|()| console.type_in(&*self.events, now));
        }
        if result.is_err() || flags.intersects(EventFlags::ERR | EventFlags::HUP) {
            self.replace_terminal(store, poller, domain);
        }
        self.serve(poller, domain, now);
    }

    fn replace_terminal(&mut self, store: Option<&dyn Access>, poller: &Poller, domain: DomId) {
        let Some((Some(console), store)) = self.guests.get_mut(&domain).zip(store) else {
            return;
        };
        match open_terminal(store, poller, domain) {
            Ok(pty) => console.replace_pty(pty),
            Err(error) => tracing::error!("console of domain {domain}: {error:#}"),
        }
    }

    /// Guests that used up their allowance may get another one now; terminals of those that are gone may be closed.
    pub fn serve_waiting(&mut self, poller: &Poller, now: Instant) {
        for domain in std::mem::take(&mut self.held) {
            self.serve(poller, domain, now);
        }
        self.departed.retain_mut(|departed| departed.lingers(now));
    }

    /// When [`serve_waiting`](Self::serve_waiting) is to be called.
    pub fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let consoles = self.held.iter().filter_map(|held| self.guests.get(held));
        // Its time may have come meanwhile.
        let wakes_at = |console: &Console| console.wakes_at(now).unwrap_or(now);
        let departed = (!self.departed.is_empty()).then(|| Departed::wakes_at(now));
        consoles.flatten().map(wakes_at).chain(departed).min()
    }

    /// Serves a guest and decides what to wait for.
    fn serve(&mut self, poller: &Poller, domain: DomId, now: Instant) {
        let Some(Some(console)) = self.guests.get_mut(&domain) else {
            return;
        };
        console.serve(&*self.events, now);
        // Most often the terminal takes all at once. An error comes again when it is waited for.
        let _ = console.show();
        if console.wakes_at(now).is_some() {
            self.held.insert(domain);
        }
        if let Some(wanted) = console.awaits_anew() {
            want(poller, domain, console, wanted);
        }
    }
}

fn want(poller: &Poller, domain: DomId, console: &Console, wanted: EventFlags) {
    if let Err(error) = poller.modify(console.pty(), Source::Terminal(domain), wanted) {
        tracing::error!("terminal of domain {domain}: {error}");
    }
}

fn open_terminal(store: &dyn Access, poller: &Poller, domain: DomId) -> anyhow::Result<Pty> {
    let pty = Pty::open().context("cannot make a terminal")?;
    poller.add(&pty, Source::Terminal(domain), EventFlags::empty())?;
    nodes::announce(store, domain, pty.name())?;
    Ok(pty)
}
