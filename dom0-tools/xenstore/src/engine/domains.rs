//! The domains the store knows, and what they use of it.
//!
//! A domain is known as soon as a node or a permission names it, which may be before it is introduced. Numbers of domains are used again:
//! what was given to a domain that is gone must not be the next one's, so each remembers since when it is known.

use std::collections::{BTreeMap, BTreeSet};

use super::ConnectionId;
use super::quota::{ITEMS, Item};
use crate::path::Path;

/// A domain the store knows.
#[derive(Default)]
pub struct Domain {
    /// The store's generation when it became known.
    pub generation: u64,
    /// Its ring, while it is introduced.
    pub ring: Option<ConnectionId>,
    /// Its end of the event channel of the ring.
    pub port: u32,
    /// That it shut down was told to those who watch for it.
    pub shutdown: bool,
    /// The domain it is the device model of.
    pub target: Option<u16>,
    /// Its nodes, to be removed with it. Not kept for privileged domains.
    pub nodes: BTreeSet<Path>,
    used: [u64; ITEMS],
    peak: [u64; ITEMS],
}

/// All domains the store knows.
pub struct Domains {
    known: BTreeMap<u16, Domain>,
    /// The most any domain without privilege ever used.
    peak: [u64; ITEMS],
    /// A domain besides 0 that may do everything.
    pub privileged: Option<u16>,
}

impl Domains {
    /// Domain 0 alone, which is there from the beginning.
    pub fn new(privileged: Option<u16>) -> Self {
        Self {
            known: BTreeMap::from([(0, Domain::default())]),
            peak: [0; ITEMS],
            privileged,
        }
    }

    /// Whether a domain may do everything, without limits.
    pub fn is_privileged(&self, domain: u16) -> bool {
        domain == 0 || self.privileged == Some(domain)
    }

    /// Whether a domain is known and was already when the store had this generation.
    pub fn existed(&self, domain: u16, generation: u64) -> bool {
        self.get(domain)
            .is_some_and(|known| known.generation <= generation)
    }

    /// A domain, if it is known.
    pub fn get(&self, domain: u16) -> Option<&Domain> {
        self.known.get(&domain)
    }

    /// A domain, if it is known.
    pub fn get_mut(&mut self, domain: u16) -> Option<&mut Domain> {
        self.known.get_mut(&domain)
    }

    /// A domain, known from now on.
    pub fn know(&mut self, domain: u16, generation: u64) -> &mut Domain {
        self.known.entry(domain).or_insert_with(|| Domain {
            generation,
            ..Domain::default()
        })
    }

    /// A domain is known no longer. Nobody is its device model any longer either.
    pub fn forget(&mut self, domain: u16) -> Option<Domain> {
        for other in self.known.values_mut() {
            other.target.take_if(|target| *target == domain);
        }
        self.known.remove(&domain)
    }

    /// All, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Domain)> {
        self.known.iter().map(|(number, domain)| (*number, domain))
    }

    /// What a domain uses.
    pub fn used(&self, domain: u16, item: Item) -> u64 {
        self.get(domain)
            .map_or(0, |known| known.used[item as usize])
    }

    /// A domain uses more.
    pub fn add(&mut self, domain: u16, item: Item, more: u64) {
        if let Some(known) = self.known.get_mut(&domain) {
            let used = known.used[item as usize].saturating_add(more);
            known.used[item as usize] = used;
            self.saw(domain, item, used);
        }
    }

    /// A domain uses less.
    pub fn sub(&mut self, domain: u16, item: Item, less: u64) {
        if let Some(known) = self.known.get_mut(&domain) {
            let used = &mut known.used[item as usize];
            debug_assert!(*used >= less, "domain {domain} frees more than it has");
            *used = used.saturating_sub(less);
        }
    }

    /// Remembers the most that was ever seen of an item.
    pub fn saw(&mut self, domain: u16, item: Item, value: u64) {
        let at = item as usize;
        if !self.is_privileged(domain) {
            self.peak[at] = self.peak[at].max(value);
        }
        if let Some(known) = self.known.get_mut(&domain) {
            known.peak[at] = known.peak[at].max(value);
        }
    }

    /// What a domain uses, and the most it ever used.
    pub fn usage(&self, domain: u16, item: Item) -> Option<(u64, u64)> {
        let known = self.get(domain)?;
        Some((known.used[item as usize], known.peak[item as usize]))
    }

    /// The most any domain without privilege ever used.
    pub fn peak(&self, item: Item) -> u64 {
        self.peak[item as usize]
    }

    /// Forgets what was most, and begins anew with what is used now.
    pub fn reset_peaks(&mut self) {
        self.peak = [0; ITEMS];
        for (&number, domain) in &mut self.known {
            domain.peak = domain.used;
            if number != 0 && self.privileged != Some(number) {
                for (peak, used) in self.peak.iter_mut().zip(domain.used) {
                    *peak = used.max(*peak);
                }
            }
        }
    }
}
