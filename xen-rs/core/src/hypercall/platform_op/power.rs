//! Power management and resource control, none of which the hypervisor does: firmware and hardware defaults rule.

use xen_abi::errno::Errno;
use xen_abi::platform::{
    CoreParking, ResourceOp, SetProcessorPminfo, XEN_CORE_PARKING_GET, XEN_CORE_PARKING_SET,
    XEN_PM_CX, XEN_PM_PDC, XEN_PM_PX, XEN_PM_TX,
};

use super::{Payload, reply};
use crate::hypercall::{Call, Outcome};
use crate::ids::{CpuId, GuestAddr};

/// Revision of the capability words (Intel, "Processor Vendor-Specific ACPI", `_PDC`).
const PDC_REVISION: u32 = 1;
/// Everything about idle, frequency and throttling states but idling by MWAIT, which dom0 does not have.
const PDC_WITHOUT_MWAIT: u32 = 0x08ff;

/// `XENPF_set_processor_pminfo`: `ENOSYS` for every kind of power state, as Xen answers with `cpufreq=none` and `cpuidle=0`.
pub fn set_processor_pminfo(call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let info: SetProcessorPminfo = payload.get();
    match info.kind {
        XEN_PM_CX | XEN_PM_PX | XEN_PM_TX => Err(Errno::ENOSYS),
        XEN_PM_PDC => capabilities(call, &info),
        _ => Err(Errno::EINVAL),
    }
}

/// What dom0 is about to tell firmware that the operating system can do, three words: only what dom0 can do by itself stays.
fn capabilities(call: &mut Call<'_>, info: &SetProcessorPminfo) -> Result<Outcome, Errno> {
    let mut handle = [0; 8];
    handle.copy_from_slice(&info.u[..8]);
    let at = GuestAddr(u64::from_le_bytes(handle));
    let [revision, count]: [u32; 2] = call.fetch(at)?;
    if revision != PDC_REVISION || count == 0 || !is_processor(call, info.id) {
        return Err(Errno::EINVAL);
    }
    let bits_at = GuestAddr(at.0.checked_add(8).ok_or(Errno::EFAULT)?);
    let bits: u32 = call.fetch(bits_at)?;
    call.store(bits_at, &(bits & PDC_WITHOUT_MWAIT))?;
    Ok(Outcome::OK)
}

/// Whether a CPU has this ACPI identifier. All ones stands for any.
fn is_processor(call: &Call<'_>, acpi_id: u32) -> bool {
    let known = |cpu| call.hv.arch.cpu_identity(CpuId(cpu));
    acpi_id == u32::MAX
        || (0..call.hv.host.cpus)
            .filter_map(known)
            .any(|cpu| cpu.acpi_id == acpi_id)
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
            (XEN_PM_PDC, Errno::EINVAL),
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
    fn capabilities_lose_what_dom0_cannot_do() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let mut info = SetProcessorPminfo {
            id: 7,
            kind: XEN_PM_PDC,
            ..SetProcessorPminfo::default()
        };
        info.u[..8].copy_from_slice(&0x3000u64.to_le_bytes());
        let ask = |info| run(&fake, &dom0, XENPF_SET_PROCESSOR_PMINFO, &info);
        fake.put(&dom0, 0x3000, &[1u32, 1, u32::MAX]);
        assert_eq!(ask(info), Ok(Outcome::OK));
        assert_eq!(fake.get::<u32>(&dom0, 0x3008), 0x8ff);
        let unknown = SetProcessorPminfo { id: 8, ..info };
        assert_eq!(ask(unknown), Err(Errno::EINVAL));
        fake.put(&dom0, 0x3000, &[2u32, 1]);
        assert_eq!(ask(info), Err(Errno::EINVAL));
        info.u = [0xff; 104];
        assert_eq!(ask(info), Err(Errno::EFAULT));
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
