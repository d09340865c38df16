//! Where a guest sees its `shared_info`.
//!
//! The page shows at one guest frame at most: mapping it elsewhere moves it (`xenmem_add_to_physmap_one` in xen/arch/x86/mm/p2m.c). The
//! recorded place may be out of date, because a guest may put something else there; the map is always asked before anything is taken away.

use xen_abi::errno::Errno;

use super::place::{dispose, exchange};
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::Gfn;
use crate::p2m::{P2mEntry, PageType};

/// Shows the page at `gfn` and nowhere else.
///
/// # Errors
/// As for [`super::place::place`].
pub fn map(hv: &Hypervisor, domain: &Domain, gfn: Gfn) -> Result<(), Errno> {
    let entry = P2mEntry {
        mfn: domain.shared_info,
        kind: PageType::Shared,
    };
    let mut shown_at = domain.shared_info_at.lock();
    let (displaced, placed) = exchange(hv, domain, gfn, entry, 1);
    let mut moved = false;
    if placed.is_ok() {
        let old = shown_at.replace(gfn).filter(|&old| old != gfn);
        moved = old.is_some_and(|old| hv.take_entry(domain, old, entry).is_ok());
    }
    drop(shown_at);
    if moved {
        hv.arch.flush_domain(domain);
    }
    dispose(hv, domain, &displaced);
    placed.map_err(|(_, errno)| errno)
}
