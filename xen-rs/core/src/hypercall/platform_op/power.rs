//! Power management and resource control, none of which the hypervisor does: firmware and hardware defaults rule.

use xen_abi::errno::Errno;
use xen_abi::platform::{
    CoreParking, ResourceOp, SetProcessorPminfo, XEN_CORE_PARKING_GET, XEN_CORE_PARKING_SET,
    XEN_PM_CX, XEN_PM_PDC, XEN_PM_PX, XEN_PM_TX,
};

use super::{Payload, reply};
use crate::hypercall::{Call, Outcome};

/// `XENPF_set_processor_pminfo`: `ENOSYS` for every kind of power state, as Xen answers with `cpufreq=none` and `cpuidle=0`.
pub fn set_processor_pminfo(_call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let info: SetProcessorPminfo = payload.get();
    Err(match info.kind {
        XEN_PM_CX | XEN_PM_PX | XEN_PM_TX | XEN_PM_PDC => Errno::ENOSYS,
        _ => Errno::EINVAL,
    })
}

/// `XENPF_getidletime`: only where dom0 governs the frequency, which it never does.
pub fn getidletime(_call: &mut Call<'_>, _payload: &Payload) -> Result<Outcome, Errno> {
    Err(Errno::ENOSYS)
}

/// `XENPF_core_parking`: no core is parked, and none can be.
pub fn core_parking(call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let mut parking: CoreParking = payload.get();
    match parking.kind {
        XEN_CORE_PARKING_GET => {
            parking.idle_nums = 0;
            reply(call, &parking)?;
            Ok(Outcome::OK)
        }
        XEN_CORE_PARKING_SET if parking.idle_nums == 0 => Ok(Outcome::OK),
        XEN_CORE_PARKING_SET => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::EINVAL),
    }
}

/// `XENPF_resource_op`: MSRs of cache and bandwidth monitoring, which is not offered.
pub fn resource_op(_call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let asked: ResourceOp = payload.get();
    if asked.nr_entries == 0 {
        Ok(Outcome::OK)
    } else {
        Err(Errno::EOPNOTSUPP)
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::platform::{
        XENPF_CORE_PARKING, XENPF_GETIDLETIME, XENPF_RESOURCE_OP, XENPF_SET_PROCESSOR_PMINFO,
    };

    use super::super::testing::{reply, run};
    use super::*;
    use crate::fake_hv::Fake;

    #[test]
    fn power_states_of_dom0_are_not_wanted() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        for (kind, errno) in [
            (XEN_PM_CX, Errno::ENOSYS),
            (XEN_PM_PDC, Errno::ENOSYS),
            (4, Errno::EINVAL),
        ] {
            let info = SetProcessorPminfo {
                kind,
                ..SetProcessorPminfo::default()
            };
            assert_eq!(
                run(&fake, &dom0, XENPF_SET_PROCESSOR_PMINFO, &info),
                Err(errno)
            );
        }
        assert_eq!(
            run(&fake, &dom0, XENPF_GETIDLETIME, &0u64),
            Err(Errno::ENOSYS)
        );
    }

    #[test]
    fn no_core_is_parked() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let parking = |kind, idle_nums| CoreParking { kind, idle_nums };
        assert_eq!(
            run(
                &fake,
                &dom0,
                XENPF_CORE_PARKING,
                &parking(XEN_CORE_PARKING_GET, 9)
            ),
            Ok(Outcome::OK)
        );
        assert_eq!(reply::<CoreParking>(&fake, &dom0).idle_nums, 0);
        assert_eq!(
            run(
                &fake,
                &dom0,
                XENPF_CORE_PARKING,
                &parking(XEN_CORE_PARKING_SET, 0)
            ),
            Ok(Outcome::OK)
        );
        assert_eq!(
            run(
                &fake,
                &dom0,
                XENPF_CORE_PARKING,
                &parking(XEN_CORE_PARKING_SET, 1)
            ),
            Err(Errno::EOPNOTSUPP)
        );
    }

    #[test]
    fn resource_accesses_are_refused() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let access = ResourceOp {
            nr_entries: u32::MAX,
            cpu: u32::MAX,
            entries: u64::MAX,
        };
        assert_eq!(
            run(&fake, &dom0, XENPF_RESOURCE_OP, &access),
            Err(Errno::EOPNOTSUPP)
        );
    }
}
