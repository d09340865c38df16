//! Mapping a page of another domain into dom0 (`XENMAPSPACE_gmfn_foreign`).
//!
//! The new entry holds a reference on the frame, so the frame outlives its domain's use of it: a domain that dies stays listed until dom0
//! has let go of its last page.

use xen_abi::errno::Errno;

use super::place::place;
use crate::domain::Domain;
use crate::hypercall::Call;
use crate::hypervisor::Hypervisor;
use crate::ids::{Domid, Gfn, Mfn};
use crate::p2m::{P2mEntry, PageType};

/// Maps page `source` of domain `owner` at `gfn` of `into`.
///
/// # Errors
/// `EPERM` if `into` may not map foreign pages or `owner` is the caller, `ESRCH` without such a domain, `EINVAL` if the page is not the
/// owner's memory or `owner` is `into`, `EAGAIN` or `ENOMEM` if it is to be populated on demand and cannot be, else as for [`place`].
pub fn map(
    call: &Call<'_>,
    into: &Domain,
    owner: Domid,
    source: Gfn,
    gfn: Gfn,
) -> Result<(), Errno> {
    if !into.hardware || !into.privileged {
        return Err(Errno::EPERM);
    }
    // The hypervisor shares no memory of its own this way.
    if owner == Domid::XEN {
        return Err(Errno::EINVAL);
    }
    let owner = call.hv.domain(owner).ok_or(Errno::ESRCH)?;
    if owner.id == call.domain.id {
        return Err(Errno::EPERM);
    }
    if owner.id == into.id {
        return Err(Errno::EINVAL);
    }
    let mfn = reference(call.hv, &owner, source)?;
    place_reference(call.hv, into, gfn, mfn)
}

/// Takes a reference on what a guest sees at `gfn`, if it is the guest's own memory or a page the hypervisor shares with it.
fn reference(hv: &Hypervisor, owner: &Domain, gfn: Gfn) -> Result<Mfn, Errno> {
    let found = hv.with_page(owner, gfn, |found| {
        let found = found.ok_or(Errno::EINVAL)?;
        let frame_owner = match found.kind {
            PageType::Ram => owner.id,
            PageType::Shared => Domid::XEN,
            _ => return Err(Errno::EINVAL),
        };
        let taken = hv.table.get(found.mfn, frame_owner);
        taken.then_some(found).ok_or(Errno::EINVAL)
    })?;
    // Shared frames are freed when a domain dies, perhaps before its map is taken apart. One that was alive after the reference was taken
    // had not freed any before.
    if found.kind == PageType::Shared && owner.is_dying() {
        hv.put_page(found.mfn);
        return Err(Errno::EINVAL);
    }
    Ok(found.mfn)
}

/// Maps a frame on which a reference is held; the reference goes to the map, or is dropped on failure.
///
/// # Errors
/// As for [`place`].
pub fn place_reference(hv: &Hypervisor, into: &Domain, gfn: Gfn, mfn: Mfn) -> Result<(), Errno> {
    let placed = place(
        hv,
        into,
        gfn,
        P2mEntry {
            mfn,
            kind: PageType::Foreign,
        },
    );
    if placed.is_err() {
        hv.put_page(mfn);
    }
    placed
}
