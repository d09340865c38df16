//! Says what goes wrong with a guest's console, but not as often as it goes wrong: guests can cause some of it at will.

use std::fmt::Display;
use std::time::{Duration, Instant};

const SILENCE: Duration = Duration::from_secs(60);

/// Complaints of one kind about one guest.
#[derive(Debug, Default)]
pub struct Complaint {
    last: Option<Instant>,
    held_back: u64,
}

impl Complaint {
    /// Warns, at most once a minute.
    pub fn warn(&mut self, now: Instant, what: impl Display) {
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < SILENCE)
        {
            self.held_back += 1;
            return;
        }
        match std::mem::take(&mut self.held_back) {
            0 => tracing::warn!("{what}"),
            more => tracing::warn!("{what} ({more} more like it)"),
        }
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_can_not_flood_the_system_log() {
        let start = Instant::now();
        let mut complaint = Complaint::default();
        for ms in 0..59_000 {
            complaint.warn(start + Duration::from_millis(ms), "again");
        }
        assert_eq!((complaint.last, complaint.held_back), (Some(start), 58_999));
        complaint.warn(start + SILENCE, "again");
        assert_eq!(complaint.held_back, 0);
    }
}
