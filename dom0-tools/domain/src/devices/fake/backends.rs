//! blkback and netback, as far as the tools see them.

use std::time::Duration;

use xenstore::local::LocalStore;
use xenstore::{Access, Tx, read_optional};

use super::super::host::{DeviceNumber, Driver};
use super::State;

const DIRECTORY: &str = "/local/domain/0/backend";

/// What a back end does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Habit {
    /// What it should.
    #[default]
    Good,
    /// Takes this long to answer.
    Slow(Duration),
    /// Never answers.
    Silent,
    /// Writes this as its error and closes.
    Fails(String),
    /// Its guest does not close, until it is not asked any more.
    Stubborn,
}

/// A device that a driver has.
#[derive(Clone, Debug)]
pub(super) struct BackEnd {
    born: Duration,
    front: String,
    storage: Option<DeviceNumber>,
    /// Its link, by number: the name may change.
    link: Option<u32>,
}

impl BackEnd {
    pub(super) const fn driver(&self) -> Driver {
        match self.storage {
            Some(_) => Driver::Holding,
            None => Driver::Present,
        }
    }
}

/// One look at the store. Whether anything was done.
pub(super) fn look(store: &LocalStore, state: &mut State) -> bool {
    let mut moved = false;
    let mut there = Vec::new();
    for kind in ["vbd", "vif"] {
        for domain in list(store, &format!("{DIRECTORY}/{kind}")) {
            for number in list(store, &format!("{DIRECTORY}/{kind}/{domain}")) {
                let back = format!("{DIRECTORY}/{kind}/{domain}/{number}");
                moved |= look_at(store, state, kind, &back);
                there.push(back);
            }
        }
    }
    let gone: Vec<_> = state
        .back_ends
        .keys()
        .filter(|path| !there.contains(path))
        .cloned()
        .collect();
    for path in gone {
        remove(state, &path);
        moved = true;
    }
    moved
}

fn look_at(store: &LocalStore, state: &mut State, kind: &str, back: &str) -> bool {
    let habit = state.habits.get(back).cloned().unwrap_or_default();
    let value = read(store, &format!("{back}/state"));
    let Some(device) = state.back_ends.get(back).cloned() else {
        return value.as_deref() == Some("1") && probe(store, state, back);
    };
    match (value.as_deref(), habit) {
        (Some("1"), Habit::Silent) => false,
        (Some("1"), Habit::Slow(time)) if state.now < device.born + time => false,
        (Some("1"), Habit::Fails(text)) => {
            let error = back.replacen("/backend/", "/error/backend/", 1) + "/error";
            write(store, &error, &text);
            write(store, &format!("{back}/state"), "5");
            true
        }
        (Some("1"), _) => {
            write(store, &format!("{back}/state"), "2");
            if kind == "vif" {
                make_link(state, back);
            }
            true
        }
        (Some("5"), Habit::Silent) => false,
        (Some("5"), Habit::Stubborn)
            if read(store, &format!("{}/state", device.front)).is_some() =>
        {
            false
        }
        (Some("5"), _) => {
            remove(state, back);
            write(store, &format!("{back}/state"), "6");
            true
        }
        _ => device.storage.is_none() && open_storage(store, state, back),
    }
}

/// A new device is found.
fn probe(store: &LocalStore, state: &mut State, back: &str) -> bool {
    let device = BackEnd {
        born: state.now,
        front: read(store, &format!("{back}/frontend")).unwrap_or_default(),
        storage: None,
        link: None,
    };
    state.back_ends.insert(back.to_owned(), device);
    true
}

fn open_storage(store: &LocalStore, state: &mut State, back: &str) -> bool {
    let number = read(store, &format!("{back}/physical-device"));
    let Some(number) = number.as_deref().and_then(DeviceNumber::of_node) else {
        return false;
    };
    if !state.open_device(number) {
        let error = back.replacen("/backend/", "/error/backend/", 1) + "/error";
        write(store, &error, "-6 creating vbd structure");
        write(store, &format!("{back}/state"), "5");
        return true;
    }
    if let Some(device) = state.back_ends.get_mut(back) {
        device.storage = Some(number);
    }
    true
}

fn make_link(state: &mut State, back: &str) {
    let mut parts = back.rsplit('/');
    let (Some(number), Some(domain)) = (parts.next(), parts.next()) else {
        return;
    };
    state.add_link(&format!("vif{domain}.{number}"), false);
    let link = state.next_link;
    if let Some(device) = state.back_ends.get_mut(back) {
        device.link = Some(link);
    }
}

fn remove(state: &mut State, back: &str) {
    let Some(device) = state.back_ends.remove(back) else {
        return;
    };
    state.links.retain(|link| Some(link.index) != device.link);
    if let Some(number) = device.storage {
        state.close_device(number);
    }
}

fn read(store: &LocalStore, path: &str) -> Option<String> {
    read_optional(store, Tx::NONE, path).ok().flatten()
}

fn list(store: &LocalStore, path: &str) -> Vec<String> {
    store.list(Tx::NONE, path).unwrap_or_default()
}

/// A store within the process refuses dom0 nothing.
fn write(store: &LocalStore, path: &str, value: &str) {
    drop(store.write(Tx::NONE, path, value.as_bytes()));
}
