//! `xl info`: the host, its processors and memory, and the hypervisor.

use std::fmt::Display;

use serde_json::{Map, Value, json};
use xen_abi::physdev::PhysdevPciDevice;
use xen_abi::sysctl as abi;
use xen_abi::sysctl::SysctlPhysinfo;
use xenctl::{Hypervisor, VersionText};

use crate::context::Context;
use crate::{complain, say, select};

/// How much to print.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Print the places of processors, devices and memory
    #[arg(short = 'n', long)]
    numa: bool,
    /// Only what begins so.
    #[arg(value_name = "Name")]
    name: Vec<String>,
}

impl Arguments {
    /// Prints.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let mut report = Report::default();
        node(&mut report);
        machine(context, &mut report);
        let before_hypervisor = report.items.len();
        hypervisor(context, &mut report);
        report.add("xend_config_format", 4);
        if context.json() {
            context
                .output
                .print_json(&json!(report.map(self.numa.then_some(context))));
            return Ok(());
        }
        let filter = self.name.first().filter(|_| !self.numa);
        for (index, (name, value)) in report.items.iter().enumerate() {
            if self.numa && index == before_hypervisor {
                topology(context);
                memory_nodes(context);
            }
            match filter {
                None => say!(context, "{}\n", line(name, value)),
                Some(start) if line(name, value).starts_with(start.as_str()) => {
                    say!(context, "{value}\n");
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn line(name: &str, value: &str) -> String {
    // The list of abilities brings its own blanks: without any the line ends in a colon.
    let blank = if name == "virt_caps" && value.is_empty() {
        ""
    } else {
        " "
    };
    format!("{name:<23}:{blank}{value}")
}

#[derive(Default)]
struct Report {
    items: Vec<(&'static str, String)>,
}

impl Report {
    fn add(&mut self, name: &'static str, value: impl Display) {
        self.items.push((name, value.to_string()));
    }

    fn map(&self, places_of: Option<&Context>) -> Map<String, Value> {
        let items = self.items.iter().map(|(name, value)| {
            let number = value.parse::<i64>().ok().map(Value::from);
            (
                (*name).to_owned(),
                number.unwrap_or_else(|| Value::from(value.as_str())),
            )
        });
        let mut map: Map<String, Value> = items.collect();
        if let Some(Ok(xen)) = places_of.map(Context::xen) {
            map.insert("cpu_topology".into(), places(xen));
            map.insert("numa_info".into(), nodes(xen));
        }
        map
    }
}

fn node(report: &mut Report) {
    let name = rustix::system::uname();
    report.add("host", name.nodename().to_string_lossy());
    report.add("release", name.release().to_string_lossy());
    report.add("version", name.version().to_string_lossy());
    report.add("machine", name.machine().to_string_lossy());
}

fn machine(context: &Context, report: &mut Report) {
    let found = context.xen().and_then(|xen| Ok((xen, xen.physinfo()?)));
    let (xen, host) = match found {
        Ok(found) => found,
        Err(error) => {
            complain!(context, "xl: {error:#}\nlibxl_physinfo failed.\n");
            return;
        }
    };
    report.add("nr_cpus", host.nr_cpus);
    report.add("max_cpu_id", host.max_cpu_id);
    report.add("nr_nodes", host.nr_nodes);
    report.add("cores_per_socket", host.cores_per_socket);
    report.add("threads_per_core", host.threads_per_core);
    let khz = host.cpu_khz;
    report.add("cpu_mhz", format_args!("{}.{:03}", khz / 1000, khz % 1000));
    report.add(
        "hw_caps",
        host.hw_cap.map(|word| format!("{word:08x}")).join(":"),
    );
    report.add("virt_caps", abilities(host.capabilities));
    memory(xen, &host, report);
}

fn abilities(bits: u32) -> String {
    let has = |bit: u32| bits & bit != 0;
    let hvm = has(abi::XEN_SYSCTL_PHYSCAP_HVM);
    let pv = has(abi::XEN_SYSCTL_PHYSCAP_PV);
    let directio = has(abi::XEN_SYSCTL_PHYSCAP_DIRECTIO);
    let named = [
        (pv, "pv"),
        (hvm, "hvm"),
        (hvm && directio, "hvm_directio"),
        (pv && directio, "pv_directio"),
        (has(abi::XEN_SYSCTL_PHYSCAP_HAP), "hap"),
        (has(abi::XEN_SYSCTL_PHYSCAP_SHADOW), "shadow"),
        (
            has(abi::XEN_SYSCTL_PHYSCAP_IOMMU_HAP_PT_SHARE),
            "iommu_hap_pt_share",
        ),
        (has(abi::XEN_SYSCTL_PHYSCAP_VMTRACE), "vmtrace"),
        (has(abi::XEN_SYSCTL_PHYSCAP_VPMU), "vpmu"),
        (has(abi::XEN_SYSCTL_PHYSCAP_GNTTAB_V1), "gnttab-v1"),
        (has(abi::XEN_SYSCTL_PHYSCAP_GNTTAB_V2), "gnttab-v2"),
    ];
    let present = named.iter().filter(|(present, _)| *present);
    present.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

fn memory(xen: &dyn Hypervisor, host: &SysctlPhysinfo, report: &mut Report) {
    let page_size = u64::from(xen.page_size().unwrap_or(4096)).clamp(1, 1 << 20);
    let mib = |pages: u64| pages / ((1 << 20) / page_size);
    let (freed, used) = xen.sharing_pages().unwrap_or((0, 0));
    report.add("total_memory", mib(host.total_pages));
    let free = host.free_pages.saturating_sub(host.outstanding_pages);
    report.add("free_memory", mib(free));
    report.add("sharing_freed_memory", mib(freed));
    report.add("sharing_used_memory", mib(used));
    report.add("outstanding_claims", mib(host.outstanding_pages));
    if let Ok(free) = xen.free_cpus() {
        report.add("free_cpus", free.count());
    }
}

fn hypervisor(context: &Context, report: &mut Report) {
    let found = context.xen().and_then(|xen| Ok((xen, xen.version()?)));
    let (xen, (major, minor)) = match found {
        Ok(found) => found,
        Err(error) => {
            complain!(context, "xl: {error:#}\nlibxl_get_version_info failed.\n");
            return;
        }
    };
    let scheduler = match xen.scheduler() {
        Ok(scheduler) => select::scheduler_name(scheduler),
        Err(error) => {
            complain!(context, "xl: {error}\nget_scheduler sysctl failed.\n");
            return;
        }
    };
    let text = |what| xen.version_text(what).unwrap_or_else(|_| "(null)".into());
    let extra = text(VersionText::ExtraVersion);
    let build = xen.compile_info().unwrap_or_default();
    let identification = xen.build_id().unwrap_or_default();
    let identification = identification.iter().map(|byte| format!("{byte:02x}"));
    report.add("xen_major", major);
    report.add("xen_minor", minor);
    report.add("xen_extra", &extra);
    report.add("xen_version", format_args!("{major}.{minor}{extra}"));
    report.add("xen_caps", text(VersionText::Capabilities));
    report.add("xen_scheduler", scheduler);
    report.add("xen_pagesize", xen.page_size().unwrap_or(4096));
    let start = xen.virtual_start().unwrap_or(0);
    report.add("platform_params", format_args!("virt_start={start:#x}"));
    report.add("xen_changeset", text(VersionText::Changeset));
    report.add("xen_commandline", text(VersionText::CommandLine));
    report.add("cc_compiler", build.compiler);
    report.add("cc_compile_by", build.by);
    report.add("cc_compile_domain", build.domain);
    report.add("cc_compile_date", build.date);
    report.add("build_id", identification.collect::<String>());
}

/// Whether a processor is there.
fn is_present(core: u32) -> bool {
    core != abi::XEN_INVALID_CORE_ID
}

fn topology(context: &Context) {
    let found = context.xen().and_then(|xen| Ok((xen, xen.cpu_topology()?)));
    let (xen, cpus) = match found {
        Ok(found) => found,
        Err(error) => {
            complain!(context, "xl: {error:#}\nlibxl_get_cpu_topology failed.\n");
            return;
        }
    };
    say!(
        context,
        "cpu_topology           :\ncpu:    core    socket     node\n"
    );
    for (cpu, place) in cpus
        .iter()
        .enumerate()
        .filter(|(_, place)| is_present(place.core))
    {
        let (core, socket, node) = (place.core, place.socket, place.node);
        say!(
            context,
            "{cpu:>3}:    {core:>4}     {socket:>4}     {node:>4}\n"
        );
    }
    devices(context, xen);
}

fn devices(context: &Context, xen: &dyn Hypervisor) {
    let devices = pci_devices();
    let nodes = match xen.pci_nodes(&devices) {
        Ok(nodes) => nodes,
        Err(error) => {
            complain!(context, "xl: {error}\nlibxl_get_pci_topology failed.\n");
            return;
        }
    };
    say!(context, "device topology        :\ndevice           node\n");
    let unknown = [abi::XEN_INVALID_NODE_ID, abi::XEN_INVALID_DEV];
    let mut known = devices
        .iter()
        .zip(nodes)
        .filter(|(_, node)| !unknown.contains(node))
        .peekable();
    if known.peek().is_none() {
        say!(context, "No device topology data available\n");
    }
    for (device, node) in known {
        let (slot, function) = (device.devfn >> 3, device.devfn & 7);
        say!(
            context,
            "{:04x}:{:02x}:{slot:02x}.{function:01x}      {node}\n",
            device.seg,
            device.bus
        );
    }
}

/// The kernel's PCI devices, from the names `SSSS:BB:DD.F` in its directory.
fn pci_devices() -> Vec<PhysdevPciDevice> {
    let entries = std::fs::read_dir("/sys/bus/pci/devices")
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names.iter().filter_map(|name| pci_device(name)).collect()
}

fn pci_device(name: &str) -> Option<PhysdevPciDevice> {
    let (seg, rest) = name.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (slot, function) = rest.split_once('.')?;
    let slot = u8::from_str_radix(slot, 16)
        .ok()
        .filter(|slot| *slot < 32)?;
    let function = u8::from_str_radix(function, 16)
        .ok()
        .filter(|function| *function < 8)?;
    Some(PhysdevPciDevice {
        seg: u16::from_str_radix(seg, 16).ok()?,
        bus: u8::from_str_radix(bus, 16).ok()?,
        devfn: slot << 3 | function,
    })
}

fn memory_nodes(context: &Context) {
    let info = match context.xen().and_then(|xen| Ok(xen.numa_info()?)) {
        Ok(info) => info,
        Err(error) => {
            complain!(context, "xl: {error:#}\nlibxl_get_numainfo failed.\n");
            return;
        }
    };
    say!(
        context,
        "numa_info              :\nnode:    memsize    memfree    distances\n"
    );
    let width = info.nodes.len().max(1);
    for ((node, memory), distances) in info
        .nodes
        .iter()
        .enumerate()
        .zip(info.distances.chunks(width))
    {
        if memory.memsize == u64::from(abi::XEN_INVALID_MEM_SZ) || memory.memsize == u64::MAX {
            continue;
        }
        let (size, free) = (memory.memsize >> 20, memory.memfree >> 20);
        let distances = distances
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        say!(
            context,
            "{node:>4}:    {size:>6}     {free:>6}      {distances}\n"
        );
    }
}

fn places(xen: &dyn Hypervisor) -> Value {
    let places = xen.cpu_topology().unwrap_or_default();
    let places = places
        .iter()
        .enumerate()
        .filter(|(_, place)| is_present(place.core));
    let place = |(cpu, place): (usize, &abi::SysctlCputopo)| {
        let (core, socket, node) = (place.core, place.socket, place.node);
        json!({ "cpu": cpu, "core": core, "socket": socket, "node": node })
    };
    places.map(place).collect()
}

fn nodes(xen: &dyn Hypervisor) -> Value {
    let info = xen.numa_info().unwrap_or_default();
    let width = info.nodes.len().max(1);
    let rows = info.nodes.iter().zip(info.distances.chunks(width));
    let row = |(memory, distances): (&abi::SysctlMeminfo, &[u32])| {
        let (size, free) = (memory.memsize >> 20, memory.memfree >> 20);
        json!({ "memsize": size, "memfree": free, "distances": distances })
    };
    rows.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_xl() {
        assert_eq!(line("nr_cpus", "2"), "nr_cpus                : 2");
        assert_eq!(line("virt_caps", "pv"), "virt_caps              : pv");
        assert_eq!(line("virt_caps", ""), "virt_caps              :");
        assert_eq!(line("xen_changeset", ""), "xen_changeset          : ");
    }

    #[test]
    fn abilities_are_named_as_xl_does() {
        assert_eq!(
            abilities(0x30f),
            "pv hvm hvm_directio pv_directio hap gnttab-v1 gnttab-v2"
        );
        assert_eq!(abilities(abi::XEN_SYSCTL_PHYSCAP_DIRECTIO), "");
    }

    #[test]
    fn names_of_devices_are_their_places() {
        let device = pci_device("0000:00:1f.2").expect("a device");
        assert_eq!((device.seg, device.bus, device.devfn), (0, 0, 0xfa));
        for name in ["", "0000:00", "0000:00:20.0", "0000:00:1f.8", "x:y:z.w"] {
            assert!(pci_device(name).is_none(), "{name}");
        }
    }
}
