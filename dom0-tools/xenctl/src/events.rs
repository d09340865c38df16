//! Event channels as a daemon in dom0 uses them.

use std::os::fd::AsFd;

use crate::{DomId, Result};

/// A port of dom0. (Ports of guests are plain numbers: they mean something only together with their domain.)
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u32);

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A handle to event channels: ports bound here are pending here, and are closed with it.
///
/// The file descriptor is readable while a port is pending. A port given by [`pending`](Events::pending) stays masked until
/// [`unmask`](Events::unmask): a guest that notifies without end costs one wake-up.
pub trait Events: AsFd + Send + Sync {
    /// Binds to `remote`, a port of `domain` that it left open for dom0.
    fn bind_interdomain(&self, domain: DomId, remote: u32) -> Result<Port>;
    /// Binds a global `VIRQ_*`; `EEXIST` where somebody has it.
    fn bind_virq(&self, virq: u32) -> Result<Port>;
    /// A new port that `remote` may bind.
    fn bind_unbound(&self, remote: DomId) -> Result<Port>;
    /// Closes a port of this handle.
    fn unbind(&self, port: Port) -> Result<()>;
    /// Raises the port at its other end.
    fn notify(&self, port: Port) -> Result<()>;
    /// Takes a pending port, or none; never waits.
    fn pending(&self) -> Result<Option<Port>>;
    /// Lets a port become pending again.
    fn unmask(&self, port: Port) -> Result<()>;
}
