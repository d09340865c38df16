//! Connecting devices.

use std::time::Duration;

use super::super::fake::Habit;
use super::super::{Device, DeviceId, DeviceNumber, Error, Host, Mode, Rate, Vif};
use super::{Dom0, disk, disk_id, vif, xvd};

/// What `xenstore-ls -fp` shows of a domain that Debian's xl 4.20 made with a disk that is written, one that is not and a network interface,
/// less what the kernel writes and the domain's other nodes.
const REFERENCE: &str = include_str!("reference.txt");

#[test]
fn nodes_are_those_that_libxl_writes() {
    let dom0 = Dom0::new();
    let interface = Vif {
        mac: "00:16:3e:00:00:01".parse().ok(),
        ip: Some("10.9.0.2".to_owned()),
        rate: Some(Rate {
            bytes_per_interval: 50_000,
            interval_usecs: 50_000,
        }),
        ..Vif::default()
    };
    let wanted = [
        disk("xvda", "/disk.img", Mode::ReadWrite),
        disk("xvdb", "/other.img", Mode::ReadOnly),
        Device::Vif(interface),
    ];
    let plan = dom0.devices().plan(&wanted).expect("a plan");
    let ids = dom0.devices().attach_all(1, &plan).expect("attached");
    assert_eq!(ids, [disk_id("xvda"), disk_id("xvdb"), DeviceId::Vif(0)]);
    let mut nodes = dom0.tree("/local/domain/0/backend");
    nodes.extend(dom0.tree("/local/domain/1/device"));
    nodes.extend(dom0.tree("/libxl/1/device"));
    let mut expected: Vec<_> = REFERENCE.lines().collect();
    nodes.sort();
    expected.sort_unstable();
    assert_eq!(nodes, expected);
}

#[test]
fn a_file_is_held_by_the_back_end_alone_afterwards() {
    let dom0 = Dom0::new();
    dom0.devices()
        .attach(1, &disk("xvda", "/disk.img", Mode::ReadWrite))
        .expect("attached");
    assert_eq!(dom0.host.loops().expect("loops").len(), 1);
    assert!(!dom0.host.is_disks_locked());
    dom0.devices().remove_all(1).expect("removed");
    dom0.assert_nothing_left("after removal");
}

#[test]
fn a_block_device_is_given_as_it_is() {
    let dom0 = Dom0::new();
    let number = DeviceNumber {
        major: 253,
        minor: 17,
    };
    dom0.host.add_block_device("/dev/vg/guest", number);
    dom0.devices()
        .attach(1, &disk("xvda", "/dev/vg/guest", Mode::ReadWrite))
        .expect("attached");
    let back = "/local/domain/0/backend/vbd/1/51712";
    assert_eq!(
        dom0.read(&format!("{back}/physical-device")).as_deref(),
        Some("fd:11")
    );
    assert_eq!(
        dom0.read(&format!("{back}/physical-device-path"))
            .as_deref(),
        Some("/dev/vg/guest")
    );
    assert_eq!(dom0.read(&format!("{back}/node")), None);
    assert_eq!(dom0.host.loops().expect("loops"), []);
}

#[test]
fn an_interface_becomes_a_port_of_its_bridge() {
    let dom0 = Dom0::new();
    dom0.host.add_link("br9", true);
    let named = Vif {
        bridge: Some("br9".to_owned()),
        name: Some("web".to_owned()),
        mtu: Some(9000),
        ..Vif::default()
    };
    dom0.devices()
        .attach(1, &Device::Vif(named))
        .expect("attached");
    let bridge = dom0
        .host
        .link("br9")
        .expect("an answer")
        .expect("the bridge");
    let port = dom0.host.link("web").expect("an answer").expect("the port");
    assert!(port.is_up && port.mtu == 9000 && port.master == Some(bridge.index));
    assert_eq!(dom0.host.link("vif1.0").expect("an answer"), None);
    assert_eq!(
        dom0.read("/local/domain/1/device/vif/0/mtu").as_deref(),
        Some("9000")
    );
    assert_eq!(
        dom0.read("/local/domain/0/backend/vif/1/0/mtu").as_deref(),
        Some("9000")
    );
    dom0.devices()
        .detach(1, DeviceId::Vif(0), super::super::Force::Never)
        .expect("detached");
    dom0.assert_nothing_left("after detaching");
}

#[test]
fn an_old_name_of_a_bridge_still_finds_it() {
    let dom0 = Dom0::new();
    dom0.host.add_link("eth7", true);
    let old = Vif {
        bridge: Some("xenbr7".to_owned()),
        ..Vif::default()
    };
    dom0.devices()
        .attach(1, &Device::Vif(old))
        .expect("attached");
    let bridge = dom0
        .host
        .link("eth7")
        .expect("an answer")
        .expect("the bridge");
    let port = dom0
        .host
        .link("vif1.0")
        .expect("an answer")
        .expect("the port");
    assert_eq!(port.master, Some(bridge.index));
}

#[test]
fn interfaces_get_the_numbers_after_the_highest() {
    let dom0 = Dom0::new();
    let fifth = Vif {
        id: Some(5),
        ..Vif::default()
    };
    let plan = dom0
        .devices()
        .plan(&[vif(), Device::Vif(fifth), vif()])
        .expect("a plan");
    let ids = dom0.devices().attach_all(1, &plan).expect("attached");
    assert_eq!(ids, [6, 5, 7].map(DeviceId::Vif));
    assert_eq!(
        dom0.devices().attach(1, &vif()).expect("attached"),
        DeviceId::Vif(8)
    );
}

#[test]
fn a_number_that_is_taken_is_refused_and_nothing_changes() {
    let dom0 = Dom0::new();
    let wanted = disk("xvda", "/disk.img", Mode::ReadWrite);
    dom0.devices().attach(1, &wanted).expect("attached");
    let before = (dom0.tree("/libxl"), dom0.tree("/local"));
    let again = dom0.devices().plan(&[vif(), wanted]).expect("a plan");
    let error = dom0.devices().attach_all(1, &again).expect_err("taken");
    assert_eq!(error.to_string(), "disk xvda exists already in domain 1");
    assert_eq!((dom0.tree("/libxl"), dom0.tree("/local")), before);
}

#[test]
fn a_domain_that_is_not_there_gets_nothing() {
    let dom0 = Dom0::new();
    let error = dom0.devices().attach(9, &vif()).expect_err("no domain");
    assert!(matches!(error, Error::NoDomain(9)));
    dom0.assert_nothing_left("without a domain");
}

#[test]
fn a_back_end_that_does_not_answer_is_named_with_its_state() {
    let dom0 = Dom0::new();
    dom0.host
        .set_habit("/local/domain/0/backend/vif/1/0", Habit::Silent);
    let wanted = [disk("xvda", "/disk.img", Mode::ReadWrite), vif()];
    let plan = dom0.devices().plan(&wanted).expect("a plan");
    let start = dom0.host.now();
    let error = dom0.devices().attach_all(1, &plan).expect_err("silent");
    assert_eq!(
        error.to_string(),
        "network interface 0: the back end was not ready within 10 s; the back end is in state 1 (Initialising)"
    );
    // Ten seconds for the answer, ten for the end.
    assert!(dom0.host.now() - start < Duration::from_secs(21));
    dom0.assert_nothing_left("after the failure");
}

#[test]
fn a_back_end_that_fails_is_quoted_at_once() {
    let dom0 = Dom0::new();
    let habit = Habit::Fails("2 creating vbd structure".to_owned());
    dom0.host
        .set_habit("/local/domain/0/backend/vbd/1/51712", habit);
    let start = dom0.host.now();
    let error = dom0
        .devices()
        .attach(1, &disk("xvda", "/disk.img", Mode::ReadWrite))
        .expect_err("it fails");
    let text = error.to_string();
    assert!(text.starts_with("disk xvda: the back end failed"), "{text}");
    assert!(
        text.ends_with("and says: 2 creating vbd structure"),
        "{text}"
    );
    assert!(dom0.host.now() - start < Duration::from_secs(1));
    dom0.assert_nothing_left("after the failure");
}

#[test]
fn devices_are_waited_for_together() {
    let dom0 = Dom0::new();
    let mut wanted = Vec::new();
    for letter in 'a'..='j' {
        let name = format!("xvd{letter}");
        dom0.host.add_file(&format!("/{name}"), true);
        wanted.push(disk(&name, &format!("/{name}"), Mode::ReadWrite));
        let back = format!("/local/domain/0/backend/vbd/1/{}", xvd(&name).0);
        dom0.host
            .set_habit(&back, Habit::Slow(Duration::from_secs(6)));
    }
    let plan = dom0.devices().plan(&wanted).expect("a plan");
    let start = dom0.host.now();
    dom0.devices().attach_all(1, &plan).expect("attached");
    assert!(dom0.host.now() - start < Duration::from_secs(7));
}
