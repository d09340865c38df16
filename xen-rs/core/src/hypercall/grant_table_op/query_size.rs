//! `GNTTABOP_query_size`: how large a table is and may be.

use xen_abi::errno::Errno;
use xen_abi::grant_table::GnttabQuerySize;

use super::super::{Call, Outcome};
use super::{expect_one, status_of, table_of};

/// Answers in the structure.
///
/// # Errors
/// `EINVAL` for a count other than 1, `EFAULT`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    expect_one(call)?;
    let at = call.pointer(1);
    let mut op: GnttabQuerySize = call.fetch(at)?;
    let domain = table_of(call, op.dom);
    op.status = status_of(&domain);
    if let Ok(domain) = domain {
        op.nr_frames = domain.grants.nr_frames();
        op.max_nr_frames = domain.grants.max_frames();
    }
    call.store(at, &op)?;
    Ok(Outcome::OK)
}
