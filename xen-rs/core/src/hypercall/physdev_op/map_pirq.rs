//! `PHYSDEVOP_map_pirq`: gives a domain a number for a machine interrupt, the first step of passing a device through to it.

use xen_abi::compat::physdev::PhysdevMapPirq as Narrow;
use xen_abi::errno::Errno;
use xen_abi::physdev::{
    MAP_PIRQ_TYPE_GSI, MAP_PIRQ_TYPE_MSI, MAP_PIRQ_TYPE_MSI_SEG, MAP_PIRQ_TYPE_MULTI_MSI,
    PhysdevMapPirq,
};

use crate::hypercall::{Call, Outcome, Width};

/// Devices cannot be passed through: `EOPNOTSUPP`. The domain and its devices' own interrupts reach dom0 through its interrupt controllers.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let (domid, kind) = fetch(call)?;
    call.target(domid)?;
    if !call.domain.privileged {
        return Err(Errno::EPERM);
    }
    match kind {
        MAP_PIRQ_TYPE_GSI | MAP_PIRQ_TYPE_MSI | MAP_PIRQ_TYPE_MSI_SEG | MAP_PIRQ_TYPE_MULTI_MSI => {
            Err(Errno::EOPNOTSUPP)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn fetch(call: &mut Call<'_>) -> Result<(u16, i32), Errno> {
    let at = call.pointer(1);
    match call.width {
        Width::Bits64 => call
            .fetch::<PhysdevMapPirq>(at)
            .map(|map| (map.domid, map.kind)),
        Width::Bits32 => call.fetch::<Narrow>(at).map(|map| (map.domid, map.kind)),
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::physdev::PHYSDEVOP_MAP_PIRQ;

    use super::super::testing::run;
    use super::*;
    use crate::fake_hv::Fake;

    #[test]
    fn guest_may_not_map_interrupts_and_dom0_learns_that_it_cannot() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        let map = |domid, kind| PhysdevMapPirq {
            domid,
            kind,
            index: -1,
            pirq: -1,
            ..PhysdevMapPirq::default()
        };
        assert_eq!(
            run(
                &fake,
                &guest,
                PHYSDEVOP_MAP_PIRQ,
                &map(0x7ff0, MAP_PIRQ_TYPE_GSI)
            ),
            Err(Errno::EPERM)
        );
        assert_eq!(
            run(
                &fake,
                &dom0,
                PHYSDEVOP_MAP_PIRQ,
                &map(guest.id.0, MAP_PIRQ_TYPE_GSI)
            ),
            Err(Errno::EOPNOTSUPP)
        );
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_MAP_PIRQ, &map(0x7ff0, -5)),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            run(
                &fake,
                &dom0,
                PHYSDEVOP_MAP_PIRQ,
                &map(77, MAP_PIRQ_TYPE_GSI)
            ),
            Err(Errno::ESRCH)
        );
    }
}
