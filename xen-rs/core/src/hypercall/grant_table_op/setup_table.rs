//! `GNTTABOP_setup_table`: make a table larger and list where its frames lie.
//!
//! For a translated guest the list holds guest frame numbers: those at which it placed the frames itself, all ones for the others.

use xen_abi::compat::grant_table as compat;
use xen_abi::errno::Errno;
use xen_abi::grant_table::{
    GNTST_ADDRESS_TOO_BIG, GNTST_BAD_VIRT_ADDR, GNTST_GENERAL_ERROR, GnttabSetupTable,
};

use super::super::{Call, Outcome, Width};
use super::{expect_one, status_of, table_of};
use crate::grant::Status;
use crate::ids::GuestAddr;

/// No guest frame.
const NOWHERE: u64 = u64::MAX;

/// Answers in the structure and the list.
///
/// # Errors
/// `EINVAL` for a count other than 1, `EFAULT` if the structure can not be read or written.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    expect_one(call)?;
    let at = call.pointer(1);
    match call.width {
        Width::Bits64 => {
            let mut op: GnttabSetupTable = call.fetch(at)?;
            op.status = status_of(&setup(call, op.dom, op.nr_frames, GuestAddr(op.frame_list)));
            call.store(at, &op)?;
        }
        Width::Bits32 => {
            let mut op: compat::GnttabSetupTable = call.fetch(at)?;
            op.status = status_of(&setup(
                call,
                op.dom,
                op.nr_frames,
                GuestAddr(u64::from(op.frame_list)),
            ));
            call.store(at, &op)?;
        }
    }
    Ok(Outcome::OK)
}

fn setup(call: &mut Call<'_>, dom: u16, frames: u32, list: GuestAddr) -> Result<(), Status> {
    let domain = table_of(call, dom)?;
    domain
        .grants
        .grow(call.hv, frames)
        .map_err(|_| Status(GNTST_GENERAL_ERROR))?;
    for index in 0..frames {
        let gfn = domain.grants.placed_at(index).map_or(NOWHERE, |gfn| gfn.0);
        let written = match call.width {
            Width::Bits64 => call.store_at(list, u64::from(index), &gfn),
            Width::Bits32 => {
                let narrow = u32::try_from(gfn).map_err(|_| Status(GNTST_ADDRESS_TOO_BIG))?;
                call.store_at(list, u64::from(index), &narrow)
            }
        };
        written.map_err(|_| Status(GNTST_BAD_VIRT_ADDR))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use xen_abi::grant_table::{
        GNTST_BAD_DOMAIN, GNTST_OKAY, GNTST_PERMISSION_DENIED, GNTTABOP_QUERY_SIZE,
        GNTTABOP_SETUP_TABLE, GnttabQuerySize,
    };

    use super::*;
    use crate::grant::testing::Pair;
    use crate::ids::{Domid, Gfn};

    fn op(nr_frames: u32, frame_list: u64) -> GnttabSetupTable {
        GnttabSetupTable {
            dom: Domid::SELF.0,
            nr_frames,
            frame_list,
            status: 77,
            ..Default::default()
        }
    }

    #[test]
    fn table_grows_and_placed_frames_are_listed() {
        let pair = Pair::new();
        pair.mapper
            .grants
            .map_frame(pair.fake.hv, &pair.mapper, 1, Gfn(77))
            .unwrap();
        assert_eq!(
            pair.run_one(GNTTABOP_SETUP_TABLE, op(3, 0x4000)).status,
            GNTST_OKAY
        );
        assert_eq!(
            pair.fake.get::<[u64; 4]>(&pair.mapper, 0x4000),
            [u64::MAX, 77, u64::MAX, 0]
        );
        assert_eq!(pair.mapper.grants.nr_frames(), 3);
    }

    #[test]
    fn too_many_frames_and_a_bad_list_are_statuses() {
        let pair = Pair::new();
        assert_eq!(
            pair.run_one(GNTTABOP_SETUP_TABLE, op(5, 0x4000)).status,
            GNTST_GENERAL_ERROR
        );
        assert_eq!(
            pair.run_one(GNTTABOP_SETUP_TABLE, op(u32::MAX, 0x4000))
                .status,
            GNTST_GENERAL_ERROR
        );
        assert_eq!(
            pair.run_one(GNTTABOP_SETUP_TABLE, op(1, u64::MAX - 3))
                .status,
            GNTST_BAD_VIRT_ADDR
        );
        assert_eq!(
            pair.run_one(GNTTABOP_SETUP_TABLE, op(0, u64::MAX)).status,
            GNTST_OKAY
        );
        assert_eq!(
            pair.run(GNTTABOP_SETUP_TABLE, &[op(1, 0x4000); 2]).0,
            Err(Errno::EINVAL)
        );
    }

    #[test]
    fn narrow_callers_get_narrow_frame_numbers() {
        let pair = Pair::new();
        pair.mapper
            .grants
            .map_frame(pair.fake.hv, &pair.mapper, 0, Gfn(77))
            .unwrap();
        let ask = |nr_frames| {
            let op = compat::GnttabSetupTable {
                dom: Domid::SELF.0,
                nr_frames,
                frame_list: 0x4000,
                ..Default::default()
            };
            pair.run_as(&pair.mapper, Width::Bits32, GNTTABOP_SETUP_TABLE, &[op])
                .1[0]
                .status
        };
        assert_eq!(ask(1), GNTST_OKAY);
        assert_eq!(pair.fake.get::<[u32; 2]>(&pair.mapper, 0x4000), [77, 0]);
        assert_eq!(ask(2), GNTST_ADDRESS_TOO_BIG);
    }

    #[test]
    fn sizes_are_told_to_those_who_may_know() {
        let pair = Pair::new();
        let ask = |caller, dom| {
            let op = GnttabQuerySize {
                dom,
                ..Default::default()
            };
            let (rc, ops) = pair.run_as(caller, Width::Bits64, GNTTABOP_QUERY_SIZE, &[op]);
            assert_eq!(rc, Ok(0));
            (ops[0].status, ops[0].nr_frames, ops[0].max_nr_frames)
        };
        assert_eq!(ask(&pair.mapper, pair.granter.id.0), (GNTST_OKAY, 1, 4));
        assert_eq!(ask(&pair.granter, Domid::SELF.0), (GNTST_OKAY, 1, 4));
        assert_eq!(ask(&pair.granter, 0), (GNTST_PERMISSION_DENIED, 0, 0));
        assert_eq!(ask(&pair.granter, 99), (GNTST_BAD_DOMAIN, 0, 0));
    }
}
