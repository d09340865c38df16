//! Tools that are killed: after any of their requests to the store nothing more happens, and what they held is let go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use xenstore::local::LocalStore;
use xenstore::{Access, Error, Permission, Result, Tx, WatchEvent};

use super::super::paths::Kind;
use super::super::{Devices, Driver, Host, Mode};
use super::{Dom0, disk, disk_id, vif};

/// A connection that breaks after so many requests.
struct ShortLived {
    store: LocalStore,
    left: AtomicUsize,
}

impl ShortLived {
    fn new(store: &LocalStore, requests: usize) -> Self {
        let (store, left) = (store.connect(), AtomicUsize::new(requests));
        Self { store, left }
    }

    fn store(&self) -> Result<&LocalStore> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        match left {
            Ok(_) => Ok(&self.store),
            Err(_) => Err(Error::Io(std::io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl Access for ShortLived {
    fn read(&self, tx: Tx, path: &str) -> Result<Vec<u8>> {
        self.store()?.read(tx, path)
    }
    fn write(&self, tx: Tx, path: &str, value: &[u8]) -> Result<()> {
        self.store()?.write(tx, path, value)
    }
    fn mkdir(&self, tx: Tx, path: &str) -> Result<()> {
        self.store()?.mkdir(tx, path)
    }
    fn remove(&self, tx: Tx, path: &str) -> Result<()> {
        self.store()?.remove(tx, path)
    }
    fn list(&self, tx: Tx, path: &str) -> Result<Vec<String>> {
        self.store()?.list(tx, path)
    }
    fn permissions(&self, tx: Tx, path: &str) -> Result<Vec<Permission>> {
        self.store()?.permissions(tx, path)
    }
    fn set_permissions(&self, tx: Tx, path: &str, permissions: &[Permission]) -> Result<()> {
        self.store()?.set_permissions(tx, path, permissions)
    }
    fn begin(&self) -> Result<Tx> {
        self.store()?.begin()
    }
    fn end(&self, tx: Tx, commit: bool) -> Result<bool> {
        self.store()?.end(tx, commit)
    }
    fn watch(&self, path: &str, token: &str) -> Result<()> {
        self.store()?.watch(path, token)
    }
    fn unwatch(&self, path: &str, token: &str) -> Result<()> {
        self.store()?.unwatch(path, token)
    }
    fn next_event(&self, timeout: Option<Duration>) -> Result<Option<WatchEvent>> {
        self.store()?.next_event(timeout)
    }
    fn domain_path(&self, domain: u16) -> Result<String> {
        self.store()?.domain_path(domain)
    }
    fn introduce(&self, domain: u16, gfn: u64, port: u32) -> Result<()> {
        self.store()?.introduce(domain, gfn, port)
    }
    fn release(&self, domain: u16) -> Result<()> {
        self.store()?.release(domain)
    }
    fn is_introduced(&self, domain: u16) -> Result<bool> {
        self.store()?.is_introduced(domain)
    }
    fn set_target(&self, domain: u16, target: u16) -> Result<()> {
        self.store()?.set_target(domain, target)
    }
    fn resume(&self, domain: u16) -> Result<()> {
        self.store()?.resume(domain)
    }
    fn control(&self, words: &[&str]) -> Result<String> {
        self.store()?.control(words)
    }
}

/// Attaches with a tool that is killed after so many requests. Whether it was.
fn attach(dom0: &Dom0, requests: usize) -> bool {
    let store = ShortLived::new(&dom0.store, requests);
    let devices = Devices {
        store: &store,
        host: &dom0.host,
    };
    let plan = devices
        .plan(&[disk("xvda", "/disk.img", Mode::ReadWrite), vif()])
        .expect("a plan");
    devices.attach_all(1, &plan).is_err()
}

#[test]
fn a_tool_that_is_killed_at_any_moment_leaves_nothing_that_the_next_can_not_remove() {
    let mut requests = 0;
    loop {
        let dom0 = Dom0::new();
        let killed = attach(&dom0, requests);
        dom0.host.settle();
        // A loop device is gone, unless the back end has it.
        let loops = dom0.host.loops().expect("loops").len();
        let held = dom0.host.driver(&Kind::Vbd, 1, disk_id("xvda")) == Driver::Holding;
        assert_eq!(loops, usize::from(held), "after {requests} requests");
        dom0.devices().remove_all(1).expect("removed");
        dom0.assert_nothing_left(&format!("after {requests} requests"));
        if !killed {
            break;
        }
        requests += 1;
    }
    assert!(requests > 60, "{requests}");
}

#[test]
fn a_removal_that_is_killed_at_any_moment_can_be_finished_by_the_next() {
    let mut requests = 0;
    loop {
        let dom0 = Dom0::new();
        assert!(!attach(&dom0, usize::MAX));
        let store = ShortLived::new(&dom0.store, requests);
        let killed = Devices {
            store: &store,
            host: &dom0.host,
        }
        .remove_all(1)
        .is_err();
        drop(store);
        dom0.devices().remove_all(1).expect("removed");
        dom0.assert_nothing_left(&format!("after {requests} requests"));
        if !killed {
            break;
        }
        requests += 1;
    }
    assert!(requests > 20, "{requests}");
}
