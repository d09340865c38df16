//! Messages that wait to be sent to a peer.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::requests_held::RequestId;

/// A message that waits.
#[derive(Clone)]
pub struct Pending {
    /// The whole message.
    pub bytes: Arc<[u8]>,
    /// The request it comes from, if that is counted.
    pub request: Option<RequestId>,
    /// What kind of message it is.
    pub kind: Kind,
}

/// What kind of message waits.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An answer.
    Reply,
    /// An event.
    Event {
        /// Not to be queued again while it waits.
        once: bool,
        /// When it is dropped if the peer has not begun to take it, in milliseconds.
        deadline: Option<u64>,
    },
}

/// The messages that wait for a peer.
#[derive(Default)]
pub struct Output {
    queue: VecDeque<Pending>,
    /// Events that must not be queued twice.
    waiting: HashSet<Arc<[u8]>>,
    /// Bytes of the first message that are sent.
    first_sent: usize,
    /// Bytes of all messages.
    size: usize,
}

impl Output {
    /// Bytes that wait, with those of the first message that are sent already.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.size - self.first_sent
    }

    /// All messages, and how many bytes of the first are sent.
    pub fn messages(&self) -> (&VecDeque<Pending>, usize) {
        (&self.queue, self.first_sent)
    }

    /// What is to be sent next: the rest of the first message.
    pub fn front(&self) -> &[u8] {
        let first = self.queue.front();
        first.map_or(&[], |pending| &pending.bytes[self.first_sent..])
    }

    /// Whether the same event waits already.
    pub fn waits(&self, event: &[u8]) -> bool {
        self.waiting.contains(event)
    }

    /// Adds a message at the end.
    pub fn push(&mut self, pending: Pending) {
        self.size += pending.bytes.len();
        if pending.once() {
            self.waiting.insert(pending.bytes.clone());
        }
        self.queue.push_back(pending);
    }

    /// The peer took bytes of the first message, at most its rest. The message, if that was all of it.
    pub fn sent(&mut self, bytes: usize) -> Option<Pending> {
        let whole = self.queue.front()?.bytes.len();
        self.first_sent = (self.first_sent + bytes).min(whole);
        if self.first_sent < whole {
            return None;
        }
        self.first_sent = 0;
        let first = self.queue.pop_front()?;
        self.forget(&first);
        Some(first)
    }

    /// When the first event is to be dropped.
    pub fn deadline(&self) -> Option<u64> {
        self.droppable().find_map(Pending::deadline)
    }

    /// Whether events wait that are dropped at some time, begun or not.
    pub fn is_timed(&self) -> bool {
        self.queue
            .iter()
            .any(|pending| pending.deadline().is_some())
    }

    /// Drops events whose time is over, and gives them.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Pending> {
        let late = |pending: &Pending| pending.deadline().is_some_and(|at| at <= now_ms);
        // Deadlines only grow: if the first is not over, none is.
        if self.deadline().is_none_or(|at| at > now_ms) {
            return Vec::new();
        }
        self.drop_if(late)
    }

    /// Drops as many of the oldest events, and gives them.
    pub fn drop_oldest(&mut self, events: u32) -> Vec<Pending> {
        let mut left = events;
        self.drop_if(|pending| {
            let drop = pending.is_event() && left > 0;
            left -= u32::from(drop);
            drop
        })
    }

    /// Drops messages that are not sent in part.
    fn drop_if(&mut self, gone: impl FnMut(&Pending) -> bool) -> Vec<Pending> {
        let begun = usize::from(self.first_sent > 0);
        let rest = self.queue.split_off(begun.min(self.queue.len()));
        let (gone, kept): (Vec<_>, Vec<_>) = rest.into_iter().partition(gone);
        self.queue.extend(kept);
        gone.iter().for_each(|pending| self.forget(pending));
        gone
    }

    /// Drops everything, and gives it.
    pub fn clear(&mut self) -> Vec<Pending> {
        let queue = std::mem::take(&mut self.queue);
        *self = Self::default();
        queue.into()
    }

    fn droppable(&self) -> impl Iterator<Item = &Pending> {
        self.queue.iter().skip(usize::from(self.first_sent > 0))
    }

    fn forget(&mut self, pending: &Pending) {
        self.size -= pending.bytes.len();
        if pending.once() {
            self.waiting.remove(&pending.bytes);
        }
    }
}

impl Pending {
    const fn once(&self) -> bool {
        matches!(self.kind, Kind::Event { once: true, .. })
    }

    /// When it is dropped if it is not begun by then.
    pub const fn deadline(&self) -> Option<u64> {
        match self.kind {
            Kind::Reply => None,
            Kind::Event { deadline, .. } => deadline,
        }
    }

    /// Whether it is an event.
    pub const fn is_event(&self) -> bool {
        matches!(self.kind, Kind::Event { .. })
    }
}
