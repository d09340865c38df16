//! The client: connects a terminal, or a pipe, to a guest's console.
//!
//! The daemon (or the device model) tells in the store where the guest's terminal is. One client at a time attaches to it.

mod error;
mod lock;
mod node;
mod relay;
mod screen;
mod store_events;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use xenctl::DomId;
use xenstore::Access;

pub use error::Error;
pub use node::Kind;

use lock::Lock;
use relay::{Input, Relay};
use screen::RawMode;
use store_events::StoreEvents;

/// How long a console is waited for: its guest may have been made this very moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// What ends a session: Ctrl and `]`.
pub const DEFAULT_ESCAPE: u8 = 0x1d;

/// Which console, and how.
#[derive(Debug)]
pub struct Attach {
    /// The guest.
    pub domain: DomId,
    /// Which of its consoles.
    pub number: u32,
    /// The kind of console; a serial one falls back to the PV one if there is none.
    pub kind: Kind,
    /// Ends the session.
    pub escape: u8,
    /// Standard input is read even if it is no terminal.
    pub is_interactive: bool,
    /// Gets a zero byte as soon as the console is attached, and is closed.
    pub started: Option<OwnedFd>,
}

/// Attaches until the escape character, the guest's end, a signal to end, or the end of standard input.
pub fn attach(store: &Arc<dyn Access>, what: Attach) -> Result<(), Error> {
    if what.domain == DomId::DOM0 {
        return Err(Error::Domain0);
    }
    let path = node::path(&**store, what.domain, what.kind, what.number)?;
    let _lock = Lock::take(what.domain)?;
    let events = StoreEvents::watch(store, path)?;
    let terminal = events.wait_for_terminal(PATIENCE)?;
    let is_terminal = screen::is_terminal();
    let _raw = is_terminal.then(RawMode::enter);
    if let Some(started) = what.started {
        rustix::io::write(&started, &[0]).map_err(Error::Notify)?;
    }
    let input = match (is_terminal, what.is_interactive) {
        (true, _) => Input::Keys(what.escape),
        (false, true) => Input::Pipe(what.escape),
        (false, false) => Input::None,
    };
    Relay::new(events, terminal, input)?.run()
}
