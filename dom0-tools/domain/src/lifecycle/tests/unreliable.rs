//! A store that refuses a chosen request, or all from then on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use xenstore::local::LocalStore;
use xenstore::{Access, Errno, Error, Permission, Result, Tx, WatchEvent};

/// What happens at the chosen request.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It is refused.
    Once,
    /// The store is gone.
    ForEver,
}

/// See the module.
pub struct Unreliable {
    inner: LocalStore,
    failure: Failure,
    at: usize,
    requests: AtomicUsize,
}

impl Unreliable {
    pub fn new(inner: &LocalStore, failure: Failure, at: usize) -> Self {
        Self {
            inner: inner.clone(),
            failure,
            at,
            requests: AtomicUsize::new(0),
        }
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn admit(&self, path: &str) -> Result<()> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        match self.failure {
            Failure::Once if number == self.at => Err(Error::refused("request", path, Errno::EIO)),
            Failure::ForEver if number >= self.at => {
                Err(Error::Io(std::io::ErrorKind::ConnectionReset.into()))
            }
            _ => Ok(()),
        }
    }
}

macro_rules! delegate {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $result:ty, $path:expr;)*) => {
        impl Access for Unreliable {
            $(fn $name(&self, $($argument: $kind),*) -> Result<$result> {
                self.admit($path)?;
                self.inner.$name($($argument),*)
            })*
        }
    };
}

delegate! {
    fn read(tx: Tx, path: &str) -> Vec<u8>, path;
    fn write(tx: Tx, path: &str, value: &[u8]) -> (), path;
    fn mkdir(tx: Tx, path: &str) -> (), path;
    fn remove(tx: Tx, path: &str) -> (), path;
    fn list(tx: Tx, path: &str) -> Vec<String>, path;
    fn permissions(tx: Tx, path: &str) -> Vec<Permission>, path;
    fn set_permissions(tx: Tx, path: &str, permissions: &[Permission]) -> (), path;
    fn begin() -> Tx, "begin";
    fn end(tx: Tx, commit: bool) -> bool, "end";
    fn watch(path: &str, token: &str) -> (), path;
    fn unwatch(path: &str, token: &str) -> (), path;
    fn next_event(timeout: Option<Duration>) -> Option<WatchEvent>, "event";
    fn domain_path(domain: u16) -> String, "domain";
    fn introduce(domain: u16, gfn: u64, port: u32) -> (), "introduce";
    fn release(domain: u16) -> (), "release";
    fn is_introduced(domain: u16) -> bool, "is_introduced";
    fn set_target(domain: u16, target: u16) -> (), "set_target";
    fn resume(domain: u16) -> (), "resume";
    fn control(words: &[&str]) -> String, "control";
}
