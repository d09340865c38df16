//! A domain's life: creation, shutdown, death, and what happens after.
//!
//! Everything is a method of [`Toolstack`], which holds the ways to the hypervisor, the store and dom0's kernel. Its state is theirs alone:
//! any number of tools, also libxl's, may work on the same domains. What would go wrong between them is guarded by libxl's own lock of a
//! domain's files, and between our own tools by a lock on names.
//!
//! **Waiting.** [`Toolstack::create`], [`Toolstack::destroy`], [`Toolstack::request_shutdown`] and [`Toolstack::follow`] wait for watches of
//! the store: give them a connection on which nobody else does.

mod config;
mod core_dump;
mod create;
mod death;
mod destroy;
mod error;
mod follow;
mod lock;
mod names;
mod nodes;
mod recent;
mod refuse;
mod shutdown;
mod userdata;

use std::path::PathBuf;

use domcfg::identity::Uuid;
use xen_abi::domctl::DomctlGetdomaininfo;
use xen_abi::errno::Errno;
use xenctl::{DomId, Hypervisor};
use xenstore::Access;

use crate::devices::{Devices, Host};

pub use create::Request;
pub use death::{DeathWatch, Ending};
pub use error::{Error, Result};
pub use follow::{Followed, Log, MakeRoom, Reparse};
pub use lock::FileLock;
pub use nodes::Description;
pub use shutdown::ShutdownRequest;
pub use userdata::{CONFIG, NEXT_CONFIG, Userdata};

use error::Step;

/// Where the tools keep files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// Domains' configurations: `/var/lib/xen`.
    pub lib: PathBuf,
    /// What does not outlive the host's run: `/run/xen`.
    pub run: PathBuf,
    /// Memory of crashed domains: `/var/lib/xen/dump`.
    pub dump: PathBuf,
    /// What can be made again: `/var/cache/xen`.
    pub cache: PathBuf,
}

impl Default for Directories {
    fn default() -> Self {
        Self {
            lib: "/var/lib/xen".into(),
            run: "/run/xen".into(),
            dump: "/var/lib/xen/dump".into(),
            cache: "/var/cache/xen".into(),
        }
    }
}

/// The ways to everything that domains are made of.
#[derive(Copy, Clone)]
pub struct Toolstack<'a> {
    /// The hypervisor.
    pub hypervisor: &'a dyn Hypervisor,
    /// The store.
    pub store: &'a dyn Access,
    /// Dom0's kernel.
    pub host: &'a dyn Host,
    /// Files.
    pub directories: &'a Directories,
}

impl<'a> Toolstack<'a> {
    /// The devices of domains.
    #[must_use]
    pub fn devices(&self) -> Devices<'a> {
        Devices {
            store: self.store,
            host: self.host,
        }
    }

    /// What the hypervisor knows of a domain.
    ///
    /// # Errors
    /// [`Error::NoDomain`], [`Error::Hypervisor`].
    pub fn info(&self, domain: DomId) -> Result<DomctlGetdomaininfo> {
        match self.hypervisor.domain(domain) {
            Err(error) if error.errno == Errno::ESRCH => Err(Error::NoDomain(domain)),
            answer => answer.step("look at the domain"),
        }
    }

    /// A domain's files.
    ///
    /// # Errors
    /// [`Error::NoDomain`], [`Error::Hypervisor`].
    pub fn userdata(&self, domain: DomId) -> Result<Userdata> {
        Ok(self.userdata_of(domain, self.uuid(domain)?))
    }

    fn userdata_of(&self, domain: DomId, uuid: Uuid) -> Userdata {
        Userdata::new(&self.directories.lib, domain, uuid)
    }

    /// Lets a domain run that was created or paused.
    ///
    /// # Errors
    /// [`Error::Hypervisor`].
    pub fn unpause(&self, domain: DomId) -> Result<()> {
        self.hypervisor
            .unpause_domain(domain)
            .step("unpause the domain")
    }
}

#[cfg(test)]
mod tests;
