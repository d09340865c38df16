//! A guest's console: its rings on one side, its terminal and its log on the other.

use std::time::Instant;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use xenctl::{Backend, DomId, Events, Port};

use super::backlog::Backlog;
use super::complaint::Complaint;
use super::departed::Departed;
use super::log_file::LogFile;
use super::nodes::Place;
use super::pty::Pty;
use super::rate::RateLimit;
use super::ring::{ConsoleRing, OUT_BYTES, Output};

/// The guest's grant entry for its console page.
const GRANT: u32 = xen_abi::grant_table::GNTTAB_RESERVED_CONSOLE;

/// How much is taken from a terminal in one turn: all that the guest's ring could hold.
const TYPED_BYTES: usize = super::ring::IN_BYTES;

/// The rings and the event channel, which may change while terminal and log stay.
pub struct Link {
    ring: ConsoleRing,
    /// Where it was found.
    pub place: Place,
    /// The port at our end.
    pub port: Port,
}

impl Link {
    /// Maps the page (by the guest's grant, or else as the privileged domain may) and binds the event channel.
    pub fn new(
        backend: &dyn Backend,
        events: &dyn Events,
        domain: DomId,
        place: Place,
    ) -> xenctl::Result<Self> {
        let page = backend
            .map_grant(domain, GRANT)
            .or_else(|_| backend.map_foreign(domain, place.gfn))?;
        let port = events.bind_interdomain(domain, place.port)?;
        let ring = ConsoleRing::new(page);
        Ok(Self { ring, place, port })
    }
}

/// A guest's console.
pub struct Console {
    domain: DomId,
    link: Link,
    pty: Pty,
    backlog: Backlog,
    rate: RateLimit,
    /// Its log, if it is to be logged and the log could be opened.
    pub log: Option<LogFile>,
    /// The event channel stays masked until the guest's output was looked at again.
    is_masked: bool,
    /// What its terminal is waited for.
    awaited: EventFlags,
    log_trouble: Complaint,
    ring_trouble: Complaint,
}

impl Console {
    /// A console that has yet to be looked at for the first time.
    pub fn new(domain: DomId, link: Link, pty: Pty, backlog: Backlog, now: Instant) -> Self {
        Self {
            domain,
            link,
            pty,
            backlog,
            rate: RateLimit::new(now),
            log: None,
            is_masked: true,
            awaited: EventFlags::empty(),
            log_trouble: Complaint::default(),
            ring_trouble: Complaint::default(),
        }
    }

    /// Its terminal.
    pub const fn pty(&self) -> &Pty {
        &self.pty
    }

    /// What is left when the guest is gone.
    pub fn depart(self, now: Instant) -> Departed {
        Departed::new(self.pty, self.backlog, now)
    }

    /// Its rings and event channel.
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// The same console with other rings.
    pub fn relink(self, link: Link) -> Self {
        Self {
            link,
            is_masked: true,
            ..self
        }
    }

    /// Takes another terminal, which is not waited for yet.
    pub fn replace_pty(&mut self, pty: Pty) {
        self.pty = pty;
        self.awaited = EventFlags::empty();
    }

    /// The guest notified: its port is pending, and masked.
    pub const fn notified(&mut self) {
        self.is_masked = true;
    }

    /// Looks at the guest's output if it notified, its allowance is not used up and there is space for what it wrote; lets it notify again if
    /// that stays so.
    pub fn serve(&mut self, events: &dyn Events, now: Instant) {
        if !self.is_masked || !self.may_be_served(now) {
            return;
        }
        self.rate.count(now);
        self.take_output(events, now);
        if self.may_be_served(now) {
            self.is_masked = false;
            self.complain_of(events.unmask(self.link.port), now);
        }
    }

    fn may_be_served(&self, now: Instant) -> bool {
        self.rate.held_until(now).is_none() && !self.backlog.is_full()
    }

    /// When it is to be served although nobody notifies.
    pub fn wakes_at(&self, now: Instant) -> Option<Instant> {
        self.rate
            .held_until(now)
            .filter(|_| self.is_masked && !self.backlog.is_full())
    }

    /// Moves what is in the ring to the log and the backlog. The ring is released last: should the daemon be killed in between, its successor
    /// finds the bytes again.
    pub fn take_output(&mut self, events: &dyn Events, now: Instant) {
        let mut bytes = [0; OUT_BYTES];
        match self.link.ring.look(&mut bytes) {
            Output::Empty => {}
            Output::Bytes { count, end } => {
                self.keep(&bytes[..count], now);
                self.link.ring.release(end);
                self.complain_of(events.notify(self.link.port), now);
            }
            Output::Jumped => {
                let domain = self.domain;
                let what = format_args!("domain {domain} broke its console's ring: output lost");
                self.ring_trouble.warn(now, what);
            }
        }
    }

    fn keep(&mut self, output: &[u8], now: Instant) {
        if let Some(log) = &mut self.log
            && let Err(error) = log.append(output)
        {
            let path = log.path().display();
            self.log_trouble
                .warn(now, format_args!("cannot write to {path}: {error}"));
        }
        self.backlog.push(output);
    }

    fn complain_of(&mut self, result: xenctl::Result<()>, now: Instant) {
        if let Err(error) = result {
            let domain = self.domain;
            self.ring_trouble
                .warn(now, format_args!("console of domain {domain}: {error}"));
        }
    }

    /// What its terminal is to be waited for, if that is something else than before: keys that the guest can take, space for output.
    pub fn awaits_anew(&mut self) -> Option<EventFlags> {
        let mut wanted = EventFlags::empty();
        wanted.set(EventFlags::IN, self.link.ring.room() > 0);
        wanted.set(EventFlags::OUT, !self.backlog.is_empty());
        let before = std::mem::replace(&mut self.awaited, wanted);
        (before != wanted).then_some(wanted)
    }

    /// Shows what waits to be shown, as much as the terminal takes at once.
    pub fn show(&mut self) -> Result<(), Errno> {
        if !self.backlog.is_empty()
            && let Some(count) = self.pty.write(self.backlog.next())?
        {
            self.backlog.advance(count);
        }
        Ok(())
    }

    /// Gives the guest what was typed, as much as it has room for.
    pub fn type_in(&mut self, events: &dyn Events, now: Instant) -> Result<(), Errno> {
        let mut bytes = [0; TYPED_BYTES];
        let room = self.link.ring.room().min(TYPED_BYTES);
        if room > 0
            && let Some(count) = self.pty.read(&mut bytes[..room])?
        {
            self.link.ring.put(&bytes[..count]);
            self.complain_of(events.notify(self.link.port), now);
        }
        Ok(())
    }
}
