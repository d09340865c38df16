//! What can go wrong with a device, and whose fault it is.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::paths::DeviceId;

/// What an operation on devices gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation on a device failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for is not possible, whatever the state of the host.
    #[error("{device}: {reason}")]
    Invalid {
        /// Which one, in the configuration's words.
        device: String,
        /// What is wrong, and what to do instead.
        reason: String,
    },
    /// A file, device, link or script is missing or can not be used.
    #[error("{device}: cannot {action} {what}: {source}")]
    Host {
        /// Which device it is needed for.
        device: String,
        /// What was tried.
        action: &'static str,
        /// With what.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Somebody else uses the storage in a way that does not go together with this.
    #[error("{device}: {target} is {user}, and so cannot be used {wanted} now")]
    Busy {
        /// Which device wants it.
        device: String,
        /// The file or block device.
        target: String,
        /// Who uses it, and how.
        user: InUse,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The domain has such a device already.
    #[error("{device} exists already in domain {domain}")]
    Exists {
        /// Which one.
        device: DeviceId,
        /// In which domain.
        domain: u16,
    },
    /// The domain has no such device.
    #[error("domain {domain} has no device {device}")]
    Missing {
        /// Which one.
        device: DeviceId,
        /// In which domain.
        domain: u16,
    },
    /// There is no such domain, or it ended while a device was connected.
    #[error("domain {0} does not exist (any more)")]
    NoDomain(u16),
    /// The back end did not do its part in time.
    #[error("{device}: {waiting} within {seconds} s; the back end is in state {state}{complaint}", seconds = .limit.as_secs())]
    TimedOut {
        /// Which device.
        device: String,
        /// What did not happen, for instance `the back end was not ready`.
        waiting: &'static str,
        /// How long was waited.
        limit: Duration,
        /// What the back end's state is.
        state: StateText,
        /// What it says in its error node, with a separator before it.
        complaint: Complaint,
    },
    /// The back end gave up.
    #[error("{device}: the back end failed: it is in state {state}{complaint}")]
    BackEnd {
        /// Which device.
        device: String,
        /// What the back end's state is.
        state: StateText,
        /// What it says in its error node.
        complaint: Complaint,
    },
    /// A hotplug script failed.
    #[error("{device}: hotplug script {script}: {reason}")]
    Script {
        /// Which device.
        device: String,
        /// Which script.
        script: PathBuf,
        /// What it said, or how it ended.
        reason: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] xenstore::Error),
}

/// Who uses a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InUse {
    /// A file system in dom0.
    Mounted {
        /// The node that is mounted.
        source: String,
    },
    /// A device of a domain.
    Domain {
        /// Its number.
        domain: u16,
        /// Its name, if it has one.
        name: Option<String>,
        /// Which of its disks.
        disk: String,
        /// Whether it may write.
        writes: bool,
    },
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted { source } => write!(f, "mounted in dom0 (as {source})"),
            Self::Domain {
                domain,
                name,
                disk,
                writes,
            } => {
                let access = if *writes { "read-write" } else { "read-only" };
                write!(f, "used {access} by domain {domain}")?;
                if let Some(name) = name {
                    write!(f, " ({name})")?;
                }
                write!(f, " as {disk}")
            }
        }
    }
}

/// A state of the handshake as a message shows it: the number and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateText(pub Option<String>);

impl fmt::Display for StateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(text) = &self.0 else {
            return f.write_str("unknown (its node is gone)");
        };
        let name = match text.as_str() {
            "0" => "Unknown",
            "1" => "Initialising",
            "2" => "InitWait",
            "3" => "Initialised",
            "4" => "Connected",
            "5" => "Closing",
            "6" => "Closed",
            "7" => "Reconfiguring",
            "8" => "Reconfigured",
            _ => return write!(f, "{text:?}"),
        };
        write!(f, "{text} ({name})")
    }
}

/// What a back end wrote to its error node, if anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaint(pub Option<String>);

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(text) => write!(f, " and says: {text}"),
            None => Ok(()),
        }
    }
}
