//! Disks and network interfaces, from the store to the back ends.
//!
//! A device is three directories in the store ([`paths`]), a back end in the kernel (blkback, netback) that follows what they say, and
//! what the kernel must be told beside: a loop device for a file, a bridge's new port, or a script of the administrator's.
//!
//! **Who frees what.** A loop device is set up so that it ends with its last user: until the back end has opened it that is the tool, then the
//! back end. Whenever the tool is killed, the loop device either goes with it or stays exactly as long as the guest's disk. A network
//! link belongs to netback and goes with it. The rest are nodes of the store: [`Devices::remove_all`] removes them, from what the store says
//! alone, at any moment and as often as anyone likes, also those that other tools made.
//!
//! **Waiting.** All devices of a domain are connected together, in one loop over the store's watches. The loop takes the
//! connection's events: use a connection on which nobody else waits.

mod attach;
mod bridge;
mod config;
mod disk;
mod error;
pub mod fake;
mod host;
mod linux;
mod list;
mod nodes;
pub mod paths;
mod plan;
mod remove;
mod script;
mod sharing;
mod task;
mod unplug;
mod vif;

pub use disk::{Disk, Format, Mode};
pub use error::{Complaint, Error, InUse, Result, StateText};
pub use host::{
    DeviceNumber, Driver, FileId, Host, Link, LinkChange, LoopDevice, Mount, OpenLoop,
    RunningScript, ScriptCall, ScriptEnd, Storage,
};
pub use linux::LinuxHost;
pub use list::{DiskState, VifState};
pub use paths::DeviceId;
pub use plan::{Hotplug, Plan, Planned};
pub use remove::Force;
pub use vif::Vif;

pub use domcfg::disk::VirtualDisk;
pub use domcfg::network::{MacAddress, Rate};

use xenstore::Access;

/// A device as a configuration asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A disk.
    Disk(Disk),
    /// A network interface.
    Vif(Vif),
}

/// The devices of domains.
#[derive(Copy, Clone)]
pub struct Devices<'a> {
    /// The store.
    pub store: &'a dyn Access,
    /// Dom0's kernel.
    pub host: &'a dyn Host,
}

impl Devices<'_> {
    /// Checks what a configuration asks for, before there is a domain: files, formats, bridges, scripts, numbers. Choices that are left
    /// open are made, but for the numbers of interfaces.
    pub fn plan(&self, devices: &[Device]) -> Result<Plan> {
        plan::plan(self.host, devices)
    }
}

#[cfg(test)]
mod tests;
