//! `XEN_DOMCTL_createdomain`: a domain without memory and vCPUs, paused. Only PVH domains can be created.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::arch_x86::{
    XEN_X86_EMU_ALL, XEN_X86_EMU_LAPIC, XEN_X86_EMU_USE_PIRQ, XEN_X86_EMU_VPCI, XEN_X86_MSR_RELAXED,
};
use xen_abi::domctl::*;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::cmdline::Options;
use crate::domain::DomainConfig;
use crate::grant;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::hypervisor::CreateDomain;
use crate::ids::Domid;
use crate::sched::PoolId;
use crate::warning;

/// vCPUs of a domain at most (`HVM_MAX_VCPUS`).
const MAX_VCPUS: u32 = 128;
/// Flags that change nothing here but are no mistake.
const ACCEPTED: u32 =
    XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP | XEN_DOMCTL_CDF_OOS_OFF | XEN_DOMCTL_CDF_XS_DOMAIN;
/// What hvmloader and a device model need.
const FULL_HVM: u32 = XEN_X86_EMU_ALL & !(XEN_X86_EMU_VPCI | XEN_X86_EMU_USE_PIRQ);

/// See the module.
///
/// # Errors
/// `EINVAL` for settings that make no sense or ask for what is absent, `EOPNOTSUPP` for another set of emulated devices than PVH's, `EEXIST`
/// for a number in use, `ESRCH` and `ENODEV` for the cpupool, `ENOMEM`.
pub fn run(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlCreatedomain = frame.payload.get();
    let config = check(&asked, &call.hv.options)?;
    let wanted = Domid(frame.domid);
    let domain = call.hv.create_domain(CreateDomain {
        id: (wanted != Domid::DOM0 && wanted.is_guest()).then_some(wanted),
        handle: asked.handle,
        config,
        pool: PoolId(asked.cpupool_id),
        privileged: false,
    })?;
    // Nothing until `max_mem`.
    domain.memory.limit.store(0, SeqCst);
    frame.domid = domain.id.0;
    Ok(Copyback::Frame)
}

fn check(asked: &DomctlCreatedomain, options: &Options) -> Result<DomainConfig, Errno> {
    check_kind(asked)?;
    check_devices(asked.arch.emulation_flags)?;
    let limit = |asked: i32, default: u32| u32::try_from(asked).unwrap_or(default);
    let config = DomainConfig {
        flags: asked.flags,
        emulation_flags: asked.arch.emulation_flags,
        misc_flags: asked.arch.misc_flags,
        max_vcpus: asked.max_vcpus,
        max_evtchn_port: asked.max_evtchn_port,
        max_grant_frames: limit(asked.max_grant_frames, options.gnttab_max_frames),
        max_maptrack_frames: limit(
            asked.max_maptrack_frames,
            options.gnttab_max_maptrack_frames,
        ),
        max_grant_version: asked.grant_opts & XEN_DOMCTL_GRANT_VERSION_MASK,
    };
    let versions = 1..=grant::MAX_VERSION.min(u32::from(options.gnttab_max_version));
    if !versions.contains(&config.max_grant_version) || config.max_grant_frames == 0 {
        return Err(refuse("grant table version or size", asked.grant_opts));
    }
    Ok(config)
}

/// Settings that have no meaning, or ask for what this machine and hypervisor lack.
fn check_kind(asked: &DomctlCreatedomain) -> Result<(), Errno> {
    if asked.flags & !ACCEPTED != 0 {
        return Err(refuse("flags", asked.flags));
    }
    if asked.flags & XEN_DOMCTL_CDF_HVM == 0 {
        return Err(refuse("PV guest, flags", asked.flags));
    }
    if asked.flags & XEN_DOMCTL_CDF_HAP == 0 {
        return Err(refuse("shadow paging, flags", asked.flags));
    }
    if !(1..=MAX_VCPUS).contains(&asked.max_vcpus) {
        return Err(refuse("number of vCPUs", asked.max_vcpus));
    }
    let unknown = [
        ("I/O MMU options", asked.iommu_opts),
        ("trace buffer", asked.vmtrace_size),
        ("altp2m mode", asked.altp2m_opts),
        (
            "grant options",
            asked.grant_opts & !XEN_DOMCTL_GRANT_VERSION_MASK,
        ),
        (
            "architecture flags",
            asked.arch.misc_flags & !XEN_X86_MSR_RELAXED,
        ),
        (
            "emulation flags",
            asked.arch.emulation_flags & !XEN_X86_EMU_ALL,
        ),
    ];
    match unknown.iter().find(|(_, value)| *value != 0) {
        Some((what, value)) => Err(refuse(what, *value)),
        None => Ok(()),
    }
}

fn check_devices(emulation_flags: u32) -> Result<(), Errno> {
    if emulation_flags == XEN_X86_EMU_LAPIC {
        return Ok(());
    }
    if emulation_flags & !XEN_X86_EMU_USE_PIRQ == FULL_HVM {
        warning!(
            "createdomain: HVM guests with a device model are not supported; use type=\"pvh\""
        );
    } else {
        warning!(
            "createdomain: selection of emulated devices {emulation_flags:#x} is not supported"
        );
    }
    Err(Errno::EOPNOTSUPP)
}

fn refuse(what: &str, value: u32) -> Errno {
    warning!("createdomain: {what} {value:#x} not supported");
    Errno::EINVAL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;

    #[test]
    fn created_domain_is_paused_empty_and_numbered() {
        let (fake, dom0, _) = machine();
        let domain = create(&fake, &dom0);
        assert_eq!(
            (
                domain.id,
                domain.tool_pauses.load(SeqCst),
                domain.pause.is_paused()
            ),
            (Domid(2), 1, true)
        );
        assert_eq!(
            (
                domain.memory.limit.load(SeqCst),
                domain.memory.total.load(SeqCst)
            ),
            (0, 0)
        );
        assert_eq!(
            (
                domain.config.max_grant_frames,
                domain.config.max_maptrack_frames
            ),
            (64, 1024)
        );
        assert!(domain.vcpus().is_empty() && !domain.privileged);
    }

    #[test]
    fn number_asked_for_is_taken_unless_in_use() {
        let (fake, dom0, _) = machine();
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_CREATEDOMAIN, 1, &pvh()),
            Errno::EEXIST
        );
        done(&fake, &dom0, XEN_DOMCTL_CREATEDOMAIN, 77, &pvh());
        assert!(fake.hv.domain(Domid(77)).is_some());
        done(&fake, &dom0, XEN_DOMCTL_CREATEDOMAIN, 0xffff, &pvh());
        assert!(fake.hv.domain(Domid(2)).is_some());
    }

    #[test]
    fn what_is_not_there_is_refused_and_leaves_nothing() {
        let (fake, dom0, _) = machine();
        let free = fake.hv.frames.lock().free_pages();
        let refused = |change: fn(&mut DomctlCreatedomain)| {
            let mut asked = pvh();
            change(&mut asked);
            fails(&fake, &dom0, XEN_DOMCTL_CREATEDOMAIN, 0, &asked)
        };
        let invalid: &[fn(&mut DomctlCreatedomain)] = &[
            |asked| asked.flags |= 0x100,
            |asked| asked.flags |= XEN_DOMCTL_CDF_IOMMU,
            |asked| asked.flags |= XEN_DOMCTL_CDF_NESTED_VIRT,
            |asked| asked.flags |= XEN_DOMCTL_CDF_VPMU,
            |asked| asked.flags = 0,
            |asked| asked.flags = XEN_DOMCTL_CDF_HVM,
            |asked| asked.iommu_opts = 1,
            |asked| asked.max_vcpus = 0,
            |asked| asked.max_vcpus = 129,
            |asked| asked.max_vcpus = u32::MAX,
            |asked| asked.grant_opts = 0,
            |asked| asked.grant_opts = 2,
            |asked| asked.grant_opts = 0x11,
            |asked| asked.max_grant_frames = 0,
            |asked| asked.altp2m_opts = 1,
            |asked| asked.vmtrace_size = 4096,
            |asked| asked.arch.misc_flags = 2,
            |asked| asked.arch.emulation_flags = 0x800,
        ];
        for (index, change) in invalid.iter().enumerate() {
            assert_eq!(refused(*change), Errno::EINVAL, "case {index}");
        }
        for flags in [0, 0x1ff, 0x3ff, 0x411, 2] {
            let asked = DomctlCreatedomain {
                arch: xen_abi::arch_x86::ArchDomainconfig {
                    emulation_flags: flags,
                    misc_flags: 0,
                },
                ..pvh()
            };
            assert_eq!(
                fails(&fake, &dom0, XEN_DOMCTL_CREATEDOMAIN, 0, &asked),
                Errno::EOPNOTSUPP
            );
        }
        assert_eq!(refused(|asked| asked.cpupool_id = 9), Errno::ESRCH);
        assert_eq!(fake.hv.frames.lock().free_pages(), free);
    }
}
