//! `GNTTABOP_get_version`: the entry format of a table.

use xen_abi::errno::Errno;
use xen_abi::grant_table::{GNTST_BAD_DOMAIN, GnttabGetVersion};

use super::super::{Call, Outcome};
use super::table_of;

/// Answers in the structure.
///
/// # Errors
/// `ESRCH` if there is no such domain, `EPERM`, `EFAULT`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut op: GnttabGetVersion = call.fetch(at)?;
    let domain = table_of(call, op.dom).map_err(|status| match status.0 {
        GNTST_BAD_DOMAIN => Errno::ESRCH,
        _ => Errno::EPERM,
    })?;
    op.version = domain.grants.version();
    call.store(at, &op)?;
    Ok(Outcome::OK)
}
