//! Connecting devices: nodes, the back ends' readiness, and what dom0 has to do for each, all devices at a time.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use xenstore::{Access, Tx, exists, transaction};

use super::error::{Complaint, Error, Result, StateText};
use super::host::{Driver, OpenLoop, ScriptEnd};
use super::nodes::{self, Nodes, read_text};
use super::paths::{DeviceId, Kind, Paths, record_directory};
use super::plan::{Hotplug, Plan};
use super::remove::Force;
use super::script::{Action, call, link_name};
use super::task::{Numbered, Phase, Task};
use super::{Device, Devices, Disk, bridge, sharing};

/// Between two looks at what tells nobody when it changes; doubled up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

impl Devices<'_> {
    /// Connects all of a domain's devices. If one fails none of them stays.
    pub fn attach_all(&self, domain: u16, plan: &Plan) -> Result<Vec<DeviceId>> {
        let numbered = self
            .write_nodes(domain, plan)
            .map_err(|error| self.blame(domain, error))?;
        let mut tasks: Vec<_> = numbered
            .into_iter()
            .map(|numbered| Task::new(domain, numbered, self.host.now()))
            .collect();
        let connected = self
            .connect(&mut tasks)
            .and_then(|()| self.check_alive(domain));
        let doomed: Vec<_> = tasks.iter().map(Task::doomed).collect();
        let ids = tasks.iter().map(|task| task.id).collect();
        if connected.is_err() {
            // Loop devices that nobody opened and scripts that still run end here.
            drop(tasks);
            if let Err(error) = self.remove(doomed, Force::Now) {
                tracing::warn!("after a failure: {error}");
            }
        }
        connected.map_err(|error| self.blame(domain, error))?;
        Ok(ids)
    }

    /// Connects one more device.
    pub fn attach(&self, domain: u16, device: &Device) -> Result<DeviceId> {
        let plan = self.plan(std::slice::from_ref(device))?;
        let ids = self.attach_all(domain, &plan)?;
        ids.first().copied().ok_or(Error::NoDomain(domain))
    }

    /// Writes the nodes of all devices in one transaction, and gives the devices with their numbers.
    fn write_nodes(&self, domain: u16, plan: &Plan) -> Result<Vec<Numbered>> {
        transaction(self.store, |tx| {
            let store = self.store;
            if !exists(store, tx, &format!("/local/domain/{domain}"))? {
                return Ok(Err(Error::NoDomain(domain)));
            }
            let devices = number(store, tx, domain, plan)?;
            let mut prepared = Vec::new();
            for Numbered { id, planned } in &devices {
                let id = *id;
                let paths = Paths::new(planned.backend(), domain, &planned.kind(), id);
                if exists(store, tx, &paths.record)? {
                    let device = id;
                    return Ok(Err(Error::Exists { device, domain }));
                }
                prepared.push((planned, paths, Nodes::new(domain, id, &planned.device)));
            }
            for (planned, paths, nodes) in &prepared {
                nodes::write(store, tx, domain, planned.backend(), paths, nodes)?;
            }
            Ok(Ok(devices))
        })?
    }

    /// What fails because the domain ended fails in many ways, of which none says so.
    fn blame(&self, domain: u16, error: Error) -> Error {
        match self.check_alive(domain) {
            Err(gone @ Error::NoDomain(_)) => gone,
            _ => error,
        }
    }

    /// A domain that ended meanwhile had its devices removed, perhaps before these.
    fn check_alive(&self, domain: u16) -> Result<()> {
        match exists(self.store, Tx::NONE, &format!("/local/domain/{domain}"))? {
            true => Ok(()),
            false => Err(Error::NoDomain(domain)),
        }
    }

    /// Both ends are watched: with its domain the front end vanishes, and a back end without one may say nothing.
    fn connect(&self, tasks: &mut [Task]) -> Result<()> {
        let mut watched = Vec::new();
        let ends = tasks.iter().enumerate().flat_map(|(index, task)| {
            [task.state_path(), task.front_state_path()].map(|path| (path, token(index)))
        });
        let started = ends.into_iter().try_for_each(|(path, token)| {
            self.store.watch(&path, &token)?;
            watched.push((path, token));
            Ok::<_, Error>(())
        });
        let result = started.and_then(|()| self.follow(tasks));
        for (path, token) in watched {
            // The connection may be the reason of the failure.
            drop(self.store.unwatch(&path, &token));
        }
        result
    }

    /// Goes from event to event until all is done.
    fn follow(&self, tasks: &mut [Task]) -> Result<()> {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let mut moved = false;
            for task in tasks.iter_mut() {
                while self.step(task)? {
                    moved = true;
                }
            }
            let now = self.host.now();
            let open = || {
                tasks
                    .iter()
                    .filter(|task| !matches!(task.phase, Phase::Done))
            };
            let Some(deadline) = open().map(|task| task.deadline).min() else {
                return Ok(());
            };
            let mut timeout = deadline.saturating_sub(now);
            if open().any(Task::is_silent) {
                pause = if moved {
                    SHORTEST_PAUSE
                } else {
                    (pause * 2).min(LONGEST_PAUSE)
                };
                timeout = timeout.min(pause);
            }
            if let Some(event) = self.host.next_event(self.store, timeout)? {
                let index = tasks
                    .iter()
                    .enumerate()
                    .position(|(index, _)| token(index) == event.token);
                if let Some(task) = index.and_then(|index| tasks.get_mut(index)) {
                    task.is_stale = true;
                }
            }
        }
    }

    /// Takes a task to its next phase, if it can go there.
    fn step(&self, task: &mut Task) -> Result<bool> {
        let next = match &mut task.phase {
            Phase::Done => return Ok(false),
            Phase::BackEnd if !task.is_stale => None,
            Phase::BackEnd => {
                task.is_stale = false;
                match self.is_ready(task)? {
                    true => Some(self.begin_hotplug(task)?),
                    false => None,
                }
            }
            Phase::Opening { .. } => match self.host.driver(&task.kind, task.domain, task.id) {
                Driver::Holding => Some(Phase::Done),
                Driver::Absent | Driver::Present => {
                    self.check_if_stale(task)?;
                    None
                }
            },
            Phase::Link => self.connect_link(task)?,
            Phase::Script(path, running) => {
                let (path, ended) = (path.clone(), running.ended());
                self.script_phase(task, path, ended)?
            }
        };
        match next {
            Some(phase) => task.enter(phase, self.host.now()),
            None if self.host.now() >= task.deadline => return Err(self.timed_out(task)?),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Whether the back end waits for dom0's part: state 2.
    fn is_ready(&self, task: &Task) -> Result<bool> {
        let state = read_text(self.store, Tx::NONE, &task.state_path())?;
        match state.as_deref() {
            Some("2" | "3" | "4") => Ok(true),
            Some("5" | "6") | None => Err(self.failed(task)?),
            Some(_) => {
                self.check_back_end(task)?;
                Ok(false)
            }
        }
    }

    fn begin_hotplug(&self, task: &Task) -> Result<Phase> {
        match (&task.planned.device, &task.planned.hotplug) {
            (_, Hotplug::Elsewhere) => Ok(Phase::Done),
            (_, Hotplug::Script(path)) => self.start_script(task, path.clone()),
            (Device::Vif(_), _) => Ok(Phase::Link),
            (Device::Disk(disk), hotplug) => self.give_storage(task, disk, hotplug),
        }
    }

    /// Tells the back end which block device a disk is.
    fn give_storage(&self, task: &Task, disk: &Disk, hotplug: &Hotplug) -> Result<Phase> {
        let failed = |action, what: &str, source| Error::Host {
            device: task.name(),
            action,
            what: what.to_owned(),
            source,
        };
        let lock = self.host.lock_disks();
        let _lock = lock.map_err(|source| failed("take", "the lock of disks", source))?;
        sharing::check(self.store, self.host, task.domain, disk, hotplug)?;
        let (number, path, node, hold) = match hotplug {
            Hotplug::Block { number, path } => (*number, path.display().to_string(), None, None),
            _ => {
                let opened = self.host.open_loop(disk.path(), !disk.mode.writes());
                let OpenLoop { node, number, hold } = opened
                    .map_err(|source| failed("put a loop device before", &disk.target, source))?;
                (number, node.clone(), Some(node), Some(hold))
            }
        };
        let mut values = vec![
            ("physical-device", number.to_string()),
            ("physical-device-path", path),
            ("hotplug-status", "connected".to_owned()),
        ];
        values.extend(node.map(|node| ("node", node)));
        self.tell_back_end(task, &values)?;
        Ok(Phase::Opening { _storage: hold })
    }

    /// Writes below the back end's directory, but only if it is still there.
    fn tell_back_end(&self, task: &Task, values: &[(&str, String)]) -> Result<()> {
        let written = transaction(self.store, |tx| {
            let state = read_text(self.store, tx, &task.state_path())?;
            if !matches!(state.as_deref(), Some("2" | "3" | "4")) {
                return Ok(false);
            }
            for (name, value) in values {
                let path = format!("{}/{name}", task.paths.back);
                self.store.write(tx, &path, value.as_bytes())?;
            }
            Ok(true)
        })?;
        match written {
            true => Ok(()),
            false => Err(self.failed(task)?),
        }
    }

    /// Connects an interface once netback has made its link.
    fn connect_link(&self, task: &mut Task) -> Result<Option<Phase>> {
        let Device::Vif(vif) = &task.planned.device else {
            return Ok(Some(Phase::Done));
        };
        let name = link_name(task.domain, task.id);
        let link = self.host.link(&name).map_err(|source| Error::Host {
            device: task.name(),
            action: "look for link",
            what: name.clone(),
            source,
        })?;
        let Some(link) = link else {
            self.check_if_stale(task)?;
            return Ok(None);
        };
        let mtu = bridge::connect(self.host, vif, &link, &task.name())?;
        self.announce_mtu(task, mtu)?;
        self.tell_back_end(task, &[("hotplug-status", "connected".to_owned())])?;
        Ok(Some(Phase::Done))
    }

    /// Tells the guest its largest packet, unless its directory is gone.
    fn announce_mtu(&self, task: &Task, mtu: u32) -> Result<()> {
        let path = format!("{}/mtu", task.paths.front);
        Ok(transaction(self.store, |tx| {
            match exists(self.store, tx, &path)? {
                true => self.store.write(tx, &path, mtu.to_string().as_bytes()),
                false => Ok(()),
            }
        })?)
    }

    fn start_script(&self, task: &Task, path: PathBuf) -> Result<Phase> {
        let (kind, back) = (&task.kind, &task.paths.back);
        let call = call(
            self.store,
            &path,
            Action::Add,
            kind,
            task.domain,
            task.id,
            back,
        )?;
        match self.host.start_script(&call) {
            Ok(running) => Ok(Phase::Script(path, running)),
            Err(error) => Err(task.script_failed(path, error.to_string())),
        }
    }

    fn script_phase(
        &self,
        task: &Task,
        path: PathBuf,
        ended: io::Result<Option<ScriptEnd>>,
    ) -> Result<Option<Phase>> {
        match ended {
            Ok(None) => Ok(None),
            Ok(Some(end)) => self
                .check_script(task, path, end)
                .map(|()| Some(Phase::Done)),
            Err(error) => Err(task.script_failed(path, error.to_string())),
        }
    }

    /// A script has failed if its status says so, or what it left in the store.
    fn check_script(&self, task: &Task, path: PathBuf, end: ScriptEnd) -> Result<()> {
        let read =
            |name: &str| read_text(self.store, Tx::NONE, &format!("{}/{name}", task.paths.back));
        let status = read("hotplug-status")?;
        let refused = matches!(status.as_deref(), Some("error" | "busy"));
        match end {
            Ok(()) if !refused => Ok(()),
            end => {
                let reason = read("hotplug-error")?.or(end.err()).or(status);
                Err(task.script_failed(path, reason.unwrap_or_default()))
            }
        }
    }

    /// Looks at the back end if it said something since the last time.
    fn check_if_stale(&self, task: &mut Task) -> Result<()> {
        match std::mem::take(&mut task.is_stale) {
            true => self.check_back_end(task),
            false => Ok(()),
        }
    }

    /// Finds out at once, not at the end of the time, that a back end has given up, or that there is nobody to serve.
    fn check_back_end(&self, task: &Task) -> Result<()> {
        self.check_alive(task.domain)?;
        let state = read_text(self.store, Tx::NONE, &task.state_path())?;
        let alive = matches!(state.as_deref(), Some("1" | "2" | "3" | "4"));
        match alive && self.complaint(task)?.0.is_none() {
            true => Ok(()),
            false => Err(self.failed(task)?),
        }
    }

    fn complaint(&self, task: &Task) -> Result<Complaint> {
        let path = task.paths.back.replacen("/backend/", "/error/backend/", 1) + "/error";
        Ok(Complaint(read_text(self.store, Tx::NONE, &path)?))
    }

    fn failed(&self, task: &Task) -> Result<Error> {
        Ok(Error::BackEnd {
            device: task.name(),
            state: StateText(read_text(self.store, Tx::NONE, &task.state_path())?),
            complaint: self.complaint(task)?,
        })
    }

    fn timed_out(&self, task: &mut Task) -> Result<Error> {
        if let Phase::Script(path, running) = &mut task.phase {
            running.kill();
            let reason = format!("it did not end within {} s", task.limit.as_secs());
            let path = path.clone();
            return Ok(task.script_failed(path, reason));
        }
        Ok(Error::TimedOut {
            device: task.name(),
            waiting: match task.phase {
                Phase::Opening { .. } => "the back end did not open its storage",
                Phase::Link => "the back end did not make its link",
                _ => "the back end was not ready",
            },
            limit: task.limit,
            state: StateText(read_text(self.store, Tx::NONE, &task.state_path())?),
            complaint: self.complaint(task)?,
        })
    }
}

fn token(index: usize) -> String {
    format!("devices/{index}")
}

/// Gives interfaces without a number the ones after the highest.
fn number(store: &dyn Access, tx: Tx, domain: u16, plan: &Plan) -> xenstore::Result<Vec<Numbered>> {
    let directory = record_directory(domain, &Kind::Vif);
    let existing = match store.list(tx, &directory) {
        Err(error) if error.is_not_found() => Vec::new(),
        result => result?,
    };
    let existing = existing.iter().filter_map(|name| name.parse::<u32>().ok());
    let planned = plan
        .devices
        .iter()
        .filter_map(|planned| match &planned.device {
            Device::Vif(vif) => vif.id,
            Device::Disk(_) => None,
        });
    let mut next = existing
        .chain(planned)
        .max()
        .map_or(0, |highest| highest.saturating_add(1));
    let devices = plan.devices.iter().cloned().map(|mut planned| {
        let id = match &mut planned.device {
            Device::Disk(disk) => DeviceId::Disk(disk.vdev),
            Device::Vif(vif) => DeviceId::Vif(*vif.id.get_or_insert_with(|| {
                let free = next;
                next = next.saturating_add(1);
                free
            })),
        };
        Numbered { id, planned }
    });
    Ok(devices.collect())
}
