//! `GNTTABOP_map_grant_ref`: map granted pages.

use xen_abi::errno::Errno;
use xen_abi::grant_table::GnttabMapGrantRef;

use super::super::{Call, Outcome};
use super::{batch, status_of};
use crate::grant::Maps;

/// Maps each element.
///
/// # Errors
/// See [`batch::run`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let mut maps = Maps::new(call.hv, call.domain);
    batch::run(call, |ops: &mut [GnttabMapGrantRef]| {
        for op in ops {
            let result = maps.map(op);
            op.status = status_of(&result);
            if let Ok(mapped) = result {
                op.handle = mapped.handle;
                op.dev_bus_addr = mapped.dev_bus_addr;
            }
        }
    })
}
