//! Changing a domain's guest-physical map on behalf of a guest.
//!
//! Every change goes: decide and change under the map's lock, flush, drop what was there. What may be replaced follows Xen
//! (`xenmem_add_to_physmap_one` and `guest_remove_page` in xen/arch/x86/mm/p2m.c and xen/common/memory.c): the domain's own memory is freed,
//! a page of the hypervisor is unhooked, and mappings of others' memory and of devices stay until they are taken away by their own means.
//! A dying domain's map takes nothing more, or its dismantling would miss it.

use arrayvec::ArrayVec;
use xen_abi::errno::Errno;

use crate::domain::Domain;
use crate::hypervisor::{Hypervisor, Returns};
use crate::ids::{Gfn, Mfn};
use crate::p2m::{GFN_LIMIT, P2mEntry, PageType};

/// Pages changed under one hold of the map's lock, and with one flush.
pub const BATCH: usize = 32;

/// Entries that were replaced and may still be in translation caches. They are due to [`dispose`], with no lock held.
#[must_use]
pub struct Displaced(ArrayVec<P2mEntry, BATCH>);

fn may_go(kind: PageType) -> Result<(), Errno> {
    match kind {
        PageType::Ram | PageType::Shared => Ok(()),
        PageType::Mmio => Err(Errno::EPERM),
        PageType::GrantRw | PageType::GrantRo | PageType::Foreign => Err(Errno::ENXIO),
    }
}

/// Flushes, and drops the references of what was replaced.
pub fn dispose(hv: &Hypervisor, domain: &Domain, displaced: &Displaced) {
    if !displaced.0.is_empty() {
        hv.arch.flush_domain(domain);
        let mut returns = Returns::new(hv);
        for entry in &displaced.0 {
            match entry.kind {
                PageType::Ram => returns.release(entry.mfn),
                _ => hv.drop_entry(entry),
            }
        }
    }
}

/// Maps one page. On success the entry's reference is the map's; on failure it stays the caller's.
///
/// # Errors
/// `EINVAL` for a page beyond the map, `ESRCH` if the domain is dying, `EPERM` over device memory, `ENXIO` over a grant or foreign
/// mapping, `ENOMEM`.
pub fn place(hv: &Hypervisor, domain: &Domain, gfn: Gfn, entry: P2mEntry) -> Result<(), Errno> {
    let (displaced, placed) = exchange(hv, domain, gfn, entry, 1);
    dispose(hv, domain, &displaced);
    placed.map_err(|(_, errno)| errno)
}

/// Maps up to [`BATCH`] pages that lie side by side in both spaces; for callers who hold a lock and dispose later. On failure: how many are
/// mapped.
pub fn exchange(
    hv: &Hypervisor,
    domain: &Domain,
    gfn: Gfn,
    entry: P2mEntry,
    pages: u64,
) -> (Displaced, Result<(), (u64, Errno)>) {
    let mut displaced = ArrayVec::new();
    let placed = exchange_into(&mut displaced, hv, domain, gfn, entry, pages);
    (Displaced(displaced), placed)
}

fn exchange_into(
    displaced: &mut ArrayVec<P2mEntry, BATCH>,
    hv: &Hypervisor,
    domain: &Domain,
    gfn: Gfn,
    entry: P2mEntry,
    pages: u64,
) -> Result<(), (u64, Errno)> {
    if gfn.0 >= GFN_LIMIT || GFN_LIMIT - gfn.0 < pages {
        return Err((0, Errno::EINVAL));
    }
    let mut map = domain.p2m.write();
    if domain.is_dying() {
        return Err((0, Errno::ESRCH));
    }
    let mut there = (0..pages).filter_map(|offset| map.lookup(Gfn(gfn.0 + offset)));
    there
        .try_for_each(|found| may_go(found.kind))
        .map_err(|errno| (0, errno))?;
    for offset in 0..pages {
        let single = P2mEntry {
            mfn: Mfn(entry.mfn.0 + offset),
            ..entry
        };
        let before = map.set(&mut hv.tables(domain), Gfn(gfn.0 + offset), single);
        displaced.extend(before.map_err(|_| (offset, Errno::ENOMEM))?);
    }
    Ok(())
}

/// Maps `1 << order` pages (order 9 at most) of the domain's own RAM, as one entry where that fits. What could not be mapped is freed.
///
/// # Errors
/// As for [`place`]. After `ENOMEM` the first part may be mapped.
pub fn place_ram(
    hv: &Hypervisor,
    domain: &Domain,
    gfn: Gfn,
    order: u32,
    first: Mfn,
) -> Result<(), Errno> {
    let entry = P2mEntry {
        mfn: first,
        kind: PageType::Ram,
    };
    if order == 9 && place_large(hv, domain, gfn, entry)? {
        return Ok(());
    }
    let pages = 1u64 << order;
    let mut done = 0;
    while done < pages {
        let batch = (pages - done).min(BATCH as u64);
        let part = P2mEntry {
            mfn: Mfn(first.0 + done),
            ..entry
        };
        let at = Gfn(gfn.0.wrapping_add(done));
        let (displaced, placed) = exchange(hv, domain, at, part, batch);
        dispose(hv, domain, &displaced);
        if let Err((mapped, errno)) = placed {
            hv.release_pages(Mfn(first.0 + done + mapped), pages - done - mapped);
            return Err(errno);
        }
        done += batch;
    }
    Ok(())
}

/// Maps 2 MiB as one entry if alignment allows it and nothing is in the way; otherwise nothing has changed. Frees the frames on failure.
fn place_large(hv: &Hypervisor, domain: &Domain, gfn: Gfn, entry: P2mEntry) -> Result<bool, Errno> {
    if gfn.0 >= GFN_LIMIT || (gfn.0 | entry.mfn.0) & 511 != 0 {
        return Ok(false);
    }
    let mut map = domain.p2m.write();
    let placed = if domain.is_dying() {
        Err(Errno::ESRCH)
    } else {
        map.set_large(&mut hv.tables(domain), gfn, 9, entry)
            .map_err(|_| Errno::ENOMEM)
    };
    let retired = map.take_retired();
    drop(map);
    if !retired.is_empty() {
        hv.arch.flush_domain(domain);
        retired
            .into_iter()
            .for_each(|table| hv.free_table(domain, table));
    }
    if placed.is_err() {
        hv.release_pages(entry.mfn, 512);
    }
    placed
}

/// Takes pages out of the map, at most [`BATCH`], and frees those that are the domain's own. Stops at the first that is not its to give
/// away; returns how many are gone.
pub fn remove_own(hv: &Hypervisor, domain: &Domain, gfns: &[u64]) -> usize {
    let mut displaced = ArrayVec::new();
    let mut map = domain.p2m.write();
    for &gfn in gfns.iter().take(BATCH) {
        let found = map
            .lookup(Gfn(gfn))
            .filter(|found| may_go(found.kind).is_ok());
        if found.is_none() || domain.is_dying() {
            break;
        }
        match map.remove(&mut hv.tables(domain), Gfn(gfn)) {
            Ok(Some(before)) => displaced.push(before),
            _ => break,
        }
    }
    drop(map);
    let displaced = Displaced(displaced);
    dispose(hv, domain, &displaced);
    displaced.0.len()
}

/// Takes any memory out of the map, mappings of others' memory included.
///
/// # Errors
/// `ENOENT` if no memory is there, `ENOMEM` if a large entry could not be split.
pub fn remove_any(hv: &Hypervisor, domain: &Domain, gfn: Gfn) -> Result<(), Errno> {
    let before = {
        let mut map = domain.p2m.write();
        map.lookup(gfn)
            .filter(|found| found.kind.is_memory())
            .ok_or(Errno::ENOENT)?;
        map.remove(&mut hv.tables(domain), gfn)
            .map_err(|_| Errno::ENOMEM)?
    };
    dispose(hv, domain, &Displaced(before.into_iter().collect()));
    Ok(())
}

/// Moves a page of the domain's own RAM to another place of its map.
///
/// # Errors
/// `EACCES` if `from` is not such a page, else as for [`place`].
pub fn move_ram(hv: &Hypervisor, domain: &Domain, from: Gfn, to: Gfn) -> Result<(), Errno> {
    if to.0 >= GFN_LIMIT {
        return Err(Errno::EINVAL);
    }
    let displaced;
    {
        let mut map = domain.p2m.write();
        if domain.is_dying() {
            return Err(Errno::ESRCH);
        }
        let found = map
            .lookup(from)
            .filter(|found| found.kind == PageType::Ram)
            .ok_or(Errno::EACCES)?;
        if from == to {
            return Ok(());
        }
        map.lookup(to).map_or(Ok(()), |there| may_go(there.kind))?;
        let entry = P2mEntry {
            mfn: found.mfn,
            kind: found.kind,
        };
        let tables = &mut hv.tables(domain);
        map.remove(tables, from).map_err(|_| Errno::ENOMEM)?;
        match map.set(tables, to, entry) {
            Ok(before) => displaced = before,
            Err(_) => {
                // The tables of the old place are still there, so this needs no memory.
                let _ = map.set(tables, from, entry);
                return Err(Errno::ENOMEM);
            }
        }
    }
    // The old place is due for a flush even if nothing was at the new one.
    hv.arch.flush_domain(domain);
    displaced.iter().for_each(|entry| hv.drop_entry(entry));
    Ok(())
}
