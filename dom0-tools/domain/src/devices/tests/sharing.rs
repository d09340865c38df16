//! Storage that others use.

use super::super::{Device, DeviceNumber, Disk, Error, Host, Mode, Result};
use super::{Dom0, disk, disk_id, xvd};

const NUMBER: DeviceNumber = DeviceNumber { major: 8, minor: 1 };

fn with_two_domains() -> Dom0 {
    let dom0 = Dom0::new();
    dom0.add_domain(2);
    dom0.host.add_block_device("/dev/sda1", NUMBER);
    dom0
}

fn attach(dom0: &Dom0, domain: u16, target: &str, mode: Mode) -> Result<super::DeviceId> {
    dom0.devices().attach(domain, &disk("xvda", target, mode))
}

#[test]
fn a_writer_bears_nobody_else_and_a_reader_only_readers() {
    use Mode::{ReadOnly, ReadWrite, ReadWriteShared};
    for target in ["/disk.img", "/dev/sda1"] {
        for (first, second, allowed) in [
            (ReadOnly, ReadOnly, true),
            (ReadOnly, ReadWrite, false),
            (ReadWrite, ReadOnly, false),
            (ReadWrite, ReadWrite, false),
            (ReadWrite, ReadWriteShared, true),
            (ReadWriteShared, ReadWriteShared, true),
            (ReadWriteShared, ReadOnly, true),
            (ReadWriteShared, ReadWrite, false),
        ] {
            let dom0 = with_two_domains();
            attach(&dom0, 1, target, first).expect("attached");
            let second_is = attach(&dom0, 2, target, second);
            assert_eq!(
                second_is.is_ok(),
                allowed,
                "{target}: {first:?}, then {second:?}"
            );
        }
    }
}

#[test]
fn the_message_names_file_domain_and_disk() {
    let dom0 = with_two_domains();
    attach(&dom0, 1, "/disk.img", Mode::ReadWrite).expect("attached");
    let error = attach(&dom0, 2, "/disk.img", Mode::ReadOnly).expect_err("in use");
    assert_eq!(
        error.to_string(),
        "disk xvda: /disk.img is used read-write by domain 1 (guest1) as disk xvda, and so cannot be used read-only now"
    );
    // The other's disk is as it was, and nothing of the refused one is left.
    assert_eq!(dom0.host.loops().expect("loops").len(), 1);
    assert_eq!(dom0.tree("/libxl/2"), [""; 0]);
    assert_eq!(dom0.tree("/local/domain/0/backend/vbd/2"), [""; 0]);
}

#[test]
fn a_restarted_machine_does_not_disturb_itself() {
    let dom0 = with_two_domains();
    attach(&dom0, 1, "/disk.img", Mode::ReadWrite).expect("attached");
    dom0.write("/local/domain/2/vm", "/vm/1");
    attach(&dom0, 2, "/disk.img", Mode::ReadWrite).expect("attached");
}

#[test]
fn what_is_mounted_in_dom0_can_only_be_read_if_it_is_only_read_there() {
    for (is_read_only, mode, allowed) in [
        (true, Mode::ReadOnly, true),
        (false, Mode::ReadOnly, false),
        (true, Mode::ReadWrite, false),
        (false, Mode::ReadWriteShared, true),
    ] {
        let dom0 = with_two_domains();
        dom0.host.mount("/dev/sda1", NUMBER, is_read_only);
        let result = attach(&dom0, 1, "/dev/sda1", mode);
        assert_eq!(result.is_ok(), allowed, "{is_read_only} {mode:?}");
        if let Err(error) = result {
            assert!(matches!(error, Error::Busy { .. }));
            assert!(
                error.to_string().contains("mounted in dom0 (as /dev/sda1)"),
                "{error}"
            );
        }
    }
}

#[test]
fn a_read_only_disk_gets_a_read_only_loop_device() {
    let dom0 = with_two_domains();
    dom0.host.add_file("/iso", false);
    attach(&dom0, 1, "/iso", Mode::ReadOnly).expect("attached");
    assert!(dom0.host.are_loops_read_only());
    let writable = Disk::raw("/iso", xvd("xvdb"), Mode::ReadWrite);
    let error = dom0
        .devices()
        .attach(1, &Device::Disk(writable))
        .expect_err("read-only");
    assert_eq!(
        error.to_string(),
        "disk xvdb: /iso is read-only: use access=ro"
    );
    assert_eq!(dom0.devices().disks(1).expect("a list").len(), 1);
    dom0.devices()
        .detach(1, disk_id("xvda"), super::super::Force::Never)
        .expect("detached");
    dom0.assert_nothing_left("in the end");
}
