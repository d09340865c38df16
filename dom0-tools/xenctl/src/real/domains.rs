//! Domains: making, finding, stopping and removing them.

use xen_abi::domctl::*;
use xen_abi::errno::Errno;
use xen_abi::event_channel::{EVTCHNOP_ALLOC_UNBOUND, EvtchnAllocUnbound};
use xen_abi::hvm::hvm_op::{HVMOP_GET_PARAM, HVMOP_SET_PARAM, HvmParam};
use xen_abi::sched::{SCHEDOP_REMOTE_SHUTDOWN, SchedRemoteShutdown};
use xen_abi::sysctl::{SysctlGetdomaininfolist, XEN_SYSCTL_GETDOMAININFOLIST};
use xen_abi::xen::{DOMID_FIRST_RESERVED, HYPERVISOR_EVENT_CHANNEL_OP, HYPERVISOR_SCHED_OP};

use super::Xen;
use super::frames::set_of;
use crate::sys::Arg;
use crate::{CpuSet, DomId, Error, Result, call};

/// Domains asked for at once.
const LIST_CHUNK: usize = 256;

pub(super) fn list(xen: &Xen) -> Result<Vec<DomctlGetdomaininfo>> {
    let call = call::DOMAIN_LIST;
    let buffer = xen.buffer(call, LIST_CHUNK * size_of::<DomctlGetdomaininfo>())?;
    let mut domains: Vec<DomctlGetdomaininfo> = Vec::new();
    let mut first = 0;
    while first < DOMID_FIRST_RESERVED {
        let mut request = SysctlGetdomaininfolist {
            first_domain: first,
            max_domains: LIST_CHUNK as u32,
            buffer: buffer.address(),
            ..SysctlGetdomaininfolist::default()
        };
        xen.sysctl(call, XEN_SYSCTL_GETDOMAININFOLIST, &mut request)?;
        let found = (request.num_domains as usize).min(LIST_CHUNK);
        domains.extend(buffer.get_all::<DomctlGetdomaininfo>(0, found));
        match domains.last() {
            Some(last) if found == LIST_CHUNK && last.domain >= first => first = last.domain + 1,
            _ => break,
        }
    }
    Ok(domains)
}

pub(super) fn info(xen: &Xen, domain: DomId) -> Result<DomctlGetdomaininfo> {
    let mut info = DomctlGetdomaininfo::default();
    xen.domctl(
        call::DOMAIN_INFO,
        XEN_DOMCTL_GETDOMAININFO,
        domain,
        &mut info,
    )?;
    // Some versions answer with the next domain there is.
    match info.domain == domain.0 {
        true => Ok(info),
        false => Err(Error::new(call::DOMAIN_INFO, Errno::ESRCH)),
    }
}

pub(super) fn create(xen: &Xen, wanted: DomId, how: &DomctlCreatedomain) -> Result<DomId> {
    let mut how = *how;
    xen.domctl(
        call::CREATE_DOMAIN,
        XEN_DOMCTL_CREATEDOMAIN,
        wanted,
        &mut how,
    )
}

/// The hypervisor works in pieces: each call that is not done yet says `EAGAIN`, and every one gets further.
pub(super) fn destroy(xen: &Xen, domain: DomId) -> Result<()> {
    loop {
        match xen.bare_domctl(call::DESTROY_DOMAIN, XEN_DOMCTL_DESTROYDOMAIN, domain) {
            Err(error) if error.errno == Errno::EAGAIN => continue,
            other => return other,
        }
    }
}

pub(super) fn remote_shutdown(xen: &Xen, domain: DomId, reason: u32) -> Result<()> {
    let call = call::REMOTE_SHUTDOWN;
    let request = SchedRemoteShutdown {
        domain_id: domain.0,
        reason,
        ..SchedRemoteShutdown::default()
    };
    let buffer = xen.list(call, &[request])?;
    let args = [
        Arg::Value(SCHEDOP_REMOTE_SHUTDOWN.into()),
        Arg::Buffer(&buffer),
    ];
    xen.hypercall(call, HYPERVISOR_SCHED_OP, &args).map(drop)
}

pub(super) fn set_handle(xen: &Xen, domain: DomId, handle: [u8; 16]) -> Result<()> {
    let payload = DomctlSetdomainhandle { handle };
    xen.set(
        call::SET_HANDLE,
        XEN_DOMCTL_SETDOMAINHANDLE,
        domain,
        payload,
    )
}

pub(super) fn set_max_vcpus(xen: &Xen, domain: DomId, max: u32) -> Result<()> {
    let payload = DomctlMaxVcpus { max };
    xen.set(call::MAX_VCPUS, XEN_DOMCTL_MAX_VCPUS, domain, payload)
}

pub(super) fn set_max_memory(xen: &Xen, domain: DomId, max_memkb: u64) -> Result<()> {
    let payload = DomctlMaxMem { max_memkb };
    xen.set(call::MAX_MEMORY, XEN_DOMCTL_MAX_MEM, domain, payload)
}

pub(super) fn set_paging_memory(xen: &Xen, domain: DomId, size: u64) -> Result<()> {
    let payload = DomctlPagingMempool { size };
    let cmd = XEN_DOMCTL_SET_PAGING_MEMPOOL_SIZE;
    xen.set(call::PAGING_MEMORY, cmd, domain, payload)
}

pub(super) fn set_tsc_info(xen: &Xen, domain: DomId, payload: DomctlTscInfo) -> Result<()> {
    xen.set(call::SET_TSC_INFO, XEN_DOMCTL_SETTSCINFO, domain, payload)
}

pub(super) fn set_time_offset(xen: &Xen, domain: DomId, seconds: i64) -> Result<()> {
    let payload = DomctlSettimeoffset {
        time_offset_seconds: seconds,
    };
    xen.set(
        call::SET_TIME_OFFSET,
        XEN_DOMCTL_SETTIMEOFFSET,
        domain,
        payload,
    )
}

pub(super) fn set_node_affinity(xen: &Xen, domain: DomId, nodes: &CpuSet) -> Result<()> {
    let call = call::SET_NODE_AFFINITY;
    let (_buffer, nodemap) = xen.bitmap(call, xen.limits()?.nodes, nodes)?;
    let payload = DomctlNodeaffinity { nodemap };
    xen.set(call, XEN_DOMCTL_SETNODEAFFINITY, domain, payload)
}

pub(super) fn node_affinity(xen: &Xen, domain: DomId) -> Result<CpuSet> {
    let call = call::GET_NODE_AFFINITY;
    let nodes = xen.limits()?.nodes;
    let (buffer, nodemap) = xen.bitmap(call, nodes, &CpuSet::new())?;
    let payload = DomctlNodeaffinity { nodemap };
    xen.set(call, XEN_DOMCTL_GETNODEAFFINITY, domain, payload)?;
    Ok(set_of(&buffer, nodes))
}

pub(super) fn set_no_llc_colors(xen: &Xen, domain: DomId) -> Result<()> {
    let payload = DomctlSetLlcColors::default();
    xen.set(
        call::SET_LLC_COLORS,
        XEN_DOMCTL_SET_LLC_COLORS,
        domain,
        payload,
    )
}

pub(super) fn send_trigger(xen: &Xen, domain: DomId, trigger: u32, vcpu: u32) -> Result<()> {
    let payload = DomctlSendtrigger { trigger, vcpu };
    xen.set(call::SEND_TRIGGER, XEN_DOMCTL_SENDTRIGGER, domain, payload)
}

pub(super) fn param(xen: &Xen, domain: DomId, index: u32) -> Result<u64> {
    let param = HvmParam {
        domid: domain.0,
        index,
        ..HvmParam::default()
    };
    let about = |error: Error| error.about(format!("parameter {index}"));
    xen.param_op(call::GET_PARAM, HVMOP_GET_PARAM, param)
        .map_err(about)
}

pub(super) fn set_param(xen: &Xen, domain: DomId, index: u32, value: u64) -> Result<()> {
    let param = HvmParam {
        domid: domain.0,
        index,
        value,
        ..HvmParam::default()
    };
    let about = |error: Error| error.about(format!("parameter {index}"));
    let result = xen.param_op(call::SET_PARAM, HVMOP_SET_PARAM, param);
    result.map(drop).map_err(about)
}

pub(super) fn alloc_unbound_port(xen: &Xen, domain: DomId, remote: DomId) -> Result<u32> {
    let call = call::ALLOC_UNBOUND;
    let request = EvtchnAllocUnbound {
        dom: domain.0,
        remote_dom: remote.0,
        port: 0,
    };
    let buffer = xen.list(call, &[request])?;
    let args = [
        Arg::Value(EVTCHNOP_ALLOC_UNBOUND.into()),
        Arg::Buffer(&buffer),
    ];
    xen.hypercall(call, HYPERVISOR_EVENT_CHANNEL_OP, &args)?;
    Ok(buffer.get::<EvtchnAllocUnbound>(0).port)
}
