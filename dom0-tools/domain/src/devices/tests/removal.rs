//! Disconnecting devices.

use std::path::Path;
use std::time::Duration;

use xenstore::{Access, Tx};

use super::super::fake::Habit;
use super::super::{DeviceId, Error, Force, Host, Mode};
use super::{Dom0, disk, disk_id, vif};

const DISK: &str = "/local/domain/0/backend/vbd/1/51712";

fn with_devices() -> Dom0 {
    let dom0 = Dom0::new();
    let wanted = [disk("xvda", "/disk.img", Mode::ReadWrite), vif()];
    let plan = dom0.devices().plan(&wanted).expect("a plan");
    dom0.devices().attach_all(1, &plan).expect("attached");
    dom0
}

#[test]
fn a_device_goes_and_the_others_stay() {
    let dom0 = with_devices();
    dom0.devices()
        .detach(1, disk_id("xvda"), Force::Never)
        .expect("detached");
    assert_eq!(dom0.devices().disks(1).expect("a list"), []);
    assert_eq!(dom0.devices().vifs(1).expect("a list").len(), 1);
    assert_eq!(dom0.host.loops().expect("loops"), []);
    let error = dom0
        .devices()
        .detach(1, disk_id("xvda"), Force::Never)
        .expect_err("gone");
    assert_eq!(error.to_string(), "domain 1 has no device disk xvda");
    dom0.devices()
        .detach(1, DeviceId::Vif(0), Force::Never)
        .expect("detached");
    dom0.assert_nothing_left("after both went");
}

#[test]
fn a_guest_that_does_not_let_go_keeps_its_disk_if_it_is_only_asked() {
    let dom0 = with_devices();
    dom0.host.set_habit(DISK, Habit::Stubborn);
    let start = dom0.host.now();
    let error = dom0
        .devices()
        .detach(1, disk_id("xvda"), Force::Never)
        .expect_err("kept");
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("did not let go of the device within 10 s"),
        "{error}"
    );
    assert!(dom0.host.now() - start <= Duration::from_secs(11));
    assert_eq!(dom0.host.loops().expect("loops").len(), 1);
    dom0.devices()
        .detach(1, disk_id("xvda"), Force::AfterTime)
        .expect("taken");
    dom0.devices().remove_all(1).expect("removed");
    dom0.assert_nothing_left("after force");
}

#[test]
fn a_dead_domains_devices_do_not_wait_for_it() {
    let dom0 = with_devices();
    dom0.host.set_habit(DISK, Habit::Stubborn);
    let start = dom0.host.now();
    dom0.devices().remove_all(1).expect("removed");
    assert!(dom0.host.now() - start < Duration::from_secs(1));
    dom0.assert_nothing_left("after removal");
}

#[test]
fn removal_can_be_repeated() {
    let dom0 = with_devices();
    for _ in 0..3 {
        dom0.devices().remove_all(1).expect("removed");
        dom0.assert_nothing_left("after removal");
    }
    dom0.devices().remove_all(77).expect("nothing to do");
}

/// The state in which xl 4.20 leaves a domain: loop devices that last, a console, nodes by its scripts.
fn by_stock_tools() -> Dom0 {
    let dom0 = Dom0::new();
    let wanted = [disk("xvda", "/disk.img", Mode::ReadWrite), vif()];
    let plan = dom0.devices().plan(&wanted).expect("a plan");
    dom0.devices().attach_all(1, &plan).expect("attached");
    let node = dom0
        .host
        .add_lasting_loop(Path::new("/disk.img"))
        .expect("a loop device");
    dom0.write(&format!("{DISK}/node"), &node);
    let console = "/local/domain/0/backend/console/1/0";
    dom0.write("/libxl/1/device/console/0/backend", console);
    dom0.write(
        "/libxl/1/device/console/0/frontend",
        "/local/domain/1/console",
    );
    dom0.write(&format!("{console}/state"), "1");
    dom0.write("/local/domain/1/console/backend", console);
    dom0
}

#[test]
fn what_other_tools_made_goes_too() {
    let dom0 = by_stock_tools();
    assert_eq!(dom0.host.loops().expect("loops").len(), 2);
    dom0.devices().remove_all(1).expect("removed");
    dom0.assert_nothing_left("after removal");
    assert_eq!(dom0.read("/local/domain/1/console/backend"), None);
}

#[test]
fn a_loop_device_that_another_disk_has_now_stays() {
    let dom0 = by_stock_tools();
    let node = dom0.read(&format!("{DISK}/node")).expect("a node");
    let other = "/local/domain/0/backend/vbd/2/51712";
    dom0.write(&format!("{other}/node"), &node);
    dom0.devices().remove_all(1).expect("removed");
    assert_eq!(dom0.host.loops().expect("loops").len(), 1);
}

#[test]
fn back_ends_without_a_record_go_too() {
    let dom0 = with_devices();
    dom0.store.remove(Tx::NONE, "/libxl/1").expect("removed");
    dom0.devices().remove_all(1).expect("removed");
    dom0.assert_nothing_left("after removal");
}

#[test]
fn a_record_can_not_name_another_domains_device() {
    let dom0 = with_devices();
    dom0.add_domain(2);
    dom0.write("/libxl/2/device/vbd/51712/backend", DISK);
    dom0.devices().remove_all(2).expect("removed");
    assert_eq!(dom0.read(&format!("{DISK}/state")).as_deref(), Some("2"));
    assert_eq!(dom0.host.loops().expect("loops").len(), 1);
}

#[test]
fn domains_with_back_ends_are_known_until_all_are_removed() {
    let dom0 = with_devices();
    let served = || dom0.devices().served().expect("domains");
    assert_eq!(served(), [1].into());
    dom0.devices().remove_all(1).expect("removed");
    assert_eq!(served(), [].into());
}

#[test]
fn a_device_no_driver_knows_is_not_waited_for() {
    let dom0 = Dom0::new();
    dom0.write("/libxl/1/device/vbd/51712/backend", DISK);
    dom0.write(&format!("{DISK}/state"), "3");
    let start = dom0.host.now();
    dom0.devices().remove_all(1).expect("removed");
    assert!(dom0.host.now() - start < Duration::from_secs(1));
    dom0.assert_nothing_left("after removal");
}

#[test]
fn qemu_is_waited_for_two_seconds() {
    let dom0 = Dom0::new();
    let back = "/local/domain/0/backend/qdisk/1/51728";
    dom0.write("/libxl/1/device/vbd/51728/backend", back);
    dom0.write(&format!("{back}/state"), "4");
    let start = dom0.host.now();
    dom0.devices().remove_all(1).expect("removed");
    let waited = dom0.host.now() - start;
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(3)).contains(&waited),
        "{waited:?}"
    );
    dom0.assert_nothing_left("after removal");
}

#[test]
fn a_back_end_that_writes_rubbish_goes_nevertheless() {
    let dom0 = with_devices();
    for name in ["state", "node", "params", "script"] {
        let path = format!("{DISK}/{name}");
        dom0.store
            .write(Tx::NONE, &path, &[0xff, 0xfe, 0])
            .expect("written");
    }
    dom0.devices().remove_all(1).expect("removed");
    dom0.assert_nothing_left("after removal");
}
