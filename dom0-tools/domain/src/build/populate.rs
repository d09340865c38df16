//! Giving a guest its memory: in 1 GiB, 2 MiB and 4 KiB pieces, the largest the host has.

use std::ops::Range;

use xen_abi::errno::Errno;
use xen_abi::memory::XENMEMF_POPULATE_ON_DEMAND;
use xenctl::{DomId, Hypervisor, Populate};

use super::error::{BuildError, Result, Step};
use super::layout::{Layout, PAGE};

/// Pages of a piece, as a power of two, largest first.
const ORDERS: [u32; 3] = [18, 9, 0];
/// Pieces asked for at once.
const BATCH: u64 = 4096;

/// Populates all RAM of `layout`; what exceeds `target_kib` is made on demand. With `claim` the memory is reserved first, so that a host
/// without enough of it says so at once.
///
/// # Errors
/// [`BuildError::OutOfMemory`], [`BuildError::Hypervisor`].
pub fn populate_ram(
    hypervisor: &dyn Hypervisor,
    domain: DomId,
    layout: &Layout,
    target_kib: u64,
    claim: bool,
) -> Result<()> {
    let ram = layout
        .ram()
        .map(|range| range.start / PAGE..range.end / PAGE);
    let total: u64 = ram.iter().map(|range| range.end - range.start).sum();
    let target = total.min(target_kib / 4);
    if claim {
        claim_pages(hypervisor, domain, target)?;
    }
    let mut filler = Filler {
        hypervisor,
        domain,
        mem_flags: 0,
        given: 0,
        wanted: total,
    };
    let result = (|| {
        if target < total {
            filler.mem_flags = XENMEMF_POPULATE_ON_DEMAND;
            let step = "set the populate-on-demand target";
            hypervisor.set_pod_target(domain, target).step(step)?;
        }
        ram.into_iter().try_for_each(|range| filler.fill(range))
    })();
    if claim {
        // Whatever happened, nothing stays reserved.
        let released = hypervisor.claim_pages(domain, 0);
        result.and(released.step("give up the rest of the memory claim"))
    } else {
        result
    }
}

/// Populates single pages at `gfns`.
///
/// # Errors
/// [`BuildError::OutOfMemory`], [`BuildError::Hypervisor`].
pub fn populate_pages(hypervisor: &dyn Hypervisor, domain: DomId, gfns: Range<u64>) -> Result<()> {
    let wanted = gfns.end - gfns.start;
    Filler {
        hypervisor,
        domain,
        mem_flags: 0,
        given: 0,
        wanted,
    }
    .fill(gfns)
}

fn claim_pages(hypervisor: &dyn Hypervisor, domain: DomId, pages: u64) -> Result<()> {
    match hypervisor.claim_pages(domain, pages) {
        Err(error) if error.errno == Errno::ENOMEM => Err(BuildError::OutOfMemory {
            given: 0,
            wanted: pages * 4,
        }),
        claimed => claimed.step("claim memory"),
    }
}

struct Filler<'a> {
    hypervisor: &'a dyn Hypervisor,
    domain: DomId,
    mem_flags: u32,
    given: u64,
    wanted: u64,
}

impl Filler<'_> {
    /// Populates a range of frames.
    fn fill(&mut self, mut range: Range<u64>) -> Result<()> {
        while range.start < range.end {
            let mut given = 0;
            for order in ORDERS {
                given = self.pieces(&range, order)?;
                if given != 0 {
                    break;
                }
            }
            if given == 0 {
                return Err(BuildError::OutOfMemory {
                    given: self.given * 4,
                    wanted: self.wanted * 4,
                });
            }
            self.given += given;
            range.start += given;
        }
        Ok(())
    }

    /// Asks for as many pieces of one size as fit at the range's start, and gives the pages that came. Smaller pieces end where a larger one
    /// could follow.
    fn pieces(&self, range: &Range<u64>, order: u32) -> Result<u64> {
        let size = 1 << order;
        if !range.start.is_multiple_of(size) {
            return Ok(0);
        }
        let larger = ORDERS.into_iter().rev().find(|other| *other > order);
        let end = match larger.map(|order| 1 << order) {
            // A whole larger piece was refused, or there is none: this fills up to its end.
            Some(larger) => range.end.min(range.start - range.start % larger + larger),
            None => range.end,
        };
        let count = ((end - range.start) / size).min(BATCH);
        if count == 0 {
            return Ok(0);
        }
        let gfns: Vec<u64> = (0..count).map(|n| range.start + n * size).collect();
        let what = Populate {
            order,
            mem_flags: self.mem_flags,
            gfns: &gfns,
        };
        let step = "populate the domain's memory";
        let done = self.hypervisor.populate(self.domain, what).step(step)?;
        Ok(done as u64 * size)
    }
}
