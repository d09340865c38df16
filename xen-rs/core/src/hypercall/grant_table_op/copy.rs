//! `GNTTABOP_copy`: copy between granted and own pages.

use xen_abi::compat::grant_table as compat;
use xen_abi::errno::Errno;
use xen_abi::grant_table::{GnttabCopy, GnttabCopyPtr};

use super::super::{Call, Outcome, Width};
use super::{batch, status_of};
use crate::grant::Copies;

/// Copies for each element.
///
/// # Errors
/// See [`batch::run`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let mut copies = Copies::new(call.hv, call.domain);
    match call.width {
        Width::Bits64 => batch::run(call, |ops: &mut [GnttabCopy]| {
            for op in ops {
                op.status = status_of(&copies.copy(op));
            }
        }),
        Width::Bits32 => batch::run(call, |ops: &mut [compat::GnttabCopy]| {
            for op in ops {
                op.status = status_of(&copies.copy(&widen(op)));
            }
        }),
    }
}

fn widen(op: &compat::GnttabCopy) -> GnttabCopy {
    GnttabCopy {
        source: widen_side(&op.source),
        dest: widen_side(&op.dest),
        len: op.len,
        flags: op.flags,
        ..Default::default()
    }
}

fn widen_side(side: &compat::GnttabCopyPtr) -> GnttabCopyPtr {
    GnttabCopyPtr {
        gmfn_or_ref: u64::from(side.gmfn_or_ref),
        domid: side.domid,
        offset: side.offset,
        ..Default::default()
    }
}
