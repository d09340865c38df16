//! `XEN_DOMCTL_getpageframeinfo3`: which pages of a domain are there to be saved.

use xen_abi::domctl::*;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::call::element;
use crate::hypercall::framed::Copyback;
use crate::hypercall::{Call, Width};
use crate::ids::{Gfn, GuestAddr};
use crate::p2m::{Behind, PageType};

/// Pages in one call at most.
const MAX_PAGES: u64 = 1024;
/// Pages until the CPU may be wanted elsewhere.
const PAGES_PER_STEP: u64 = 128;

/// Replaces each page number by the page's kind. Entries have the size of the caller's `unsigned long`.
///
/// # Errors
/// `E2BIG` for more than 1024 pages, `EFAULT`.
pub fn run(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let mut op: DomctlGetpageframeinfo3 = frame.payload.get();
    if op.num > MAX_PAGES {
        return Err(Errno::E2BIG);
    }
    let size = if call.width == Width::Bits32 { 4 } else { 8 };
    let now = op.num.min(PAGES_PER_STEP);
    for index in 0..now {
        let at = element(GuestAddr(op.array), index, size)?;
        let mut bytes = [0; 8];
        call.guest.read(at, &mut bytes[..size])?;
        let kind = kind_of(call, frame, Gfn(u64::from_le_bytes(bytes)));
        call.guest
            .write(at, &u64::from(kind).to_le_bytes()[..size])?;
    }
    op.num -= now;
    if op.num == 0 {
        return Ok(Copyback::Nothing);
    }
    op.array = element(GuestAddr(op.array), now, size)?.0;
    frame.payload.put(&op);
    Ok(Copyback::FrameAndAgain)
}

fn kind_of(call: &Call<'_>, frame: &DomctlFrame, gfn: Gfn) -> u32 {
    match call.hv.find(&frame.domain, gfn) {
        Behind::Page(found) if found.kind == PageType::Ram => XEN_DOMCTL_PFINFO_NOTAB,
        // To be saved: whoever maps it gets a page.
        Behind::OnDemand(_) => XEN_DOMCTL_PFINFO_NOTAB,
        Behind::Page(_) | Behind::Nothing => XEN_DOMCTL_PFINFO_XTAB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::Outcome;
    use crate::hypercall::domctl::testing::*;
    use std::vec::Vec;

    #[test]
    fn ram_is_told_from_holes_in_both_widths_and_over_restarts() {
        let (fake, dom0, _) = machine();
        let gfns: Vec<u64> = (0..600).collect();
        fake.put(&dom0, BUFFER, gfns.as_slice());
        let op = DomctlGetpageframeinfo3 {
            num: 600,
            array: BUFFER,
        };
        done(&fake, &dom0, XEN_DOMCTL_GETPAGEFRAMEINFO3, 1, &op);
        for gfn in 0..600 {
            let expected = if gfn < 32 {
                0
            } else {
                u64::from(XEN_DOMCTL_PFINFO_XTAB)
            };
            assert_eq!(fake.get::<u64>(&dom0, BUFFER + gfn * 8), expected, "{gfn}");
        }
        fake.put(&dom0, BUFFER, &[31u32, 32]);
        fake.put(
            &dom0,
            AT,
            &frame(
                XEN_DOMCTL_GETPAGEFRAMEINFO3,
                1,
                &DomctlGetpageframeinfo3 {
                    num: 2,
                    array: BUFFER,
                },
            ),
        );
        assert_eq!(
            fake.call_by(&dom0, 0, Width::Bits32, HYPERCALL, &[AT]),
            Ok(Outcome::OK)
        );
        assert_eq!(
            fake.get::<[u32; 2]>(&dom0, BUFFER),
            [0, XEN_DOMCTL_PFINFO_XTAB]
        );
    }

    #[test]
    fn too_many_pages_and_wild_arrays_are_errors() {
        let (fake, dom0, _) = machine();
        let fail = |num, array| {
            fails(
                &fake,
                &dom0,
                XEN_DOMCTL_GETPAGEFRAMEINFO3,
                1,
                &DomctlGetpageframeinfo3 { num, array },
            )
        };
        assert_eq!(
            [fail(1025, BUFFER), fail(u64::MAX, BUFFER)],
            [Errno::E2BIG; 2]
        );
        assert_eq!(
            [fail(1, NOWHERE), fail(2, u64::MAX - 8)],
            [Errno::EFAULT; 2]
        );
    }
}
