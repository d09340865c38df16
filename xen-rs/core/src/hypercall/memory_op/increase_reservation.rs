//! `XENMEM_increase_reservation`: memory without a place in the map.
//!
//! Only paravirtualised guests can use such memory; every guest here is translated, so no extent is ever done.

use xen_abi::errno::Errno;

use super::restart_position;
use crate::hypercall::{Call, Outcome};

/// Result: extents done.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    Ok(Outcome::Done(restart_position(call) as i64))
}

#[cfg(test)]
mod tests {
    use xen_abi::memory::{MemoryReservation, XENMEM_INCREASE_RESERVATION};

    use super::super::testing::{Bench, LIST};

    #[test]
    fn nothing_is_done() {
        let bench = Bench::new();
        let request = MemoryReservation {
            extent_start: LIST,
            nr_extents: 4,
            domid: 0x7ff0,
            ..MemoryReservation::default()
        };
        assert_eq!(
            bench.run(&bench.guest, XENMEM_INCREASE_RESERVATION, &request),
            Ok(0)
        );
    }
}
