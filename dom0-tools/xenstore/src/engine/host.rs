//! What the store asks of whoever runs it.

use super::ConnectionId;
use crate::Errno;

/// What the hypervisor says about a domain.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum DomainState {
    /// There is none of that number.
    Absent,
    /// It runs, or is paused.
    Running,
    /// It shut down, but is still there.
    Shutdown,
    /// It is being destroyed.
    Dying,
}

/// The surroundings of the store: the hypervisor and the daemon's own settings. Called while a request is handled.
pub trait Host {
    /// What the hypervisor says about a domain.
    fn domain_state(&mut self, domain: u16) -> DomainState;

    /// `INTRODUCE` of a domain that is not connected: map its ring, bind its port, and set the ring's indices to 0. `connection` is how the
    /// store calls the ring from now on.
    fn connect(&mut self, connection: ConnectionId, ring: Ring) -> Result<(), Errno>;

    /// `INTRODUCE` of a domain that is connected: bind the new port, drop what was half read or written, and set the ring's indices to 0.
    fn reconnect(&mut self, connection: ConnectionId, ring: Ring);

    /// The ring is not to be touched any longer: unbind and unmap it.
    fn disconnect(&mut self, connection: ConnectionId, domain: u16);

    /// A `CONTROL` command that is none of the store's own: `help`, `check`, `quota`, `quota-soft` are. The first word is the command.
    /// `EINVAL` if there is no such command.
    fn control(&mut self, words: &[&[u8]]) -> Result<String, Errno>;

    /// The commands [`Self::control`] has, with their parameters, for `help`.
    fn commands(&self) -> &[(&'static str, &'static str)] {
        &[]
    }
}

/// What `INTRODUCE` tells.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Whose.
    pub domain: u16,
    /// The ring's page, as the toolstack says; xenstored takes grant 1 instead.
    pub gfn: u64,
    /// The domain's unbound event channel.
    pub port: u32,
}
