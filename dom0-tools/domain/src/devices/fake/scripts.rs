//! Scripts that do one of a few things.

use std::io;

use xenstore::local::LocalStore;
use xenstore::{Access, Tx};

use super::super::host::{RunningScript, ScriptCall, ScriptEnd};

/// What a script does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptHabit {
    /// Writes these nodes below the device's back end, then ends well.
    Writes(Vec<(&'static str, String)>),
    /// Writes this as `hotplug-error`, `error` as status, and fails.
    Complains(String),
    /// Fails without a word.
    Fails,
    /// Never ends.
    Hangs,
}

/// A script that was started.
pub(super) struct FakeScript {
    habit: ScriptHabit,
    store: LocalStore,
    back: String,
}

impl FakeScript {
    pub(super) fn new(habit: ScriptHabit, store: &LocalStore, call: &ScriptCall) -> Self {
        let path = call
            .environment
            .iter()
            .find(|(name, _)| *name == "XENBUS_PATH");
        let back = path
            .map(|(_, path)| format!("/local/domain/0/{path}"))
            .unwrap_or_default();
        let store = store.clone();
        Self { habit, store, back }
    }

    fn write(&self, name: &str, value: &str) -> io::Result<()> {
        let path = format!("{}/{name}", self.back);
        self.store
            .write(Tx::NONE, &path, value.as_bytes())
            .map_err(io::Error::other)
    }
}

impl RunningScript for FakeScript {
    fn ended(&mut self) -> io::Result<Option<ScriptEnd>> {
        match &self.habit {
            ScriptHabit::Writes(nodes) => {
                nodes
                    .iter()
                    .try_for_each(|(name, value)| self.write(name, value))?;
                Ok(Some(Ok(())))
            }
            ScriptHabit::Complains(text) => {
                self.write("hotplug-error", text)?;
                self.write("hotplug-status", "error")?;
                Ok(Some(Err("it ended with exit status: 1".to_owned())))
            }
            ScriptHabit::Fails => Ok(Some(Err("it ended with exit status: 1".to_owned()))),
            ScriptHabit::Hangs => Ok(None),
        }
    }

    fn kill(&mut self) {
        self.habit = ScriptHabit::Fails;
    }
}
