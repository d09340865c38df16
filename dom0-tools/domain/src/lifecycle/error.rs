//! Why something could not be done with a domain.

use std::path::PathBuf;

use xenctl::DomId;

use crate::build::BuildError;
use crate::devices;

/// What an operation gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Reason for giving up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The domain could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A device could not be connected or removed.
    #[error(transparent)]
    Device(#[from] devices::Error),
    /// The store refused, or is not there.
    #[error(transparent)]
    Store(#[from] xenstore::Error),
    /// The hypervisor refused a step.
    #[error("cannot {step}: {source}")]
    Hypervisor {
        /// What was tried.
        step: &'static str,
        /// Its answer.
        source: xenctl::Error,
    },
    /// There is no such domain.
    #[error("domain {0} does not exist")]
    NoDomain(DomId),
    /// Another domain has the name.
    #[error("Domain with name \"{name}\" already exists.")]
    NameTaken {
        /// The name.
        name: String,
        /// Whose it is.
        domain: DomId,
    },
    /// The domain is not called what the caller says.
    #[error("domain {domain} is not called {expected:?} but {actual:?}")]
    Renamed {
        /// Which.
        domain: DomId,
        /// What the caller says.
        expected: String,
        /// What the store says.
        actual: String,
    },
    /// The configuration asks for what there is not.
    #[error("{0}")]
    Config(String),
    /// The host has not the memory for a domain.
    #[error("{0}")]
    NoRoom(String),
    /// The guest did not react in time.
    #[error("the guest did not acknowledge the {request} request within {seconds} s")]
    NotAcknowledged {
        /// `poweroff` or `reboot`.
        request: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// An emulated guest without drivers for Xen.
    #[error("domain {0} has no drivers for Xen that would see the request")]
    NoDrivers(DomId),
    /// A file of the tools.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// Names the step that a request to the hypervisor belongs to.
pub(super) trait Step<T> {
    /// `step` completes "cannot …".
    fn step(self, step: &'static str) -> Result<T>;
}

impl<T> Step<T> for xenctl::Result<T> {
    fn step(self, step: &'static str) -> Result<T> {
        self.map_err(|source| Error::Hypervisor { step, source })
    }
}

/// Names the file that an operation is about.
pub(super) trait OnFile<T> {
    /// `action` completes "cannot …".
    fn on(self, action: &'static str, path: &std::path::Path) -> Result<T>;
}

impl<T> OnFile<T> for std::io::Result<T> {
    fn on(self, action: &'static str, path: &std::path::Path) -> Result<T> {
        self.map_err(|source| Error::File {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
