//! Operations of features that do not exist here, with the answer of a Xen that was built without them.

use xen_abi::errno::Errno;

use super::SysctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;

/// Trace buffers, counters, lock profiles, live patches.
pub fn unknown(_call: &mut Call<'_>, _frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    Err(Errno::ENOSYS)
}

/// Code coverage, cache partitioning.
pub fn not_supported(_call: &mut Call<'_>, _frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// Cache monitoring.
pub fn no_device(_call: &mut Call<'_>, _frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    Err(Errno::ENODEV)
}
