//! Physical CPUs: who they are, and taking them up and down.

use xen_abi::errno::Errno;
use xen_abi::platform::{
    CpuOl, PcpuVersion, Pcpuinfo, UcodeRevision, XEN_PCPU_FLAGS_INVALID, XEN_PCPU_FLAGS_ONLINE,
};

use super::{Payload, reply};
use crate::hal::CpuIdentity;
use crate::hypercall::{Call, Outcome};
use crate::hypervisor::Hypervisor;
use crate::ids::CpuId;

/// `XENPF_get_cpuinfo`: identifiers and state. A CPU that does not exist is reported as such.
pub fn info(call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let mut info: Pcpuinfo = payload.get();
    match identity(call.hv, info.xen_cpuid) {
        Ok(cpu) => {
            info.flags = XEN_PCPU_FLAGS_ONLINE;
            info.apic_id = cpu.apic_id;
            info.acpi_id = cpu.acpi_id;
        }
        Err(Errno::ENOENT) => info.flags = XEN_PCPU_FLAGS_INVALID,
        Err(errno) => return Err(errno),
    }
    info.max_present = last_cpu(call.hv);
    reply(call, &info)?;
    Ok(Outcome::OK)
}

/// `XENPF_get_cpu_version`: model. Zeroes for a CPU that does not exist.
pub fn version(call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let asked: PcpuVersion = payload.get();
    let cpu = match identity(call.hv, asked.xen_cpuid) {
        Err(Errno::ENOENT) => CpuIdentity::default(),
        known => known?,
    };
    let version = PcpuVersion {
        xen_cpuid: asked.xen_cpuid,
        max_present: last_cpu(call.hv),
        vendor_id: cpu.vendor,
        family: cpu.family,
        model: cpu.model,
        stepping: cpu.stepping,
    };
    reply(call, &version)?;
    Ok(Outcome::OK)
}

/// `XENPF_get_ucode_revision`: `ENOENT` for a CPU that does not exist.
pub fn microcode_revision(call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let asked: UcodeRevision = payload.get();
    let cpu = identity(call.hv, asked.cpu)?;
    let revision = UcodeRevision {
        cpu: asked.cpu,
        signature: cpu.signature,
        pf: cpu.microcode_platform,
        revision: cpu.microcode_revision,
    };
    reply(call, &revision)?;
    Ok(Outcome::OK)
}

/// `XENPF_cpu_online`: all CPUs that exist are online.
pub fn online(call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let asked: CpuOl = payload.get();
    if asked.cpuid < call.hv.host.cpus {
        Ok(Outcome::OK)
    } else {
        Err(Errno::EINVAL)
    }
}

/// `XENPF_cpu_offline`: no CPU can be taken down.
pub fn offline(call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let asked: CpuOl = payload.get();
    Err(if asked.cpuid < call.hv.host.cpus {
        Errno::EOPNOTSUPP
    } else {
        Errno::EINVAL
    })
}

/// `ENOENT` without such a CPU, `ENODEV` if nothing is known of it.
fn identity(hv: &Hypervisor, cpu: u32) -> Result<CpuIdentity, Errno> {
    if cpu >= hv.host.cpus {
        return Err(Errno::ENOENT);
    }
    hv.arch.cpu_identity(CpuId(cpu)).ok_or(Errno::ENODEV)
}

fn last_cpu(hv: &Hypervisor) -> u32 {
    hv.host.cpus.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use xen_abi::platform::{
        XENPF_CPU_OFFLINE, XENPF_CPU_ONLINE, XENPF_GET_CPU_VERSION, XENPF_GET_CPUINFO,
        XENPF_GET_UCODE_REVISION,
    };

    use super::super::testing::{reply, run};
    use super::*;
    use crate::fake_hv::{CPUS, Fake};

    #[test]
    fn cpu_that_does_not_exist_is_reported_as_invalid() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        for xen_cpuid in [CPUS, u32::MAX] {
            let asked = Pcpuinfo {
                xen_cpuid,
                ..Pcpuinfo::default()
            };
            assert_eq!(
                run(&fake, &dom0, XENPF_GET_CPUINFO, &asked),
                Ok(Outcome::OK)
            );
            let info: Pcpuinfo = reply(&fake, &dom0);
            assert_eq!(
                (info.flags, info.max_present),
                (XEN_PCPU_FLAGS_INVALID, CPUS - 1)
            );
            let asked = PcpuVersion {
                xen_cpuid,
                family: 7,
                ..PcpuVersion::default()
            };
            assert_eq!(
                run(&fake, &dom0, XENPF_GET_CPU_VERSION, &asked),
                Ok(Outcome::OK)
            );
            assert_eq!(reply::<PcpuVersion>(&fake, &dom0).family, 0);
            let asked = UcodeRevision {
                cpu: xen_cpuid,
                ..UcodeRevision::default()
            };
            assert_eq!(
                run(&fake, &dom0, XENPF_GET_UCODE_REVISION, &asked),
                Err(Errno::ENOENT)
            );
        }
    }

    #[test]
    fn known_cpu_tells_its_numbers_and_model() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        assert_eq!(
            run(&fake, &dom0, XENPF_GET_CPUINFO, &Pcpuinfo::default()),
            Ok(Outcome::OK)
        );
        let info: Pcpuinfo = reply(&fake, &dom0);
        assert_eq!(
            (info.flags, info.apic_id, info.acpi_id),
            (XEN_PCPU_FLAGS_ONLINE, 4, 7)
        );
        assert_eq!(
            run(&fake, &dom0, XENPF_GET_CPU_VERSION, &PcpuVersion::default()),
            Ok(Outcome::OK)
        );
        let version: PcpuVersion = reply(&fake, &dom0);
        assert_eq!(
            (&version.vendor_id, version.family, version.max_present),
            (b"AuthenticAMD", 0x19, CPUS - 1)
        );
        assert_eq!(
            run(
                &fake,
                &dom0,
                XENPF_GET_UCODE_REVISION,
                &UcodeRevision::default()
            ),
            Ok(Outcome::OK)
        );
        assert_eq!(reply::<UcodeRevision>(&fake, &dom0).revision, 0xa60_1206);
    }

    #[test]
    fn cpu_of_which_nothing_is_known_is_enodev() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let asked = Pcpuinfo {
            xen_cpuid: 1,
            ..Pcpuinfo::default()
        };
        assert_eq!(
            run(&fake, &dom0, XENPF_GET_CPUINFO, &asked),
            Err(Errno::ENODEV)
        );
    }

    #[test]
    fn cpus_are_online_and_stay_so() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let cpu = |cpuid| CpuOl { cpuid };
        assert_eq!(
            run(&fake, &dom0, XENPF_CPU_ONLINE, &cpu(1)),
            Ok(Outcome::OK)
        );
        assert_eq!(
            run(&fake, &dom0, XENPF_CPU_ONLINE, &cpu(CPUS)),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            run(&fake, &dom0, XENPF_CPU_OFFLINE, &cpu(0)),
            Err(Errno::EOPNOTSUPP)
        );
        assert_eq!(
            run(&fake, &dom0, XENPF_CPU_OFFLINE, &cpu(u32::MAX)),
            Err(Errno::EINVAL)
        );
    }
}
