//! Passes bytes between the user and the guest's terminal until one of them is done.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{stdin, stdout};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::Error;
use super::store_events::{StoreEvents, Terminal};

/// What standard input is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A user's keys; the escape character ends the session wherever it comes.
    Keys(u8),
    /// Something else that is to be read; the escape character ends the session when it comes alone.
    Pipe(u8),
    /// Not read.
    None,
}

/// A session.
pub struct Relay {
    events: StoreEvents,
    /// `None` while the daemon is away.
    terminal: Option<Terminal>,
    input: Input,
    signals: UnixStream,
}

/// Whether the session goes on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

/// What is ready.
struct Ready {
    store: bool,
    signals: bool,
    input: bool,
    terminal: bool,
}

impl Relay {
    /// A session that has yet to begin. Signals that end a program end it, so that the user's terminal can be restored.
    pub fn new(events: StoreEvents, terminal: Terminal, input: Input) -> Result<Self, Error> {
        let (signals, writer) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Self {
            events,
            terminal: Some(terminal),
            input,
            signals,
        })
    }

    /// Passes bytes until the end.
    pub fn run(mut self) -> Result<(), Error> {
        while self.turn()? == Next::GoOn {}
        Ok(())
    }

    fn turn(&mut self) -> Result<Next, Error> {
        let ready = self.wait()?;
        if ready.signals && self.signals.read(&mut [0; 64]).is_ok() {
            return Ok(Next::End);
        }
        if ready.terminal {
            self.show()?;
        }
        if ready.input && self.type_in()? == Next::End {
            return Ok(Next::End);
        }
        if ready.store {
            return self.follow_store();
        }
        Ok(Next::GoOn)
    }

    fn wait(&self) -> Result<Ready, Error> {
        let stdin = stdin();
        let mut fds = vec![
            PollFd::new(&self.events, PollFlags::IN),
            PollFd::new(&self.signals, PollFlags::IN),
        ];
        let reads_input = self.input != Input::None;
        if reads_input {
            fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
        }
        if let Some(terminal) = &self.terminal {
            fds.push(PollFd::new(terminal, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("wait", errno)),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = || ready.next().unwrap_or(false);
        Ok(Ready {
            store: next(),
            signals: next(),
            input: reads_input && next(),
            terminal: next(),
        })
    }

    /// Shows what the guest wrote.
    fn show(&mut self) -> Result<(), Error> {
        let Some(terminal) = &self.terminal else {
            return Ok(());
        };
        let mut bytes = [0; 4096];
        match rustix::io::read(terminal, &mut bytes) {
            Ok(count) if count > 0 => {
                write_all(stdout(), &bytes[..count]).map_err(|errno| failed("write", errno))
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(()),
            Ok(_) | Err(_) => {
                // Hung up: the store will tell of another terminal, or of the guest's end.
                self.terminal = None;
                Ok(())
            }
        }
    }

    /// Gives the guest what was typed.
    fn type_in(&mut self) -> Result<Next, Error> {
        let mut bytes = [0; 512];
        let typed = match rustix::io::read(stdin(), &mut bytes) {
            Ok(count) => &bytes[..count],
            Err(Errno::INTR | Errno::AGAIN) => return Ok(Next::GoOn),
            Err(errno) => return Err(failed("read standard input", errno)),
        };
        let (typed, next) = until_escape(self.input, typed);
        if let Some(terminal) = &self.terminal
            && write_all(terminal, typed).is_err()
        {
            self.terminal = None;
        }
        Ok(next)
    }

    fn follow_store(&mut self) -> Result<Next, Error> {
        self.events.acknowledge();
        if self.events.is_lost() {
            // Without a store the session goes on as long as the terminal does.
            return Ok(match self.terminal {
                Some(_) => Next::GoOn,
                None => Next::End,
            });
        }
        let Some(name) = self.events.terminal_name()? else {
            self.show_rest()?;
            return Ok(Next::End);
        };
        if self.terminal.as_ref().is_none_or(|now| now.name != name) {
            self.show_rest()?;
            self.terminal = Some(Terminal::open(name)?);
        }
        Ok(Next::GoOn)
    }

    /// The guest is gone, or another daemon came: what the old terminal still has is shown.
    fn show_rest(&mut self) -> Result<(), Error> {
        while let Some(terminal) = &self.terminal {
            let mut fds = [PollFd::new(terminal, PollFlags::IN)];
            let now = Timespec::default();
            match poll(&mut fds, Some(&now)) {
                Ok(1..) => self.show()?,
                _ => break,
            }
        }
        Ok(())
    }
}

/// What of the input goes to the guest, and whether it is the last. The end of the input is the end of the session.
fn until_escape(input: Input, typed: &[u8]) -> (&[u8], Next) {
    let escape = match input {
        Input::Keys(escape) => typed.iter().position(|&byte| byte == escape),
        Input::Pipe(escape) => (typed == [escape]).then_some(0),
        Input::None => None,
    };
    match escape {
        Some(at) => (&typed[..at], Next::End),
        None if typed.is_empty() => (typed, Next::End),
        None => (typed, Next::GoOn),
    }
}

fn failed(action: &'static str, errno: Errno) -> Error {
    Error::Relay { action, errno }
}

fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_writable(&fd)?,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Somebody made our standard output non-blocking.
fn wait_writable(fd: impl AsFd) -> Result<(), Errno> {
    poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None).map(drop)
}

/// Waits until there is something to read, or for `timeout`.
pub fn wait_readable(fd: impl AsFd, timeout: Duration) -> Result<(), Error> {
    let timeout = Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(failed("wait", errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESCAPE: u8 = super::super::DEFAULT_ESCAPE;

    #[test]
    fn the_escape_key_ends_the_session_and_is_not_sent() {
        let keys = Input::Keys(ESCAPE);
        assert_eq!(until_escape(keys, b"ls\r"), (&b"ls\r"[..], Next::GoOn));
        assert_eq!(until_escape(keys, b"\x1d"), (&b""[..], Next::End));
        assert_eq!(until_escape(keys, b"ab\x1dcd"), (&b"ab"[..], Next::End));
        assert_eq!(
            until_escape(Input::Keys(b'x'), b"\x1d"),
            (&b"\x1d"[..], Next::GoOn)
        );
    }

    #[test]
    fn bytes_from_a_pipe_may_contain_the_escape() {
        let pipe = Input::Pipe(ESCAPE);
        assert_eq!(
            until_escape(pipe, b"ab\x1dcd"),
            (&b"ab\x1dcd"[..], Next::GoOn)
        );
        assert_eq!(until_escape(pipe, b"\x1d"), (&b""[..], Next::End));
    }

    #[test]
    fn the_end_of_the_input_is_the_end() {
        assert_eq!(
            until_escape(Input::Pipe(ESCAPE), b""),
            (&b""[..], Next::End)
        );
    }
}
