//! Loop devices that count their users.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::super::host::{DeviceNumber, FileId, LoopDevice, OpenLoop, Storage};
use super::{FakeHost, OnDrop, State, hold, lock};

const LOOP_MAJOR: u32 = 7;

/// A loop device that has a file.
pub(super) struct FakeLoop {
    minor: u32,
    file: FileId,
    is_read_only: bool,
    users: u32,
    /// Ends with its last user.
    is_autoclear: bool,
}

impl FakeLoop {
    pub(super) fn device(&self) -> LoopDevice {
        LoopDevice {
            number: self.number(),
            file: self.file,
        }
    }

    fn number(&self) -> DeviceNumber {
        DeviceNumber {
            major: LOOP_MAJOR,
            minor: self.minor,
        }
    }
}

impl FakeHost {
    /// Whether all loop devices are read-only.
    pub fn are_loops_read_only(&self) -> bool {
        self.lock().loops.iter().all(|made| made.is_read_only)
    }

    /// A loop device as `losetup` makes it: it stays until it is released. Gives its node.
    pub fn add_lasting_loop(&self, file: &Path) -> io::Result<String> {
        let mut state = self.lock();
        let minor = state.add_loop(file, false)?;
        for made in state.loops.iter_mut().filter(|made| made.minor == minor) {
            (made.is_autoclear, made.users) = (false, 0);
        }
        Ok(format!("/dev/loop{minor}"))
    }
}

impl State {
    fn add_loop(&mut self, file: &Path, is_read_only: bool) -> io::Result<u32> {
        let Some(Storage::File { id, .. }) = self.files.get(file) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let file = *id;
        let is_free = |minor: &u32| self.loops.iter().all(|used| used.minor != *minor);
        let minor = (0..).find(is_free).unwrap_or_default();
        self.loops.push(FakeLoop {
            minor,
            file,
            is_read_only,
            users: 1,
            is_autoclear: true,
        });
        Ok(minor)
    }

    /// A back end opens a block device. Whether there is one.
    pub(super) fn open_device(&mut self, number: DeviceNumber) -> bool {
        if number.major != LOOP_MAJOR {
            return true;
        }
        let found = self.loops.iter_mut().find(|found| found.number() == number);
        found.map(|found| found.users += 1).is_some()
    }

    /// Somebody lets a block device go.
    pub(super) fn close_device(&mut self, number: DeviceNumber) {
        if let Some(found) = self.loops.iter_mut().find(|found| found.number() == number) {
            found.users = found.users.saturating_sub(1);
        }
        self.end_unused();
    }

    fn end_unused(&mut self) {
        self.loops
            .retain(|found| found.users > 0 || !found.is_autoclear);
    }
}

pub(super) fn open(
    shared: &Arc<Mutex<State>>,
    file: &Path,
    is_read_only: bool,
) -> io::Result<OpenLoop> {
    let minor = lock(shared).add_loop(file, is_read_only)?;
    let (number, shared) = (
        DeviceNumber {
            major: LOOP_MAJOR,
            minor,
        },
        shared.clone(),
    );
    Ok(OpenLoop {
        node: format!("/dev/loop{minor}"),
        number,
        hold: hold(OnDrop(move || lock(&shared).close_device(number))),
    })
}

pub(super) fn is_of(state: &State, node: &str, file: &Path) -> bool {
    find(state, node, file).is_some()
}

pub(super) fn release(state: &mut State, node: &str, file: &Path) -> bool {
    let Some(place) = find(state, node, file) else {
        return false;
    };
    state.loops[place].is_autoclear = true;
    state.end_unused();
    true
}

fn find(state: &State, node: &str, file: &Path) -> Option<usize> {
    let Storage::File { id, .. } = state.files.get(file)? else {
        return None;
    };
    let minor: u32 = node.strip_prefix("/dev/loop")?.parse().ok()?;
    let is_it = |found: &FakeLoop| found.minor == minor && found.file == *id;
    state.loops.iter().position(is_it)
}
