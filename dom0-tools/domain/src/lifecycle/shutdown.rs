//! Asking a guest to end: the node `control/shutdown`, which the guest empties when it has seen the request.

use std::time::{Duration, Instant};

use xen_abi::hvm::params::HVM_PARAM_CALLBACK_IRQ;
use xenctl::DomId;
use xenstore::{Tx, read_optional};

use super::error::{Error, Result, Step};
use super::{Toolstack, nodes};

/// How long a guest may take to notice.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a guest can be asked for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ShutdownRequest {
    /// To power off.
    PowerOff,
    /// To restart.
    Reboot,
}

impl ShutdownRequest {
    /// What the node says.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PowerOff => "poweroff",
            Self::Reboot => "reboot",
        }
    }
}

impl Toolstack<'_> {
    /// Asks a guest to end and waits, for a minute, until it has seen that.
    ///
    /// # Errors
    /// [`Error::NotAcknowledged`]: it has not; the request stands. [`Error::NoDomain`], [`Error::NoDrivers`], [`Error::Store`].
    pub fn request_shutdown(&self, domain: DomId, request: ShutdownRequest) -> Result<()> {
        self.check_listens(domain)?;
        let path = format!("{}/control/shutdown", nodes::home(domain));
        self.store
            .write(Tx::NONE, &path, request.word().as_bytes())?;
        let token = format!("shutdown-{domain}");
        self.store.watch(&path, &token)?;
        let seen = self.wait_emptied(domain, &path, request);
        // The domain may be gone, and its watch with it.
        drop(self.store.unwatch(&path, &token));
        seen
    }

    /// An HVM guest without drivers for Xen sees no request.
    fn check_listens(&self, domain: DomId) -> Result<()> {
        self.info(domain)?;
        let kind = format!("{}/type", nodes::record(domain));
        if read_optional(self.store, Tx::NONE, &kind)?.as_deref() != Some("hvm") {
            return Ok(());
        }
        let callback = self.hypervisor.hvm_param(domain, HVM_PARAM_CALLBACK_IRQ);
        match callback.step("ask whether the guest has drivers for Xen")? {
            0 => Err(Error::NoDrivers(domain)),
            _ => Ok(()),
        }
    }

    fn wait_emptied(&self, domain: DomId, path: &str, request: ShutdownRequest) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let request_left = read_optional(self.store, Tx::NONE, path)?;
            if request_left.is_none_or(|text| text.is_empty()) {
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.info(domain)?;
                return Err(Error::NotAcknowledged {
                    request: request.word(),
                    seconds: PATIENCE.as_secs(),
                });
            }
            self.store.next_event(Some(left))?;
        }
    }
}
