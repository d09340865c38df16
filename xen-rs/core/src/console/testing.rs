//! A device for tests of the console.

use std::boxed::Box;
use std::string::String;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::vec::Vec;

use super::{Sink, set_sink};

/// A serial port with a queue of its own of some bytes, which empties when told to.
pub struct Device {
    fifo: usize,
    room: AtomicUsize,
    is_endless: AtomicBool,
    announcing: AtomicBool,
    sent: Mutex<Vec<u8>>,
}

impl Device {
    pub fn new(fifo: usize) -> Self {
        Self {
            fifo,
            room: AtomicUsize::new(fifo),
            is_endless: AtomicBool::new(false),
            announcing: AtomicBool::new(false),
            sent: Mutex::default(),
        }
    }

    /// It has sent what it had.
    pub fn ready(&self) {
        self.room.store(self.fifo, SeqCst);
    }

    /// It sends faster than anybody can write.
    pub fn never_full(&self) {
        self.is_endless.store(true, SeqCst);
        self.ready();
    }

    pub fn is_announcing(&self) -> bool {
        self.announcing.load(SeqCst)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.sent.lock().unwrap()).into_owned()
    }
}

impl Sink for Device {
    fn send(&self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.room.load(SeqCst));
        self.sent.lock().unwrap().extend_from_slice(&bytes[..len]);
        if !self.is_endless.load(SeqCst) {
            // As a 16550: nothing more until all is sent.
            self.room
                .store(if len == 0 { self.room.load(SeqCst) } else { 0 }, SeqCst);
        }
        len
    }

    fn announce(&self, wanted: bool) {
        self.announcing.store(wanted, SeqCst);
    }

    fn send_dying(&self, bytes: &[u8]) {
        self.sent.lock().unwrap().extend_from_slice(bytes);
    }
}

/// Makes such a device the sink of this thread's console.
pub fn attach(fifo: usize) -> &'static Device {
    let device = Box::leak(Box::new(Device::new(fifo)));
    set_sink(device);
    device
}
