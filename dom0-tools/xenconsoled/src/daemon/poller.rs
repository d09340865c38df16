//! Waits for many file descriptors at once: epoll, level-triggered, so that what is not finished in one turn is offered again in the next.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use xenctl::DomId;

/// What became ready.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Something from the store.
    Store,
    /// An event channel.
    Events,
    /// A signal.
    Signals,
    /// A guest's terminal.
    Terminal(DomId),
}

impl Source {
    const TERMINALS: u64 = 1 << 32;

    fn data(self) -> EventData {
        EventData::new_u64(match self {
            Self::Store => 0,
            Self::Events => 1,
            Self::Signals => 2,
            Self::Terminal(domain) => Self::TERMINALS | u64::from(domain.0),
        })
    }

    fn of(data: EventData) -> Option<Self> {
        match data.u64() {
            0 => Some(Self::Store),
            1 => Some(Self::Events),
            2 => Some(Self::Signals),
            other => {
                let domain = other.checked_sub(Self::TERMINALS)?.try_into().ok()?;
                Some(Self::Terminal(DomId(domain)))
            }
        }
    }
}

/// The most that one turn handles: the rest comes in the next.
const BATCH: usize = 64;

/// The file descriptors to wait for. A descriptor that is closed is forgotten by itself.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    /// Waits for nothing yet.
    pub fn new() -> Result<Self, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// Waits for `fd` too.
    pub fn add(&self, fd: impl AsFd, source: Source, wanted: EventFlags) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, source.data(), wanted)
    }

    /// Waits for something else of `fd`.
    pub fn modify(&self, fd: impl AsFd, source: Source, wanted: EventFlags) -> Result<(), Errno> {
        epoll::modify(&self.epoll, fd, source.data(), wanted)
    }

    /// Waits, at most for `timeout` if there is one.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Vec<(Source, EventFlags)>, Errno> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut events = Vec::with_capacity(BATCH);
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(events.iter().filter_map(ready).collect()),
            Err(error) => Err(error),
        }
    }
}

fn ready(event: &Event) -> Option<(Source, EventFlags)> {
    Some((Source::of(event.data)?, event.flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        let terminals = [0, 1, 2, u16::MAX].map(|domain| Source::Terminal(DomId(domain)));
        let others = [Source::Store, Source::Events, Source::Signals];
        for source in terminals.into_iter().chain(others) {
            assert_eq!(Source::of(source.data()), Some(source));
        }
    }

    #[test]
    fn what_is_not_taken_is_offered_again() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let poller = Poller::new().unwrap();
        poller.add(&reader, Source::Store, EventFlags::IN).unwrap();
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), []);
        rustix::io::write(&writer, b"x").unwrap();
        for _ in 0..2 {
            let ready = poller.wait(None).unwrap();
            assert_eq!(ready, [(Source::Store, EventFlags::IN)]);
        }
    }
}
