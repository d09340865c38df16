//! `grant_table_op`: operations on grant tables, for any domain.
//!
//! The operations are those that real Xen lets HVM and PVH guests use; the others (`dump_table`, `transfer`, `unmap_and_replace`,
//! `get_status_frames`, `cache_flush`) do not exist for them (`ENOSYS`). Arguments: operation, array, number of elements. The hypercall
//! itself succeeds even if single elements fail: their `status` says so.

mod batch;
mod copy;
mod get_version;
mod map_grant_ref;
mod query_size;
mod set_version;
mod setup_table;
mod swap_grant_ref;
mod unmap_grant_ref;

use alloc::sync::Arc;

use xen_abi::errno::Errno;
use xen_abi::grant_table::{
    GNTST_BAD_DOMAIN, GNTST_OKAY, GNTST_PERMISSION_DENIED, GNTTABOP_COPY, GNTTABOP_GET_VERSION,
    GNTTABOP_MAP_GRANT_REF, GNTTABOP_QUERY_SIZE, GNTTABOP_SET_VERSION, GNTTABOP_SETUP_TABLE,
    GNTTABOP_SWAP_GRANT_REF, GNTTABOP_UNMAP_GRANT_REF,
};

use super::{Call, Needs, Row};
use crate::domain::Domain;
use crate::grant::Status;
use crate::ids::Domid;

/// The whole first argument selects: no operation for translated guests carries restart state in it.
pub const MASK: u32 = u32::MAX;

/// Operations.
pub static ROWS: &[Row] = &[
    Row {
        op: GNTTABOP_MAP_GRANT_REF,
        name: "GNTTABOP_map_grant_ref",
        needs: Needs::Nothing,
        run: map_grant_ref::run,
    },
    Row {
        op: GNTTABOP_UNMAP_GRANT_REF,
        name: "GNTTABOP_unmap_grant_ref",
        needs: Needs::Nothing,
        run: unmap_grant_ref::run,
    },
    Row {
        op: GNTTABOP_SETUP_TABLE,
        name: "GNTTABOP_setup_table",
        needs: Needs::Nothing,
        run: setup_table::run,
    },
    Row {
        op: GNTTABOP_COPY,
        name: "GNTTABOP_copy",
        needs: Needs::Nothing,
        run: copy::run,
    },
    Row {
        op: GNTTABOP_QUERY_SIZE,
        name: "GNTTABOP_query_size",
        needs: Needs::Nothing,
        run: query_size::run,
    },
    Row {
        op: GNTTABOP_SET_VERSION,
        name: "GNTTABOP_set_version",
        needs: Needs::Nothing,
        run: set_version::run,
    },
    Row {
        op: GNTTABOP_GET_VERSION,
        name: "GNTTABOP_get_version",
        needs: Needs::Nothing,
        run: get_version::run,
    },
    Row {
        op: GNTTABOP_SWAP_GRANT_REF,
        name: "GNTTABOP_swap_grant_ref",
        needs: Needs::Nothing,
        run: swap_grant_ref::run,
    },
];

/// Operations on one structure insist on a count of 1.
fn expect_one(call: &Call<'_>) -> Result<(), Errno> {
    if call.arg32(2) == 1 {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// The domain that an operation on a table names, dying ones included. Others than the caller's need privilege.
fn table_of(call: &Call<'_>, id: u16) -> Result<Arc<Domain>, Status> {
    let id = Domid(id);
    if id == Domid::SELF || id == call.domain.id {
        return Ok(Arc::clone(call.domain));
    }
    let domain = call.hv.domain(id).ok_or(Status(GNTST_BAD_DOMAIN))?;
    if call.domain.privileged {
        Ok(domain)
    } else {
        Err(Status(GNTST_PERMISSION_DENIED))
    }
}

/// The value of a `status` field.
fn status_of<T>(result: &Result<T, Status>) -> i16 {
    match result {
        Ok(_) => GNTST_OKAY,
        Err(status) => status.0,
    }
}
