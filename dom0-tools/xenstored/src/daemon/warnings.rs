//! Warnings about domains that use much memory of the store (`--quota-soft memory=…`): one for each time a domain comes above the limit.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use xenstore::engine::Server;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(10);

/// Who was warned of.
#[derive(Default)]
pub struct Warnings {
    over: BTreeSet<u16>,
    last: Option<Instant>,
}

impl Warnings {
    /// Looks who is over the limit, if it is time to. Gives those that were not when it looked last.
    pub fn look(&mut self, server: &Server, now: Instant) -> Vec<u16> {
        if self.last.is_some_and(|last| now < last + INTERVAL) {
            return Vec::new();
        }
        self.last = Some(now);
        let over: BTreeSet<u16> = server.over_soft_memory().into_iter().collect();
        let new: Vec<u16> = over.difference(&self.over).copied().collect();
        for domain in &new {
            tracing::warn!("domain {domain} is over the soft limit of its memory in the store");
        }
        self.over = over;
        new
    }
}
