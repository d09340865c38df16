//! Operations of features that do not exist here, with the answer of a Xen that was built without them.

use xen_abi::domctl::DomctlSetLlcColors;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;

/// Introspection, PV guests' state, NUMA for guests, cache partitioning.
pub fn not_supported(_call: &mut Call<'_>, _frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// Soft reset of another domain; a domain cannot do it to itself anyway.
pub fn not_supported_on_others(
    call: &mut Call<'_>,
    frame: &mut DomctlFrame,
) -> Result<Copyback, Errno> {
    frame.other(call)?;
    Err(Errno::EOPNOTSUPP)
}

/// Memory sharing, access rights, audits, debugger support: options of Xen's build that decide whether the operation exists.
pub fn unknown(_call: &mut Call<'_>, _frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    Err(Errno::ENOSYS)
}

/// Cache monitoring.
pub fn no_device(_call: &mut Call<'_>, _frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    Err(Errno::ENODEV)
}

/// Trace buffers of vCPUs: no domain has any.
pub fn invalid(_call: &mut Call<'_>, _frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    Err(Errno::EINVAL)
}

/// `set_llc_colors`: libxl accepts this errno and no other.
pub fn cache_colors(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let colors: DomctlSetLlcColors = frame.payload.get();
    Err(if colors.pad != 0 {
        Errno::EINVAL
    } else {
        Errno::EOPNOTSUPP
    })
}
