//! Lists of devices.

use super::super::{DeviceId, DiskState, Mode, VifState};
use super::{Dom0, disk, vif, xvd};

#[test]
fn lists_have_the_columns_of_xl() {
    let dom0 = Dom0::new();
    dom0.devices()
        .attach(1, &disk("xvda", "/disk.img", Mode::ReadWrite))
        .expect("attached");
    dom0.devices().attach(1, &vif()).expect("attached");
    let (disk, vif) = (
        "/local/domain/1/device/vbd/51712",
        "/local/domain/1/device/vif/0",
    );
    dom0.write(&format!("{disk}/state"), "4");
    dom0.write(&format!("{disk}/event-channel"), "14");
    dom0.write(&format!("{disk}/ring-ref"), "8");
    dom0.write(&format!("{vif}/tx-ring-ref"), "768");
    dom0.write(&format!("{vif}/rx-ring-ref"), "769");
    let expected = DiskState {
        vdev: xvd("xvda"),
        backend: 0,
        domain: 1,
        state: 4,
        event_channel: 14,
        ring_ref: 8,
        back_path: "/local/domain/0/backend/vbd/1/51712".to_owned(),
    };
    assert_eq!(dom0.devices().disks(1).expect("a list"), [expected]);
    let vifs = dom0.devices().vifs(1).expect("a list");
    let [
        VifState {
            number: 0,
            state: 1,
            event_channel: -1,
            tx_ring_ref: 768,
            rx_ring_ref: 769,
            mac,
            ..
        },
    ] = vifs[..]
    else {
        panic!("{vifs:?}");
    };
    assert_eq!(
        dom0.devices().vif_with_mac(1, mac).expect("an answer"),
        Some(DeviceId::Vif(0))
    );
    assert_eq!(
        dom0.devices()
            .vif_with_mac(1, super::super::MacAddress::default())
            .expect("an answer"),
        None
    );
    assert_eq!(dom0.devices().disks(2).expect("a list"), []);
}

#[test]
fn what_a_guest_writes_is_only_ever_a_number() {
    let dom0 = Dom0::new();
    dom0.devices()
        .attach(1, &disk("xvda", "/disk.img", Mode::ReadWrite))
        .expect("attached");
    let state = "/local/domain/1/device/vbd/51712/state";
    for (text, number) in [
        ("4x", 4),
        ("evil", 0),
        ("", 0),
        ("99999999999999999999", 9_999_999_999),
    ] {
        dom0.write(state, text);
        assert_eq!(
            dom0.devices().disks(1).expect("a list")[0].state,
            number,
            "{text}"
        );
    }
    xenstore::Access::write(&dom0.store, xenstore::Tx::NONE, state, &[0xff, 0]).expect("written");
    assert_eq!(dom0.devices().disks(1).expect("a list")[0].state, 0);
}
