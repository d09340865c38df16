//! Mailbox of one vLAPIC: what other CPUs send to a vCPU while only the CPU that runs it may touch its APIC.
//!
//! Lock-free. Senders post and, if told that the post is new, wake or kick the vCPU; the owner drains before each entry.
//! Everything posted before a drain is seen by it; a post that races with a drain is seen by this one or the next.

use core::sync::atomic::{AtomicU32, Ordering};

use super::message::{DeliveryMode, Trigger};
use super::vectors::FIRST_VALID_VECTOR;

/// Pending messages that are not vectors, in processing order: INIT, then start-up, then NMI.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessorEvents {
    /// Initialise the processor: reset the vCPU, [`super::Vlapic::init`], then wait for a start-up IPI.
    pub init: bool,
    /// Start at this page if waiting for a start-up IPI, else ignore it.
    pub startup: Option<u8>,
    /// A non-maskable interrupt.
    pub nmi: bool,
}

/// Messages posted to one vCPU. Share it by reference; every method takes `&self`.
#[derive(Debug, Default)]
pub struct PostedInterrupts {
    requests: [AtomicU32; 8],
    /// Which of the requests are level triggered; meaningful only for set requests.
    level: [AtomicU32; 8],
    /// What may be found where, so that an empty mailbox is known by one load. Bits: see the constants below.
    summary: AtomicU32,
    events: AtomicU32,
}

/// Bits 0-7 of the summary: request word N may be non-zero. Bit 8: a reserved vector was received. Bit 9: events may be non-zero.
const SUMMARY_ILLEGAL: u32 = 1 << 8;
const SUMMARY_EVENTS: u32 = 1 << 9;

const EVENT_NMI: u32 = 1 << 8;
const EVENT_INIT: u32 = 1 << 9;
const EVENT_STARTUP: u32 = 1 << 10;
const STARTUP_PAGE: u32 = 0xff;

impl PostedInterrupts {
    /// An empty mailbox.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            requests: [const { AtomicU32::new(0) }; 8],
            level: [const { AtomicU32::new(0) }; 8],
            summary: AtomicU32::new(0),
            events: AtomicU32::new(0),
        }
    }

    /// Requests `vector` (fixed delivery). True if it was not pending in the mailbox: the vCPU must be told.
    pub fn post(&self, vector: u8, trigger: Trigger) -> bool {
        if vector < FIRST_VALID_VECTOR {
            return self.mark(SUMMARY_ILLEGAL);
        }
        let (word, bit) = (usize::from(vector >> 5), 1 << (vector & 31));
        match trigger {
            Trigger::Level => self.level[word].fetch_or(bit, Ordering::Relaxed),
            Trigger::Edge => self.level[word].fetch_and(!bit, Ordering::Relaxed),
        };
        let fresh = self.requests[word].fetch_or(bit, Ordering::AcqRel) & bit == 0;
        self.mark(1 << word);
        fresh
    }

    /// Posts an NMI; true if none was pending.
    pub fn post_nmi(&self) -> bool {
        self.post_event(|events| Some(events | EVENT_NMI))
    }

    /// Posts an INIT; true if none was pending. A start-up IPI that came before it is void.
    pub fn post_init(&self) -> bool {
        self.post_event(|events| Some((events & EVENT_NMI) | EVENT_INIT))
    }

    /// Posts a start-up IPI for page `page`; true if none was pending. The first of several wins, as the second finds the processor
    /// started.
    pub fn post_startup(&self, page: u8) -> bool {
        self.post_event(|events| {
            (events & EVENT_STARTUP == 0).then_some(events | EVENT_STARTUP | u32::from(page))
        })
    }

    /// Posts any message by its delivery mode; true if the vCPU must be told. Modes that guests are not offered do nothing.
    pub fn post_message(&self, mode: DeliveryMode, vector: u8, trigger: Trigger) -> bool {
        match mode {
            DeliveryMode::Fixed | DeliveryMode::LowestPriority => self.post(vector, trigger),
            DeliveryMode::Nmi => self.post_nmi(),
            DeliveryMode::Init => self.post_init(),
            DeliveryMode::Startup => self.post_startup(vector),
            DeliveryMode::Smi | DeliveryMode::Reserved | DeliveryMode::ExtInt => false,
        }
    }

    /// Whether anything may be pending. Never false while something is; may be true for an instant after the last item is taken.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.summary.load(Ordering::Acquire) != 0
    }

    /// Takes INIT, start-up and NMI only, leaving vectors alone: for a vCPU that is down and has no CPU to drain it.
    pub fn take_events(&self) -> ProcessorEvents {
        if self.summary.fetch_and(!SUMMARY_EVENTS, Ordering::AcqRel) & SUMMARY_EVENTS == 0 {
            return ProcessorEvents::default();
        }
        decode_events(self.events.swap(0, Ordering::AcqRel))
    }

    /// Takes everything. `each(word, requests, level)` is called for every word of vectors with requests; vectors are at least 16.
    pub(super) fn take_all(&self, mut each: impl FnMut(usize, u32, u32)) -> Taken {
        // The common case at every entry must not write to a line that other CPUs post to.
        if !self.has_any() {
            return Taken::default();
        }
        let summary = self.summary.swap(0, Ordering::AcqRel);
        for (word, (requests, level)) in self.requests.iter().zip(&self.level).enumerate() {
            if summary & (1 << word) == 0 {
                continue;
            }
            let requests = requests.swap(0, Ordering::AcqRel);
            if requests != 0 {
                each(word, requests, level.load(Ordering::Relaxed));
            }
        }
        let events = if summary & SUMMARY_EVENTS != 0 {
            self.events.swap(0, Ordering::AcqRel)
        } else {
            0
        };
        Taken {
            illegal_vector: summary & SUMMARY_ILLEGAL != 0,
            events: decode_events(events),
        }
    }

    fn post_event(&self, change: impl Fn(u32) -> Option<u32>) -> bool {
        let before = self
            .events
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, &change);
        self.mark(SUMMARY_EVENTS);
        before.is_ok_and(|before| change(before) != Some(before))
    }

    /// True if the bit was clear.
    fn mark(&self, bit: u32) -> bool {
        self.summary.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }
}

/// What [`PostedInterrupts::take_all`] found besides vectors.
#[derive(Default)]
pub(super) struct Taken {
    pub illegal_vector: bool,
    pub events: ProcessorEvents,
}

fn decode_events(events: u32) -> ProcessorEvents {
    ProcessorEvents {
        init: events & EVENT_INIT != 0,
        startup: (events & EVENT_STARTUP != 0).then_some((events & STARTUP_PAGE) as u8),
        nmi: events & EVENT_NMI != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_post_of_a_vector_is_not_news() {
        let posted = PostedInterrupts::new();
        assert!(!posted.has_any());
        assert!(posted.post(0x31, Trigger::Edge));
        assert!(!posted.post(0x31, Trigger::Edge));
        assert!(posted.post(0x32, Trigger::Edge));
        assert!(posted.has_any());
    }

    #[test]
    fn init_voids_an_earlier_startup_and_keeps_nmi() {
        let posted = PostedInterrupts::new();
        assert!(posted.post_nmi());
        assert!(posted.post_startup(0x10));
        assert!(posted.post_init());
        assert_eq!(
            posted.take_events(),
            ProcessorEvents {
                init: true,
                startup: None,
                nmi: true
            }
        );
        assert!(!posted.has_any());
    }

    #[test]
    fn first_startup_after_init_wins() {
        let posted = PostedInterrupts::new();
        assert!(posted.post_init());
        assert!(posted.post_startup(0x99));
        assert!(!posted.post_startup(0x11));
        assert_eq!(
            posted.take_events(),
            ProcessorEvents {
                init: true,
                startup: Some(0x99),
                nmi: false
            }
        );
    }

    #[test]
    fn events_can_be_taken_without_the_vectors() {
        let posted = PostedInterrupts::new();
        posted.post(0x40, Trigger::Level);
        posted.post_nmi();
        assert!(posted.take_events().nmi);
        assert!(posted.has_any());
        assert!(!posted.post(0x40, Trigger::Level));
    }

    #[test]
    fn unoffered_modes_post_nothing() {
        let posted = PostedInterrupts::new();
        for mode in [
            DeliveryMode::Smi,
            DeliveryMode::Reserved,
            DeliveryMode::ExtInt,
        ] {
            assert!(!posted.post_message(mode, 0x40, Trigger::Edge));
        }
        assert!(!posted.has_any());
    }

    /// Two senders and an owner that drains: each post that was reported as news is drained exactly once.
    #[test]
    fn concurrent_posts_are_neither_lost_nor_doubled() {
        extern crate std;
        const ROUNDS: u32 = 20_000;
        let posted = PostedInterrupts::new();
        let running = AtomicU32::new(2);
        let send = |first: u8| {
            let news = (0..ROUNDS)
                .filter(|round| posted.post(first + (round % 97) as u8, Trigger::Edge))
                .count();
            running.fetch_sub(1, Ordering::AcqRel);
            news as u32
        };
        let drain = || {
            let mut drained = 0;
            loop {
                let last = running.load(Ordering::Acquire) == 0;
                let _ = posted.take_all(|_, requests, _| drained += requests.count_ones());
                if last {
                    return drained;
                }
            }
        };
        std::thread::scope(|scope| {
            let senders = [0x20, 0x40].map(|first| scope.spawn(move || send(first)));
            let drained = drain();
            let news = senders.map(|sender| sender.join().expect("sender finishes"));
            assert_eq!(news[0] + news[1], drained);
        });
        assert!(!posted.has_any());
    }
}
