//! Grant tables: pages a domain lets others map and copy, and what it has mapped of theirs.
//!
//! A [`GrantTable`] belongs to one domain and has two halves, each behind a lock of its own:
//!
//! * The *table* (rank `Grants`): frames that the guest writes its entries into, and for each entry an *active* record that says who uses
//!   it, how often, and which frame was behind it when its use began. The guest may change an entry at any time, but a use that began goes on
//!   with the active record alone. A used entry holds one reference on its frame, from the first use to the last.
//! * The *maptrack* (rank `Maptrack`): the mappings the domain holds of others' pages. A handle names one.
//!
//! No operation holds the locks of two domains, or both of one domain, at the same time: a mapping reserves its handle, then marks the
//! granter's entry, then enters the page into the mapper's guest-physical map; unmapping goes the other way, with one flush of translation
//! caches for a batch between the removal from the map and the return of the frame references.
//!
//! Sources of the semantics: xen/include/public/grant_table.h and docs/misc/grant-tables.txt of Xen 4.20. As there, translated guests name
//! guest-physical addresses, can not map for a device, and only map pages that are their granter's RAM.
//!
//! Only entries of format 1 exist here. `GNTTABOP_set_version` answers a wish for format 2 with `ENOSYS`, as real Xen does under
//! `gnttab=max-ver:1`; Linux then stays with format 1, which it prefers anyway below 16 TiB of guest memory. So that the toolstack does
//! not ask for more at domain creation, `XEN_SYSCTL_physinfo` must not report `XEN_SYSCTL_PHYSCAP_gnttab_v2`.

mod copy;
mod dump;
mod entry;
mod frames;
mod map;
mod maptrack;
mod peers;
mod swap;
mod table;
mod teardown;
mod unmap;

#[cfg(test)]
mod stress;
#[cfg(test)]
pub(crate) mod testing;

use xen_abi::errno::Errno;
use xen_abi::grant_table::{GNTST_BAD_PAGE, GNTST_EAGAIN};

use crate::domain::DomainConfig;
use crate::lock::{Lock, Rank};

pub use copy::Copies;
pub use map::{Mapped, Maps};
pub use unmap::Unmaps;

use maptrack::Maptrack;
use table::Table;

/// Highest entry format there is.
pub const MAX_VERSION: u32 = 1;
/// Entries of format 1 in a frame.
pub const ENTRIES_PER_FRAME: u32 = 512;
/// Frames a table has from the start (`INITIAL_NR_GRANT_FRAMES`).
const INITIAL_FRAMES: u32 = 1;

/// Why a single operation failed: one of `GNTST_*`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Status(pub i16);

impl Status {
    /// Why a page could not be had ([`crate::hypervisor::Hypervisor::get_granted_page`]). Back ends repeat what is told to come again.
    fn of_page(errno: Errno) -> Self {
        Self(match errno {
            Errno::EAGAIN => GNTST_EAGAIN,
            _ => GNTST_BAD_PAGE,
        })
    }
}

/// What is done with a granted page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    Read,
    /// Read and written.
    Write,
}

/// What a domain grants to others, and what it has mapped of theirs.
pub struct GrantTable {
    table: Lock<Table>,
    maptrack: Lock<Maptrack>,
    max_frames: u32,
}

impl GrantTable {
    /// An empty table within the limits of `config`.
    ///
    /// # Errors
    /// `EINVAL` for a table without frames.
    pub fn new(config: &DomainConfig) -> Result<Self, Errno> {
        if config.max_grant_frames < INITIAL_FRAMES {
            return Err(Errno::EINVAL);
        }
        Ok(Self {
            table: Lock::new(Rank::Grants, Table::default()),
            maptrack: Lock::new(Rank::Maptrack, Maptrack::new(config.max_maptrack_frames)),
            max_frames: config.max_grant_frames,
        })
    }

    /// Format of the entries.
    #[must_use]
    pub const fn version(&self) -> u32 {
        1
    }

    /// Frames the table has.
    #[must_use]
    pub fn nr_frames(&self) -> u32 {
        self.table.lock().nr_frames().max(INITIAL_FRAMES)
    }

    /// Frames the table may have.
    #[must_use]
    pub const fn max_frames(&self) -> u32 {
        self.max_frames
    }
}
