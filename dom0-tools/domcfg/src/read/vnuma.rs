//! Virtual NUMA nodes: `vnuma=[["pnode=0","size=512","vcpus=0-1","vdistances=10,20"], …]`.

use crate::cpus::{CpuSet, parse_range};
use crate::grammar::{Setting, Value, ValueKind};
use crate::model::{DomainConfig, VnodeInfo};
use crate::problem::quoted;

use super::reader::Reader;
use super::words::{Specification, Word, split};

/// More nodes than any machine has.
const MAX_NODES: usize = 64;

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let Some(setting) = reader.setting("vnuma") else {
        return;
    };
    let nodes = match &setting.value.kind {
        ValueKind::List(nodes) if nodes.len() <= MAX_NODES => nodes,
        ValueKind::List(_) => {
            return reader.problem(
                setting.value.place.clone(),
                format!("expected at most {MAX_NODES} virtual nodes"),
            );
        }
        ValueKind::Text(_) => return reader.unexpected("vnuma", &setting.value),
    };
    if nodes.is_empty() {
        return;
    }
    for node in nodes {
        let distances = vec![0; nodes.len()];
        let node = read_node(
            reader,
            node,
            VnodeInfo {
                distances,
                ..VnodeInfo::default()
            },
            &mut config.b_info.numa_placement,
        );
        config.b_info.vnuma_nodes.push(node);
    }
    check_vcpus(reader, setting, config);
    check_memory(reader, setting, config);
}

fn read_node(
    reader: &mut Reader<'_>,
    value: &Value,
    mut node: VnodeInfo,
    placement: &mut Option<bool>,
) -> VnodeInfo {
    let ValueKind::List(options) = &value.kind else {
        reader.problem(value.place.clone(), "expected a list such as [ \"pnode=0\", \"size=512\" ] for a virtual node, found a string");
        return node;
    };
    for option in options {
        let Some(text) = option.text() else {
            reader.problem(
                option.place.clone(),
                "expected a string such as \"size=512\" for a virtual node, found a list",
            );
            continue;
        };
        let item = super::reader::Item {
            text,
            value: option,
        };
        let mut specification = Specification::new(reader, item, "virtual node");
        let word = Word { text, offset: 0 };
        match word
            .pair()
            .map(|(key, value)| (key.trim(), value.trimmed()))
        {
            Some((key, value)) => read_option(&mut specification, key, value, &mut node, placement),
            None => specification.unknown(word),
        }
    }
    node
}

fn read_option(
    specification: &mut Specification<'_, '_, '_>,
    key: &str,
    value: Word<'_>,
    node: &mut VnodeInfo,
    placement: &mut Option<bool>,
) {
    match key {
        "pnode" => {
            let nodes = specification.reader.context.host.nodes.len();
            match specification.number::<u32>(key, value) {
                Some(number) if usize::try_from(number).is_ok_and(|number| number < nodes) => {
                    node.pnode = number;
                    *placement = Some(false);
                }
                Some(_) => specification.unexpected(
                    key,
                    value,
                    &format!("a node of this host below {nodes}"),
                ),
                None => {}
            }
        }
        "size" => {
            node.memkb = specification
                .number::<u32>(key, value)
                .map(|mib| u64::from(mib) * 1024)
        }
        "vcpus" => node.vcpus = read_vcpus(specification, value),
        "vdistances" => read_distances(specification, value, &mut node.distances),
        _ => specification.unknown(Word {
            text: key,
            offset: 0,
        }),
    }
}

fn read_vcpus(specification: &mut Specification<'_, '_, '_>, value: Word<'_>) -> CpuSet {
    let mut vcpus = CpuSet::new();
    for part in split(value.text, ',') {
        match parse_range(part.text) {
            Ok((first, last)) if last < crate::cpus::MAX_CPUS => {
                vcpus.insert_range(first, last + 1)
            }
            _ => {
                let part = Word {
                    text: part.text,
                    offset: value.offset + part.offset,
                };
                specification.unexpected("vcpus", part, "vCPUs such as 0-1,4");
            }
        }
    }
    vcpus
}

fn read_distances(
    specification: &mut Specification<'_, '_, '_>,
    value: Word<'_>,
    distances: &mut [u32],
) {
    let parts: Vec<_> = split(value.text, ',').collect();
    if parts.len() > distances.len() {
        let count = distances.len();
        return specification.unexpected(
            "vdistances",
            value,
            &format!("at most {count} distances, one for each virtual node"),
        );
    }
    for (distance, part) in distances.iter_mut().zip(parts) {
        let part = Word {
            text: part.text,
            offset: value.offset + part.offset,
        };
        *distance = specification.number("vdistances", part).unwrap_or_default();
    }
}

/// The nodes' vCPUs are the domain's.
fn check_vcpus(reader: &mut Reader<'_>, setting: &Setting, config: &mut DomainConfig) {
    let vcpus: usize = config
        .b_info
        .vnuma_nodes
        .iter()
        .map(|node| node.vcpus.len())
        .sum();
    let vcpus = i32::try_from(vcpus).unwrap_or(i32::MAX);
    let host_cpus = reader.context.host.cpus;
    if reader.setting("maxvcpus").is_some() {
        let most = config.b_info.max_vcpus;
        if most != vcpus {
            let message = format!(
                "expected {} to have as many vCPUs as \"maxvcpus\", which is {most}, found {vcpus}",
                quoted("vnuma")
            );
            reader.problem(setting.value.place.clone(), message);
        }
    } else if u32::try_from(vcpus).is_ok_and(|vcpus| vcpus > host_cpus) {
        let message = format!(
            "expected at most {host_cpus} vCPUs, as many as this host has CPUs, found {vcpus}; say \"maxvcpus\" to have more"
        );
        reader.problem(setting.value.place.clone(), message);
    } else {
        config.b_info.max_vcpus = vcpus;
    }
}

/// The nodes' memory is the domain's.
fn check_memory(reader: &mut Reader<'_>, setting: &Setting, config: &mut DomainConfig) {
    let sizes = config
        .b_info
        .vnuma_nodes
        .iter()
        .map(|node| node.memkb.unwrap_or(0));
    let sum = sizes.fold(0, u64::saturating_add);
    // "maxmem" itself is checked where memory is read.
    let most = reader
        .setting("maxmem")
        .and_then(|most| most.value.text())
        .and_then(crate::number::parse);
    if let Some(most) = most.and_then(|mib| u64::try_from(mib).ok())
        && most.saturating_mul(1024) != sum
    {
        let message = format!(
            "expected the sizes of \"vnuma\" to add up to \"maxmem\", which is {most} MiB, found {} MiB",
            sum / 1024
        );
        reader.problem(setting.value.place.clone(), message);
    }
    config.b_info.max_memkb = Some(sum);
}
