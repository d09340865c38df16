//! Machine state and CPU policies.

use xen_abi::arch_x86::{CpuidLeaf, MsrEntry};
use xen_abi::domctl::{
    DomctlCpuPolicy, DomctlHvmcontext, XEN_DOMCTL_GET_CPU_POLICY, XEN_DOMCTL_GETHVMCONTEXT,
    XEN_DOMCTL_SET_CPU_POLICY, XEN_DOMCTL_SETHVMCONTEXT,
};
use xen_abi::sysctl::{
    SysctlCpuFeatureset, SysctlCpuPolicy, XEN_SYSCTL_GET_CPU_FEATURESET, XEN_SYSCTL_GET_CPU_POLICY,
};

use super::{Xen, out_of_range};
use crate::sys::Mapping;
use crate::{CpuPolicy, DomId, Error, Result, call};

/// The most bytes of machine state, leaves, MSRs and feature words taken from the hypervisor.
const MAX_CONTEXT: u32 = 16 << 20;
const MAX_ENTRIES: u32 = 4096;
/// No leaf or MSR is to blame.
const NONE: u32 = u32::MAX;

pub(super) fn context(xen: &Xen, domain: DomId) -> Result<Vec<u8>> {
    let call = call::GET_HVM_CONTEXT;
    let mut request = DomctlHvmcontext::default();
    xen.domctl(call, XEN_DOMCTL_GETHVMCONTEXT, domain, &mut request)?;
    let size = bounded(call, request.size, MAX_CONTEXT)?;
    let buffer = xen.buffer(call, size)?;
    request.buffer = buffer.address();
    xen.domctl(call, XEN_DOMCTL_GETHVMCONTEXT, domain, &mut request)?;
    Ok(buffer.get_all(0, size.min(request.size as usize)))
}

pub(super) fn set_context(xen: &Xen, domain: DomId, records: &[u8]) -> Result<()> {
    let call = call::SET_HVM_CONTEXT;
    let buffer = xen.list(call, records)?;
    let request = DomctlHvmcontext {
        size: u32::try_from(records.len()).map_err(|_| out_of_range(call))?,
        buffer: buffer.address(),
        ..DomctlHvmcontext::default()
    };
    xen.set(call, XEN_DOMCTL_SETHVMCONTEXT, domain, request)
}

/// Without buffers the hypervisor tells how many entries there can be.
pub(super) fn of_host(xen: &Xen, index: u32) -> Result<CpuPolicy> {
    let call = call::HOST_CPU_POLICY;
    let mut request = SysctlCpuPolicy {
        index,
        ..SysctlCpuPolicy::default()
    };
    xen.sysctl(call, XEN_SYSCTL_GET_CPU_POLICY, &mut request)?;
    let (leaves, msrs) = buffers(xen, call, request.nr_leaves, request.nr_msrs)?;
    request.leaves = leaves.address();
    request.msrs = msrs.address();
    xen.sysctl(call, XEN_SYSCTL_GET_CPU_POLICY, &mut request)?;
    Ok(parse(&leaves, request.nr_leaves, &msrs, request.nr_msrs))
}

pub(super) fn of_domain(xen: &Xen, domain: DomId) -> Result<CpuPolicy> {
    let call = call::GET_CPU_POLICY;
    let mut request = DomctlCpuPolicy::default();
    xen.domctl(call, XEN_DOMCTL_GET_CPU_POLICY, domain, &mut request)?;
    let (leaves, msrs) = buffers(xen, call, request.nr_leaves, request.nr_msrs)?;
    request.leaves = leaves.address();
    request.msrs = msrs.address();
    xen.domctl(call, XEN_DOMCTL_GET_CPU_POLICY, domain, &mut request)?;
    Ok(parse(&leaves, request.nr_leaves, &msrs, request.nr_msrs))
}

pub(super) fn set(xen: &Xen, domain: DomId, policy: &CpuPolicy) -> Result<()> {
    let call = call::SET_CPU_POLICY;
    let msr = |&(idx, flags, val): &(u32, u32, u64)| MsrEntry { idx, flags, val };
    let leaves = xen.list(call, &policy.leaves)?;
    let msrs = xen.list(call, &policy.msrs.iter().map(msr).collect::<Vec<_>>())?;
    let mut request = DomctlCpuPolicy {
        nr_leaves: policy.leaves.len() as u32,
        nr_msrs: policy.msrs.len() as u32,
        leaves: leaves.address(),
        msrs: msrs.address(),
        err_leaf: NONE,
        err_subleaf: NONE,
        err_msr: NONE,
        ..DomctlCpuPolicy::default()
    };
    xen.domctl(call, XEN_DOMCTL_SET_CPU_POLICY, domain, &mut request)
        .map(drop)
        .map_err(|error| blame(error, &request))
}

pub(super) fn featureset(xen: &Xen, index: u32) -> Result<Vec<u32>> {
    let call = call::FEATURESET;
    let mut request = SysctlCpuFeatureset {
        index,
        ..SysctlCpuFeatureset::default()
    };
    xen.sysctl(call, XEN_SYSCTL_GET_CPU_FEATURESET, &mut request)?;
    let words = bounded(call, request.nr_features, MAX_ENTRIES)?;
    let buffer = xen.buffer(call, words * size_of::<u32>())?;
    request.features = buffer.address();
    xen.sysctl(call, XEN_SYSCTL_GET_CPU_FEATURESET, &mut request)?;
    Ok(buffer.get_all(0, words.min(request.nr_features as usize)))
}

fn buffers<'a>(
    xen: &'a Xen,
    call: &'static str,
    leaves: u32,
    msrs: u32,
) -> Result<(super::Buffer<'a>, super::Buffer<'a>)> {
    let leaves = bounded(call, leaves, MAX_ENTRIES)?;
    let msrs = bounded(call, msrs, MAX_ENTRIES)?;
    Ok((
        xen.buffer(call, leaves * size_of::<CpuidLeaf>())?,
        xen.buffer(call, msrs * size_of::<MsrEntry>())?,
    ))
}

fn parse(leaves: &Mapping, nr_leaves: u32, msrs: &Mapping, nr_msrs: u32) -> CpuPolicy {
    let fit = |buffer: &Mapping, count: u32, size| (count as usize).min(buffer.len() / size);
    let nr_leaves = fit(leaves, nr_leaves, size_of::<CpuidLeaf>());
    let nr_msrs = fit(msrs, nr_msrs, size_of::<MsrEntry>());
    let msr = |entry: MsrEntry| (entry.idx, entry.flags, entry.val);
    CpuPolicy {
        leaves: leaves.get_all(0, nr_leaves),
        msrs: msrs.get_all(0, nr_msrs).into_iter().map(msr).collect(),
    }
}

fn blame(error: Error, request: &DomctlCpuPolicy) -> Error {
    let subleaf = match request.err_subleaf {
        NONE => String::new(),
        subleaf => format!(", subleaf {subleaf:#x}"),
    };
    match (request.err_leaf, request.err_msr) {
        (NONE, NONE) => error,
        (NONE, msr) => error.about(format!("MSR {msr:#x}")),
        (leaf, _) => error.about(format!("leaf {leaf:#x}{subleaf}")),
    }
}

fn bounded(call: &'static str, count: u32, most: u32) -> Result<usize> {
    match count <= most {
        true => Ok(count as usize),
        false => Err(out_of_range(call)),
    }
}
