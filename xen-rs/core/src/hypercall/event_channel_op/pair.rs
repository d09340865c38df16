//! Two domains' event channels locked at once, which some operations need so that nobody sees half a channel.

use crate::domain::Domain;
use crate::evtchn::EventChannels;

/// Runs `body` with the tables of two different domains locked, the lower number first.
pub fn with_both<R>(
    own: &Domain,
    other: &Domain,
    body: impl FnOnce(&mut EventChannels, &mut EventChannels) -> R,
) -> R {
    if own.id < other.id {
        let mut first = own.events.lock();
        let mut second = other.events.lock_second();
        body(&mut first, &mut second)
    } else {
        let mut first = other.events.lock();
        let mut second = own.events.lock_second();
        body(&mut second, &mut first)
    }
}
