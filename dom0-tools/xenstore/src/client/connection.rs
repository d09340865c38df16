//! One connection: messages out, messages in, never waiting longer than asked for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::{RecvFlags, SendFlags};

use super::location::Location;
use crate::wire::{Decoder, Message};

/// Bytes read at a time: a whole message.
const CHUNK: usize = 4112;

/// A connection that works. After an error it is of no use any longer.
pub(super) struct Connection {
    fd: Arc<OwnedFd>,
    is_socket: bool,
    decoder: Decoder,
    /// Read, but not decoded.
    input: Vec<u8>,
}

impl Connection {
    pub fn open(location: &Location) -> io::Result<Self> {
        let (fd, is_socket) = match location {
            Location::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                (OwnedFd::from(stream), true)
            }
            Location::Device(path) => {
                let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
                (rustix::fs::open(path, flags, Mode::empty())?, false)
            }
        };
        Ok(Self {
            fd: Arc::new(fd),
            is_socket,
            decoder: Decoder::new(),
            input: Vec::new(),
        })
    }

    /// For waiting outside of any lock: stays open for whoever holds it.
    pub fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.fd)
    }

    /// Whether the answer to `request` may be an answer. The kernel's device answers WATCH and UNWATCH itself, and forgets the identifier.
    pub const fn answers(&self, request: &Message, answer: &Message) -> bool {
        answer.req_id == request.req_id || (!self.is_socket && answer.req_id == 0)
    }

    /// Sends all of a message.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        let bytes = message.encode();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match self.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    wait(&[(self.fd.as_fd(), PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next message; waits for it.
    pub fn receive(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = self.receive_available()? {
                return Ok(message);
            }
            wait(&[(self.fd.as_fd(), PollFlags::IN)], None)?;
        }
    }

    /// The next message, if all of it has come.
    pub fn receive_available(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.decode()? {
                return Ok(Some(message));
            }
            let mut chunk = [0; CHUNK];
            match self.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next message out of what has been read.
    pub fn decode(&mut self) -> io::Result<Option<Message>> {
        let mut rest = self.input.as_slice();
        let message = self.decoder.next(&mut rest);
        let taken = self.input.len() - rest.len();
        self.input.drain(..taken);
        message.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn write(&self, bytes: &[u8]) -> rustix::io::Result<usize> {
        if self.is_socket {
            rustix::net::send(&*self.fd, bytes, SendFlags::NOSIGNAL)
        } else {
            rustix::io::write(&*self.fd, bytes)
        }
    }

    fn read(&self, bytes: &mut [u8]) -> rustix::io::Result<usize> {
        if self.is_socket {
            rustix::net::recv(&*self.fd, bytes, RecvFlags::empty()).map(|(count, _)| count)
        } else {
            rustix::io::read(&*self.fd, bytes)
        }
    }
}

/// Waits until one of `fds` is ready or closed, or `deadline` has passed.
pub(super) fn wait(
    fds: &[(BorrowedFd<'_>, PollFlags)],
    deadline: Option<Instant>,
) -> io::Result<()> {
    let mut fds: Vec<PollFd<'_>> = fds
        .iter()
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    match poll(&mut fds, left.map(timespec).as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
