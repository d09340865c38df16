//! `GNTTABOP_swap_grant_ref`: exchange entries of the caller's table.

use xen_abi::errno::Errno;
use xen_abi::grant_table::GnttabSwapGrantRef;

use super::super::{Call, Outcome};
use super::{batch, status_of};

/// Swaps for each element.
///
/// # Errors
/// See [`batch::run`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let (hv, caller) = (call.hv, call.domain);
    batch::run(call, |ops: &mut [GnttabSwapGrantRef]| {
        for op in ops {
            op.status = status_of(&caller.grants.swap(hv, op.ref_a, op.ref_b));
        }
    })
}

#[cfg(test)]
mod tests {
    use xen_abi::grant_table::{
        GNTST_BAD_GNTREF, GNTST_EAGAIN, GNTST_OKAY, GNTTABOP_SWAP_GRANT_REF,
    };

    use super::*;
    use crate::grant::testing::{EMPTY, Pair};
    use crate::hal::MachineMemory;
    use crate::hypercall::Width;

    fn swap(pair: &Pair, ref_a: u32, ref_b: u32) -> i16 {
        let op = GnttabSwapGrantRef {
            ref_a,
            ref_b,
            status: 77,
            ..Default::default()
        };
        pair.run_as(&pair.granter, Width::Bits64, GNTTABOP_SWAP_GRANT_REF, &[op])
            .1[0]
            .status
    }

    #[test]
    fn unused_entries_change_places() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        let word = pair.fake.memory.load_u64(pair.entry(8));
        assert_eq!(swap(&pair, 8, 9), GNTST_OKAY);
        assert_eq!(pair.fake.memory.load_u64(pair.entry(9)), word);
        assert_eq!(pair.fake.memory.load_u64(pair.entry(8)), 0);
        assert_eq!(swap(&pair, 9, 9), GNTST_OKAY);
        assert_eq!(swap(&pair, 9, 512), GNTST_BAD_GNTREF);
    }

    #[test]
    fn entry_in_use_stays_in_its_place() {
        let pair = Pair::new();
        pair.grant_rw(8, 5);
        pair.mapped(8, EMPTY);
        assert_eq!(
            (swap(&pair, 8, 9), swap(&pair, 9, 8)),
            (GNTST_EAGAIN, GNTST_EAGAIN)
        );
    }
}
