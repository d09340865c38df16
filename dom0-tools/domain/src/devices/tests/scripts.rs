//! Devices with scripts of the administrator's.

use std::time::Duration;

use super::super::fake::ScriptHabit;
use super::super::{Device, DeviceId, Disk, Force, Host, Mode, Vif};
use super::{Dom0, disk_id, xvd};

const SCRIPT: &str = "/etc/xen/scripts/mine";

fn with_script(habit: ScriptHabit) -> Dom0 {
    let dom0 = Dom0::new();
    dom0.host.add_script(SCRIPT, habit);
    dom0
}

fn scripted_disk() -> Device {
    Device::Disk(Disk {
        script: Some("mine".into()),
        ..Disk::raw("iqn.2026-11:disk", xvd("xvda"), Mode::ReadWrite)
    })
}

fn scripted_vif() -> Device {
    Device::Vif(Vif {
        script: Some("mine".into()),
        gateway_device: Some("eth1".to_owned()),
        ..Vif::default()
    })
}

#[test]
fn a_disks_script_is_called_as_libxl_calls_it() {
    let device = vec![
        ("physical-device", "8:10".to_owned()),
        ("hotplug-status", "connected".to_owned()),
    ];
    let dom0 = with_script(ScriptHabit::Writes(device));
    dom0.devices()
        .attach(1, &scripted_disk())
        .expect("attached");
    let back = "/local/domain/0/backend/vbd/1/51712";
    assert_eq!(
        dom0.read(&format!("{back}/script")).as_deref(),
        Some(SCRIPT)
    );
    dom0.devices()
        .detach(1, disk_id("xvda"), Force::Never)
        .expect("detached");
    let calls = dom0.host.calls();
    let arguments: Vec<_> = calls.iter().map(|call| call.arguments.join(" ")).collect();
    assert_eq!(arguments, ["add", "remove"]);
    let environment = [
        ("script", SCRIPT),
        ("XENBUS_TYPE", "vbd"),
        ("XENBUS_PATH", "backend/vbd/1/51712"),
        ("XENBUS_BASE_PATH", "backend"),
    ];
    for call in calls {
        assert_eq!(
            call.environment,
            environment.map(|(name, value)| (name, value.to_owned()))
        );
    }
    dom0.assert_nothing_left("after detaching");
}

#[test]
fn an_interfaces_script_is_called_as_libxl_calls_it() {
    let connected = vec![("hotplug-status", "connected".to_owned())];
    let dom0 = with_script(ScriptHabit::Writes(connected));
    dom0.devices().attach(1, &scripted_vif()).expect("attached");
    dom0.devices()
        .detach(1, DeviceId::Vif(0), Force::Never)
        .expect("detached");
    let calls = dom0.host.calls();
    let arguments: Vec<_> = calls.iter().map(|call| call.arguments.join(" ")).collect();
    assert_eq!(arguments, ["online type_if=vif", "offline type_if=vif"]);
    let environment = [
        ("script", SCRIPT),
        ("XENBUS_TYPE", "vif"),
        ("XENBUS_PATH", "backend/vif/1/0"),
        ("XENBUS_BASE_PATH", "backend"),
        ("netdev", "eth1"),
        ("vif", "vif1.0"),
    ];
    assert_eq!(
        calls[0].environment,
        environment.map(|(name, value)| (name, value.to_owned()))
    );
}

#[test]
fn what_a_script_complains_of_is_shown() {
    let dom0 = with_script(ScriptHabit::Complains("no such target".to_owned()));
    let error = dom0
        .devices()
        .attach(1, &scripted_disk())
        .expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "disk xvda: hotplug script /etc/xen/scripts/mine: no such target"
    );
    dom0.assert_nothing_left("after the failure");
}

#[test]
fn a_script_that_says_nothing_is_shown_by_its_end() {
    let dom0 = with_script(ScriptHabit::Fails);
    let error = dom0
        .devices()
        .attach(1, &scripted_vif())
        .expect_err("it fails");
    assert!(
        error
            .to_string()
            .ends_with("mine: it ended with exit status: 1"),
        "{error}"
    );
    dom0.assert_nothing_left("after the failure");
}

#[test]
fn a_script_that_writes_an_error_but_ends_well_has_failed() {
    let busy = vec![
        ("hotplug-error", "in use".to_owned()),
        ("hotplug-status", "busy".to_owned()),
    ];
    let dom0 = with_script(ScriptHabit::Writes(busy));
    let error = dom0
        .devices()
        .attach(1, &scripted_disk())
        .expect_err("it fails");
    assert!(error.to_string().ends_with("mine: in use"), "{error}");
    dom0.assert_nothing_left("after the failure");
}

#[test]
fn a_script_has_forty_seconds() {
    let dom0 = with_script(ScriptHabit::Hangs);
    let start = dom0.host.now();
    let error = dom0
        .devices()
        .attach(1, &scripted_vif())
        .expect_err("it hangs");
    assert!(
        error
            .to_string()
            .ends_with("mine: it did not end within 40 s"),
        "{error}"
    );
    // Once for coming, once for going.
    let took = dom0.host.now() - start;
    assert!(
        (Duration::from_secs(79)..Duration::from_secs(82)).contains(&took),
        "{took:?}"
    );
    dom0.assert_nothing_left("after the failure");
}
