//! What the host is and what the hypervisor says about itself.

use xen_abi::errno::Errno;
use xen_abi::memory::{XENMEM_GET_SHARING_FREED_PAGES, XENMEM_GET_SHARING_SHARED_PAGES};
use xen_abi::physdev::PhysdevPciDevice;
use xen_abi::sysctl::{
    SysctlCpuinfo, SysctlCputopo, SysctlCputopoinfo, SysctlDebugKeys, SysctlGetcpuinfo,
    SysctlMeminfo, SysctlNumainfo, SysctlPcitopoinfo, SysctlPhysinfo, SysctlReadconsole,
    SysctlSchedId, XEN_SYSCTL_CPUTOPOINFO, XEN_SYSCTL_DEBUG_KEYS, XEN_SYSCTL_GETCPUINFO,
    XEN_SYSCTL_NUMAINFO, XEN_SYSCTL_PCITOPOINFO, XEN_SYSCTL_PHYSINFO, XEN_SYSCTL_READCONSOLE,
    XEN_SYSCTL_SCHED_ID,
};
use xen_abi::version::{
    CompileInfo as AbiCompileInfo, PlatformParameters, XENVER_BUILD_ID, XENVER_CAPABILITIES2,
    XENVER_CHANGESET2, XENVER_COMMANDLINE2, XENVER_COMPILE_INFO, XENVER_EXTRAVERSION2,
    XENVER_PAGESIZE, XENVER_PLATFORM_PARAMETERS, XENVER_VERSION,
};
use xen_abi::xen::{HYPERVISOR_MEMORY_OP, HYPERVISOR_XEN_VERSION};

use super::{Xen, out_of_range};
use crate::sys::Arg;
use crate::{CompileInfo, ConsoleText, Error, NumaInfo, Result, VersionText, call};

/// Bytes of the log read at once.
const LOG_CHUNK: usize = 64 << 10;
/// Chunks read at most: a hypervisor that writes faster than it is read does not keep the reader for ever.
const LOG_CHUNKS: usize = 1024;
/// The longest text or identification taken from the hypervisor.
const MAX_TEXT: usize = 1 << 16;

pub(super) fn version(xen: &Xen) -> Result<(u32, u32)> {
    let version = xen_version(xen, call::VERSION, XENVER_VERSION, Arg::Value(0))?;
    let version = u32::try_from(version).map_err(|_| out_of_range(call::VERSION))?;
    Ok((version >> 16, version & 0xffff))
}

pub(super) fn version_text(xen: &Xen, what: VersionText) -> Result<String> {
    let (call, op) = match what {
        VersionText::ExtraVersion => (call::EXTRA_VERSION, XENVER_EXTRAVERSION2),
        VersionText::Capabilities => (call::CAPABILITIES, XENVER_CAPABILITIES2),
        VersionText::Changeset => (call::CHANGESET, XENVER_CHANGESET2),
        VersionText::CommandLine => (call::COMMAND_LINE, XENVER_COMMANDLINE2),
    };
    Ok(text_of(&variable(xen, call, op)?))
}

pub(super) fn compile_info(xen: &Xen) -> Result<CompileInfo> {
    let call = call::COMPILE_INFO;
    let buffer = xen.buffer(call, size_of::<AbiCompileInfo>())?;
    xen_version(xen, call, XENVER_COMPILE_INFO, Arg::Buffer(&buffer))?;
    let info: AbiCompileInfo = buffer.get(0);
    Ok(CompileInfo {
        compiler: text_of(&info.compiler),
        by: text_of(&info.compile_by),
        domain: text_of(&info.compile_domain),
        date: text_of(&info.compile_date),
    })
}

pub(super) fn page_size(xen: &Xen) -> Result<u32> {
    let size = xen_version(xen, call::PAGE_SIZE, XENVER_PAGESIZE, Arg::Value(0))?;
    u32::try_from(size).map_err(|_| out_of_range(call::PAGE_SIZE))
}

pub(super) fn virtual_start(xen: &Xen) -> Result<u64> {
    let call = call::PLATFORM_PARAMETERS;
    let buffer = xen.buffer(call, size_of::<PlatformParameters>())?;
    xen_version(xen, call, XENVER_PLATFORM_PARAMETERS, Arg::Buffer(&buffer))?;
    Ok(buffer.get::<PlatformParameters>(0).virt_start)
}

pub(super) fn build_id(xen: &Xen) -> Result<Vec<u8>> {
    variable(xen, call::BUILD_ID, XENVER_BUILD_ID)
}

pub(super) fn physinfo(xen: &Xen) -> Result<SysctlPhysinfo> {
    let mut info = SysctlPhysinfo::default();
    xen.sysctl(call::PHYSINFO, XEN_SYSCTL_PHYSINFO, &mut info)?;
    Ok(info)
}

pub(super) fn scheduler(xen: &Xen) -> Result<u32> {
    let mut id = SysctlSchedId::default();
    xen.sysctl(call::SCHEDULER_ID, XEN_SYSCTL_SCHED_ID, &mut id)?;
    Ok(id.sched_id)
}

pub(super) fn cpu_topology(xen: &Xen) -> Result<Vec<SysctlCputopo>> {
    let cpus = xen.limits()?.cpus as usize;
    let call = call::CPU_TOPOLOGY;
    let places = xen.buffer(call, cpus * size_of::<SysctlCputopo>())?;
    let mut request = SysctlCputopoinfo {
        num_cpus: cpus as u32,
        cputopo: places.address(),
        ..SysctlCputopoinfo::default()
    };
    xen.sysctl(call, XEN_SYSCTL_CPUTOPOINFO, &mut request)?;
    Ok(places.get_all(0, cpus.min(request.num_cpus as usize)))
}

pub(super) fn pci_nodes(xen: &Xen, devices: &[PhysdevPciDevice]) -> Result<Vec<u32>> {
    let call = call::PCI_TOPOLOGY;
    let mut nodes = Vec::with_capacity(devices.len());
    while nodes.len() < devices.len() {
        let rest = &devices[nodes.len()..];
        let list = xen.list(call, rest)?;
        let answers = xen.buffer(call, size_of_val(rest))?;
        let mut request = SysctlPcitopoinfo {
            num_devs: rest.len() as u32,
            devs: list.address(),
            nodes: answers.address(),
            ..SysctlPcitopoinfo::default()
        };
        xen.sysctl(call, XEN_SYSCTL_PCITOPOINFO, &mut request)?;
        let done = (request.num_devs as usize).min(rest.len());
        if done == 0 {
            return Err(Error::new(call, Errno::EIO).about("it made no progress"));
        }
        nodes.extend(answers.get_all::<u32>(0, done));
    }
    Ok(nodes)
}

pub(super) fn numa_info(xen: &Xen) -> Result<NumaInfo> {
    let nodes = xen.limits()?.nodes as usize;
    let call = call::NUMA_INFO;
    let memory = xen.buffer(call, nodes * size_of::<SysctlMeminfo>())?;
    let distances = xen.buffer(call, nodes * nodes * size_of::<u32>())?;
    let mut request = SysctlNumainfo {
        num_nodes: nodes as u32,
        meminfo: memory.address(),
        distance: distances.address(),
        ..SysctlNumainfo::default()
    };
    xen.sysctl(call, XEN_SYSCTL_NUMAINFO, &mut request)?;
    let nodes = nodes.min(request.num_nodes as usize);
    Ok(NumaInfo {
        nodes: memory.get_all(0, nodes),
        distances: distances.get_all(0, nodes * nodes),
    })
}

pub(super) fn cpu_idle_times(xen: &Xen) -> Result<Vec<u64>> {
    let cpus = xen.limits()?.cpus as usize;
    let call = call::CPU_INFO;
    let times = xen.buffer(call, cpus * size_of::<SysctlCpuinfo>())?;
    let mut request = SysctlGetcpuinfo {
        max_cpus: cpus as u32,
        info: times.address(),
        ..SysctlGetcpuinfo::default()
    };
    xen.sysctl(call, XEN_SYSCTL_GETCPUINFO, &mut request)?;
    Ok(times.get_all(0, cpus.min(request.nr_cpus as usize)))
}

pub(super) fn sharing_pages(xen: &Xen) -> Result<(u64, u64)> {
    let count = |call, op: u32| {
        let args = [Arg::Value(op.into()), Arg::Value(0)];
        let pages = xen.hypercall(call, HYPERVISOR_MEMORY_OP, &args)?;
        u64::try_from(pages).map_err(|_| out_of_range(call))
    };
    Ok((
        count(call::SHARING_FREED, XENMEM_GET_SHARING_FREED_PAGES)?,
        count(call::SHARING_SHARED, XENMEM_GET_SHARING_SHARED_PAGES)?,
    ))
}

pub(super) fn read_console(xen: &Xen, clear: bool, from: Option<u32>) -> Result<ConsoleText> {
    let buffer = xen.buffer(call::READ_CONSOLE, LOG_CHUNK)?;
    let mut log = ConsoleText {
        text: Vec::new(),
        index: from.unwrap_or(0),
    };
    for _ in 0..LOG_CHUNKS {
        let mut request = SysctlReadconsole {
            clear: clear.into(),
            // From 0 on is from the start: an index outside what there is counts as the oldest.
            incremental: 1,
            index: log.index,
            buffer: buffer.address(),
            count: LOG_CHUNK as u32,
            ..SysctlReadconsole::default()
        };
        xen.sysctl(call::READ_CONSOLE, XEN_SYSCTL_READCONSOLE, &mut request)?;
        let read = (request.count as usize).min(LOG_CHUNK);
        log.text.extend(buffer.get_all::<u8>(0, read));
        log.index = request.index;
        if read < LOG_CHUNK {
            break;
        }
    }
    Ok(log)
}

pub(super) fn debug_keys(xen: &Xen, keys: &str) -> Result<()> {
    let list = xen.list(call::DEBUG_KEYS, keys.as_bytes())?;
    let mut request = SysctlDebugKeys {
        keys: list.address(),
        nr_keys: keys.len() as u32,
        ..SysctlDebugKeys::default()
    };
    xen.sysctl(call::DEBUG_KEYS, XEN_SYSCTL_DEBUG_KEYS, &mut request)
}

fn xen_version(xen: &Xen, call: &'static str, op: u32, argument: Arg<'_>) -> Result<i32> {
    let args = [Arg::Value(op.into()), argument];
    xen.hypercall(call, HYPERVISOR_XEN_VERSION, &args)
}

/// Text of unknown length: without a buffer the answer is the length; the buffer begins with the bytes it holds.
fn variable(xen: &Xen, call: &'static str, op: u32) -> Result<Vec<u8>> {
    let length = xen_version(xen, call, op, Arg::Value(0))?;
    let length = usize::try_from(length).map_err(|_| out_of_range(call))?;
    if length > MAX_TEXT {
        return Err(out_of_range(call));
    }
    let header = size_of::<u32>();
    let buffer = xen.buffer(call, header + length)?;
    buffer.put(0, &(length as u32));
    let written = xen_version(xen, call, op, Arg::Buffer(&buffer))?;
    let written = usize::try_from(written).map_err(|_| out_of_range(call))?;
    Ok(buffer.get_all(header, written.min(length)))
}

/// Text up to its first NUL.
fn text_of(bytes: &[u8]) -> String {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or(bytes);
    String::from_utf8_lossy(text).into_owned()
}
