//! Dom0's kernel, as a Linux of today offers it: `/dev/loop*`, rtnetlink, `/sys/bus/xen-backend`, processes.

mod backend;
mod lock;
mod loop_device;
mod mounts;
mod netlink;
mod script;
mod storage;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::host::{
    Driver, Host, Link, LinkChange, LoopDevice, Mount, OpenLoop, RunningScript, ScriptCall, Storage,
};
use super::paths::{DeviceId, Kind};
use netlink::Netlink;

/// The kernel this process runs on.
#[derive(Copy, Clone, Debug)]
pub struct LinuxHost {
    start: Instant,
}

impl LinuxHost {
    /// Nothing is opened before it is needed.
    pub fn new() -> Self {
        let start = Instant::now();
        Self { start }
    }
}

impl Default for LinuxHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for LinuxHost {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn storage(&self, path: &Path) -> io::Result<Storage> {
        storage::examine(path)
    }

    fn lock_disks(&self) -> io::Result<Box<dyn Send>> {
        lock::take_disks().map(|lock| Box::new(lock) as _)
    }

    fn mounts(&self) -> io::Result<Vec<Mount>> {
        mounts::list()
    }

    fn loops(&self) -> io::Result<Vec<LoopDevice>> {
        loop_device::list()
    }

    fn open_loop(&self, file: &Path, is_read_only: bool) -> io::Result<OpenLoop> {
        loop_device::open(file, is_read_only)
    }

    fn is_loop_of(&self, node: &str, file: &Path) -> io::Result<bool> {
        loop_device::of_file(node, file).map(|device| device.is_some())
    }

    fn release_loop(&self, node: &str, file: &Path) -> io::Result<bool> {
        loop_device::release(node, file)
    }

    fn driver(&self, kind: &Kind, domain: u16, device: DeviceId) -> Driver {
        backend::driver(kind, domain, device)
    }

    fn links(&self) -> io::Result<Vec<Link>> {
        Netlink::open()?.links()
    }

    fn link(&self, name: &str) -> io::Result<Option<Link>> {
        Netlink::open()?.link(name)
    }

    fn change_link(&self, index: u32, change: &LinkChange) -> io::Result<()> {
        Netlink::open()?.change(index, change)
    }

    fn flush_addresses(&self, index: u32) -> io::Result<()> {
        Netlink::open()?.flush_addresses(index)
    }

    fn disable_ipv6(&self, link: &str) -> io::Result<()> {
        netlink::disable_ipv6(link)
    }

    fn is_executable(&self, path: &Path) -> bool {
        script::is_executable(path)
    }

    fn has_hooks(&self, directory: &Path) -> bool {
        script::has_hooks(directory)
    }

    fn start_script(&self, call: &ScriptCall) -> io::Result<Box<dyn RunningScript>> {
        script::start(call)
    }
}
