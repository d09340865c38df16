//! A device on its way: what it is and how far.

use std::path::PathBuf;
use std::time::Duration;

use super::error::Error;
use super::host::RunningScript;
use super::paths::{DeviceId, Kind, Paths};
use super::plan::Planned;
use super::remove::Doomed;

/// How long a back end may take for each step.
const BACK_END_LIMIT: Duration = Duration::from_secs(10);
/// How long a script may run.
pub const SCRIPT_LIMIT: Duration = Duration::from_secs(40);

/// A device whose number is known.
pub struct Numbered {
    /// Which device.
    pub id: DeviceId,
    /// What it is.
    pub planned: Planned,
}

/// A device on its way.
pub struct Task {
    /// What it is.
    pub planned: Planned,
    /// What kind of device.
    pub kind: Kind,
    /// Whose device.
    pub domain: u16,
    /// Which device.
    pub id: DeviceId,
    /// Its directories.
    pub paths: Paths,
    /// How far it is.
    pub phase: Phase,
    /// The back end's state may have changed since it was read.
    pub is_stale: bool,
    /// How long the phase may take.
    pub limit: Duration,
    /// When that is over.
    pub deadline: Duration,
}

/// How far a device is.
pub enum Phase {
    /// Until the back end is in state 2.
    BackEnd,
    /// Until the back end has opened the storage, which we hold as long.
    Opening { _storage: Option<Box<dyn Send>> },
    /// Until netback has made the link.
    Link,
    /// Until a script has ended.
    Script(PathBuf, Box<dyn RunningScript>),
    /// It works.
    Done,
}

impl Task {
    /// Its nodes are written.
    pub fn new(domain: u16, numbered: Numbered, now: Duration) -> Self {
        let Numbered { id, planned } = numbered;
        let kind = planned.kind();
        Self {
            paths: Paths::new(planned.backend(), domain, &kind, id),
            planned,
            kind,
            domain,
            id,
            phase: Phase::BackEnd,
            is_stale: true,
            limit: BACK_END_LIMIT,
            deadline: now + BACK_END_LIMIT,
        }
    }

    /// It begins another phase.
    pub fn enter(&mut self, phase: Phase, now: Duration) {
        self.limit = match phase {
            Phase::Script(..) => SCRIPT_LIMIT,
            _ => BACK_END_LIMIT,
        };
        self.deadline = now + self.limit;
        self.phase = phase;
    }

    /// Whether no event tells when it can go on.
    pub fn is_silent(&self) -> bool {
        matches!(
            self.phase,
            Phase::Opening { .. } | Phase::Link | Phase::Script(..)
        )
    }

    /// Where the back end's state is.
    pub fn state_path(&self) -> String {
        format!("{}/state", self.paths.back)
    }

    /// Where the front end's state is.
    pub fn front_state_path(&self) -> String {
        format!("{}/state", self.paths.front)
    }

    /// How messages call it.
    pub fn name(&self) -> String {
        self.id.to_string()
    }

    /// Its script failed.
    pub fn script_failed(&self, script: PathBuf, reason: String) -> Error {
        Error::Script {
            device: self.name(),
            script,
            reason,
        }
    }

    /// It has to go again.
    pub fn doomed(&self) -> Doomed {
        Doomed::new(self.planned.backend(), self.domain, &self.kind, self.id)
    }
}
