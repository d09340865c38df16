//! What dom0 needs before the tools work: its name and number in the store, its configuration as libxl keeps it, and the names of the CPU pools.
//!
//! Done once after boot, by `xen-init-dom0`. Nothing is changed if it was done before.

mod stub;
mod uuid;

use std::io;
use std::path::PathBuf;

use xen_abi::domctl::XEN_DOMINF_HVM_GUEST;
use xenctl::{DomId, Hypervisor};
use xenstore::{Access, Tx, exists};

pub use uuid::{BadUuid, Uuid};

const DOMID_NODE: &str = "/local/domain/0/domid";
const NAME_NODE: &str = "/local/domain/0/name";

/// Why dom0 could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hypervisor refused.
    #[error("cannot {action}: {error}")]
    Hypervisor {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        error: xenctl::Error,
    },
    /// A file could not be changed.
    #[error("cannot {action} {}: {error}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// A node could not be read or written.
    #[error(transparent)]
    Store(#[from] xenstore::Error),
}

/// What became of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Dom0 is set up now.
    Done,
    /// It was before.
    AlreadySetUp,
}

/// Where the tools keep files.
#[derive(Clone, Debug)]
pub struct Directories {
    /// Of what is known of each domain: `/var/lib/xen`.
    pub library: PathBuf,
    /// Of what does not outlive a boot: `/run/xen`.
    pub run: PathBuf,
}

impl Default for Directories {
    fn default() -> Self {
        Self {
            library: "/var/lib/xen".into(),
            run: "/run/xen".into(),
        }
    }
}

/// Sets dom0 up, with `uuid` unless that is nil.
pub fn set_up(
    store: &dyn Access,
    hypervisor: &dyn Hypervisor,
    directories: &Directories,
    uuid: Uuid,
) -> Result<Outcome, Error> {
    if exists(store, Tx::NONE, DOMID_NODE)? && exists(store, Tx::NONE, NAME_NODE)? {
        return Ok(Outcome::AlreadySetUp);
    }
    if !uuid.is_nil() {
        let result = hypervisor.set_handle(DomId::DOM0, uuid.0);
        result.map_err(failed("set Dom0 UUID"))?;
    }
    store_configuration(hypervisor, directories, uuid)?;
    forget_domids(directories)?;
    name_pools(store, hypervisor)?;
    // Last, since they say that all is done.
    store.write(Tx::NONE, DOMID_NODE, b"0")?;
    store.write(Tx::NONE, NAME_NODE, b"Domain-0")?;
    Ok(Outcome::Done)
}

fn store_configuration(
    hypervisor: &dyn Hypervisor,
    directories: &Directories,
    uuid: Uuid,
) -> Result<(), Error> {
    let info = hypervisor.domain(DomId::DOM0);
    let info = info.map_err(failed("get domain type"))?;
    let kind = match info.flags & XEN_DOMINF_HVM_GUEST {
        0 => stub::Kind::Pv,
        _ => stub::Kind::Pvh,
    };
    let name = format!("userdata-d.0.{}.libxl-json", Uuid(info.handle));
    let path = directories.library.join(name);
    let text = stub::text(kind, uuid);
    stub::replace(&path, text.as_bytes()).map_err(|error| Error::File {
        action: "write",
        path,
        error,
    })
}

/// Forgets which numbers were used lately: that was before this boot.
fn forget_domids(directories: &Directories) -> Result<(), Error> {
    let path = directories.run.join("domid-history");
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::File {
            action: "remove",
            path,
            error,
        }),
        _ => Ok(()),
    }
}

fn name_pools(store: &dyn Access, hypervisor: &dyn Hypervisor) -> Result<(), Error> {
    let pools = hypervisor.cpu_pools();
    for pool in pools.map_err(failed("list the CPU pools"))? {
        let (path, name) = (
            format!("/local/pool/{}/name", pool.id),
            format!("Pool-{}", pool.id),
        );
        store.write(Tx::NONE, &path, name.as_bytes())?;
    }
    Ok(())
}

fn failed(action: &'static str) -> impl FnOnce(xenctl::Error) -> Error {
    move |error| Error::Hypervisor { action, error }
}
