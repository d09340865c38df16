//! Noticing that a domain shut down or is gone: the store tells by `@releaseDomain`, the hypervisor knows why.

use std::time::{Duration, Instant};

use xen_abi::domctl::{
    XEN_DOMINF_DYING, XEN_DOMINF_SHUTDOWN, XEN_DOMINF_SHUTDOWNMASK, XEN_DOMINF_SHUTDOWNSHIFT,
};
use xenctl::DomId;

use super::Toolstack;
use super::error::{Error, Result};

const PATH: &str = "@releaseDomain";
/// The longest wait for the store's word: a store that was started without its state does not know the domains there are.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What became of a domain.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It shut down, with a `SHUTDOWN_*` reason, and is still there.
    ShutDown(u32),
    /// It is gone, or going.
    Gone,
}

/// A watch for a domain's end; ends when dropped.
pub struct DeathWatch<'a> {
    toolstack: Toolstack<'a>,
    domain: DomId,
    token: String,
}

impl<'a> DeathWatch<'a> {
    /// Begins to watch.
    ///
    /// # Errors
    /// The store's.
    pub fn new(toolstack: Toolstack<'a>, domain: DomId) -> Result<Self> {
        let token = format!("death-{domain}");
        toolstack.store.watch(PATH, &token)?;
        Ok(Self {
            toolstack,
            domain,
            token,
        })
    }

    /// How the domain stands now; `None`: it is alive.
    ///
    /// # Errors
    /// The hypervisor's.
    pub fn look(&self) -> Result<Option<Ending>> {
        let flags = match self.toolstack.info(self.domain) {
            Err(Error::NoDomain(_)) => return Ok(Some(Ending::Gone)),
            info => info?.flags,
        };
        let reason = flags >> XEN_DOMINF_SHUTDOWNSHIFT & XEN_DOMINF_SHUTDOWNMASK;
        Ok(match flags {
            flags if flags & XEN_DOMINF_DYING != 0 => Some(Ending::Gone),
            flags if flags & XEN_DOMINF_SHUTDOWN != 0 => Some(Ending::ShutDown(reason)),
            _ => None,
        })
    }

    /// Waits for an end. `None` after `timeout`; no timeout waits for ever.
    ///
    /// # Errors
    /// The store's or the hypervisor's.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<Ending>> {
        let end = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if let Some(ending) = self.look()? {
                return Ok(Some(ending));
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let pause = left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN));
            self.toolstack.store.next_event(Some(pause))?;
        }
    }

    /// Waits until the domain that shut down runs again or is gone: it was suspended.
    ///
    /// # Errors
    /// The store's or the hypervisor's.
    pub fn wait_resumed(&self) -> Result<()> {
        /// Nobody tells when a domain is resumed.
        const PAUSE: Duration = Duration::from_secs(1);
        while let Some(Ending::ShutDown(_)) = self.look()? {
            self.toolstack.store.next_event(Some(PAUSE))?;
        }
        Ok(())
    }
}

impl Drop for DeathWatch<'_> {
    fn drop(&mut self) {
        // The connection may be gone, and all watches with it.
        drop(self.toolstack.store.unwatch(PATH, &self.token));
    }
}
