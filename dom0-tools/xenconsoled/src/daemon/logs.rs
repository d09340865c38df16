//! Which logs there are to be, and where.

use std::path::PathBuf;

use anyhow::Context;

use super::log_file::{LogFile, Rotation};
use super::log_text::LogStyle;

/// What is to be logged.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// The guests' consoles, if they are.
    pub guests: Option<LogStyle>,
    /// The hypervisor's log, if it is.
    pub hypervisor: Option<LogStyle>,
    /// Where all logs are.
    pub directory: PathBuf,
    /// Whether they move themselves away.
    pub rotation: Option<Rotation>,
}

impl Logs {
    /// Opens `guest-NAME.log`, if guests are to be logged.
    pub fn open_guest(&self, name: &str) -> anyhow::Result<Option<LogFile>> {
        // A name is a name: it does not lead to another directory.
        let name = name.replace(['/', '\0'], "_");
        self.open(self.guests, &format!("guest-{name}.log"))
    }

    /// Opens `hypervisor.log`, if it is to be.
    pub fn open_hypervisor(&self) -> anyhow::Result<Option<LogFile>> {
        self.open(self.hypervisor, "hypervisor.log")
    }

    fn open(&self, style: Option<LogStyle>, name: &str) -> anyhow::Result<Option<LogFile>> {
        let path = self.directory.join(name);
        style
            .map(|style| LogFile::open(path.clone(), style, self.rotation))
            .transpose()
            .with_context(|| format!("cannot open the log {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_lead_out_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs {
            guests: Some(LogStyle::default()),
            directory: dir.path().into(),
            ..Logs::default()
        };
        let log = logs.open_guest("../../etc/a").unwrap().unwrap();
        assert_eq!(log.path(), dir.path().join("guest-.._.._etc_a.log"));
        assert!(logs.open_hypervisor().unwrap().is_none());
    }

    #[test]
    fn a_log_that_can_not_be_opened_is_named() {
        let logs = Logs {
            hypervisor: Some(LogStyle::default()),
            directory: "/nonexistent".into(),
            ..Logs::default()
        };
        let error = logs.open_hypervisor().unwrap_err().to_string();
        assert_eq!(error, "cannot open the log /nonexistent/hypervisor.log");
    }
}
