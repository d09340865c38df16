//! The system's log: what a daemon without a terminal has to say.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Facility `daemon`, shifted as in `<N>` before a message.
const DAEMON: u8 = 3 << 3;

const SOCKET: &str = "/dev/log";

/// Sends each message to the system's log. Without one, messages are lost: there is nobody to tell.
#[derive(Copy, Clone, Debug, Default)]
pub struct SystemLog;

/// One message.
#[derive(Debug)]
pub struct Message {
    priority: u8,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for SystemLog {
    type Writer = Message;

    fn make_writer(&'a self) -> Message {
        Message::new(Level::INFO)
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Message {
        Message::new(*meta.level())
    }
}

impl Message {
    fn new(level: Level) -> Self {
        let severity = match level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        Self {
            priority: DAEMON | severity,
            text: Vec::new(),
        }
    }

    fn datagram(&self) -> Vec<u8> {
        let number = std::process::id();
        let mut bytes = format!("<{}>xenconsoled[{number}]: ", self.priority).into_bytes();
        bytes.extend(self.text.trim_ascii_end());
        bytes
    }
}

impl Write for Message {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.text.is_empty()
            && let Ok(socket) = UnixDatagram::unbound()
            && socket.set_nonblocking(true).is_ok()
        {
            let _ = socket.send_to(&self.datagram(), SOCKET);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_facility_severity_and_name() {
        let mut message = Message::new(Level::ERROR);
        message.write_all(b"lost the store\n").unwrap();
        let number = std::process::id();
        let expected = format!("<27>xenconsoled[{number}]: lost the store");
        assert_eq!(message.datagram(), expected.into_bytes());
    }
}
