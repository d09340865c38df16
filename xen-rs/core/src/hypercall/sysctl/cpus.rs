//! `XEN_SYSCTL_getcpuinfo`: how long each CPU has been idle.

use xen_abi::errno::Errno;
use xen_abi::sysctl::{SysctlCpuinfo, SysctlGetcpuinfo};

use super::SysctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::ids::{CpuId, GuestAddr};

/// See the module.
///
/// # Errors
/// `EFAULT`.
pub fn run(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlGetcpuinfo = frame.payload.get();
    op.nr_cpus = op.max_cpus.min(call.hv.host.cpus);
    for cpu in 0..op.nr_cpus {
        let idletime = call.hv.scheduler.idle_time_ns(CpuId(cpu), call.hv.now_ns());
        call.store_at(
            GuestAddr(op.info),
            u64::from(cpu),
            &SysctlCpuinfo { idletime },
        )?;
    }
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;
    use xen_abi::sysctl::XEN_SYSCTL_GETCPUINFO;

    #[test]
    fn idle_times_of_the_cpus_there_are() {
        let (fake, dom0) = machine();
        fake.machine.advance_ns(1_000_000);
        let op = |max_cpus, info| SysctlGetcpuinfo {
            max_cpus,
            info,
            ..SysctlGetcpuinfo::default()
        };
        assert_eq!(
            done(&fake, &dom0, XEN_SYSCTL_GETCPUINFO, &op(u32::MAX, BUFFER)).nr_cpus,
            2
        );
        let idle: [u64; 2] = fake.get(&dom0, BUFFER);
        assert!(idle[0].max(idle[1]) >= 1_000_000);
        assert_eq!(
            done(&fake, &dom0, XEN_SYSCTL_GETCPUINFO, &op(1, BUFFER)).nr_cpus,
            1
        );
        assert_eq!(
            fails(&fake, &dom0, XEN_SYSCTL_GETCPUINFO, &op(1, u64::MAX)),
            Errno::EFAULT
        );
    }
}
