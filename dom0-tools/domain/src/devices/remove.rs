//! Disconnecting devices, of running domains and of dead ones.
//!
//! What is to be done is read from the store alone, so that it can be repeated by anybody at any time: nothing here fails because
//! a part of the work was done before.

use std::collections::BTreeSet;
use std::time::Duration;

use xenstore::{Access, Result as StoreResult, Tx, transaction};

use super::Devices;
use super::error::{Complaint, Error, Result, StateText};
use super::host::Driver;
use super::nodes::{clear, prune, read_text};
use super::paths::{BackPath, DeviceId, Kind, Paths, front_path, record_directory};

/// How long a back end may take to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// How long QEMU may take as a back end: of a domain on its way out it does not hear any more.
const QEMU_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks whether a driver of the kernel is gone: it says so in the store, unless it is unloaded or never was.
const DRIVER_PAUSE: Duration = Duration::from_millis(100);

/// What to do about a guest that does not let go of a device.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Force {
    /// Report it, and leave the device.
    Never,
    /// Take the device away from it.
    AfterTime,
    /// Do not ask it.
    Now,
}

/// A device that has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Whose device.
    pub domain: u16,
    /// The domain that serves it.
    pub backend: u16,
    /// The kind of its back end.
    pub kind: Kind,
    /// Which device.
    pub id: DeviceId,
    /// Its directories.
    pub paths: Paths,
}

impl Doomed {
    /// A disk or network interface.
    pub fn new(backend: u16, domain: u16, kind: &Kind, id: DeviceId) -> Self {
        Self {
            domain,
            backend,
            kind: kind.clone(),
            id,
            paths: Paths::new(backend, domain, kind, id),
        }
    }

    /// The device that is recorded in `directory` of `kind`, if the record says where its back end is.
    fn recorded(
        store: &dyn Access,
        domain: u16,
        kind: &Kind,
        number: u32,
    ) -> StoreResult<Option<Self>> {
        let record = format!("{}/{number}", record_directory(domain, kind));
        let back = read_text(store, Tx::NONE, &format!("{record}/backend"))?;
        let Some(path) = back.as_deref().and_then(BackPath::parse) else {
            return Ok(None);
        };
        // A record can not make us remove another domain's device.
        if path.domain != domain {
            return Ok(None);
        }
        let back = back.unwrap_or_default();
        let front = front_path(domain, kind, number);
        Ok(Some(Self {
            domain,
            backend: path.backend,
            id: DeviceId::new(kind, number),
            kind: path.kind,
            paths: Paths {
                front,
                back,
                record,
            },
        }))
    }

    fn state_path(&self) -> String {
        format!("{}/state", self.paths.back)
    }

    fn is_of_kernel(&self) -> bool {
        self.backend == 0 && matches!(self.kind, Kind::Vbd | Kind::Vif)
    }
}

impl Devices<'_> {
    /// Disconnects a device of a domain.
    pub fn detach(&self, domain: u16, id: DeviceId, force: Force) -> Result<()> {
        let kind = match id {
            DeviceId::Disk(_) => Kind::Vbd,
            DeviceId::Vif(_) => Kind::Vif,
            DeviceId::Other(_) => return Err(Error::Missing { device: id, domain }),
        };
        match Doomed::recorded(self.store, domain, &kind, id.number())? {
            Some(device) => self.remove(vec![device], force),
            None => Err(Error::Missing { device: id, domain }),
        }
    }

    /// Disconnects all devices of a domain, whoever made them, without asking the guest. Can be repeated, and leaves nothing of them.
    pub fn remove_all(&self, domain: u16) -> Result<()> {
        let devices = self.all_devices(domain)?;
        let result = self.remove(devices, Force::Now);
        transaction(self.store, |tx| {
            clear(self.store, tx, &format!("/libxl/{domain}/device"))
        })?;
        result
    }

    /// What is recorded, and what back ends in dom0 have without a record.
    fn all_devices(&self, domain: u16) -> Result<Vec<Doomed>> {
        let mut devices = Vec::new();
        for (kind, number) in self.numbered(&format!("/libxl/{domain}/device"), "")? {
            let kind = Kind::of_name(&kind);
            devices.extend(Doomed::recorded(self.store, domain, &kind, number)?);
        }
        let below = format!("/{domain}");
        for (kind, number) in self.numbered("/local/domain/0/backend", &below)? {
            let kind = Kind::of_name(&kind);
            let stray = Doomed::new(0, domain, &kind, DeviceId::new(&kind, number));
            if !devices
                .iter()
                .any(|known| known.paths.back == stray.paths.back)
            {
                devices.push(stray);
            }
        }
        Ok(devices)
    }

    /// All `<kind><below>/<number>` in a directory.
    fn numbered(&self, directory: &str, below: &str) -> StoreResult<Vec<(String, u32)>> {
        let mut found = Vec::new();
        for kind in children(self.store, directory)? {
            for number in children(self.store, &format!("{directory}/{kind}{below}"))? {
                found.extend(number.parse().ok().map(|number| (kind.clone(), number)));
            }
        }
        Ok(found)
    }

    /// Disconnects devices, all at a time.
    pub(super) fn remove(&self, devices: Vec<Doomed>, force: Force) -> Result<()> {
        if devices.is_empty() {
            return Ok(());
        }
        self.begin_close(&devices, force == Force::Now)?;
        let mut late = self.wait_closed(&devices)?;
        if let (Force::Never, Some(device)) = (force, late.first()) {
            return Err(self.still_open(device)?);
        }
        if force == Force::AfterTime && !late.is_empty() {
            self.begin_close(&late, true)?;
            late = self.wait_closed(&late)?;
        }
        for device in &late {
            // Its nodes go nevertheless: that ends a back end in the kernel, too.
            tracing::warn!("{}", self.still_open(device)?);
        }
        for device in &devices {
            self.end_hotplug(device);
        }
        Ok(transaction(self.store, |tx| {
            devices.iter().try_for_each(|device| {
                [
                    &device.paths.front,
                    &device.paths.record,
                    &device.paths.back,
                ]
                .into_iter()
                .try_for_each(|path| prune(self.store, tx, path))
            })
        })?)
    }

    /// Tells back ends to close, in one transaction; with `force` the front ends' nodes go at once.
    fn begin_close(&self, devices: &[Doomed], force: bool) -> StoreResult<()> {
        transaction(self.store, |tx| {
            for device in devices.iter().filter(|device| !device.kind.is_console()) {
                if force {
                    prune(self.store, tx, &device.paths.front)?;
                }
                let Some(state) = read_text(self.store, tx, &device.state_path())? else {
                    continue;
                };
                self.store
                    .write(tx, &format!("{}/online", device.paths.back), b"0")?;
                if state != "6" {
                    self.store.write(tx, &device.state_path(), b"5")?;
                }
            }
            Ok(())
        })
    }

    /// Waits until back ends are closed, and gives those that are not when the time is over.
    fn wait_closed(&self, devices: &[Doomed]) -> Result<Vec<Doomed>> {
        let mut open: Vec<_> = devices
            .iter()
            .filter(|device| !device.kind.is_console())
            .collect();
        let deadline = self.host.now() + CLOSE_LIMIT;
        let qemus_deadline = self.host.now() + QEMU_LIMIT;
        for device in &open {
            self.store.watch(&device.state_path(), &device.paths.back)?;
        }
        let watched = open.clone();
        let result = loop {
            let kept: StoreResult<Vec<_>> = open
                .iter()
                .filter_map(|&device| match self.is_closed(device) {
                    Ok(closed) => (!closed).then_some(Ok(device)),
                    Err(error) => Some(Err(error)),
                })
                .collect();
            open = match kept {
                Ok(kept) => kept,
                Err(error) => break Err(error),
            };
            let now = self.host.now();
            if now >= qemus_deadline {
                open.retain(|device| !device.kind.is_served_by_qemu());
            }
            if open.is_empty() || now >= deadline {
                break Ok(open.into_iter().cloned().collect());
            }
            if let Err(error) = self
                .host
                .next_event(self.store, self.next_look(&open, deadline - now))
            {
                break Err(error);
            }
        };
        for device in watched {
            // The connection may be the reason of the failure.
            drop(self.store.unwatch(&device.state_path(), &device.paths.back));
        }
        Ok(result?)
    }

    /// The kernel's own devices may vanish without a word in the store, and QEMU may never answer.
    fn next_look(&self, open: &[&Doomed], left: Duration) -> Duration {
        let silent = |device: &&Doomed| device.is_of_kernel();
        if open.iter().any(silent) {
            return DRIVER_PAUSE.min(left);
        }
        let qemu = open.iter().any(|device| device.kind.is_served_by_qemu());
        if qemu { QEMU_LIMIT.min(left) } else { left }
    }

    /// Whether a back end has closed, is gone, or never was.
    fn is_closed(&self, device: &Doomed) -> StoreResult<bool> {
        let state = read_text(self.store, Tx::NONE, &device.state_path())?;
        if matches!(state.as_deref(), None | Some("6")) {
            return Ok(true);
        }
        let driver = || self.host.driver(&device.kind, device.domain, device.id);
        Ok(device.is_of_kernel() && driver() == Driver::Absent)
    }

    fn still_open(&self, device: &Doomed) -> Result<Error> {
        let state = read_text(self.store, Tx::NONE, &device.state_path())?;
        Ok(Error::TimedOut {
            device: device.id.to_string(),
            waiting: "the guest did not let go of the device",
            limit: CLOSE_LIMIT,
            state: StateText(state),
            complaint: Complaint(None),
        })
    }

    /// The domains that back ends in dom0 have nodes of, each once.
    pub fn served(&self) -> Result<BTreeSet<u16>> {
        const BACK_ENDS: &str = "/local/domain/0/backend";
        let mut domains = BTreeSet::new();
        for kind in children(self.store, BACK_ENDS)? {
            let names = children(self.store, &format!("{BACK_ENDS}/{kind}"))?;
            domains.extend(names.iter().filter_map(|name| name.parse::<u16>().ok()));
        }
        Ok(domains)
    }
}

/// The names in a directory, which may be missing.
pub fn children(store: &dyn Access, path: &str) -> StoreResult<Vec<String>> {
    match store.list(Tx::NONE, path) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        result => result,
    }
}
