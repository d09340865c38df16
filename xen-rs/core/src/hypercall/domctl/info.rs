//! `XEN_DOMCTL_getdomaininfo`, and the same description for `XEN_SYSCTL_getdomaininfolist`.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::arch_x86::ArchDomainconfig;
use xen_abi::domctl::*;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::domain::{Domain, Life};
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::hypervisor::Hypervisor;
use crate::ids::PAGE_SHIFT;
use crate::p2m::GFN_LIMIT;
use crate::sched::PoolId;
use crate::vcpu::{BLOCKED, POLLING};

/// Address width of guest-physical memory.
const GPADDR_BITS: u8 = (GFN_LIMIT.trailing_zeros() + PAGE_SHIFT) as u8;

/// See the module.
///
/// # Errors
/// None.
pub fn run(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    frame.payload.put(&describe(call.hv, &frame.domain));
    Ok(Copyback::Frame)
}

/// What the vCPUs add up to.
struct Vcpus {
    online: u32,
    cpu_time_ns: u64,
    /// `XEN_DOMINF_blocked` (all are) and `XEN_DOMINF_running` (one is).
    flags: u32,
}

fn sum_up(hv: &Hypervisor, domain: &Domain) -> Vcpus {
    let now_ns = hv.now_ns();
    let mut sum = Vcpus {
        online: 0,
        cpu_time_ns: 0,
        flags: XEN_DOMINF_BLOCKED,
    };
    for vcpu in domain.vcpus() {
        sum.cpu_time_ns = sum
            .cpu_time_ns
            .wrapping_add(hv.scheduler.cpu_time_ns(vcpu, now_ns));
        if !vcpu.is_up() {
            continue;
        }
        sum.online += 1;
        if vcpu.flags.load(SeqCst) & (BLOCKED | POLLING) == 0 {
            sum.flags &= !XEN_DOMINF_BLOCKED;
        }
        if hv.scheduler.is_running_on(vcpu).is_some() {
            sum.flags |= XEN_DOMINF_RUNNING;
        }
    }
    if sum.online == 0 {
        sum.flags = 0;
    }
    sum
}

/// A domain as the toolstack sees it.
#[must_use]
pub fn describe(hv: &Hypervisor, domain: &Domain) -> DomctlGetdomaininfo {
    let vcpus = sum_up(hv, domain);
    let pool = domain.share.pool();
    DomctlGetdomaininfo {
        domain: domain.id.0,
        flags: vcpus.flags | state_flags(domain),
        tot_pages: domain.memory.total.load(SeqCst),
        max_pages: domain.memory.limit.load(SeqCst),
        outstanding_pages: domain.memory.claimed.load(SeqCst),
        // All ones where the guest has not mapped it.
        shared_info_frame: domain.shared_info_at.lock().map_or(u64::MAX, |gfn| gfn.0),
        cpu_time: vcpus.cpu_time_ns,
        nr_online_vcpus: vcpus.online,
        max_vcpu_id: domain
            .vcpus()
            .last()
            .map_or(XEN_INVALID_MAX_VCPU_ID, |vcpu| vcpu.id.0),
        handle: *domain.handle.lock(),
        // Dead domains are counted to the pool that always exists.
        cpupool: if pool == PoolId::NONE {
            PoolId::ZERO.0
        } else {
            pool.0
        },
        gpaddr_bits: GPADDR_BITS,
        arch_config: ArchDomainconfig {
            emulation_flags: domain.config.emulation_flags,
            misc_flags: 0,
        },
        ..DomctlGetdomaininfo::default()
    }
}

fn state_flags(domain: &Domain) -> u32 {
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    let code = u32::from(domain.shutdown_code.load(SeqCst)) << XEN_DOMINF_SHUTDOWNSHIFT;
    code | XEN_DOMINF_HVM_GUEST
        | XEN_DOMINF_HAP
        | flag(domain.life() == Life::Dead, XEN_DOMINF_DYING)
        | flag(domain.is_shut_down.load(SeqCst), XEN_DOMINF_SHUTDOWN)
        | flag(domain.tool_pauses.load(SeqCst) > 0, XEN_DOMINF_PAUSED)
        | flag(domain.control.lock().debugged, XEN_DOMINF_DEBUGGED)
        | flag(
            domain.config.flags & XEN_DOMCTL_CDF_XS_DOMAIN != 0,
            XEN_DOMINF_XS_DOMAIN,
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;

    #[test]
    fn guest_is_described_as_the_tools_expect() {
        let (fake, dom0, guest) = machine();
        let info = done(
            &fake,
            &dom0,
            XEN_DOMCTL_GETDOMAININFO,
            1,
            &DomctlGetdomaininfo::default(),
        );
        assert_eq!(
            (
                info.domain,
                info.tot_pages,
                info.nr_online_vcpus,
                info.max_vcpu_id
            ),
            (1, 32, 2, 1)
        );
        assert_eq!(
            (info.handle, info.cpupool, info.gpaddr_bits),
            ([0xab; 16], 0, 48)
        );
        assert_eq!(
            info.flags,
            XEN_DOMINF_HVM_GUEST | XEN_DOMINF_HAP | 255 << 16
        );
        guest
            .vcpus()
            .iter()
            .for_each(|vcpu| _ = vcpu.flags.fetch_or(BLOCKED, SeqCst));
        done(&fake, &dom0, XEN_DOMCTL_PAUSEDOMAIN, 1, &0u8);
        let flags = describe(fake.hv, &guest).flags;
        assert_eq!(
            flags & (XEN_DOMINF_BLOCKED | XEN_DOMINF_PAUSED),
            XEN_DOMINF_BLOCKED | XEN_DOMINF_PAUSED
        );
        fake.hv.shutdown_domain(&guest, 1);
        assert_eq!(describe(fake.hv, &guest).flags >> 16, 1);
    }

    #[test]
    fn domain_without_vcpus_says_so() {
        let (fake, dom0, _) = machine();
        let domain = create(&fake, &dom0);
        let info = describe(fake.hv, &domain);
        assert_eq!(
            (info.max_vcpu_id, info.nr_online_vcpus, info.handle),
            (u32::MAX, 0, [7; 16])
        );
        assert_eq!(info.arch_config.emulation_flags, 1);
    }
}
