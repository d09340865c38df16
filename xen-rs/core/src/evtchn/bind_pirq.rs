//! `EVTCHNOP_bind_pirq`: not offered. Physical interrupts reach guests through virtual interrupt controllers only, and the feature bit
//! that would make a guest try (`XENFEAT_hvm_pirqs`) is not set.

use xen_abi::errno::Errno;

use super::EventChannels;
use crate::ids::Port;

impl EventChannels {
    /// Refuses.
    ///
    /// # Errors
    /// Always `EOPNOTSUPP`, as Xen built without physical interrupts for guests.
    pub const fn bind_pirq(&mut self, _pirq: u32) -> Result<Port, Errno> {
        Err(Errno::EOPNOTSUPP)
    }
}
