//! Domain numbers that were in use not long ago, which another program may still mean: `/run/xen/domid-history`, as libxl keeps it. Each line
//! has the seconds since boot when a domain was destroyed, and its number.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};
use xenctl::DomId;

use super::error::{OnFile, Result};
use super::lock::FileLock;

/// Seconds after which a number may be used again.
const REUSE_AFTER: u64 = 60;

/// The record of recent numbers.
pub struct History {
    path: PathBuf,
    now: u64,
}

impl History {
    /// The one in this directory, now.
    pub fn new(run: &Path) -> Self {
        let now = clock_gettime(ClockId::Monotonic).tv_sec;
        Self {
            path: run.join("domid-history"),
            now: u64::try_from(now).unwrap_or(0),
        }
    }

    /// Whether a domain of this number was destroyed a moment ago.
    pub fn is_recent(&self, domain: DomId) -> Result<bool> {
        Ok(self.entries()?.iter().any(|(_, other)| *other == domain.0))
    }

    /// Notes that a domain is being destroyed.
    pub fn note(&self, domain: DomId) -> Result<()> {
        let _lock = FileLock::take(self.path.with_file_name("domid-history.lock"))?;
        let mut entries = self.entries()?;
        entries.push((self.now, domain.0));
        let lines = entries
            .iter()
            .map(|(at, number)| format!("{at} {number}\n"));
        let new = self.path.with_file_name("domid-history.new");
        fs::write(&new, lines.collect::<String>()).on("write", &new)?;
        fs::rename(&new, &self.path).on("replace", &self.path)
    }

    /// Entries that still count; lines that are none are left out.
    fn entries(&self) -> Result<Vec<(u64, u16)>> {
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.on("read", &self.path)?,
        };
        let entries = text.lines().filter_map(|line| {
            let (at, number) = line.split_once(' ')?;
            Some((at.parse().ok()?, number.trim().parse().ok()?))
        });
        let counts = |(at, _): &(u64, u16)| self.now.saturating_sub(*at) <= REUSE_AFTER;
        Ok(entries.filter(counts).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_recent_for_a_minute() {
        let directory = tempfile::tempdir().unwrap();
        let at = |now| History {
            path: directory.path().join("domid-history"),
            now,
        };
        assert!(!at(1000).is_recent(DomId(5)).unwrap());
        at(1000).note(DomId(5)).unwrap();
        at(1030).note(DomId(6)).unwrap();
        assert!(at(1060).is_recent(DomId(5)).unwrap());
        assert!(!at(1061).is_recent(DomId(5)).unwrap());
        assert!(at(1061).is_recent(DomId(6)).unwrap());
        at(1061).note(DomId(7)).unwrap();
        let text = fs::read_to_string(directory.path().join("domid-history")).unwrap();
        assert_eq!(text, "1030 6\n1061 7\n");
    }
}
