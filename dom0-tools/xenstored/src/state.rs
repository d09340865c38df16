//! The state of the store in a file, so that a daemon that ends, however it ends, can be followed by another without any guest noticing.
//!
//! One file holds a snapshot and, after it, a record for every turn of the daemon's loop: all that changed in it. A turn's record is written before
//! anything of that turn is sent or counts for a domain, so what others saw is always in the file; what is in the file, but was not sent, is sent by
//! the next daemon. When the turns have become longer than the snapshot, a new file takes the old one's place at once, by renaming.
//!
//! The file belongs to one boot of the host: a store does not outlive its domains. It is in `/run`, which is memory, and names the boot in its first
//! line, so that one from before is put aside wherever it is kept. Every turn and every snapshot is synchronised (`fdatasync`) before it counts,
//! which costs nothing in memory. If the file can not be written, the daemon goes on without it, says so, and tries again every ten seconds.

mod crc;
mod file;
mod record;

use std::path::Path;
use std::time::{Duration, Instant};

use xenstore::engine::{Change, Server};

pub use file::LoadError;
pub use record::RingBase;

use file::StateFile;

/// Bytes of turns that are kept at least before a new snapshot is made.
const TURNS_ENOUGH: u64 = 1 << 20;
/// Between attempts to begin a new file after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// What a file said.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All changes, those of the snapshot first.
    pub changes: Vec<Change>,
    /// Of each ring that has one, the last.
    pub bases: Vec<RingBase>,
    /// Bytes at the end that were no whole record, and are cut off.
    pub torn: u64,
}

/// What one turn changed.
#[derive(Default)]
pub struct Turn {
    /// Of the store.
    pub changes: Vec<Change>,
    /// Of the rings' indices.
    pub bases: Vec<RingBase>,
}

/// Keeps the state.
pub struct Keeper {
    place: std::path::PathBuf,
    /// `None` after a failure.
    file: Option<StateFile>,
    retry_at: Option<Instant>,
    /// Bytes of turns at which a new file is made.
    turns_enough: u64,
    scratch: Vec<u8>,
}

impl Keeper {
    /// The state kept in `place`, if there is one of this boot. The file is not touched.
    pub fn load(place: &Path) -> Result<Option<Loaded>, LoadError> {
        file::load(place, &file::boot())
    }

    /// Begins a file in `place` with the present state.
    pub fn begin(place: &Path, server: &Server, bases: &[RingBase], now: Instant) -> Self {
        let mut keeper = Self {
            place: place.to_owned(),
            file: None,
            retry_at: None,
            turns_enough: TURNS_ENOUGH,
            scratch: Vec::new(),
        };
        keeper.snapshot(server, bases, now);
        keeper
    }

    /// Whether the state is being kept.
    pub const fn is_keeping(&self) -> bool {
        self.file.is_some()
    }

    /// When to try again to keep the state.
    pub const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Keeps what a turn changed, after which its outputs may be sent. `server` has those changes already.
    pub fn keep(
        &mut self,
        turn: &Turn,
        server: &Server,
        bases: impl Fn() -> Vec<RingBase>,
        now: Instant,
    ) {
        let Some(file) = &mut self.file else {
            if self.retry_at.is_none_or(|at| now >= at) {
                self.snapshot(server, &bases(), now);
            }
            return;
        };
        if turn.changes.is_empty() && turn.bases.is_empty() {
            return;
        }
        if let Err(error) = file.append(turn, &mut self.scratch) {
            tracing::warn!(
                "a turn can not be kept in {}: {error}",
                self.place.display()
            );
            // The turns may be what fills the disk. A file that is open has its room still.
            self.file = None;
            file::discard(&self.place);
            return self.snapshot(server, &bases(), now);
        }
        if file.turns() > self.turns_enough {
            self.shorten(server, &bases());
        }
    }

    /// Puts a snapshot in the place of all turns. Where that fails (it needs room for both), the file at hand goes on being good.
    fn shorten(&mut self, server: &Server, bases: &[RingBase]) {
        match StateFile::create(&self.place, &file::boot(), server, bases) {
            Ok(file) => {
                self.turns_enough = TURNS_ENOUGH.max(2 * file.snapshot());
                self.file = Some(file);
            }
            Err(error) => {
                tracing::warn!("no new state in {}: {error}", self.place.display());
                self.turns_enough = self.turns_enough.saturating_mul(2);
            }
        }
    }

    /// Writes all of the state to a new file.
    pub fn snapshot(&mut self, server: &Server, bases: &[RingBase], now: Instant) {
        match StateFile::create(&self.place, &file::boot(), server, bases) {
            Ok(file) => {
                if self.retry_at.take().is_some() {
                    tracing::warn!("the state is kept again in {}", self.place.display());
                }
                self.turns_enough = TURNS_ENOUGH.max(2 * file.snapshot());
                self.file = Some(file);
            }
            Err(error) => self.give_up(&error, now),
        }
    }

    /// What is there is of no use any longer: a daemon that began with it would not know what happened since.
    fn give_up(&mut self, error: &std::io::Error, now: Instant) {
        if self.file.take().is_some() || self.retry_at.is_none() {
            tracing::error!(
                "the state can not be kept in {}: {error}; until it can, a restart of this daemon disconnects all guests",
                self.place.display()
            );
        }
        file::discard(&self.place);
        self.retry_at = Some(now + RETRY);
    }
}
