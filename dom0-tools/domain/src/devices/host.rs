//! The seam between devices and dom0's kernel: files, loop devices, network links, the back ends' side in sysfs, scripts, the clock.
//!
//! [`LinuxHost`](super::LinuxHost) is the real one, [`FakeHost`](super::fake::FakeHost) the one of tests.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xenstore::{Access, WatchEvent};

use super::paths::{DeviceId, Kind};

/// A file, however it is called.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The device its file system is on, as `stat` gives it.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// A block device.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// As the node `physical-device` has it: both in hexadecimal.
impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{:x}", self.major, self.minor)
    }
}

impl DeviceNumber {
    /// Reads what [`fmt::Display`] writes.
    pub fn of_node(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once(':')?;
        Some(Self {
            major: u32::from_str_radix(major, 16).ok()?,
            minor: u32::from_str_radix(minor, 16).ok()?,
        })
    }
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A file.
    File {
        /// Which one.
        id: FileId,
        /// How many bytes it has.
        size: u64,
        /// Whether its permissions let anybody write.
        is_writable: bool,
    },
    /// A block device.
    Block {
        /// Which one.
        number: DeviceNumber,
        /// Its path without symbolic links.
        path: PathBuf,
    },
    /// A directory, a socket, …
    Other,
}

/// A file system that is mounted in dom0 from a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The device's path.
    pub source: String,
    /// The device.
    pub number: DeviceNumber,
    /// Whether it is mounted read-only.
    pub is_read_only: bool,
}

/// A loop device with a file behind it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct LoopDevice {
    /// The loop device.
    pub number: DeviceNumber,
    /// Its file.
    pub file: FileId,
}

/// A loop device that was just set up. It lasts until this is dropped and the back end has let go of it, in whatever order.
pub struct OpenLoop {
    /// `/dev/loopN`.
    pub node: String,
    /// Its number.
    pub number: DeviceNumber,
    /// Keeps it.
    pub hold: Box<dyn Send>,
}

/// How the back end of dom0's kernel stands to a device.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// It knows no such device.
    Absent,
    /// It serves the device. For a disk: it has not opened the storage yet.
    Present,
    /// It has the disk's storage open.
    Holding,
}

/// A network link of dom0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its largest packet.
    pub mtu: u32,
    /// The bridge it is a port of.
    pub master: Option<u32>,
    /// Whether it is a bridge.
    pub is_bridge: bool,
    /// Whether it is up.
    pub is_up: bool,
}

/// What to change of a link, all in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// Its name. The link must be down.
    pub name: Option<String>,
    /// Its Ethernet address.
    pub address: Option<[u8; 6]>,
    /// Its largest packet.
    pub mtu: Option<u32>,
    /// The bridge it becomes a port of; `Some(None)`: of none.
    pub master: Option<Option<u32>>,
    /// Up or down.
    pub up: Option<bool>,
}

/// A hotplug script's call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptCall {
    /// Which script.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What its environment has in addition to ours.
    pub environment: Vec<(&'static str, String)>,
}

/// How a script ended: `Ok` with status 0, otherwise what happened.
pub type ScriptEnd = Result<(), String>;

/// A script that runs.
pub trait RunningScript: Send {
    /// How it ended. `None`: it runs.
    fn ended(&mut self) -> io::Result<Option<ScriptEnd>>;
    /// Ends it and waits for its end.
    fn kill(&mut self);
}

/// Dom0's kernel.
pub trait Host: Send + Sync {
    /// Time since some fixed moment.
    fn now(&self) -> Duration;
    /// Waits for the store's next event. A clock that is not the world's lets `timeout` pass in its own way.
    fn next_event(
        &self,
        store: &dyn Access,
        timeout: Duration,
    ) -> xenstore::Result<Option<WatchEvent>> {
        store.next_event(Some(timeout))
    }

    /// What a path leads to.
    fn storage(&self, path: &Path) -> io::Result<Storage>;
    /// Keeps other tools, also the hotplug scripts of Xen, from giving disks to domains until the result is dropped.
    fn lock_disks(&self) -> io::Result<Box<dyn Send>>;
    /// File systems in dom0 that block devices are behind.
    fn mounts(&self) -> io::Result<Vec<Mount>>;
    /// Loop devices in use.
    fn loops(&self) -> io::Result<Vec<LoopDevice>>;
    /// Sets up a loop device that ends with its last user.
    fn open_loop(&self, file: &Path, is_read_only: bool) -> io::Result<OpenLoop>;
    /// Whether `file` is behind a loop device.
    fn is_loop_of(&self, node: &str, file: &Path) -> io::Result<bool>;
    /// Lets a loop device go if `file` is behind it: at once, or with its last user. Whether it was.
    fn release_loop(&self, node: &str, file: &Path) -> io::Result<bool>;

    /// How dom0's back end stands to a device.
    fn driver(&self, kind: &Kind, domain: u16, device: DeviceId) -> Driver;

    /// All network links.
    fn links(&self) -> io::Result<Vec<Link>>;
    /// One of them.
    fn link(&self, name: &str) -> io::Result<Option<Link>>;
    /// Changes a link; `ENODEV` where it is gone.
    fn change_link(&self, index: u32, change: &LinkChange) -> io::Result<()>;
    /// Takes all addresses from a link.
    fn flush_addresses(&self, index: u32) -> io::Result<()>;
    /// Keeps dom0 from speaking IPv6 on a link.
    fn disable_ipv6(&self, link: &str) -> io::Result<()>;

    /// Whether a path is a program.
    fn is_executable(&self, path: &Path) -> bool;
    /// Executables with this suffix in a directory, which may be missing.
    fn has_hooks(&self, directory: &Path) -> bool;
    /// Starts a script.
    fn start_script(&self, call: &ScriptCall) -> io::Result<Box<dyn RunningScript>>;
}
