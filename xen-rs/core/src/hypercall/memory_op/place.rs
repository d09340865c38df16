//! Changing a domain's guest-physical map on behalf of a guest.
//!
//! Every change goes: decide and change under the map's lock, flush, drop what was there. What may be replaced follows Xen
//! (`xenmem_add_to_physmap_one` and `guest_remove_page` in xen/arch/x86/mm/p2m.c and xen/common/memory.c): the domain's own memory is freed,
//! a page of the hypervisor is unhooked, and mappings of others' memory and of devices stay until they are taken away by their own means.
//! A dying domain's map takes nothing more, or its dismantling would miss it.

use alloc::vec::Vec;

use arrayvec::ArrayVec;
use xen_abi::errno::Errno;

use crate::domain::Domain;
use crate::hypervisor::{Effort, Hypervisor, Returns};
use crate::ids::{Gfn, Mfn};
use crate::p2m::pod::BLOCK_ORDER;
use crate::p2m::{Behind, GFN_LIMIT, P2m, P2mEntry, PageType};
use crate::paging::OutOfTables;

/// Pages changed under one hold of the map's lock, and with one flush.
pub const BATCH: usize = 32;

/// Entries that were replaced and may still be in translation caches. They are due to [`dispose`], with no lock held.
#[must_use]
#[derive(Default)]
pub struct Displaced {
    entries: ArrayVec<P2mEntry, BATCH>,
    /// The domain's memory that was replaced may serve pages on demand.
    given_back: bool,
    /// Pages on demand became fewer, and more frames are set aside for them than there are.
    surplus: bool,
}

fn may_go(kind: PageType) -> Result<(), Errno> {
    match kind {
        PageType::Ram | PageType::Shared => Ok(()),
        PageType::Mmio => Err(Errno::EPERM),
        PageType::GrantRw | PageType::GrantRo | PageType::Foreign => Err(Errno::ENXIO),
    }
}

/// Flushes, and drops the references of what was replaced.
pub fn dispose(hv: &Hypervisor, domain: &Domain, displaced: &Displaced) {
    if !displaced.entries.is_empty() {
        hv.arch.flush_domain(domain);
        let is_ram = |entry: &&P2mEntry| entry.kind == PageType::Ram;
        let frames = displaced.entries.iter().filter(is_ram);
        if displaced.given_back {
            hv.keep_or_release(domain, frames.map(|entry| entry.mfn));
        } else {
            let mut returns = Returns::new(hv);
            frames.for_each(|entry| returns.release(entry.mfn));
        }
        let others = displaced.entries.iter().filter(|entry| !is_ram(entry));
        others.for_each(|entry| hv.drop_entry(entry));
    }
    if displaced.surplus {
        hv.drop_surplus(domain);
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
    let mut displaced = Displaced::default();
    let placed = exchange_into(&mut displaced, hv, domain, gfn, entry, pages);
    (displaced, placed)
}

fn exchange_into(
    displaced: &mut Displaced,
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
    let entries = map.pod().entries();
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
        displaced.surplus = map.pod().outgrew(entries);
        let before = before.map_err(|_| (offset, Errno::ENOMEM))?;
        displaced.entries.extend(before);
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
    let entries = map.pod().entries();
    let placed = if domain.is_dying() {
        Err(Errno::ESRCH)
    } else {
        map.set_large(&mut hv.tables(domain), gfn, 9, entry)
            .map_err(|_| Errno::ENOMEM)
    };
    let retired = map.take_retired();
    let surplus = map.pod().outgrew(entries);
    drop(map);
    free_retired(hv, domain, retired);
    if surplus {
        hv.drop_surplus(domain);
    }
    if placed.is_err() {
        hv.release_pages(entry.mfn, 512);
    }
    placed
}

fn free_retired(hv: &Hypervisor, domain: &Domain, retired: Vec<Mfn>) {
    if !retired.is_empty() {
        hv.arch.flush_domain(domain);
        let tables = retired.into_iter();
        tables.for_each(|table| hv.free_table(domain, table));
    }
}

/// Makes `1 << order` pages (order 9 at most) RAM that gets its frames when it is touched.
///
/// # Errors
/// `EINVAL` for a page beyond the map, `ESRCH` if the domain is dying, `EBUSY` if a page is there, `ENOMEM`: a part may be done then.
pub fn place_on_demand(
    hv: &Hypervisor,
    domain: &Domain,
    gfn: Gfn,
    order: u32,
) -> Result<(), Errno> {
    if gfn.0 >= GFN_LIMIT || GFN_LIMIT - gfn.0 < 1 << order {
        return Err(Errno::EINVAL);
    }
    let mut map = domain.p2m.write();
    if domain.is_dying() {
        return Err(Errno::ESRCH);
    }
    let placed = map.set_on_demand(&mut hv.tables(domain), gfn, order);
    let retired = map.take_retired();
    drop(map);
    free_retired(hv, domain, retired);
    match placed {
        Ok(true) => Ok(()),
        Ok(false) => Err(Errno::EBUSY),
        Err(OutOfTables) => Err(Errno::ENOMEM),
    }
}

/// Takes pages out of the map, at most [`BATCH`], and gives back those that are the domain's own: to the pages that wait for a frame, or to
/// the machine. Stops at the first that is not its to give away; returns how many are gone.
///
/// The first page of a 2 MiB entry takes the other 511 along while frames are wanted, if these hold zeroes only: they are on demand
/// afterwards. That is tried while `block_checks` lasts, which it counts down.
pub fn remove_own(hv: &Hypervisor, domain: &Domain, gfns: &[u64], block_checks: &mut u32) -> usize {
    let mut displaced = Displaced::default();
    let mut gone = 0;
    let mut map = domain.p2m.write();
    let entries = map.pod().entries();
    for gfn in gfns.iter().take(BATCH).copied().map(Gfn) {
        if domain.is_dying() {
            break;
        }
        if *block_checks > 0 && map.pod().shortage() > 0 && in_ram_block(&map, gfn) {
            *block_checks -= 1;
            hv.reclaim_block_at(&mut map, domain, gfn);
        }
        let may_be_removed = match map.find(gfn) {
            Behind::Page(found) => may_go(found.kind).is_ok(),
            Behind::OnDemand(_) => true,
            Behind::Nothing => false,
        };
        if !may_be_removed {
            break;
        }
        let Ok(before) = map.remove(&mut hv.tables(domain), gfn) else {
            break;
        };
        displaced.entries.extend(before);
        gone += 1;
    }
    displaced.given_back = map.pod().shortage() > 0;
    displaced.surplus = map.pod().outgrew(entries);
    drop(map);
    dispose(hv, domain, &displaced);
    gone
}

fn in_ram_block(map: &P2m, gfn: Gfn) -> bool {
    map.lookup(gfn)
        .is_some_and(|found| found.kind == PageType::Ram && found.order == BLOCK_ORDER)
}

/// Takes 2 MiB of the domain's own RAM out of the map and frees them, if they are mapped as one and no page waits for a frame; otherwise
/// nothing has changed.
pub fn remove_own_large(hv: &Hypervisor, domain: &Domain, gfn: u64) -> bool {
    let mut map = domain.p2m.write();
    let removed = if domain.is_dying() || map.pod().shortage() > 0 {
        None
    } else {
        map.remove_large_ram(Gfn(gfn))
    };
    drop(map);
    if let Some(entry) = removed {
        hv.arch.flush_domain(domain);
        hv.release_pages(entry.mfn, 512);
    }
    removed.is_some()
}

/// Takes any memory out of the map, mappings of others' memory included.
///
/// # Errors
/// `ENOENT` if no memory is there, `ENOMEM` if a large entry could not be split.
pub fn remove_any(hv: &Hypervisor, domain: &Domain, gfn: Gfn) -> Result<(), Errno> {
    let mut displaced = Displaced::default();
    {
        let mut map = domain.p2m.write();
        let entries = map.pod().entries();
        match map.find(gfn) {
            Behind::Page(found) if found.kind.is_memory() => {}
            Behind::OnDemand(_) => {}
            Behind::Page(_) | Behind::Nothing => return Err(Errno::ENOENT),
        }
        let before = map.remove(&mut hv.tables(domain), gfn);
        displaced.entries.extend(before.map_err(|_| Errno::ENOMEM)?);
        displaced.surplus = map.pod().outgrew(entries);
    }
    dispose(hv, domain, &displaced);
    Ok(())
}

/// Moves a page of the domain's own RAM to another place of its map.
///
/// # Errors
/// `EACCES` if `from` is not such a page, `EAGAIN` if it is on demand and no frame was found yet, else as for [`place`].
pub fn move_ram(hv: &Hypervisor, domain: &Domain, from: Gfn, to: Gfn) -> Result<(), Errno> {
    if to.0 >= GFN_LIMIT {
        return Err(Errno::EINVAL);
    }
    let (displaced, surplus);
    {
        let mut map = domain.p2m.write();
        let entries = map.pod().entries();
        if domain.is_dying() {
            return Err(Errno::ESRCH);
        }
        hv.provide_by(&mut map, domain, from, Effort::OneSearch)?;
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
        surplus = map.pod().outgrew(entries);
    }
    // The old place is due for a flush even if nothing was at the new one.
    hv.arch.flush_domain(domain);
    displaced.iter().for_each(|entry| hv.drop_entry(entry));
    if surplus {
        hv.drop_surplus(domain);
    }
    Ok(())
}
