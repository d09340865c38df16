//! `XEN_SYSCTL_get_pmstat`, `pm_op`, `cpu_hotplug`. Frequencies and idle states are left to the firmware; all CPUs are up.

use xen_abi::errno::Errno;
use xen_abi::sysctl::*;

use super::SysctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;

/// Statistics of states that nobody manages.
///
/// # Errors
/// `EINVAL` for a CPU that does not exist, else `ENODEV`.
pub fn statistics(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let op: SysctlGetPmstat = frame.payload.get();
    Err(if op.cpuid >= call.hv.host.cpus {
        Errno::EINVAL
    } else {
        Errno::ENODEV
    })
}

/// Parameters of the same.
///
/// # Errors
/// `EINVAL` for a CPU that does not exist, `ENODEV` for frequencies, `EOPNOTSUPP` for the rest.
pub fn policy(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let op: SysctlPmOp = frame.payload.get();
    if op.cpuid >= call.hv.host.cpus {
        return Err(Errno::EINVAL);
    }
    Err(match op.cmd {
        GET_CPUFREQ_PARA | SET_CPUFREQ_GOV | SET_CPUFREQ_PARA | GET_CPUFREQ_AVGFREQ
        | SET_CPUFREQ_CPPC => Errno::ENODEV,
        _ => Errno::EOPNOTSUPP,
    })
}

/// Takes CPUs up and down: they are up and stay so.
///
/// # Errors
/// `EINVAL` for a CPU that does not exist, `EEXIST` for bringing one up, `EOPNOTSUPP` for the rest.
pub fn hotplug(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let op: SysctlCpuHotplug = frame.payload.get();
    let about_one = matches!(
        op.op,
        XEN_SYSCTL_CPU_HOTPLUG_ONLINE | XEN_SYSCTL_CPU_HOTPLUG_OFFLINE
    );
    if about_one && op.cpu >= call.hv.host.cpus {
        return Err(Errno::EINVAL);
    }
    Err(if op.op == XEN_SYSCTL_CPU_HOTPLUG_ONLINE {
        Errno::EEXIST
    } else {
        Errno::EOPNOTSUPP
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;

    #[test]
    fn states_are_nobodys_and_cpus_stay_up() {
        let (fake, dom0) = machine();
        let stat = |cpuid| {
            fails(
                &fake,
                &dom0,
                XEN_SYSCTL_GET_PMSTAT,
                &SysctlGetPmstat {
                    cpuid,
                    ..SysctlGetPmstat::default()
                },
            )
        };
        assert_eq!(
            [stat(0), stat(2), stat(u32::MAX)],
            [Errno::ENODEV, Errno::EINVAL, Errno::EINVAL]
        );
        let pm = |cmd| {
            fails(
                &fake,
                &dom0,
                XEN_SYSCTL_PM_OP,
                &SysctlPmOp {
                    cmd,
                    ..SysctlPmOp::default()
                },
            )
        };
        assert_eq!(
            [pm(GET_CPUFREQ_PARA), pm(XEN_SYSCTL_PM_OP_ENABLE_TURBO)],
            [Errno::ENODEV, Errno::EOPNOTSUPP]
        );
        let plug = |cpu, op| {
            fails(
                &fake,
                &dom0,
                XEN_SYSCTL_CPU_HOTPLUG,
                &SysctlCpuHotplug { cpu, op },
            )
        };
        assert_eq!(
            [plug(1, 0), plug(1, 1), plug(2, 0), plug(0, 2)],
            [
                Errno::EEXIST,
                Errno::EOPNOTSUPP,
                Errno::EINVAL,
                Errno::EOPNOTSUPP
            ]
        );
    }
}
