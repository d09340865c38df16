//! The console's page: two rings shared with a guest (`struct xencons_interface`).
//!
//! The guest may write anything anywhere in the page at any time. Indices are read once, their distance is checked against the ring's size,
//! and bytes are copied out before anybody looks at them. A distance that is no distance (the guest jumped) loses what was in the ring and
//! starts anew: no other domain notices.

use std::mem::offset_of;

use xen_abi::io::console::XenconsInterface;
use xenctl::SharedPage;

/// Bytes of the ring from the guest: the most that one look at it gives.
pub const OUT_BYTES: usize = 2048;
/// Bytes of the ring to the guest.
pub const IN_BYTES: usize = 1024;

const IN: usize = offset_of!(XenconsInterface, in_);
const OUT: usize = offset_of!(XenconsInterface, out);
const IN_CONS: usize = offset_of!(XenconsInterface, in_cons);
const IN_PROD: usize = offset_of!(XenconsInterface, in_prod);
const OUT_CONS: usize = offset_of!(XenconsInterface, out_cons);
const OUT_PROD: usize = offset_of!(XenconsInterface, out_prod);

/// Both rings of a console.
pub struct ConsoleRing {
    page: Box<dyn SharedPage>,
}

/// What a look at the guest's ring found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nothing.
    Empty,
    /// That many bytes, which stay in the ring until [`ConsoleRing::release`].
    Bytes {
        /// How many.
        count: usize,
        /// Where the guest's next byte will be.
        end: OutIndex,
    },
    /// The guest's indices are further apart than the ring is long. The ring was emptied.
    Jumped,
}

/// A place in the endless sequence of bytes from the guest.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct OutIndex(u32);

impl ConsoleRing {
    /// The rings in `page`.
    pub fn new(page: Box<dyn SharedPage>) -> Self {
        Self { page }
    }

    /// Copies what the guest wrote to the beginning of `bytes`.
    pub fn look(&self, bytes: &mut [u8; OUT_BYTES]) -> Output {
        let start = self.page.load_u32(OUT_CONS);
        let end = self.page.load_u32(OUT_PROD);
        let count = end.wrapping_sub(start) as usize;
        if count == 0 {
            return Output::Empty;
        }
        if count > OUT_BYTES {
            self.page.store_u32(OUT_CONS, end);
            return Output::Jumped;
        }
        let place = start as usize % OUT_BYTES;
        let (first, rest) = bytes[..count].split_at_mut(count.min(OUT_BYTES - place));
        self.page.copy_out(OUT + place, first);
        self.page.copy_out(OUT, rest);
        let end = OutIndex(end);
        Output::Bytes { count, end }
    }

    /// Lets the guest overwrite what was before `end`. It should be notified.
    pub fn release(&self, end: OutIndex) {
        self.page.store_u32(OUT_CONS, end.0);
    }

    /// How many bytes the guest can take.
    pub fn room(&self) -> usize {
        let (_, room) = self.input();
        room
    }

    /// Gives the guest as much of `bytes` as there is room for, and says how much that was. It should be notified.
    pub fn put(&self, bytes: &[u8]) -> usize {
        let (end, room) = self.input();
        let count = bytes.len().min(room);
        let place = end as usize % IN_BYTES;
        let (first, rest) = bytes[..count].split_at(count.min(IN_BYTES - place));
        self.page.copy_in(IN + place, first);
        self.page.copy_in(IN, rest);
        self.page.store_u32(IN_PROD, end.wrapping_add(count as u32));
        count
    }

    /// Where the next byte to the guest goes, and how many there may be. After a jump the ring counts as empty.
    fn input(&self) -> (u32, usize) {
        let start = self.page.load_u32(IN_CONS);
        let end = self.page.load_u32(IN_PROD);
        match IN_BYTES.checked_sub(end.wrapping_sub(start) as usize) {
            Some(room) => (end, room),
            None => (start, IN_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use xenctl::fake::MemoryPage;

    use super::*;

    fn ring() -> (ConsoleRing, MemoryPage) {
        let guest = MemoryPage::new();
        (ConsoleRing::new(Box::new(guest.clone())), guest)
    }

    /// As a guest writes: bytes first, then its index.
    fn guest_writes(guest: &MemoryPage, text: &[u8]) {
        let start = guest.load_u32(OUT_PROD);
        for (i, byte) in text.iter().enumerate() {
            let place = (start as usize + i) % OUT_BYTES;
            guest.copy_in(OUT + place, &[*byte]);
        }
        guest.store_u32(OUT_PROD, start.wrapping_add(text.len() as u32));
    }

    fn guest_reads(guest: &MemoryPage) -> Vec<u8> {
        let (start, end) = (guest.load_u32(IN_CONS), guest.load_u32(IN_PROD));
        let read = |i: u32| {
            let mut byte = [0];
            let place = start.wrapping_add(i) as usize % IN_BYTES;
            guest.copy_out(IN + place, &mut byte);
            byte[0]
        };
        guest.store_u32(IN_CONS, end);
        (0..end.wrapping_sub(start)).map(read).collect()
    }

    fn take(ring: &ConsoleRing) -> Vec<u8> {
        let mut bytes = [0; OUT_BYTES];
        match ring.look(&mut bytes) {
            Output::Bytes { count, end } => {
                ring.release(end);
                bytes[..count].to_vec()
            }
            Output::Empty | Output::Jumped => Vec::new(),
        }
    }

    #[test]
    fn output_wraps_around_the_ring_and_around_the_index() {
        let (ring, guest) = ring();
        let start = u32::MAX - 5;
        guest.store_u32(OUT_PROD, start);
        guest.store_u32(OUT_CONS, start);
        for round in 0..10 {
            let text = vec![b'a' + round; 1500];
            guest_writes(&guest, &text);
            assert_eq!(take(&ring), text);
        }
        guest_writes(&guest, b"0123456789");
        assert_eq!(take(&ring), b"0123456789");
        assert_eq!(take(&ring), b"");
    }

    #[test]
    fn output_stays_in_the_ring_until_it_is_released() {
        let (ring, guest) = ring();
        guest_writes(&guest, b"panic");
        let mut bytes = [0; OUT_BYTES];
        let first = ring.look(&mut bytes);
        assert_eq!(ring.look(&mut bytes), first);
        assert_eq!(take(&ring), b"panic");
    }

    #[test]
    fn a_full_ring_is_taken_whole() {
        let (ring, guest) = ring();
        let text: Vec<u8> = (0..OUT_BYTES).map(|i| i as u8).collect();
        guest_writes(&guest, &text);
        assert_eq!(take(&ring), text);
    }

    #[test]
    fn a_jump_loses_the_output_and_nothing_else() {
        for distance in [OUT_BYTES as u32 + 1, 1 << 31, u32::MAX] {
            let (ring, guest) = ring();
            guest.store_u32(OUT_PROD, distance);
            assert_eq!(ring.look(&mut [0; OUT_BYTES]), Output::Jumped);
            assert_eq!(ring.look(&mut [0; OUT_BYTES]), Output::Empty);
            guest_writes(&guest, b"sorry");
            assert_eq!(take(&ring), b"sorry");
        }
    }

    #[test]
    fn the_guest_gets_what_it_has_room_for() {
        let (ring, guest) = ring();
        guest.store_u32(IN_PROD, 1000);
        guest.store_u32(IN_CONS, 1000);
        let text: Vec<u8> = (0..1500).map(|i| i as u8).collect();
        assert_eq!(ring.put(&text), IN_BYTES);
        assert_eq!(ring.room(), 0);
        assert_eq!(ring.put(b"more"), 0);
        assert_eq!(guest_reads(&guest), &text[..IN_BYTES]);
        assert_eq!(ring.put(b"more"), 4);
        assert_eq!(guest_reads(&guest), b"more");
    }

    #[test]
    fn a_guest_that_reads_ahead_starts_anew() {
        for ahead in [1, 2000, u32::MAX / 2] {
            let (ring, guest) = ring();
            guest.store_u32(IN_CONS, ahead);
            assert_eq!(ring.room(), IN_BYTES);
            assert_eq!(ring.put(b"x"), 1);
            assert_eq!(guest_reads(&guest), b"x");
        }
    }

    #[test]
    fn whatever_is_in_the_page_is_harmless() {
        let (ring, guest) = ring();
        let mut state = 0x9e37_79b9_u32;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        for _ in 0..20_000 {
            let index = [IN_CONS, IN_PROD, OUT_CONS, OUT_PROD][random() as usize % 4];
            let shift = random() % 32;
            guest.store_u32(index, random() >> shift);
            assert!(take(&ring).len() <= OUT_BYTES);
            assert!(ring.room() <= IN_BYTES);
            assert!(ring.put(&[b'x'; 2000]) <= IN_BYTES);
        }
    }
}
