//! Virtual CPUs, where they run, and what they can do.

use crate::cpuid;
use crate::cpus::{CpuSet, parse_cpu_list};
use crate::grammar::ValueKind;
use crate::model::{Altp2mMode, DomainConfig};
use crate::problem::quoted;

use super::reader::{Item, Reader};

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    read_counts(reader, config);
    let info = &mut config.b_info;
    info.vcpu_hard_affinity =
        read_affinity(reader, "cpus", info.max_vcpus, &mut info.numa_placement);
    info.vcpu_soft_affinity = read_affinity(
        reader,
        "cpus_soft",
        info.max_vcpus,
        &mut info.numa_placement,
    );

    info.sched_params.weight = reader.number_as("cpu_weight");
    info.sched_params.cap = reader.number_as("cap");
    info.sched_params.period = reader.number_as("period");
    info.sched_params.extratime = reader.number_as("extratime");
    info.sched_params.slice = reader.number_as("slice");
    info.sched_params.latency = reader.number_as("latency");

    info.nested_hvm = reader.flag("nestedhvm");
    info.vpmu = reader.flag("vpmu");
    info.vmtrace_buf_kb = reader.number_as("vmtrace_buf_kb").unwrap_or(0);
    info.arch_x86.msr_relaxed = reader.flag("msr_relaxed");
    info.altp2m = read_altp2m(reader);
    read_cpuid(reader, config);
}

fn read_counts(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let vcpus: Option<u32> = reader.number_as("vcpus");
    let most: Option<u32> = reader.number_as("maxvcpus");
    if let (Some(vcpus), Some(most), Some(setting)) = (vcpus, most, reader.setting("maxvcpus"))
        && most < vcpus
    {
        let message = format!(
            "expected \"maxvcpus\" to be at least \"vcpus\", which is {vcpus}, found {most}"
        );
        reader.problem(setting.value.place.clone(), message);
    }
    config.b_info.avail_vcpus = vcpus.map(CpuSet::first).unwrap_or_default();
    config.b_info.max_vcpus = most
        .or(vcpus)
        .and_then(|count| i32::try_from(count).ok())
        .unwrap_or(0);
}

/// One list is for every vCPU; a list of lists is for the first vCPUs, and what it says of vCPUs that are not there is skipped. Either
/// switches libxl's own placement off, except a single list of `cpus`.
fn read_affinity(
    reader: &mut Reader<'_>,
    name: &str,
    max_vcpus: i32,
    placement: &mut Option<bool>,
) -> Vec<CpuSet> {
    let Some(setting) = reader.setting(name) else {
        return Vec::new();
    };
    let vcpus = usize::try_from(max_vcpus.max(1)).unwrap_or(1);
    match &setting.value.kind {
        ValueKind::Text(text) => {
            if name == "cpus_soft" {
                *placement = Some(false);
            }
            let cpus = read_cpu_list(
                reader,
                name,
                Item {
                    text: &text.text,
                    value: &setting.value,
                },
            );
            vec![cpus; vcpus]
        }
        ValueKind::List(items) => {
            *placement = Some(false);
            let items = reader.strings_of(name, items);
            items
                .into_iter()
                .take(vcpus)
                .map(|item| read_cpu_list(reader, name, item))
                .collect()
        }
    }
}

fn read_cpu_list(reader: &mut Reader<'_>, name: &str, item: Item<'_>) -> CpuSet {
    let host = &reader.context.host;
    match parse_cpu_list(item.text, host) {
        Ok(cpus) if cpus.iter().any(|cpu| cpu < host.cpus) => cpus,
        Ok(_) => {
            let last = host.cpus.saturating_sub(1);
            let message = format!(
                "expected at least one CPU of this host, 0 to {last}, for {}, found {}",
                quoted(name),
                quoted(item.text)
            );
            reader.problem(item.value.place.clone(), message);
            CpuSet::new()
        }
        Err(error) => {
            reader.problem(item.value.place_at(error.offset), error.to_string());
            CpuSet::new()
        }
    }
}

/// The mode by name, or by the number old files have.
fn read_altp2m(reader: &mut Reader<'_>) -> Altp2mMode {
    let mode = reader.choice("altp2m", |text| match crate::number::parse(text) {
        Some(number) => usize::try_from(number)
            .ok()
            .and_then(|index| Altp2mMode::ALL.get(index))
            .map(|(mode, _)| *mode),
        None => Altp2mMode::from_name(text),
    });
    mode.unwrap_or_default()
}

/// `cpuid="host,feature=value,…"`, or a list of leaves in the form of Xen's old toolstack.
fn read_cpuid(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let Some(setting) = reader.setting("cpuid") else {
        return;
    };
    let policy = &mut config.b_info.cpuid;
    let mut problems = Vec::new();
    match &setting.value.kind {
        ValueKind::Text(text) => {
            let mut report =
                |offset, message| problems.push((setting.value.place_at(offset), message));
            cpuid::apply_features(policy, &text.text, &mut report);
        }
        ValueKind::List(items) => {
            for item in reader.strings_of("cpuid", items) {
                if let Err(error) = cpuid::apply_leaf(policy, item.text) {
                    problems.push((item.value.place_at(error.offset), error.to_string()));
                }
            }
        }
    }
    problems
        .into_iter()
        .for_each(|(place, message)| reader.problem(place, message));
}
