//! Deadlines of one physical CPU: an indexed binary min-heap with slots that are allocated up front.
//!
//! A timer's owner takes a slot once, when the timer is created; arming, cancelling and expiring then never allocate and cost
//! O(log slots). One queue per CPU; its owner keeps it behind that CPU's timer lock and arms the hardware with
//! [`TimerQueue::next_deadline`].

use alloc::vec::Vec;

use xen_abi::errno::Errno;

/// Name of a slot. A name that outlived [`TimerQueue::remove_slot`] is recognised by its generation and does nothing.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlotId {
    index: u32,
    generation: u32,
}

const NOT_ARMED: u32 = u32::MAX;

#[derive(Debug)]
struct Slot<K> {
    /// `None` while the slot is free.
    key: Option<K>,
    generation: u32,
    /// Position in the heap, or [`NOT_ARMED`].
    heap_at: u32,
}

#[derive(Copy, Clone, Debug)]
struct Armed {
    deadline_ns: u64,
    /// Order of arming: timers of the same deadline expire first come, first served.
    order: u64,
    slot: u32,
}

impl Armed {
    fn before(&self, other: &Self) -> bool {
        (self.deadline_ns, self.order) < (other.deadline_ns, other.order)
    }
}

/// Timers keyed by `K` (the owner's name for what expires).
#[derive(Debug)]
pub struct TimerQueue<K: Copy + Eq> {
    slots: Vec<Slot<K>>,
    free: Vec<u32>,
    heap: Vec<Armed>,
    next_order: u64,
}

impl<K: Copy + Eq> Default for TimerQueue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy + Eq> TimerQueue<K> {
    /// A queue without slots.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            heap: Vec::new(),
            next_order: 0,
        }
    }

    /// Reserves a slot for a timer named `key`, not armed. All memory the slot will ever need is taken here.
    ///
    /// # Errors
    /// `ENOMEM` when the heap is exhausted.
    pub fn add_slot(&mut self, key: K) -> Result<SlotId, Errno> {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.key = Some(key);
            return Ok(SlotId {
                index,
                generation: slot.generation,
            });
        }
        let index = u32::try_from(self.slots.len())
            .ok()
            .filter(|index| *index != NOT_ARMED)
            .ok_or(Errno::ENOMEM)?;
        let total = self.slots.len() + 1;
        self.slots.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.free
            .try_reserve(total - self.free.len())
            .map_err(|_| Errno::ENOMEM)?;
        self.heap
            .try_reserve(total - self.heap.len())
            .map_err(|_| Errno::ENOMEM)?;
        self.slots.push(Slot {
            key: Some(key),
            generation: 0,
            heap_at: NOT_ARMED,
        });
        Ok(SlotId {
            index,
            generation: 0,
        })
    }

    /// Cancels the timer and gives its slot back. Returns its key, or nothing for a slot that is gone already.
    pub fn remove_slot(&mut self, slot: SlotId) -> Option<K> {
        self.cancel(slot);
        let entry = self.live(slot)?;
        entry.generation = entry.generation.wrapping_add(1);
        let key = entry.key.take();
        self.free.push(slot.index);
        key
    }

    /// Arms the timer for `deadline_ns` of system time, or moves it there. Returns whether the earliest deadline of the queue changed,
    /// that is, whether the hardware must be armed anew. A slot that is gone is ignored.
    pub fn set(&mut self, slot: SlotId, deadline_ns: u64) -> bool {
        let Some(at) = self.live(slot).map(|entry| entry.heap_at) else {
            return false;
        };
        let earliest = self.next_deadline();
        let armed = Armed {
            deadline_ns,
            order: self.next_order,
            slot: slot.index,
        };
        self.next_order = self.next_order.wrapping_add(1);
        if at == NOT_ARMED {
            self.heap.push(armed);
            self.sift_up(self.heap.len() - 1);
        } else {
            self.heap[at as usize] = armed;
            self.restore(at as usize);
        }
        self.next_deadline() != earliest
    }

    /// Disarms the timer. Returns whether it was armed.
    pub fn cancel(&mut self, slot: SlotId) -> bool {
        match self.live(slot).map(|entry| entry.heap_at) {
            None | Some(NOT_ARMED) => false,
            Some(at) => {
                self.take(at as usize);
                true
            }
        }
    }

    /// When the timer is due, if it is armed.
    #[must_use]
    pub fn deadline(&self, slot: SlotId) -> Option<u64> {
        let entry = self.slots.get(slot.index as usize)?;
        let live = entry.generation == slot.generation && entry.heap_at != NOT_ARMED;
        live.then(|| self.heap[entry.heap_at as usize].deadline_ns)
    }

    /// The earliest deadline in ns of system time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.heap.first().map(|armed| armed.deadline_ns)
    }

    /// Disarms and names the earliest timer whose deadline has come. Call until it returns nothing.
    pub fn pop_expired(&mut self, now_ns: u64) -> Option<K> {
        if self.next_deadline()? > now_ns {
            return None;
        }
        let armed = self.take(0);
        self.slots[armed.slot as usize].key
    }

    fn live(&mut self, slot: SlotId) -> Option<&mut Slot<K>> {
        self.slots
            .get_mut(slot.index as usize)
            .filter(|entry| entry.generation == slot.generation && entry.key.is_some())
    }

    /// Removes the heap's entry `at`.
    fn take(&mut self, at: usize) -> Armed {
        let armed = self.heap.swap_remove(at);
        self.slots[armed.slot as usize].heap_at = NOT_ARMED;
        if at < self.heap.len() {
            self.restore(at);
        }
        armed
    }

    /// Puts an entry that may be too high or too low into its place.
    fn restore(&mut self, at: usize) {
        let at = self.sift_up(at);
        self.sift_down(at);
    }

    fn sift_up(&mut self, mut at: usize) -> usize {
        while at > 0 && self.heap[at].before(&self.heap[(at - 1) / 2]) {
            self.heap.swap(at, (at - 1) / 2);
            self.note_place(at);
            at = (at - 1) / 2;
        }
        self.note_place(at);
        at
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let children = [2 * at + 1, 2 * at + 2]
                .into_iter()
                .filter(|child| *child < self.heap.len());
            let smallest = children.fold(at, |best, child| {
                if self.heap[child].before(&self.heap[best]) {
                    child
                } else {
                    best
                }
            });
            if smallest == at {
                return self.note_place(at);
            }
            self.heap.swap(at, smallest);
            self.note_place(at);
            at = smallest;
        }
    }

    fn note_place(&mut self, at: usize) {
        self.slots[self.heap[at].slot as usize].heap_at = at as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn timers_expire_in_order_and_only_when_due() {
        let mut queue = TimerQueue::new();
        let slots: Vec<_> = (0..5).map(|key| queue.add_slot(key).unwrap()).collect();
        for (slot, deadline) in slots.iter().zip([50, 10, 40, 20, 30]) {
            queue.set(*slot, deadline);
        }
        assert_eq!(queue.pop_expired(9), None);
        assert_eq!(queue.pop_expired(25), Some(1));
        assert_eq!(queue.pop_expired(25), Some(3));
        assert_eq!(queue.pop_expired(25), None);
        assert_eq!(queue.next_deadline(), Some(30));
    }

    #[test]
    fn equal_deadlines_expire_first_come_first_served() {
        let mut queue = TimerQueue::new();
        for key in 0..6 {
            let slot = queue.add_slot(key).unwrap();
            queue.set(slot, 7);
        }
        let order: Vec<_> = core::iter::from_fn(|| queue.pop_expired(7)).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn setting_again_moves_and_cancelling_disarms() {
        let mut queue = TimerQueue::new();
        let (a, b) = (queue.add_slot('a').unwrap(), queue.add_slot('b').unwrap());
        assert!(queue.set(a, 100));
        assert!(!queue.set(b, 200));
        assert!(queue.set(a, 300));
        assert_eq!(
            (queue.deadline(a), queue.next_deadline()),
            (Some(300), Some(200))
        );
        assert!(queue.cancel(b) && !queue.cancel(b));
        assert_eq!(
            (queue.deadline(b), queue.next_deadline()),
            (None, Some(300))
        );
    }

    #[test]
    fn stale_slot_does_not_touch_its_successor() {
        let mut queue = TimerQueue::new();
        let old = queue.add_slot(1).unwrap();
        assert_eq!(queue.remove_slot(old), Some(1));
        let new = queue.add_slot(2).unwrap();
        queue.set(new, 5);
        assert!(!queue.set(old, 1) && !queue.cancel(old));
        assert_eq!((queue.remove_slot(old), queue.deadline(old)), (None, None));
        assert_eq!(queue.pop_expired(5), Some(2));
    }

    #[test]
    fn arming_never_grows_the_memory() {
        let mut queue = TimerQueue::new();
        let slots: Vec<_> = (0..100).map(|key| queue.add_slot(key).unwrap()).collect();
        let (heap, free) = (queue.heap.capacity(), queue.free.capacity());
        for slot in &slots {
            queue.set(*slot, 1);
        }
        for slot in slots {
            queue.remove_slot(slot);
        }
        assert_eq!((queue.heap.capacity(), queue.free.capacity()), (heap, free));
    }

    #[test]
    fn random_operations_match_a_sorted_map() {
        let mut queue = TimerQueue::new();
        let slots: Vec<_> = (0..40u32).map(|key| queue.add_slot(key).unwrap()).collect();
        let mut model = BTreeMap::new();
        let (mut seed, mut order, mut now) = (0x1234_5678_9abc_def1_u64, 0u64, 0u64);
        for _ in 0..20_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let key = (seed >> 8) as u32 % 40;
            match seed % 4 {
                0 | 1 => {
                    let deadline = now + (seed >> 20) % 1000;
                    model.retain(|_, armed| *armed != key);
                    model.insert((deadline, order), key);
                    order += 1;
                    queue.set(slots[key as usize], deadline);
                }
                2 => {
                    let armed = model.values().any(|armed| *armed == key);
                    model.retain(|_, armed| *armed != key);
                    assert_eq!(queue.cancel(slots[key as usize]), armed);
                }
                _ => {
                    now += (seed >> 40) % 100;
                    let due = model
                        .first_key_value()
                        .filter(|(at, _)| at.0 <= now)
                        .map(|(at, _)| *at);
                    assert_eq!(queue.pop_expired(now), due.and_then(|at| model.remove(&at)));
                }
            }
            assert_eq!(
                queue.next_deadline(),
                model.first_key_value().map(|(at, _)| at.0)
            );
        }
    }
}
