//! The FIFO format: one event word per port in an array of guest pages, and per vCPU a control block with 16 queues of ports, the highest
//! priority first. Source: public/event_channel.h ("FIFO ABI") and the "FIFO-based Event Channel ABI" design, draft F.
//!
//! A queue is a list through the LINK fields of the event words. The guest takes events off its head; only the hypervisor appends, and
//! remembers each queue's last port (`tails`) for that. An event is on at most one queue, shown by LINKED in its word: when its vCPU or
//! priority changes while it is LINKED it stays where it is, and goes to the new queue the next time it is raised after the guest
//! unlinked it.
//!
//! All of the lists are guest memory. The hypervisor follows no link: it writes the word of a port it remembers, and the words of a guest
//! that breaks the rules only make that guest lose its own events.

use alloc::vec::IntoIter;
use alloc::vec::Vec;

use xen_abi::errno::Errno;
use xen_abi::event_channel as abi;

use super::raise::Raised;
use super::table::{Channel, QueueId};
use crate::hal::MachineMemory;
use crate::ids::{Maddr, Mfn, PAGE_SIZE, Port};

pub(super) const PENDING: u32 = 1 << abi::EVTCHN_FIFO_PENDING;
pub(super) const MASKED: u32 = 1 << abi::EVTCHN_FIFO_MASKED;
pub(super) const LINKED: u32 = 1 << abi::EVTCHN_FIFO_LINKED;
pub(super) const BUSY: u32 = 1 << abi::EVTCHN_FIFO_BUSY;
pub(super) const LINK: u32 = abi::EVTCHN_FIFO_LINK_MASK;

const QUEUES: usize = abi::EVTCHN_FIFO_MAX_QUEUES as usize;

/// Event words per page.
pub(super) const WORDS_PER_PAGE: u32 = (PAGE_SIZE / 4) as u32;
const MAX_PAGES: usize = (abi::EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE) as usize;

/// Offset of `head` in the control block; `ready` is at 0.
const HEAD: u64 = 8;

/// Compare-exchanges on the tail's word before its guest counts as hostile. A guest may change a LINKED word behind our back by masking,
/// clearing PENDING and unlinking, once each while BUSY keeps it from unmasking.
const LINK_ATTEMPTS: u32 = 5;

/// A domain's event array and queues.
pub(super) struct Fifo {
    pages: Vec<Mfn>,
    vcpus: Vec<Queues>,
}

/// A vCPU's queues.
struct Queues {
    /// `None` before `EVTCHNOP_init_control` for this vCPU.
    control: Option<Maddr>,
    /// Port last appended to each queue; 0 for none. It may be off the queue by now: then its word is not LINKED.
    tails: [u32; QUEUES],
}

/// The frames a table referred to in FIFO format: the event array's pages and each control block's frame. The caller drops the page
/// reference it took for each of them; one frame comes as often as it was handed in.
#[must_use = "each frame holds a page reference"]
#[derive(Default)]
pub struct FifoFrames {
    pages: IntoIter<Mfn>,
    controls: IntoIter<Queues>,
}

impl Iterator for FifoFrames {
    type Item = Mfn;

    fn next(&mut self) -> Option<Mfn> {
        let controls = &mut self.controls;
        self.pages
            .next()
            .or_else(|| controls.find_map(|queues| queues.control).map(Maddr::mfn))
    }
}

impl Fifo {
    /// No event array and no control blocks yet.
    pub fn new(vcpus: usize) -> Result<Self, Errno> {
        let mut pages = Vec::new();
        let mut queues = Vec::new();
        pages
            .try_reserve_exact(MAX_PAGES)
            .map_err(|_| Errno::ENOMEM)?;
        queues.try_reserve_exact(vcpus).map_err(|_| Errno::ENOMEM)?;
        queues.resize_with(vcpus, || Queues {
            control: None,
            tails: [0; QUEUES],
        });
        Ok(Self {
            pages,
            vcpus: queues,
        })
    }

    /// Takes the format apart.
    pub fn into_frames(self) -> FifoFrames {
        FifoFrames {
            pages: self.pages.into_iter(),
            controls: self.vcpus.into_iter(),
        }
    }

    pub fn has_control(&self, vcpu: u8) -> bool {
        self.vcpus
            .get(usize::from(vcpu))
            .is_some_and(|queues| queues.control.is_some())
    }

    pub fn set_control(&mut self, vcpu: u8, at: Maddr) {
        if let Some(queues) = self.vcpus.get_mut(usize::from(vcpu)) {
            queues.control = Some(at);
        }
    }

    pub fn is_array_full(&self) -> bool {
        self.pages.len() >= MAX_PAGES
    }

    /// Adds a page of event words; returns the first port whose word it holds.
    pub fn add_page(&mut self, frame: Mfn) -> u32 {
        let first = self.pages.len() as u32 * WORDS_PER_PAGE;
        self.pages.push(frame);
        first
    }

    /// Sets PENDING, and puts the event on its queue unless it is masked or on a queue already.
    ///
    /// Without an event word the event is remembered for when the page is added. Without a control block it can only be set pending: it
    /// is queued when the guest, having made one, unmasks the port or it is raised again.
    pub fn set_pending(
        &mut self,
        mem: &dyn MachineMemory,
        port: Port,
        channel: &mut Channel,
    ) -> Raised {
        let Some(word) = self.word(port) else {
            channel.pending = true;
            return Raised::NOTHING;
        };
        // A guest that unmasks or unlinks the port after this sees PENDING, and delivers the event by itself or asks for it.
        let before = mem.fetch_or_u32(word, PENDING);
        let newly_pending = before & PENDING == 0;
        let to = QueueId {
            vcpu: channel.vcpu,
            priority: channel.priority,
        };
        let control = self.queues(to).and_then(|queues| queues.control);
        let needs_upcall = match control {
            Some(control)
                if before & (MASKED | LINKED) == 0
                    && mem.fetch_or_u32(word, LINKED) & LINKED == 0 =>
            {
                let from = core::mem::replace(&mut channel.queue, to);
                self.append(mem, port, from, to, control)
            }
            _ => false,
        };
        Raised {
            newly_pending,
            needs_upcall,
        }
    }

    /// Appends a port, LINKED since just now, to a queue. Returns whether the queue was empty and not yet marked ready.
    fn append(
        &mut self,
        mem: &dyn MachineMemory,
        port: Port,
        from: QueueId,
        to: QueueId,
        control: Maddr,
    ) -> bool {
        // As the tail of its last queue the port was off it, so that queue is empty. Its LINKED bit no longer says so.
        if let Some(tail) = self.tail(from).filter(|tail| **tail == port.0) {
            *tail = 0;
        }
        let last = match self.tail(to) {
            Some(tail) => core::mem::replace(tail, port.0),
            None => return false,
        };
        if last != 0
            && self
                .word(Port(last))
                .is_some_and(|word| link(mem, word, port))
        {
            return false;
        }
        let priority = u32::from(to.priority);
        mem.store_u32(Maddr(control.0 + HEAD + u64::from(priority) * 4), port.0);
        mem.fetch_or_u32(control, 1 << priority) & (1 << priority) == 0
    }

    /// Clears MASKED; returns whether the event was pending, and so must be put on its queue.
    pub fn unmask(&self, mem: &dyn MachineMemory, port: Port) -> bool {
        self.word(port)
            .is_some_and(|word| mem.fetch_and_u32(word, !MASKED) & PENDING != 0)
    }

    /// The guest unlinks the port when it comes to it.
    pub fn clear_pending(&self, mem: &dyn MachineMemory, port: Port) {
        if let Some(word) = self.word(port) {
            mem.fetch_and_u32(word, !PENDING);
        }
    }

    pub fn is_pending(&self, mem: &dyn MachineMemory, port: Port) -> bool {
        self.load(mem, port).is_some_and(|word| word & PENDING != 0)
    }

    pub fn is_masked(&self, mem: &dyn MachineMemory, port: Port) -> bool {
        self.load(mem, port).is_none_or(|word| word & MASKED != 0)
    }

    /// Whether a closed port is still on a queue and can not be reused.
    pub fn is_busy(&self, mem: &dyn MachineMemory, port: Port) -> bool {
        self.load(mem, port).is_some_and(|word| word & LINKED != 0)
    }

    /// The event word.
    pub fn load(&self, mem: &dyn MachineMemory, port: Port) -> Option<u32> {
        self.word(port).map(|word| mem.load_u32(word))
    }

    fn word(&self, port: Port) -> Option<Maddr> {
        let page = self.pages.get((port.0 / WORDS_PER_PAGE) as usize)?;
        Some(Maddr(
            page.maddr().0 + u64::from(port.0 % WORDS_PER_PAGE) * 4,
        ))
    }

    fn queues(&mut self, queue: QueueId) -> Option<&mut Queues> {
        self.vcpus.get_mut(usize::from(queue.vcpu))
    }

    fn tail(&mut self, queue: QueueId) -> Option<&mut u32> {
        self.queues(queue)?
            .tails
            .get_mut(usize::from(queue.priority))
    }
}

/// Makes `word`, a queue's last, point to `port` if it is still LINKED, in one step. False: the queue is empty (or its guest hostile,
/// which then gets the queue restarted at `port`).
///
/// BUSY in the word makes a well-behaved guest wait with unmasking; it is never left behind.
fn link(mem: &dyn MachineMemory, word: Maddr, port: Port) -> bool {
    let mut seen = mem.load_u32(word);
    for attempt in 0..LINK_ATTEMPTS {
        if seen & LINKED == 0 {
            break;
        }
        let new = (seen & !(BUSY | LINK)) | port.0;
        match mem.compare_exchange_u32(word, seen, new) {
            Ok(_) => return true,
            Err(_) if attempt == 0 => seen = mem.fetch_or_u32(word, BUSY) | BUSY,
            Err(found) => seen = found,
        }
    }
    if seen & BUSY != 0 {
        mem.fetch_and_u32(word, !BUSY);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evtchn::testing::Guest;
    use crate::evtchn::{VcpuSet, Wake};
    use crate::ids::VcpuId;

    #[test]
    fn first_event_heads_its_queue_and_later_ones_are_linked_behind() {
        let mut guest = Guest::fifo(1);
        let third = guest.ipis(0, 3);
        assert_eq!(guest.set_pending(Port(2)).upcalls, VcpuSet::of(VcpuId(0)));
        assert_eq!(guest.set_pending(third), Wake::NOBODY);
        assert_eq!(guest.set_pending(Port(1)), Wake::NOBODY);
        assert_eq!((guest.ready(0), guest.head(0, 7)), (1 << 7, 2));
        assert_eq!(guest.word(2), PENDING | LINKED | 3);
        assert_eq!(guest.word(3), PENDING | LINKED | 1);
        assert_eq!(guest.word(1), PENDING | LINKED);
    }

    #[test]
    fn event_that_is_queued_already_is_not_queued_again() {
        let mut guest = Guest::fifo(1);
        let port = guest.ipis(0, 1);
        assert!(!guest.set_pending(port).is_nobody());
        guest.clear(port, PENDING);
        assert_eq!(guest.set_pending(port), Wake::NOBODY);
        assert_eq!(guest.word(1), PENDING | LINKED);
        assert_eq!(guest.consume(0), [1]);
    }

    #[test]
    fn ready_queue_gets_no_second_upcall() {
        let mut guest = Guest::fifo(1);
        guest.ipis(0, 2);
        assert!(!guest.set_pending(Port(1)).is_nobody());
        // The guest unlinked the only event, but has not yet cleared the ready bit.
        guest.clear(Port(1), LINKED | LINK | PENDING);
        assert_eq!(guest.set_pending(Port(2)), Wake::NOBODY);
        assert_eq!(guest.head(0, 7), 2);
    }

    #[test]
    fn masked_event_is_queued_when_unmasked() {
        let mut guest = Guest::fifo(1);
        let port = guest.ipis(0, 1);
        guest.set(port, MASKED);
        assert_eq!(guest.set_pending(port), Wake::NOBODY);
        assert_eq!((guest.word(1), guest.ready(0)), (PENDING | MASKED, 0));
        let wake = guest.events.unmask(guest.mem, port).unwrap();
        assert_eq!(wake.upcalls, VcpuSet::of(VcpuId(0)));
        assert_eq!(guest.word(1), PENDING | LINKED);
    }

    #[test]
    fn changed_priority_applies_once_the_event_has_left_its_queue() {
        let mut guest = Guest::fifo(1);
        let port = guest.ipis(0, 1);
        assert!(!guest.set_pending(port).is_nobody());
        guest.events.set_priority(port, 3).unwrap();
        assert_eq!(guest.set_pending(port), Wake::NOBODY);
        assert_eq!(guest.ready(0), 1 << 7);
        assert_eq!(guest.consume(0), [1]);
        assert!(!guest.set_pending(port).is_nobody());
        assert_eq!((guest.ready(0), guest.head(0, 3)), (1 << 3, 1));
    }

    #[test]
    fn queue_whose_tail_moved_away_starts_anew() {
        let mut guest = Guest::fifo(1);
        guest.ipis(0, 2);
        let _ = guest.set_pending(Port(1));
        assert_eq!(guest.consume(0), [1]);
        guest.events.set_priority(Port(1), 0).unwrap();
        let _ = guest.set_pending(Port(1));
        // Port 1, LINKED on queue 0, was the last of queue 7: port 2 must not be hung behind it.
        let _ = guest.set_pending(Port(2));
        assert_eq!((guest.head(0, 0), guest.head(0, 7)), (1, 2));
        assert_eq!(guest.word(1) & LINK, 0);
        assert_eq!(guest.consume(0), [1, 2]);
    }

    #[test]
    fn changed_vcpu_applies_once_the_event_has_left_its_queue() {
        let mut guest = Guest::fifo(2);
        let port = guest.unbound();
        assert!(guest.set_pending(port).upcalls.contains(VcpuId(0)));
        guest.events.bind_vcpu(port, VcpuId(1)).unwrap();
        assert_eq!(guest.set_pending(port), Wake::NOBODY);
        assert_eq!(guest.consume(0), [1]);
        assert_eq!(guest.set_pending(port).upcalls, VcpuSet::of(VcpuId(1)));
        assert_eq!(guest.consume(1), [1]);
    }

    #[test]
    fn priorities_are_consumed_from_the_highest() {
        let mut guest = Guest::fifo(1);
        guest.ipis(0, 4);
        for (port, priority) in [(1, 15), (2, 0), (3, 8), (4, 0)] {
            guest.events.set_priority(Port(port), priority).unwrap();
            let _ = guest.set_pending(Port(port));
        }
        assert_eq!(guest.consume(0), [2, 4, 3, 1]);
    }

    #[test]
    fn vcpu_without_control_block_gets_its_event_by_unmasking() {
        let mut guest = Guest::new(2);
        guest.init_control(0).unwrap();
        let _ = guest.expand_array().unwrap();
        let port = guest.ipis(1, 1);
        assert_eq!(guest.set_pending(port), Wake::NOBODY);
        guest.init_control(1).unwrap();
        assert!(
            guest
                .events
                .unmask(guest.mem, port)
                .unwrap()
                .upcalls
                .contains(VcpuId(1))
        );
        assert_eq!(guest.consume(1), [1]);
    }
}
