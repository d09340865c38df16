//! An update as a line of JSON: the host, and its domains in the table's order with all that a table can show of them.

use std::io::{self, Write};

use serde::Serialize;

use crate::column::{Column, Row};
use crate::sample::{Disk, Domain, Network, Sample, Traffic};
use crate::table::View;

#[derive(Serialize)]
struct Update<'a> {
    xen_version: &'a str,
    cpus: u32,
    cpu_mhz: u32,
    memory_kib: u64,
    free_memory_kib: u64,
    domains: Vec<DomainEntry<'a>>,
}

#[derive(Serialize)]
struct DomainEntry<'a> {
    domid: u16,
    name: &'a str,
    state: String,
    cpu_seconds: f64,
    /// Absent in the first update, and for a domain that is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<f64>,
    memory_kib: u64,
    /// Null: no limit.
    max_memory_kib: Option<u64>,
    vcpus: Vec<VcpuEntry>,
    networks: Vec<NetworkEntry>,
    disks: Vec<DiskEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<Rates>,
    ssid: u32,
}

#[derive(Serialize)]
struct VcpuEntry {
    vcpu: u32,
    online: bool,
    cpu_seconds: f64,
}

#[derive(Serialize)]
struct NetworkEntry {
    devid: u32,
    received: TrafficEntry,
    sent: TrafficEntry,
}

#[derive(Serialize)]
struct TrafficEntry {
    bytes: u64,
    packets: u64,
    errors: u64,
    drops: u64,
}

#[derive(Serialize)]
struct DiskEntry {
    kind: &'static str,
    devid: u32,
    #[serde(flatten)]
    used: Option<UseEntry>,
}

#[derive(Serialize)]
struct UseEntry {
    out_of_requests: u64,
    reads: u64,
    writes: u64,
    sectors_read: u64,
    sectors_written: u64,
}

#[derive(Serialize)]
struct Rates {
    sent_bytes: u64,
    received_bytes: u64,
    reads: u64,
    writes: u64,
    sectors_read: u64,
    sectors_written: u64,
}

/// Writes an update and its newline.
pub fn write(
    view: &View,
    sample: &Sample,
    before: Option<&Sample>,
    out: &mut impl Write,
) -> io::Result<()> {
    let host = &sample.host;
    let rows = view.order(sample, before);
    let update = Update {
        xen_version: &host.version,
        cpus: host.cpus,
        cpu_mhz: host.cpu_khz / 1000,
        memory_kib: host.memory >> 10,
        free_memory_kib: host.free_memory >> 10,
        domains: rows.iter().map(domain).collect(),
    };
    // In one piece: a reader that goes away shows as an error of the write, not as one of the format.
    let mut line = serde_json::to_vec(&update)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

fn domain<'a>(row: &Row<'a>) -> DomainEntry<'a> {
    let domain: &Domain = row.domain;
    DomainEntry {
        domid: domain.id.0,
        name: &domain.name,
        state: domain.state.text(),
        cpu_seconds: seconds(domain.cpu_ns),
        cpu_percent: row.cpu_percent(),
        memory_kib: domain.memory >> 10,
        max_memory_kib: domain.max_memory.map(|bytes| bytes >> 10),
        vcpus: vcpus(domain),
        networks: domain.networks.iter().map(network).collect(),
        disks: domain.disks.iter().map(disk).collect(),
        per_second: row.rates.then(|| rates(row)),
        ssid: domain.ssid,
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn vcpus(domain: &Domain) -> Vec<VcpuEntry> {
    let vcpus = (0..).zip(&domain.vcpus);
    vcpus
        .map(|(number, vcpu)| VcpuEntry {
            vcpu: number,
            online: vcpu.online,
            cpu_seconds: seconds(vcpu.cpu_ns),
        })
        .collect()
}

fn network(network: &Network) -> NetworkEntry {
    let way = |way: Traffic| TrafficEntry {
        bytes: way.bytes,
        packets: way.packets,
        errors: way.errors,
        drops: way.drops,
    };
    NetworkEntry {
        devid: network.id,
        received: way(network.received),
        sent: way(network.sent),
    }
}

fn disk(disk: &Disk) -> DiskEntry {
    let used = disk.used.map(|used| UseEntry {
        out_of_requests: used.out_of_requests,
        reads: used.reads,
        writes: used.writes,
        sectors_read: used.sectors_read,
        sectors_written: used.sectors_written,
    });
    DiskEntry {
        kind: disk.kind.name(),
        devid: disk.device,
        used,
    }
}

fn rates(row: &Row<'_>) -> Rates {
    Rates {
        sent_bytes: Column::Sent.number(row),
        received_bytes: Column::Received.number(row),
        reads: Column::Reads.number(row),
        writes: Column::Writes.number(row),
        sectors_read: Column::SectorsRead.number(row),
        sectors_written: Column::SectorsWritten.number(row),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};
    use xenctl::DomId;

    use super::*;
    use crate::sample::{DiskKind, DiskUse, Host, State, Vcpu};

    fn sample(taken: Instant, cpu_ns: u64, reads: u64) -> Sample {
        let running = State {
            running: true,
            ..State::default()
        };
        Sample {
            taken,
            host: Host {
                version: "4.20.3".into(),
                cpus: 2,
                cpu_khz: 2_500_999,
                memory: 4 << 30,
                free_memory: 1 << 30,
            },
            domains: vec![Domain {
                id: DomId(7),
                name: "a\"b".into(),
                state: running,
                cpu_ns,
                memory: 64 << 20,
                vcpu_count: 1,
                vcpus: vec![Vcpu {
                    online: true,
                    cpu_ns,
                }],
                networks: vec![Network {
                    id: 1,
                    received: Traffic {
                        bytes: 10,
                        packets: 2,
                        ..Traffic::default()
                    },
                    ..Network::default()
                }],
                disks: vec![Disk {
                    kind: DiskKind::BlkBack,
                    device: 51712,
                    used: Some(DiskUse {
                        reads,
                        ..DiskUse::default()
                    }),
                }],
                ..Domain::default()
            }],
        }
    }

    fn written(view: &View, sample: &Sample, before: Option<&Sample>) -> Value {
        let mut out = Vec::new();
        write(view, sample, before, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn first_update_has_host_and_domains_with_their_devices() {
        let update = written(
            &View::default(),
            &sample(Instant::now(), 1_500_000_000, 9),
            None,
        );
        let nothing = json!({ "bytes": 0, "packets": 0, "errors": 0, "drops": 0 });
        let expected = json!({
            "xen_version": "4.20.3",
            "cpus": 2,
            "cpu_mhz": 2500,
            "memory_kib": 4 << 20,
            "free_memory_kib": 1 << 20,
            "domains": [{
                "domid": 7,
                "name": "a\"b",
                "state": "-----r",
                "cpu_seconds": 1.5,
                "memory_kib": 65536,
                "max_memory_kib": null,
                "vcpus": [{ "vcpu": 0, "online": true, "cpu_seconds": 1.5 }],
                "networks": [{
                    "devid": 1,
                    "received": { "bytes": 10, "packets": 2, "errors": 0, "drops": 0 },
                    "sent": nothing,
                }],
                "disks": [{
                    "kind": "BlkBack",
                    "devid": 51712,
                    "out_of_requests": 0,
                    "reads": 9,
                    "writes": 0,
                    "sectors_read": 0,
                    "sectors_written": 0,
                }],
                "ssid": 0,
            }],
        });
        assert_eq!(update, expected);
    }

    #[test]
    fn later_updates_tell_what_was_used_since() {
        let start = Instant::now();
        let before = sample(start, 1_000_000_000, 10);
        let after = sample(start + Duration::from_secs(2), 2_000_000_000, 30);
        let view = View {
            rates: true,
            ..View::default()
        };
        let update = written(&view, &after, Some(&before));
        let domain = &update["domains"][0];
        assert_eq!(domain["cpu_percent"], 50.0);
        assert_eq!(domain["per_second"]["reads"], 10);
        assert_eq!(domain["disks"][0]["reads"], 30);
    }
}
