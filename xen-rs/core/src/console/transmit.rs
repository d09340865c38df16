//! Bytes on their way to the serial port: a queue between those who print, who must not wait, and a device that takes its time.
//!
//! Pure state, owned by the console and behind its lock. The device empties the queue a few bytes at a time, asked by whoever prints next, by
//! the device's interrupt or by a timer ([`Transmit::pump`]).

use super::Sink;
use super::circle::Circle;

/// Bytes the queue holds until [`Transmit::grow`] gives more room (`serial_tx_buffer`, Xen 4.20's default).
pub const QUEUE_SIZE: usize = 16384;
/// Times the device is asked again while it takes bytes: a real one is full after the first, an emulated one never is.
const ROUNDS: usize = 16;
/// Refusals in a row after which a device that should be transmitting counts as broken: far longer than a byte takes at 1200 baud, where
/// asking once takes about a microsecond.
const PATIENCE: u32 = 100_000;

/// The queue.
pub struct Transmit {
    /// What waits are its bytes from number `sent` on, never more than there is room for.
    circle: Circle<QUEUE_SIZE>,
    /// Bytes ever sent.
    sent: u64,
    /// Bytes that found no room.
    lost: u64,
    /// The device was asked to announce that it can take more.
    announced: bool,
    refusals: u32,
}

impl Transmit {
    /// Nothing queued.
    pub const EMPTY: Self = Self {
        circle: Circle::EMPTY,
        sent: 0,
        lost: 0,
        announced: false,
        refusals: 0,
    };

    /// Bytes the queue can hold.
    pub fn size(&self) -> usize {
        self.circle.size()
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        (self.queued() - self.sent) as usize
    }

    /// Bytes that still fit.
    pub fn room(&self) -> usize {
        self.size() - self.waiting()
    }

    /// Bytes ever queued: once as many are [`Self::sent`], all that is queued now is out.
    pub fn queued(&self) -> u64 {
        self.circle.end()
    }

    /// Bytes ever sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The device takes nothing although it had all the time it could need.
    pub fn is_stuck(&self) -> bool {
        self.refusals >= PATIENCE
    }

    /// Bytes lost since the last call.
    pub fn take_lost(&mut self) -> u64 {
        core::mem::take(&mut self.lost)
    }

    /// Queues text, each line feed with a carriage return before it. What finds no room is lost, and counted.
    pub fn push(&mut self, text: &[u8]) {
        for &byte in text {
            let needed = if byte == b'\n' { 2 } else { 1 };
            if self.room() < needed {
                self.lost = self.lost.saturating_add(1);
                continue;
            }
            if byte == b'\n' {
                self.circle.put(b'\r');
            }
            self.circle.put(byte);
        }
    }

    /// Gives the device what it takes at once. With `announce` it is asked to say when it can take more, as long as something waits.
    pub fn pump(&mut self, device: &dyn Sink, announce: bool) {
        for _ in 0..ROUNDS {
            let piece = self.circle.piece(self.sent);
            if piece.is_empty() {
                break;
            }
            let taken = device.send(piece).min(piece.len());
            if taken == 0 {
                self.refusals = self.refusals.saturating_add(1);
                break;
            }
            (self.sent, self.refusals) = (self.sent + taken as u64, 0);
        }
        let wanted = announce && self.waiting() > 0;
        if wanted != self.announced {
            self.announced = wanted;
            device.announce(wanted);
        }
    }

    /// Moves to `room`, if that is larger, with everything that waits ([`Circle::grow`]).
    pub fn grow(&mut self, room: &'static mut [u8]) {
        self.circle.grow(room, self.sent);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Device;
    use super::*;
    use std::boxed::Box;
    use std::vec;

    #[test]
    fn bytes_come_out_in_order_as_the_device_takes_them() {
        let device = Device::new(16);
        let mut queue = Transmit::EMPTY;
        queue.push(b"one\ntwo and more than a device takes at once");
        queue.pump(&device, true);
        assert_eq!(device.text(), "one\r\ntwo and mor");
        assert!(device.is_announcing() && queue.waiting() > 0);
        for _ in 0..3 {
            device.ready();
            queue.pump(&device, true);
        }
        assert_eq!(
            device.text(),
            "one\r\ntwo and more than a device takes at once"
        );
        assert!(!device.is_announcing() && queue.waiting() == 0);
        assert_eq!(queue.sent(), queue.queued());
    }

    #[test]
    fn device_without_a_limit_gets_many_rounds_at_once() {
        let device = Device::new(16);
        device.never_full();
        let mut queue = Transmit::EMPTY;
        queue.push(&[b'x'; 200]);
        queue.pump(&device, true);
        assert_eq!((queue.waiting(), device.is_announcing()), (0, false));
    }

    #[test]
    fn what_finds_no_room_is_counted_and_a_line_feed_is_never_halved() {
        let mut queue = Transmit::EMPTY;
        queue.push(&[b'x'; QUEUE_SIZE - 1]);
        queue.push(b"\ny");
        assert_eq!(
            (queue.room(), queue.take_lost(), queue.take_lost()),
            (0, 1, 0)
        );
        let device = Device::new(16);
        device.never_full();
        while queue.waiting() > 0 {
            queue.pump(&device, false);
        }
        assert!(device.text().ends_with("xy"));
    }

    #[test]
    fn growing_keeps_what_waits() {
        let device = Device::new(16);
        let mut queue = Transmit::EMPTY;
        queue.push(&[b'a'; 10]);
        queue.pump(&device, false);
        queue.push(&[b'b'; QUEUE_SIZE - 1]);
        queue.push(b"c");
        queue.grow(Box::leak(vec![0; 3 * QUEUE_SIZE].into_boxed_slice()));
        assert_eq!(
            (queue.size(), queue.waiting()),
            (2 * QUEUE_SIZE, QUEUE_SIZE)
        );
        device.never_full();
        while queue.waiting() > 0 {
            queue.pump(&device, false);
        }
        let text = device.text();
        assert!(text.starts_with("aaaaaaaaaab") && text.ends_with("bc"));
        assert_eq!(text.len(), QUEUE_SIZE + 10);
    }

    #[test]
    fn device_that_takes_nothing_for_long_is_stuck_until_it_does() {
        let device = Device::new(0);
        let mut queue = Transmit::EMPTY;
        queue.push(b"x");
        (0..PATIENCE).for_each(|_| queue.pump(&device, false));
        assert!(queue.is_stuck());
        device.never_full();
        queue.pump(&device, false);
        assert!(queue.is_stuck(), "it takes nothing at all");
        let working = Device::new(1);
        queue.pump(&working, false);
        assert!(!queue.is_stuck());
    }
}
