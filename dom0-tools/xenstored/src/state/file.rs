//! The file itself: made under another name and renamed, so that there is always a whole one; appended to; read at the start.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use xenstore::engine::Server;

use super::record::{self, Kind, NoRecord, RingBase};
use super::{Loaded, Turn};

/// The file in its directory.
const NAME: &str = "state";
/// The next one, while it is written.
const NEW_NAME: &str = "state.new";
/// One that is not to be used, for whoever wants to know.
const OLD_NAME: &str = "state.old";
/// What the first line begins with; it ends with the boot.
const TITLE: &str = "xenstored state 1 ";
/// Changes in a record of a snapshot.
const PART: usize = 1000;

/// Why a state can not be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It can not be read.
    #[error("the state in {path} can not be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not what was written.
    #[error("the state in {path} is damaged: {what} at byte {at}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: u64,
    },
}

/// A file that is appended to.
pub struct StateFile {
    file: File,
    /// Records in it.
    records: u64,
    /// Bytes of it that are good.
    end: u64,
    /// Of which the snapshot is.
    snapshot: u64,
}

impl StateFile {
    /// A new file with the present state in the place of the old one.
    pub fn create(dir: &Path, boot: &str, server: &Server, bases: &[RingBase]) -> io::Result<Self> {
        let new = dir.join(NEW_NAME);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&new)?;
        let written = write_snapshot(&file, boot, server, bases);
        let written = written.and_then(|sizes| file.sync_all().map(|()| sizes));
        let (end, records) = written.inspect_err(|_| drop(std::fs::remove_file(&new)))?;
        std::fs::rename(&new, dir.join(NAME))?;
        File::open(dir)?.sync_all()?;
        Ok(Self {
            file,
            records,
            end,
            snapshot: end,
        })
    }

    /// Adds a turn. After an error the file is of no use.
    pub fn append(&mut self, turn: &Turn, scratch: &mut Vec<u8>) -> io::Result<()> {
        record::frame(self.records, Kind::Turn, turn, scratch);
        self.file.write_all_at(scratch, self.end)?;
        self.file.sync_data()?;
        self.end += scratch.len() as u64;
        self.records += 1;
        Ok(())
    }

    /// Bytes of the snapshot.
    pub const fn snapshot(&self) -> u64 {
        self.snapshot
    }

    /// Bytes of the turns.
    pub const fn turns(&self) -> u64 {
        self.end - self.snapshot
    }
}

/// Bytes and records of it.
fn write_snapshot(
    file: &File,
    boot: &str,
    server: &Server,
    bases: &[RingBase],
) -> io::Result<(u64, u64)> {
    let title = format!("{TITLE}{boot}\n");
    let mut out = io::BufWriter::new(file);
    out.write_all(title.as_bytes())?;
    let mut changes = server.snapshot();
    let (mut end, mut records) = (title.len() as u64, 0);
    let mut bytes = Vec::new();
    let mut bases = bases.to_vec();
    loop {
        let rest = changes.split_off(changes.len().min(PART));
        let kind = if rest.is_empty() {
            Kind::LastPart
        } else {
            Kind::Part
        };
        let part = Turn {
            changes: std::mem::replace(&mut changes, rest),
            bases: std::mem::take(&mut bases),
        };
        record::frame(records, kind, &part, &mut bytes);
        out.write_all(&bytes)?;
        end += bytes.len() as u64;
        records += 1;
        if kind == Kind::LastPart {
            out.flush()?;
            return Ok((end, records));
        }
    }
}

/// This boot of the host; empty where the kernel does not say.
pub fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.unwrap_or_default().trim().to_owned()
}

/// Reads the state of this boot. A file of another boot is put aside.
pub fn load(dir: &Path, boot: &str) -> Result<Option<Loaded>, LoadError> {
    let path = dir.join(NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LoadError::Unreadable { path, error }),
    };
    let first = format!("{TITLE}{boot}\n");
    match bytes.strip_prefix(first.as_bytes()) {
        Some(records) => {
            let mut loaded = Loaded::default();
            let result = read_records(records, &mut loaded);
            result.map_err(|(what, at)| damaged(path, what, at + first.len()))?;
            Ok(Some(loaded))
        }
        None if bytes.starts_with(TITLE.as_bytes()) && bytes.contains(&b'\n') => {
            // Nothing of it is of use, and it is no harm if it stays.
            let _ = std::fs::rename(&path, dir.join(OLD_NAME));
            Ok(None)
        }
        None => Err(damaged(path, "no state of this version", 0)),
    }
}

fn damaged(path: PathBuf, what: &'static str, at: usize) -> LoadError {
    let at = at as u64;
    LoadError::Damaged { path, what, at }
}

/// Reads the snapshot, which must be whole, and the turns as far as they are.
fn read_records(records: &[u8], loaded: &mut Loaded) -> Result<(), (&'static str, usize)> {
    let mut rest = records;
    let mut number = 0;
    let mut in_snapshot = true;
    loop {
        let at = records.len() - rest.len();
        match record::read(number, &mut rest) {
            Ok((kind, content)) if (kind == Kind::Turn) != in_snapshot => {
                let decoded = record::decode_turn(content, loaded);
                decoded.map_err(|_| ("a record that holds no changes", at))?;
                in_snapshot = kind == Kind::Part;
            }
            Ok(_) => return Err(("a record out of place", at)),
            Err(NoRecord::End) if !in_snapshot => return Ok(()),
            Err(NoRecord::End | NoRecord::Torn) if in_snapshot => {
                return Err(("the snapshot ends", at));
            }
            Err(NoRecord::Damaged) if in_snapshot => return Err(("the snapshot is not whole", at)),
            Err(_) => {
                loaded.torn = (records.len() - at) as u64;
                return Ok(());
            }
        }
        number += 1;
    }
}

/// Removes the file: it would mislead. Where that fails, it can at least not be used.
pub fn discard(dir: &Path) {
    for name in [NAME, NEW_NAME] {
        let path = dir.join(name);
        if std::fs::remove_file(&path).is_err() {
            let truncated = OpenOptions::new().write(true).truncate(true).open(&path);
            drop(truncated);
        }
    }
}
