//! The same host as xentop 4.20 prints it. `testdata` holds what the original wrote for a host with these domains and devices.

use std::fs;
use std::path::Path;
use std::time::Instant;

use xenctl::DomId;

use crate::devices::Devices;
use crate::sample::{Domain, Host, Sample, State, Vcpu};
use crate::table::View;

const PLAIN: &str = include_str!("../testdata/plain.txt");
const EVERYTHING: &str = include_str!("../testdata/everything.txt");
const PROC_NET_DEV: &str = include_str!("../testdata/proc-net-dev.txt");

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Three interfaces, one of them renamed, and three disks, one of them with counters.
fn devices(root: &Path) -> Devices {
    put(root, "proc/net/dev", PROC_NET_DEV);
    let nodename = "sys/class/net/guestnet/device/nodename";
    put(root, nodename, "backend/vif/3/1\n");
    let disks = "sys/bus/xen-backend/devices";
    for (file, number) in [
        ("oo_req", 27_000_189_u64),
        ("rd_req", 1_000_007_000),
        ("wr_req", 4_913_034_391),
        ("rd_sect", 13_824_096_768),
        ("wr_sect", 29_791_208_537),
    ] {
        let path = format!("{disks}/vbd-3-51712/statistics/{file}");
        put(root, &path, &format!("{number}\n"));
    }
    for other in ["vbd-3-51728", "vbd-7-51712", "vif-3-0"] {
        put(root, &format!("{disks}/{other}/uevent"), "");
    }
    Devices::below(root)
}

/// A domain whose vCPU N used (N + 1) times 1.5 s times its own number plus 1.
fn domain(id: u16, name: &str, state: State, cpu_ns: u64, pages: [u64; 2], vcpus: u32) -> Domain {
    let vcpu = |vcpu: u32| Vcpu {
        online: (id, vcpu) != (3, 1),
        cpu_ns: u64::from(vcpu + 1) * 1_500_000_000 * u64::from(id + 1),
    };
    Domain {
        id: DomId(id),
        name: name.into(),
        state,
        cpu_ns,
        memory: pages[0] * 4096,
        max_memory: (pages[1] != 0xffff_ffff).then_some(pages[1] * 4096),
        vcpu_count: vcpus,
        vcpus: (0..vcpus).map(vcpu).collect(),
        ssid: if id == 7 { 2 } else { 0 },
        ..Domain::default()
    }
}

fn sample() -> Sample {
    let nothing = State::default();
    let running = State {
        running: true,
        ..nothing
    };
    let blocked = State {
        blocked: true,
        ..nothing
    };
    let paused = State {
        paused: true,
        ..nothing
    };
    let crashed = State {
        crashed: true,
        ..nothing
    };
    let mut domains = vec![
        domain(
            0,
            "Domain-0",
            running,
            151_587_274_721,
            [262_143, 0xffff_ffff],
            2,
        ),
        domain(
            3,
            "a-guest-with-a-long-name",
            blocked,
            12_345_678_901,
            [65_536, 65_792],
            7,
        ),
        domain(5, "Paused", paused, 0, [51_200, 51_456], 0),
        domain(7, "crashed", crashed, 999_999_999, [1024, 4096], 1),
    ];
    let root = tempfile::tempdir().unwrap();
    let devices = devices(root.path());
    for domain in &mut domains {
        let mut networks = devices.networks().unwrap();
        networks.retain(|(owner, _)| *owner == domain.id);
        domain.networks = networks.into_iter().map(|(_, network)| network).collect();
        let mut disks = devices.disks().unwrap();
        disks.retain(|(owner, _)| *owner == domain.id);
        domain.disks = disks.into_iter().map(|(_, disk)| disk).collect();
    }
    let host = Host {
        memory: 786_301 * 4096,
        ..Host::default()
    };
    Sample {
        taken: Instant::now(),
        host,
        domains,
    }
}

fn printed(view: &View) -> String {
    let sample = sample();
    let lines = view.lines(&view.order(&sample, None), 0);
    lines.iter().map(|line| line.text() + "\n").collect()
}

#[test]
fn a_plain_table_is_that_of_the_original() {
    assert_eq!(printed(&View::default()), PLAIN);
}

#[test]
fn a_table_with_everything_is_that_of_the_original() {
    let view = View {
        networks: true,
        vbds: true,
        vcpus: true,
        repeat_header: true,
        full_name: true,
        dom0_first: true,
        ..View::default()
    };
    assert_eq!(printed(&view), EVERYTHING);
}
