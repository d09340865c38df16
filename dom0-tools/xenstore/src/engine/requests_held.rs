//! Requests that count as outstanding: until their answer is sent, and all events they caused for others are.

use std::collections::HashMap;

/// A request that is counted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u64);

/// A request whose messages are not all sent.
#[derive(Copy, Clone)]
struct Held {
    domain: u16,
    /// Since when the domain is known: the next of its number is another.
    since: u64,
    messages: u32,
}

/// All of them.
#[derive(Default)]
pub struct RequestsHeld {
    next: u64,
    held: HashMap<RequestId, Held>,
}

impl RequestsHeld {
    /// A request of a domain, with its answer to come.
    pub fn begin(&mut self, domain: u16, since: u64) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        let messages = 1;
        let held = Held {
            domain,
            since,
            messages,
        };
        self.held.insert(id, held);
        id
    }

    /// One message more.
    pub fn add(&mut self, id: RequestId) {
        if let Some(held) = self.held.get_mut(&id) {
            held.messages += 1;
        }
    }

    /// One of its messages was sent or dropped. Whose request is done, if that was the last: the domain and since when that is known.
    pub fn done(&mut self, id: RequestId) -> Option<(u16, u64)> {
        let held = self.held.get_mut(&id)?;
        held.messages -= 1;
        if held.messages > 0 {
            return None;
        }
        let Held { domain, since, .. } = self.held.remove(&id)?;
        Some((domain, since))
    }
}
