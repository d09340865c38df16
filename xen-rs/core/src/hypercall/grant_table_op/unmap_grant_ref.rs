//! `GNTTABOP_unmap_grant_ref`: give mappings back.

use xen_abi::errno::Errno;
use xen_abi::grant_table::GnttabUnmapGrantRef;

use super::super::{Call, Outcome};
use super::{batch, status_of};
use crate::grant::Unmaps;

/// Unmaps each element. All that are unmapped before the call ends or is restarted share one flush of translation caches.
///
/// # Errors
/// See [`batch::run`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let mut unmaps = Unmaps::new(call.hv, call.domain);
    batch::run(call, |ops: &mut [GnttabUnmapGrantRef]| {
        for op in ops {
            op.status = status_of(&unmaps.unmap(op));
        }
    })
}
