//! What is refused before anything is changed.

use domcfg::model::{Disk as DiskConfig, DiskBackend, DiskFormat, Nic, NicType};

use super::super::fake::ScriptHabit;
use super::super::{Device, Disk, Format, Hotplug, Mode, Vif};
use super::{Dom0, disk, vif, xvd};

fn refusal(dom0: &Dom0, device: Device) -> String {
    let error = dom0.devices().plan(&[device]).expect_err("refused");
    error.to_string()
}

fn a_disk() -> Disk {
    Disk::raw("/disk.img", xvd("xvda"), Mode::ReadWrite)
}

#[test]
fn missing_files_are_named() {
    let text = refusal(&Dom0::new(), disk("xvda", "/none.img", Mode::ReadOnly));
    assert_eq!(
        text,
        "disk xvda: cannot use /none.img: No such file or directory (os error 2)"
    );
}

#[test]
fn what_needs_an_emulator_is_refused_with_a_hint() {
    let dom0 = Dom0::new();
    let cdrom = Disk {
        is_cdrom: true,
        format: Format::Empty,
        ..a_disk()
    };
    assert!(refusal(&dom0, Device::Disk(cdrom)).contains("needs an emulator"));
    for format in [Format::Qcow, Format::Qcow2, Format::Qed, Format::Vhd] {
        let text = refusal(&dom0, Device::Disk(Disk { format, ..a_disk() }));
        assert!(
            text.contains(format.name()) && text.contains("qemu-img convert -O raw /disk.img"),
            "{text}"
        );
    }
    let empty = Disk {
        format: Format::Empty,
        ..a_disk()
    };
    assert!(refusal(&dom0, Device::Disk(empty)).contains("without a medium"));
}

#[test]
fn bridges_have_to_be_there() {
    let dom0 = Dom0::new();
    let elsewhere = Vif {
        bridge: Some("nobr".to_owned()),
        ..Vif::default()
    };
    let text = refusal(&dom0, Device::Vif(elsewhere));
    assert!(text.contains("could not find bridge device nobr"), "{text}");
    dom0.host.add_link("ovs0", false);
    let other = Vif {
        bridge: Some("ovs0".to_owned()),
        ..Vif::default()
    };
    let text = refusal(&dom0, Device::Vif(other));
    assert!(text.contains("ovs0 is no bridge of Linux"), "{text}");
    let any = Vif {
        bridge: Some(String::new()),
        ..Vif::default()
    };
    dom0.devices()
        .plan(&[Device::Vif(any)])
        .expect("the first bridge");
}

#[test]
fn names_of_links_have_to_be_possible() {
    let dom0 = Dom0::new();
    for name in ["", ".", "..", "a/b", "a b", "a-name-of-16-byt", "a:1"] {
        let named = Vif {
            name: Some(name.to_owned()),
            ..Vif::default()
        };
        assert!(
            refusal(&dom0, Device::Vif(named)).contains("name of a link"),
            "{name}"
        );
    }
}

#[test]
fn two_of_one_number_are_refused() {
    let dom0 = Dom0::new();
    let twice = [
        disk("xvda", "/disk.img", Mode::ReadOnly),
        disk("d0p0", "/other.img", Mode::ReadOnly),
    ];
    let error = dom0.devices().plan(&twice).expect_err("two");
    assert_eq!(error.to_string(), "disk xvda: there are two of this number");
    dom0.devices()
        .plan(&[vif(), vif()])
        .expect("numbers are given later");
}

#[test]
fn scripts_are_run_where_they_are_wanted() {
    let dom0 = Dom0::new();
    let scripted = |script: &str| {
        let script = Some(script.into());
        let plan = dom0.devices().plan(&[Device::Vif(Vif {
            script,
            ..Vif::default()
        })])?;
        Ok::<_, super::super::Error>(plan.devices[0].hotplug.clone())
    };
    assert_eq!(scripted("vif-bridge").expect("native"), Hotplug::Bridge);
    assert_eq!(
        scripted("/etc/xen/scripts/vif-bridge").expect("native"),
        Hotplug::Bridge
    );
    let error = scripted("vif-route").expect_err("missing");
    assert!(
        error
            .to_string()
            .contains("/etc/xen/scripts/vif-route: there is no such program"),
        "{error}"
    );
    dom0.host
        .add_script("/etc/xen/scripts/vif-route", ScriptHabit::Fails);
    assert_eq!(
        scripted("vif-route").expect("there"),
        Hotplug::Script("/etc/xen/scripts/vif-route".into())
    );
    // An administrator's additions to the script need the script.
    dom0.host
        .add_script("/etc/xen/scripts/vif-bridge", ScriptHabit::Fails);
    dom0.host.add_script(
        "/etc/xen/scripts/vif-post.d/10-log.hook",
        ScriptHabit::Fails,
    );
    let bridge = Hotplug::Script("/etc/xen/scripts/vif-bridge".into());
    assert_eq!(scripted("vif-bridge").expect("there"), bridge);
}

#[test]
fn configurations_become_devices() {
    let dom0 = Dom0::new();
    dom0.write("/local/domain/5/name", "storage");
    let config = DiskConfig {
        pdev_path: Some("/disk.img".to_owned()),
        vdev: Some("hda".to_owned()),
        format: DiskFormat::Raw,
        readwrite: 1,
        backend_domname: Some("storage".to_owned()),
        ..DiskConfig::default()
    };
    let nic = Nic {
        mtu: 1400,
        rate_bytes_per_interval: 100,
        rate_interval_usecs: 50,
        ..Nic::default()
    };
    let devices = dom0
        .devices()
        .from_config(std::slice::from_ref(&config), &[nic])
        .expect("devices");
    let [Device::Disk(disk), Device::Vif(vif)] = &devices[..] else {
        panic!("{devices:?}");
    };
    assert_eq!(
        (disk.vdev.0, disk.vdev_name.as_str(), disk.backend),
        (768, "hda", 5)
    );
    assert_eq!(disk.mode, Mode::ReadWrite);
    assert_eq!(
        (vif.mtu, vif.rate.map(|rate| rate.interval_usecs), vif.mac),
        (Some(1400), Some(50), None)
    );
    let plan = dom0.devices().plan(&devices).expect("a plan");
    assert_eq!(plan.devices[0].hotplug, Hotplug::Elsewhere);

    let refusal = |config: DiskConfig| {
        dom0.devices()
            .from_config(&[config], &[])
            .expect_err("refused")
            .to_string()
    };
    let by_qemu = DiskConfig {
        backend: DiskBackend::Qdisk,
        ..config.clone()
    };
    assert!(refusal(by_qemu).contains("only the kernel's back end"));
    let nowhere = DiskConfig {
        backend_domname: Some("none".to_owned()),
        ..config.clone()
    };
    assert!(refusal(nowhere).contains("backend=none: there is no such domain"));
    let strange = DiskConfig {
        vdev: Some("vda".to_owned()),
        ..config
    };
    assert!(refusal(strange).contains("expected a virtual disk"));
    let emulated = Nic {
        nictype: NicType::VifIoemu,
        ..Nic::default()
    };
    let error = dom0
        .devices()
        .from_config(&[], &[emulated])
        .expect_err("refused");
    assert!(error.to_string().contains("needs an emulator"));
}
