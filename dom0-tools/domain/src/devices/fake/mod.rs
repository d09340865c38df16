//! A dom0 kernel for tests: files, loop devices, links, scripts, and back ends that follow a store within the process.
//!
//! Everything happens in [`Host::next_event`]: the back ends look at the store and move on, and as long as nobody has an event for the tool its
//! clock jumps on, to the end of the time it wanted to wait. So tests take no time and always go the same way.

mod backends;
mod loops;
mod scripts;

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use xenstore::local::LocalStore;
use xenstore::{Access, WatchEvent};

use super::host::{
    DeviceNumber, Driver, FileId, Host, Link, LinkChange, LoopDevice, Mount, OpenLoop,
    RunningScript, ScriptCall, Storage,
};
use super::paths::{DeviceId, Kind};
use backends::BackEnd;
pub use backends::Habit;
use loops::FakeLoop;
use scripts::FakeScript;
pub use scripts::ScriptHabit;

/// A kernel without a real one.
pub struct FakeHost {
    store: LocalStore,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    now: Duration,
    files: BTreeMap<PathBuf, Storage>,
    mounts: Vec<Mount>,
    loops: Vec<FakeLoop>,
    links: Vec<Link>,
    next_link: u32,
    scripts: BTreeMap<PathBuf, ScriptHabit>,
    calls: Vec<ScriptCall>,
    habits: BTreeMap<String, Habit>,
    back_ends: BTreeMap<String, BackEnd>,
    is_disks_locked: bool,
    /// How often the back ends have looked at the store.
    rounds: usize,
    /// Called before each look, with its number.
    interruption: Option<Interruption>,
}

/// How far the clock goes between two looks of the back ends.
const TICK: Duration = Duration::from_millis(100);

/// What happens behind the tool's back.
type Interruption = Box<dyn FnMut(usize) + Send>;

impl FakeHost {
    /// A kernel whose back ends follow this store. There is a bridge `xenbr0`.
    pub fn new(store: &LocalStore) -> Self {
        let this = Self {
            store: store.connect(),
            state: Arc::default(),
        };
        this.add_link("xenbr0", true);
        this
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// There is a file; its number is made of its path.
    pub fn add_file(&self, path: &str, is_writable: bool) {
        let inode = path
            .bytes()
            .fold(1, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
        let id = FileId { device: 1, inode };
        let size = 1 << 20;
        let file = Storage::File {
            id,
            size,
            is_writable,
        };
        self.lock().files.insert(path.into(), file);
    }

    /// There is a block device.
    pub fn add_block_device(&self, path: &str, number: DeviceNumber) {
        let device = Storage::Block {
            number,
            path: path.into(),
        };
        self.lock().files.insert(path.into(), device);
    }

    /// A block device is mounted in dom0.
    pub fn mount(&self, source: &str, number: DeviceNumber, is_read_only: bool) {
        let source = source.to_owned();
        self.lock().mounts.push(Mount {
            source,
            number,
            is_read_only,
        });
    }

    /// There is a link.
    pub fn add_link(&self, name: &str, is_bridge: bool) {
        self.lock().add_link(name, is_bridge);
    }

    /// There is a script which does this.
    pub fn add_script(&self, path: &str, habit: ScriptHabit) {
        self.lock().scripts.insert(path.into(), habit);
    }

    /// The back end at this path of the store does not do as usual.
    pub fn set_habit(&self, back_path: &str, habit: Habit) {
        self.lock().habits.insert(back_path.to_owned(), habit);
    }

    /// Calls `interruption` before the back ends look at the store, with the number of times they have.
    pub fn interrupt(&self, interruption: impl FnMut(usize) + Send + 'static) {
        self.lock().interruption = Some(Box::new(interruption));
    }

    /// The calls of scripts so far.
    pub fn calls(&self) -> Vec<ScriptCall> {
        self.lock().calls.clone()
    }

    /// Back ends that have a device.
    pub fn back_ends(&self) -> Vec<String> {
        self.lock().back_ends.keys().cloned().collect()
    }

    /// Whether anybody has the disks' lock.
    pub fn is_disks_locked(&self) -> bool {
        self.lock().is_disks_locked
    }

    /// Lets the back ends look at the store, until they have nothing to do.
    pub fn settle(&self) {
        while self.round() {}
    }

    fn round(&self) -> bool {
        let mut interruption = {
            let mut state = self.lock();
            state.rounds += 1;
            state.interruption.take()
        };
        if let Some(interruption) = &mut interruption {
            let rounds = self.lock().rounds;
            interruption(rounds);
        }
        let mut state = self.lock();
        state.interruption = state.interruption.take().or(interruption);
        backends::look(&self.store, &mut state)
    }
}

impl State {
    fn add_link(&mut self, name: &str, is_bridge: bool) {
        self.next_link += 1;
        self.links.push(Link {
            index: self.next_link,
            name: name.to_owned(),
            mtu: 1500,
            master: None,
            is_bridge,
            is_up: is_bridge,
        });
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A test that panicked with the lock held has failed already.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn errno(errno: rustix::io::Errno) -> io::Error {
    errno.into()
}

impl Host for FakeHost {
    fn now(&self) -> Duration {
        self.lock().now
    }

    fn next_event(
        &self,
        store: &dyn Access,
        timeout: Duration,
    ) -> xenstore::Result<Option<WatchEvent>> {
        let end = self.now() + timeout;
        loop {
            self.settle();
            let event = store.next_event(Some(Duration::ZERO))?;
            let now = self.now();
            if event.is_some() || now >= end {
                return Ok(event);
            }
            self.lock().now = end.min(now + TICK);
        }
    }

    fn storage(&self, path: &Path) -> io::Result<Storage> {
        let found = self.lock().files.get(path).cloned();
        found.ok_or_else(|| errno(rustix::io::Errno::NOENT))
    }

    fn lock_disks(&self) -> io::Result<Box<dyn Send>> {
        let mut state = self.lock();
        if state.is_disks_locked {
            return Err(io::ErrorKind::TimedOut.into());
        }
        state.is_disks_locked = true;
        let shared = self.state.clone();
        Ok(Box::new(OnDrop(move || {
            lock(&shared).is_disks_locked = false
        })))
    }

    fn mounts(&self) -> io::Result<Vec<Mount>> {
        Ok(self.lock().mounts.clone())
    }

    fn loops(&self) -> io::Result<Vec<LoopDevice>> {
        Ok(self.lock().loops.iter().map(FakeLoop::device).collect())
    }

    fn open_loop(&self, file: &Path, is_read_only: bool) -> io::Result<OpenLoop> {
        loops::open(&self.state, file, is_read_only)
    }

    fn is_loop_of(&self, node: &str, file: &Path) -> io::Result<bool> {
        Ok(loops::is_of(&self.lock(), node, file))
    }

    fn release_loop(&self, node: &str, file: &Path) -> io::Result<bool> {
        Ok(loops::release(&mut self.lock(), node, file))
    }

    fn driver(&self, kind: &Kind, domain: u16, device: DeviceId) -> Driver {
        let path = format!(
            "/local/domain/0/backend/{}/{domain}/{}",
            kind.name(),
            device.number()
        );
        self.lock()
            .back_ends
            .get(&path)
            .map_or(Driver::Absent, BackEnd::driver)
    }

    fn links(&self) -> io::Result<Vec<Link>> {
        Ok(self.lock().links.clone())
    }

    fn link(&self, name: &str) -> io::Result<Option<Link>> {
        Ok(self
            .lock()
            .links
            .iter()
            .find(|link| link.name == name)
            .cloned())
    }

    fn change_link(&self, index: u32, change: &LinkChange) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(name) = &change.name
            && state.links.iter().any(|link| link.name == *name)
        {
            return Err(errno(rustix::io::Errno::EXIST));
        }
        let link = state.links.iter_mut().find(|link| link.index == index);
        let link = link.ok_or_else(|| errno(rustix::io::Errno::NODEV))?;
        link.name = change.name.clone().unwrap_or_else(|| link.name.clone());
        link.mtu = change.mtu.unwrap_or(link.mtu);
        link.master = change.master.unwrap_or(link.master);
        link.is_up = change.up.unwrap_or(link.is_up);
        Ok(())
    }

    fn flush_addresses(&self, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn disable_ipv6(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn is_executable(&self, path: &Path) -> bool {
        self.lock().scripts.contains_key(path)
    }

    fn has_hooks(&self, directory: &Path) -> bool {
        self.lock()
            .scripts
            .keys()
            .any(|path| path.parent() == Some(directory))
    }

    fn start_script(&self, call: &ScriptCall) -> io::Result<Box<dyn RunningScript>> {
        let mut state = self.lock();
        state.calls.push(call.clone());
        let habit = state.scripts.get(&call.path).cloned();
        let habit = habit.ok_or_else(|| errno(rustix::io::Errno::NOENT))?;
        Ok(Box::new(FakeScript::new(habit, &self.store, call)))
    }
}

/// Keeps something alive and is nothing else.
fn hold(thing: impl Any + Send) -> Box<dyn Send> {
    Box::new(thing)
}
