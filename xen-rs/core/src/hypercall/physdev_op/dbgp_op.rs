//! `PHYSDEVOP_dbgp_op`: hand-over of a USB debug port between dom0 and the hypervisor.

use xen_abi::errno::Errno;

use crate::hypercall::{Call, Outcome};

/// The hypervisor uses no debug port.
pub fn run(_call: &mut Call<'_>) -> Result<Outcome, Errno> {
    Err(Errno::ENOSYS)
}
