//! The connection to the store, and another one when the store was restarted.
//!
//! A thread waits for events and wakes the daemon's loop; all else happens in the loop. While there is no store, guests keep their consoles.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{EventfdFlags, eventfd};
use xenstore::{Access, WatchEvent};

/// Makes a connection.
pub type Connect = Box<dyn Fn() -> xenstore::Result<Arc<dyn Access>> + Send>;

/// Between attempts to find a lost store.
const RETRY: Duration = Duration::from_secs(1);
/// Events that may wait for the loop; the store waits beyond that.
const QUEUE: usize = 1024;
/// How often the thread looks whether it is still wanted.
const LIFE_SIGN: Duration = Duration::from_secs(60);

/// News from the store.
#[derive(Debug)]
pub enum News {
    /// A watch fired.
    Event(WatchEvent),
    /// The connection broke.
    Lost(xenstore::Error),
}

/// The connection.
pub struct StoreLink {
    connect: Connect,
    store: Option<Arc<dyn Access>>,
    news: Receiver<News>,
    retry_at: Option<Instant>,
    wake: Arc<OwnedFd>,
}

impl StoreLink {
    /// Connects.
    pub fn new(connect: Connect) -> anyhow::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = Arc::new(eventfd(0, flags)?);
        let store = connect().context("Failed to contact xenstore. Is it running?")?;
        let news = listen(&store, &wake)?;
        Ok(Self {
            connect,
            store: Some(store),
            news,
            retry_at: None,
            wake,
        })
    }

    /// The store, unless it is lost.
    pub fn store(&self) -> Option<Arc<dyn Access>> {
        self.store.clone()
    }

    /// What happened since the last call.
    pub fn news(&mut self, now: Instant) -> Vec<News> {
        // Nothing to read is no error: the loop may have been faster than the wake-up.
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        let news: Vec<News> = self.news.try_iter().take(QUEUE).collect();
        if let Some(News::Lost(_)) = news.last() {
            self.store = None;
            self.retry_at = Some(now + RETRY);
        }
        news
    }

    /// When [`reconnect`](Self::reconnect) is to be called.
    pub const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Looks for a lost store, if it is time; `true`: it is there again, and knows of no watches.
    pub fn reconnect(&mut self, now: Instant) -> bool {
        if self.retry_at.is_none_or(|at| now < at) {
            return false;
        }
        self.retry_at = Some(now + RETRY);
        let Ok(store) = (self.connect)() else {
            return false;
        };
        match listen(&store, &self.wake) {
            Ok(news) => self.news = news,
            Err(error) => {
                tracing::error!("cannot listen to the store: {error}");
                return false;
            }
        }
        self.store = Some(store);
        self.retry_at = None;
        true
    }
}

impl AsFd for StoreLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

fn listen(store: &Arc<dyn Access>, wake: &Arc<OwnedFd>) -> std::io::Result<Receiver<News>> {
    let (sender, receiver) = sync_channel(QUEUE);
    let (store, wake) = (Arc::downgrade(store), wake.clone());
    thread::Builder::new()
        .name("store-events".into())
        .spawn(move || pass_on(&store, &sender, &wake))?;
    Ok(receiver)
}

/// The thread: ends with the connection, or when nobody wants it any more.
fn pass_on(store: &Weak<dyn Access>, sender: &SyncSender<News>, wake: &OwnedFd) {
    while let Some(store) = store.upgrade() {
        let news = match store.next_event(Some(LIFE_SIGN)) {
            Ok(None) => continue,
            Ok(Some(event)) => News::Event(event),
            Err(error) => News::Lost(error),
        };
        let is_last = matches!(news, News::Lost(_));
        if sender.send(news).is_err() {
            return;
        }
        // The counter is full only when the loop has been woken already.
        let _ = rustix::io::write(wake, &1_u64.to_ne_bytes());
        if is_last {
            return;
        }
    }
}
