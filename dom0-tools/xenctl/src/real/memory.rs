//! Guests' memory: giving it, describing it, reading and writing it.

use xen_abi::errno::Errno;
use xen_abi::hvm::e820::E820Entry;
use xen_abi::memory::{
    ForeignMemoryMap, MemoryMap, MemoryReservation, PodTarget, XENMEM_CLAIM_PAGES,
    XENMEM_POPULATE_PHYSMAP, XENMEM_SET_MEMORY_MAP, XENMEM_SET_POD_TARGET,
};

use super::Xen;
use crate::sys::Mapping;
use crate::{DomId, Error, PAGE_SIZE, Populate, Result, SharedPage, call};

/// Pages of a guest mapped at once: 4 MiB, few enough for dom0's scratch frames.
const MAP_CHUNK: usize = 1024;

pub(super) fn claim(xen: &Xen, domain: DomId, pages: u64) -> Result<()> {
    let mut claim = MemoryReservation {
        nr_extents: pages,
        domid: domain.0,
        ..MemoryReservation::default()
    };
    xen.memory_op(call::CLAIM_PAGES, XENMEM_CLAIM_PAGES, &mut claim)
        .map(drop)
}

pub(super) fn set_map(xen: &Xen, domain: DomId, map: &[(u64, u64, u32)]) -> Result<()> {
    let call = call::SET_MEMORY_MAP;
    let entries: Vec<_> = map
        .iter()
        .map(|&(start, size, kind)| E820Entry::new(start, size, kind))
        .collect();
    let buffer = xen.list(call, &entries)?;
    let mut request = ForeignMemoryMap {
        domid: domain.0,
        map: MemoryMap {
            nr_entries: entries.len() as u32,
            buffer: buffer.address(),
            ..MemoryMap::default()
        },
        ..ForeignMemoryMap::default()
    };
    xen.memory_op(call, XENMEM_SET_MEMORY_MAP, &mut request)
        .map(drop)
}

pub(super) fn populate(xen: &Xen, domain: DomId, what: Populate<'_>) -> Result<usize> {
    let call = call::POPULATE;
    let gfns = xen.list(call, what.gfns)?;
    let mut request = MemoryReservation {
        extent_start: gfns.address(),
        nr_extents: what.gfns.len() as u64,
        extent_order: what.order,
        mem_flags: what.mem_flags,
        domid: domain.0,
        ..MemoryReservation::default()
    };
    xen.memory_op(call, XENMEM_POPULATE_PHYSMAP, &mut request)
}

pub(super) fn set_pod_target(xen: &Xen, domain: DomId, target_pages: u64) -> Result<()> {
    let mut request = PodTarget {
        target_pages,
        domid: domain.0,
        ..PodTarget::default()
    };
    xen.memory_op(call::SET_POD_TARGET, XENMEM_SET_POD_TARGET, &mut request)
        .map(drop)
}

pub(super) fn write(xen: &Xen, domain: DomId, address: u64, bytes: &[u8]) -> Result<()> {
    for piece in pieces(address, bytes.len())? {
        let mapping = map(xen, domain, &piece.gfns)?;
        mapping.copy_in(piece.offset, &bytes[piece.part]);
    }
    Ok(())
}

pub(super) fn read(xen: &Xen, domain: DomId, address: u64, bytes: &mut [u8]) -> Result<()> {
    for piece in pieces(address, bytes.len())? {
        let mapping = map(xen, domain, &piece.gfns)?;
        mapping.copy_out(piece.offset, &mut bytes[piece.part]);
    }
    Ok(())
}

/// Maps frames of a domain, all or none.
pub(super) fn map(xen: &Xen, domain: DomId, gfns: &[u64]) -> Result<Mapping> {
    xen.privcmd
        .map_foreign(domain.0, gfns)
        .map_err(|(errno, gfn)| {
            let error = Error::new(call::MAP_FOREIGN, errno);
            match gfn {
                Some(gfn) => error.about(format!("frame {gfn:#x} of domain {domain}")),
                None => error.about(format!("domain {domain}")),
            }
        })
}

/// A part of a copy: the frames to map, where it begins in them, and which bytes it is of the whole.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    gfns: Vec<u64>,
    offset: usize,
    part: std::ops::Range<usize>,
}

/// Splits a range of guest-physical addresses into pieces that are mapped at once; `EINVAL` when it goes past the end.
fn pieces(address: u64, length: usize) -> Result<impl Iterator<Item = Piece>> {
    let end = address.checked_add(length as u64);
    if end.is_none() {
        let error = Error::new(call::MAP_FOREIGN, Errno::EINVAL);
        return Err(error.about(format!("{length} bytes at {address:#x}")));
    }
    let mut done = 0;
    Ok(std::iter::from_fn(move || {
        let at = address + done as u64;
        let offset = (at % PAGE_SIZE as u64) as usize;
        let count = (length - done).min(MAP_CHUNK * PAGE_SIZE - offset);
        let pages = (offset + count).div_ceil(PAGE_SIZE) as u64;
        let first = at / PAGE_SIZE as u64;
        let part = done..done + count;
        done += count;
        (count > 0).then(|| Piece {
            gfns: (first..first + pages).collect(),
            offset,
            part,
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(address: u64, length: usize) -> Vec<Piece> {
        pieces(address, length).unwrap().collect()
    }

    #[test]
    fn a_copy_inside_a_page_maps_that_page() {
        let piece = Piece {
            gfns: vec![5],
            offset: 0x10,
            part: 0..0xff0,
        };
        assert_eq!(all(0x5010, 0xff0), [piece]);
        assert!(all(0x5000, 0).is_empty());
    }

    #[test]
    fn a_long_copy_is_split_at_page_borders() {
        let chunk = MAP_CHUNK * PAGE_SIZE;
        let pieces = all(0x1800, chunk + 0x1000);
        assert_eq!(pieces.len(), 2);
        assert_eq!(
            pieces[0].gfns,
            (1..1 + MAP_CHUNK as u64).collect::<Vec<_>>()
        );
        assert_eq!(pieces[0].part, 0..chunk - 0x800);
        assert_eq!((pieces[1].offset, pieces[1].gfns.len()), (0, 2));
        assert_eq!(pieces[1].part, chunk - 0x800..chunk + 0x1000);
    }

    #[test]
    fn addresses_past_the_end_are_refused() {
        assert!(pieces(u64::MAX, 2).is_err());
    }
}
