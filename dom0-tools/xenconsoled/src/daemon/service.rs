//! The daemon's loop: who is ready is served, a bounded amount each, in turn.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use signal_hook::consts::SIGHUP;
use xenctl::{Backend, DomId, Events, Hypervisor};
use xenstore::{Access, WatchEvent};

use super::hypervisor_log::HypervisorLog;
use super::logs::Logs;
use super::nodes::console_path;
use super::poller::{Poller, Source};
use super::store_link::{Connect, News, StoreLink};
use super::table::{Refresh, Table};

/// Ports that are handled in one turn.
const PORTS: usize = 64;

/// Fires when domains come and go.
const DOMAINS_TOKEN: &str = "domlist";
/// Fires when something of a console changes; followed by the domain's number.
const CONSOLE_TOKEN: &str = "dom";

/// What the daemon works with.
pub struct Host {
    /// Knows the domains, and the hypervisor's log.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// Maps pages, binds event channels.
    pub backend: Arc<dyn Backend>,
    /// Finds the store.
    pub connect: Connect,
}

/// The daemon.
pub struct Service {
    hypervisor: Arc<dyn Hypervisor>,
    events: Arc<dyn Events>,
    store: StoreLink,
    poller: Poller,
    table: Table,
    hypervisor_log: Option<HypervisorLog>,
    logs: Logs,
    signals: UnixStream,
}

impl Service {
    /// Finds the store and all domains there are.
    pub fn start(host: Host, logs: Logs, overflow: super::Overflow) -> anyhow::Result<Self> {
        let store = StoreLink::new(host.connect)?;
        let events: Arc<dyn Events> = host.backend.events()?.into();
        let signals = hang_ups()?;
        let poller = Poller::new()?;
        poller.add(&store, Source::Store, EventFlags::IN)?;
        poller.add(&*events, Source::Events, EventFlags::IN)?;
        poller.add(&signals, Source::Signals, EventFlags::IN)?;
        let table = Table::new(host.backend, events.clone(), logs.clone(), overflow);
        let mut service = Self {
            hypervisor: host.hypervisor,
            hypervisor_log: None,
            events,
            store,
            poller,
            table,
            logs,
            signals,
        };
        service.start_hypervisor_log()?;
        service.start_watching()?;
        Ok(service)
    }

    /// Serves for ever.
    pub fn run(&mut self) -> anyhow::Result<()> {
        loop {
            self.turn(None)?;
        }
    }

    /// Waits until something is to be done, at most for `patience`, and does it.
    pub fn turn(&mut self, patience: Option<Duration>) -> anyhow::Result<()> {
        for (source, flags) in self.poller.wait(self.timeout(patience))? {
            let now = Instant::now();
            match source {
                Source::Store => self.read_news(now),
                Source::Events => self.serve_ports(now)?,
                Source::Signals => self.open_logs_again(),
                Source::Terminal(domain) => self.serve_terminal(domain, flags, now),
            }
        }
        let now = Instant::now();
        self.table.serve_waiting(&self.poller, now);
        if self.store.reconnect(now) {
            tracing::info!("the store is there again");
            self.watch_again();
        }
        Ok(())
    }

    fn timeout(&self, patience: Option<Duration>) -> Option<Duration> {
        let now = Instant::now();
        let wakes = [self.table.wakes_at(now), self.store.retry_at()];
        let until = |at: Instant| at.saturating_duration_since(now);
        wakes.into_iter().flatten().map(until).chain(patience).min()
    }

    fn start_hypervisor_log(&mut self) -> anyhow::Result<()> {
        if let Some(file) = self.logs.open_hypervisor()? {
            let mut log = HypervisorLog::new(&*self.events, file)?;
            log.follow(&*self.hypervisor, &*self.events, Instant::now());
            self.hypervisor_log = Some(log);
        }
        Ok(())
    }

    fn start_watching(&mut self) -> anyhow::Result<()> {
        if let Some(store) = self.store.store() {
            store.watch("@introduceDomain", DOMAINS_TOKEN)?;
            store.watch("@releaseDomain", DOMAINS_TOKEN)?;
            self.scan(&*store);
        }
        Ok(())
    }

    /// A new store knows of no watches, and may not know the terminals.
    fn watch_again(&mut self) {
        let domains = self.table.domains();
        if let Err(error) = self.start_watching() {
            tracing::error!("cannot watch the store: {error}");
        }
        if let Some(store) = self.store.store() {
            for domain in domains {
                watch_console(&*store, domain);
                self.table.announce(&*store, domain);
            }
        }
    }

    fn read_news(&mut self, now: Instant) {
        let mut is_scan_due = false;
        let mut refreshed = BTreeSet::new();
        for news in self.store.news(now) {
            match news {
                News::Event(event) if event.token == DOMAINS_TOKEN => is_scan_due = true,
                News::Event(event) => refreshed.extend(console_news(&event)),
                News::Lost(error) => tracing::error!("lost the store: {error}"),
            }
        }
        let Some(store) = self.store.store() else {
            return;
        };
        if is_scan_due {
            self.scan(&*store);
        }
        for (domain, refresh) in refreshed {
            self.table.refresh(&*store, &self.poller, domain, refresh);
        }
    }

    /// Compares the domains there are with those that are known.
    fn scan(&mut self, store: &dyn Access) {
        let living = match self.hypervisor.domains() {
            Ok(all) => living(&all),
            Err(error) => {
                tracing::error!("cannot list the domains: {error}");
                return;
            }
        };
        let known = self.table.domains();
        for &gone in known.difference(&living) {
            // The store has dropped the watch if the domain's home is gone; it is no loss either way.
            let _ = store.unwatch(&console_path(gone), &console_token(gone));
            self.table.remove(&self.poller, gone);
        }
        for &new in living.difference(&known) {
            self.table.insert(new);
            watch_console(store, new);
            self.table
                .refresh(store, &self.poller, new, Refresh::Changed);
        }
    }

    fn serve_ports(&mut self, now: Instant) -> anyhow::Result<()> {
        for _ in 0..PORTS {
            let Some(port) = self.events.pending()? else {
                break;
            };
            match &mut self.hypervisor_log {
                Some(log) if log.port() == port => {
                    log.follow(&*self.hypervisor, &*self.events, now);
                }
                _ => self.table.notified(&self.poller, port, now),
            }
        }
        Ok(())
    }

    fn serve_terminal(&mut self, domain: DomId, flags: EventFlags, now: Instant) {
        let store = self.store.store();
        self.table
            .terminal_ready(store.as_deref(), &self.poller, domain, flags, now);
    }

    fn open_logs_again(&mut self) {
        // Several signals are one wish.
        let _ = self.signals.read(&mut [0; 64]);
        if let Some(store) = self.store.store() {
            self.table.open_logs(&*store);
        }
        if let Some(log) = &mut self.hypervisor_log {
            log.file = self.logs.open_hypervisor().unwrap_or_else(|error| {
                tracing::error!("{error:#}");
                None
            });
        }
    }
}

/// Readable after a SIGHUP.
fn hang_ups() -> std::io::Result<UnixStream> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGHUP, writer)?;
    Ok(reader)
}

/// The guests that are not being taken apart.
fn living(all: &[xen_abi::domctl::DomctlGetdomaininfo]) -> BTreeSet<DomId> {
    all.iter()
        .filter(|info| info.flags & xen_abi::domctl::XEN_DOMINF_DYING == 0)
        .map(|info| DomId(info.domain))
        .filter(|&domain| domain != DomId::DOM0)
        .collect()
}

fn console_token(domain: DomId) -> String {
    format!("{CONSOLE_TOKEN}{domain}")
}

fn watch_console(store: &dyn Access, domain: DomId) {
    if let Err(error) = store.watch(&console_path(domain), &console_token(domain)) {
        tracing::error!("cannot watch the console of domain {domain}: {error}");
    }
}

/// What a watch tells about a console: a port that was written is to be bound anew, even if its number is the same.
fn console_news(event: &WatchEvent) -> Option<(DomId, Refresh)> {
    let domain = DomId(event.token.strip_prefix(CONSOLE_TOKEN)?.parse().ok()?);
    let refresh = if event.path.ends_with("/port") {
        Refresh::PortWritten
    } else {
        Refresh::Changed
    };
    Some((domain, refresh))
}
