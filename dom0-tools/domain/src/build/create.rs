//! Making an empty domain with its limits.

use xen_abi::arch_x86::{ArchDomainconfig, XEN_X86_EMU_LAPIC, XEN_X86_MSR_RELAXED};
use xen_abi::domctl::{
    DomctlCreatedomain, XEN_DOMCTL_ALTP2M_MODE_MASK, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM,
    XEN_DOMCTL_CDF_NESTED_VIRT, XEN_DOMCTL_CDF_OOS_OFF, XEN_DOMCTL_CDF_VPMU,
    XEN_DOMCTL_GRANT_VERSION_MASK,
};
use xen_abi::errno::Errno;
use xen_abi::sysctl::{
    XEN_SYSCTL_PHYSCAP_GNTTAB_V1, XEN_SYSCTL_PHYSCAP_GNTTAB_V2, XEN_SYSCTL_PHYSCAP_HAP,
    XEN_SYSCTL_PHYSCAP_HVM, XEN_SYSCTL_PHYSCAP_SHADOW, XEN_SYSCTL_PHYSCAP_VPMU,
};
use xenctl::{DomId, Hypervisor};

use super::error::{BuildError, Result, Step};
use super::limits;
use super::plan::Plan;

/// Creates a domain, paused and without memory, and sets what it may do. On an error it is gone again.
///
/// # Errors
/// Every [`BuildError`] but those about files.
pub fn create(hypervisor: &dyn Hypervisor, plan: &Plan) -> Result<DomId> {
    plan.check()?;
    let host = hypervisor.physinfo().step("ask what the host can do")?;
    let can = |capability| host.capabilities & capability != 0;
    if !can(XEN_SYSCTL_PHYSCAP_HVM) {
        return Err(BuildError::Unsupported(
            "this host cannot run hardware-virtualised guests",
        ));
    }
    if plan.vpmu && !can(XEN_SYSCTL_PHYSCAP_VPMU) {
        return Err(BuildError::Unsupported(
            "vPMU not supported on this platform (vpmu=)",
        ));
    }
    let hap = match plan.hap {
        Some(hap) => hap,
        None if can(XEN_SYSCTL_PHYSCAP_HAP) => true,
        None if can(XEN_SYSCTL_PHYSCAP_SHADOW) => false,
        None => {
            return Err(BuildError::Unsupported(
                "this host has neither hardware-assisted nor shadow paging",
            ));
        }
    };
    let grants = plan.grant_version.unwrap_or({
        if can(XEN_SYSCTL_PHYSCAP_GNTTAB_V2) {
            2
        } else {
            can(XEN_SYSCTL_PHYSCAP_GNTTAB_V1).into()
        }
    });
    let how = request(plan, hap, grants);
    let wanted = plan.domain.unwrap_or(DomId(0));
    let domain = hypervisor
        .create_domain(wanted, &how)
        .map_err(|source| refusal(plan, source))?;
    let limited =
        no_colors(hypervisor, domain).and_then(|()| limits::set(hypervisor, domain, plan, hap));
    match limited {
        Ok(()) => Ok(domain),
        Err(error) => {
            discard(hypervisor, domain);
            Err(error)
        }
    }
}

/// Destroys what is left of a domain that was not finished.
pub fn discard(hypervisor: &dyn Hypervisor, domain: DomId) {
    if let Err(error) = hypervisor.destroy_domain(domain)
        && error.errno != Errno::ESRCH
    {
        tracing::error!("cannot destroy unfinished domain {domain}: {error}");
    }
}

fn request(plan: &Plan, hap: bool, grant_version: u32) -> DomctlCreatedomain {
    let flags = [
        (true, XEN_DOMCTL_CDF_HVM),
        (hap, XEN_DOMCTL_CDF_HAP),
        (plan.nested, XEN_DOMCTL_CDF_NESTED_VIRT),
        (plan.vpmu, XEN_DOMCTL_CDF_VPMU),
        (!plan.oos, XEN_DOMCTL_CDF_OOS_OFF),
    ];
    let chosen = flags.iter().filter(|(wanted, _)| *wanted);
    let limit =
        |frames: Option<u32>| frames.map_or(-1, |frames| frames.min(i32::MAX as u32) as i32);
    DomctlCreatedomain {
        ssidref: plan.ssidref,
        handle: plan.handle,
        flags: chosen.fold(0, |flags, (_, flag)| flags | flag),
        max_vcpus: plan.max_vcpus,
        max_evtchn_port: plan.max_event_port,
        max_grant_frames: limit(plan.max_grant_frames),
        max_maptrack_frames: limit(plan.max_maptrack_frames),
        grant_opts: grant_version & XEN_DOMCTL_GRANT_VERSION_MASK,
        vmtrace_size: plan.vmtrace_bytes,
        cpupool_id: plan.pool,
        altp2m_opts: plan.altp2m & XEN_DOMCTL_ALTP2M_MODE_MASK,
        arch: ArchDomainconfig {
            emulation_flags: XEN_X86_EMU_LAPIC,
            misc_flags: if plan.msr_relaxed {
                XEN_X86_MSR_RELAXED
            } else {
                0
            },
        },
        ..DomctlCreatedomain::default()
    }
}

/// Hypervisors refuse what they lack with a number alone: the message tells what this domain asked for beyond the usual.
fn refusal(plan: &Plan, source: xenctl::Error) -> BuildError {
    let unusual = [
        (plan.hap == Some(false), "hap=0"),
        (plan.altp2m != 0, "altp2m="),
        (plan.nested, "nestedhvm="),
        (plan.vpmu, "vpmu="),
        (plan.msr_relaxed, "msr_relaxed="),
        (plan.vmtrace_bytes != 0, "vmtrace_buf_kb="),
        (plan.grant_version.is_some(), "max_grant_version="),
        (plan.max_grant_frames.is_some(), "max_grant_frames="),
        (plan.max_maptrack_frames.is_some(), "max_maptrack_frames="),
    ];
    let asked: Vec<_> = unusual
        .iter()
        .filter(|(is_asked, _)| *is_asked)
        .map(|(_, key)| *key)
        .collect();
    if asked.is_empty() || !matches!(source.errno, Errno::EINVAL | Errno::EOPNOTSUPP) {
        let step = "create the domain";
        return BuildError::Hypervisor { step, source };
    }
    BuildError::Lacking {
        asked: asked.join(", "),
        source,
    }
}

/// Hosts that colour caches want to hear of every domain; others refuse.
fn no_colors(hypervisor: &dyn Hypervisor, domain: DomId) -> Result<()> {
    match hypervisor.set_no_llc_colors(domain) {
        Err(error) if error.errno == Errno::EOPNOTSUPP => Ok(()),
        answer => answer.step("choose cache colours"),
    }
}
