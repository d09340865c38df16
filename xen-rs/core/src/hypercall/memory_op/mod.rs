//! `HYPERVISOR_memory_op` (xen/include/public/memory.h): which memory a domain has, and what its guest-physical map shows.
//!
//! The command word carries the position of a restarted call above its low six bits. A restart position is the caller's claim like any
//! other argument; a wrong one skips extents of the caller's own request and nothing else.
//!
//! The map is changed in `place` only: there it is decided what may be replaced, and there the order "change, flush, drop" is kept. Each
//! entry into a handler does a bounded amount of work (`PAGES_PER_ENTRY`, `MAPPINGS_PER_ENTRY`).
//!
//! A guest that starts with less memory than it may grow to (`memory` below `maxmem`) is built of pages populated on demand
//! (`populate_physmap` with that flag) and a target that fills their cache; see [`crate::p2m::pod`].

mod acquire_resource;
mod add_to_physmap;
mod add_to_physmap_batch;
mod claim_pages;
mod counters;
mod decrease_reservation;
mod extents;
mod foreign;
mod get_vnumainfo;
mod increase_reservation;
mod layout;
mod memory_map;
mod place;
mod pod_target;
mod populate_physmap;
mod remove_from_physmap;
mod reserved_device_memory_map;
mod set_memory_map;
mod shared_info;
mod shares;

use xen_abi::errno::Errno;
use xen_abi::memory::{
    MEMOP_CMD_MASK, MEMOP_EXTENT_SHIFT, XENMEM_ACQUIRE_RESOURCE, XENMEM_ADD_TO_PHYSMAP,
    XENMEM_ADD_TO_PHYSMAP_BATCH, XENMEM_CLAIM_PAGES, XENMEM_CURRENT_RESERVATION,
    XENMEM_DECREASE_RESERVATION, XENMEM_GET_POD_TARGET, XENMEM_GET_SHARING_FREED_PAGES,
    XENMEM_GET_SHARING_SHARED_PAGES, XENMEM_GET_VNUMAINFO, XENMEM_INCREASE_RESERVATION,
    XENMEM_MAXIMUM_GPFN, XENMEM_MAXIMUM_RAM_PAGE, XENMEM_MAXIMUM_RESERVATION, XENMEM_MEMORY_MAP,
    XENMEM_POPULATE_PHYSMAP, XENMEM_REMOVE_FROM_PHYSMAP, XENMEM_RESERVED_DEVICE_MEMORY_MAP,
    XENMEM_SET_MEMORY_MAP, XENMEM_SET_POD_TARGET,
};

use super::{Call, Handler, Needs, Outcome, Row, Width};

/// Bits of the first argument that select the row.
pub const MASK: u32 = MEMOP_CMD_MASK;
/// Pages scrubbed or freed between two looks at other work: 2 MiB.
const PAGES_PER_ENTRY: u64 = 512;
/// Pages mapped between two looks at other work.
const MAPPINGS_PER_ENTRY: u64 = 64;

const fn row(op: u32, name: &'static str, needs: Needs, run: Handler) -> Row {
    Row {
        op,
        name,
        needs,
        run,
    }
}

/// The operations that exist for translated guests.
pub static ROWS: &[Row] = &[
    row(
        XENMEM_INCREASE_RESERVATION,
        "XENMEM_increase_reservation",
        Needs::Nothing,
        increase_reservation::run,
    ),
    row(
        XENMEM_DECREASE_RESERVATION,
        "XENMEM_decrease_reservation",
        Needs::Nothing,
        decrease_reservation::run,
    ),
    row(
        XENMEM_MAXIMUM_RAM_PAGE,
        "XENMEM_maximum_ram_page",
        Needs::Nothing,
        counters::maximum_ram_page,
    ),
    row(
        XENMEM_CURRENT_RESERVATION,
        "XENMEM_current_reservation",
        Needs::Nothing,
        counters::current_reservation,
    ),
    row(
        XENMEM_MAXIMUM_RESERVATION,
        "XENMEM_maximum_reservation",
        Needs::Nothing,
        counters::maximum_reservation,
    ),
    row(
        XENMEM_POPULATE_PHYSMAP,
        "XENMEM_populate_physmap",
        Needs::Nothing,
        populate_physmap::run,
    ),
    row(
        XENMEM_ADD_TO_PHYSMAP,
        "XENMEM_add_to_physmap",
        Needs::Nothing,
        add_to_physmap::run,
    ),
    row(
        XENMEM_MEMORY_MAP,
        "XENMEM_memory_map",
        Needs::Nothing,
        memory_map::run,
    ),
    row(
        XENMEM_SET_MEMORY_MAP,
        "XENMEM_set_memory_map",
        Needs::Nothing,
        set_memory_map::run,
    ),
    row(
        XENMEM_MAXIMUM_GPFN,
        "XENMEM_maximum_gpfn",
        Needs::Nothing,
        counters::maximum_gpfn,
    ),
    row(
        XENMEM_REMOVE_FROM_PHYSMAP,
        "XENMEM_remove_from_physmap",
        Needs::Nothing,
        remove_from_physmap::run,
    ),
    row(
        XENMEM_SET_POD_TARGET,
        "XENMEM_set_pod_target",
        Needs::Control,
        pod_target::set,
    ),
    row(
        XENMEM_GET_POD_TARGET,
        "XENMEM_get_pod_target",
        Needs::Control,
        pod_target::get,
    ),
    row(
        XENMEM_GET_SHARING_FREED_PAGES,
        "XENMEM_get_sharing_freed_pages",
        Needs::Nothing,
        shares::run,
    ),
    row(
        XENMEM_GET_SHARING_SHARED_PAGES,
        "XENMEM_get_sharing_shared_pages",
        Needs::Nothing,
        shares::run,
    ),
    row(
        XENMEM_ADD_TO_PHYSMAP_BATCH,
        "XENMEM_add_to_physmap_batch",
        Needs::Nothing,
        add_to_physmap_batch::run,
    ),
    row(
        XENMEM_CLAIM_PAGES,
        "XENMEM_claim_pages",
        Needs::Control,
        claim_pages::run,
    ),
    row(
        XENMEM_GET_VNUMAINFO,
        "XENMEM_get_vnumainfo",
        Needs::Nothing,
        get_vnumainfo::run,
    ),
    row(
        XENMEM_RESERVED_DEVICE_MEMORY_MAP,
        "XENMEM_reserved_device_memory_map",
        Needs::Nothing,
        reserved_device_memory_map::run,
    ),
    row(
        XENMEM_ACQUIRE_RESOURCE,
        "XENMEM_acquire_resource",
        Needs::Nothing,
        acquire_resource::run,
    ),
];

/// Where a restarted call goes on; 0 for a fresh one.
fn restart_position(call: &Call<'_>) -> u64 {
    let command = match call.width {
        Width::Bits64 => call.args[0],
        Width::Bits32 => u64::from(call.arg32(0)),
    };
    command >> MEMOP_EXTENT_SHIFT
}

/// The same call again, to go on at `position` (which the caller has checked to fit the command word).
fn restart_at(call: &Call<'_>, position: u64) -> Outcome {
    let mut args = call.args;
    args[0] = u64::from(call.arg32(0) & MEMOP_CMD_MASK) | position << MEMOP_EXTENT_SHIFT;
    Outcome::Continue(args)
}

/// Refuses a restart position where there is nothing to restart; operations of all architectures answer `EINVAL`, those of x86 `ENOSYS`.
fn fresh(call: &Call<'_>, refusal: Errno) -> Result<(), Errno> {
    if restart_position(call) == 0 {
        Ok(())
    } else {
        Err(refusal)
    }
}

/// What a balloon driver does with pages, for tests of who has to follow.
#[cfg(test)]
pub(crate) fn remove_own_pages(
    hv: &crate::hypervisor::Hypervisor,
    domain: &crate::domain::Domain,
    gfns: &[u64],
) -> usize {
    place::remove_own(hv, domain, gfns, &mut 1)
}

#[cfg(test)]
mod any_request;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests {
    use super::testing::{Bench, MEMORY_OP};
    use super::*;

    #[test]
    fn rows_are_in_order_and_each_operation_appears_once() {
        assert!(ROWS.windows(2).all(|pair| pair[0].op < pair[1].op));
        assert!(ROWS.iter().all(|row| row.op <= MASK));
    }

    #[test]
    fn no_argument_whatsoever_harms_the_hypervisor() {
        let bench = Bench::new();
        let wild = [
            0,
            1,
            0xfff,
            0x1000,
            0x7ffc,
            0x1_f000,
            u64::from(u32::MAX),
            1 << 47,
            u64::MAX - 7,
            u64::MAX,
        ];
        for (op, at) in (0..64u64).flat_map(|op| wild.map(|at| (op, at))) {
            for position in [0, 1, 0xffff, 0x3ff_ffff, u64::MAX >> MEMOP_EXTENT_SHIFT] {
                for caller in [&bench.dom0, &bench.guest] {
                    for width in [Width::Bits64, Width::Bits32] {
                        let _ = bench.fake.call_by(
                            caller,
                            0,
                            width,
                            MEMORY_OP,
                            &[op | position << 6, at],
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn no_structure_whatsoever_harms_the_hypervisor() {
        let words = [
            0,
            1,
            2,
            0x7ff0,
            0xffff,
            0x1_0000,
            0x1000,
            u64::from(u32::MAX),
            1 << 36,
            1 << 63,
            u64::MAX,
        ];
        let bench = Bench::new();
        let mut state = 1u64;
        let mut draw = |limit: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % limit
        };
        for _ in 0..4000 {
            let argument: [u64; 5] = core::array::from_fn(|_| words[draw(words.len())]);
            let (op, caller) = (draw(30) as u64, [&bench.dom0, &bench.guest][draw(2)]);
            let width = [Width::Bits64, Width::Bits32][draw(2)];
            if bench
                .fake
                .hv
                .write_guest(
                    caller,
                    crate::ids::Gpa(0x3000),
                    zerocopy::IntoBytes::as_bytes(&argument),
                )
                .is_ok()
            {
                let _ = bench
                    .fake
                    .call_by(caller, 0, width, MEMORY_OP, &[op, 0x3000]);
            }
        }
    }
}
