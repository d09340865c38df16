//! What the three reservation operations share: the request, and their rule that nothing is ever reported but the number of extents done.
//!
//! xen/include/public/memory.h, `struct xen_memory_reservation`: callers compare the result with the number they asked for, so a request
//! that makes no sense is one of which nothing was done.

use alloc::sync::Arc;

use xen_abi::memory::{
    MEMOP_EXTENT_SHIFT, MemoryReservation, XENMEMF_EXACT_NODE_REQUEST, XENMEMF_POPULATE_ON_DEMAND,
    XENMEMF_VNODE, xenmemf_get_address_bits, xenmemf_get_node,
};

use super::layout::Argument;
use super::{restart_at, restart_position};
use crate::domain::Domain;
use crate::hypercall::{Call, Outcome};
use crate::ids::{Mfn, PAGE_SHIFT};

/// Largest extent: 2 MiB. Larger ones would take too long between two looks at other work; callers fall back to this size.
const MAX_ORDER: u32 = 9;
/// "No node" in the flags.
const NO_NODE: u32 = 255;

/// A request that makes sense.
pub struct Extents {
    /// Whose memory.
    pub target: Arc<Domain>,
    /// Guest array of frame numbers.
    pub list: u64,
    /// Extents to do.
    pub count: u64,
    /// log2 of the pages of one.
    pub order: u32,
    /// Populate-on-demand was asked for.
    pub on_demand: bool,
    /// One past the highest frame that may be used.
    pub frame_limit: u64,
    /// Extents done before this entry.
    pub start: u64,
}

impl Extents {
    /// The request; `Err` is what the hypercall returns when there is nothing to do.
    ///
    /// # Errors
    /// The number of extents done before.
    pub fn fetch(call: &mut Call<'_>) -> Result<Self, Outcome> {
        let start = restart_position(call);
        let nothing = Outcome::Done(start as i64);
        let request = MemoryReservation::fetch(call).map_err(|_| nothing)?;
        if request.nr_extents > u64::from(u32::MAX >> MEMOP_EXTENT_SHIFT)
            || start >= request.nr_extents
        {
            return Err(nothing);
        }
        let target = call.target(request.domid).map_err(|_| nothing)?;
        let frame_limit = frame_limit(call, request.mem_flags)
            .filter(|_| node_is_acceptable(call, request.mem_flags));
        let frame_limit = frame_limit
            .filter(|_| request.extent_order <= MAX_ORDER)
            .ok_or(nothing)?;
        Ok(Self {
            target,
            list: request.extent_start,
            count: request.nr_extents,
            order: request.extent_order,
            on_demand: request.mem_flags & XENMEMF_POPULATE_ON_DEMAND != 0,
            frame_limit,
            start,
        })
    }

    /// Pages of one extent.
    #[must_use]
    pub fn pages(&self) -> u64 {
        1 << self.order
    }

    /// The end of this entry into the handler: all is done, or work stopped for good, or only for now.
    #[must_use]
    pub fn finish(&self, call: &Call<'_>, done: u64, stopped: bool) -> Outcome {
        if stopped || done >= self.count {
            Outcome::Done(done as i64)
        } else {
            restart_at(call, done)
        }
    }
}

/// The address-bits field as a frame limit. Up to twelve bits make no frame.
fn frame_limit(call: &Call<'_>, flags: u32) -> Option<u64> {
    let end = call.hv.table.end();
    match xenmemf_get_address_bits(flags) {
        0 => Some(u64::MAX),
        bits if bits >= u64::BITS || 1u64 << (bits.max(PAGE_SHIFT) - PAGE_SHIFT) >= end.0 => {
            Some(u64::MAX)
        }
        bits if bits <= PAGE_SHIFT => None,
        bits => Some(Mfn(1 << (bits - PAGE_SHIFT)).0),
    }
}

/// All memory is node 0. A wish for another node is only a wish unless it is exact, which takes privilege. Virtual nodes mean nothing
/// without a virtual topology.
fn node_is_acceptable(call: &Call<'_>, flags: u32) -> bool {
    let node = xenmemf_get_node(flags);
    if flags & XENMEMF_VNODE != 0 || node == NO_NODE {
        return true;
    }
    let exact = flags & XENMEMF_EXACT_NODE_REQUEST != 0;
    if call.domain.privileged {
        node == 0 || !exact
    } else {
        !exact
    }
}
