//! Guests that end while their devices come, and others who clean up meanwhile.

use std::time::Duration;

use super::super::{Devices, Error, Host, Mode};
use super::{Dom0, disk, vif};
use crate::devices::fake::{FakeHost, Habit};
use xenstore::{Access, Tx};

/// How often the back ends look at the store until two devices are there, and some more.
const ROUNDS: usize = 40;

#[test]
fn a_guest_that_ends_at_any_moment_of_an_attachment_leaves_nothing() {
    let mut failed = 0;
    for moment in 1..ROUNDS {
        let dom0 = Dom0::new();
        let plan = dom0
            .devices()
            .plan(&[disk("xvda", "/disk.img", Mode::ReadWrite), vif()])
            .expect("a plan");
        // Another tool sees the end, and does its work with a kernel of its own clock.
        let (store, host) = (dom0.store.connect(), FakeHost::new(&dom0.store));
        dom0.host.interrupt(move |round| {
            if round == moment {
                let devices = Devices {
                    store: &store,
                    host: &host,
                };
                devices.remove_all(1).expect("removed");
                store.remove(Tx::NONE, "/local/domain/1").expect("removed");
            }
        });
        let result = dom0.devices().attach_all(1, &plan);
        failed += usize::from(result.is_err());
        if result.is_ok() {
            // It ended after all was done.
            dom0.devices().remove_all(1).expect("removed");
        }
        dom0.assert_nothing_left(&format!("ended at {moment}"));
    }
    assert!((2..ROUNDS - 2).contains(&failed), "{failed}");
}

#[test]
fn a_guest_that_ends_before_the_check_is_noticed() {
    let dom0 = Dom0::new();
    let store = dom0.store.connect();
    dom0.host
        .interrupt(move |_| drop(store.remove(Tx::NONE, "/local/domain/1")));
    let error = dom0.devices().attach(1, &vif()).expect_err("no domain");
    assert!(matches!(error, Error::NoDomain(1)), "{error}");
    dom0.assert_nothing_left("after it ended");
}

#[test]
fn a_guest_that_ends_before_its_back_end_answers_is_not_waited_for() {
    let dom0 = Dom0::new();
    dom0.host
        .set_habit("/local/domain/0/backend/vif/1/0", Habit::Silent);
    let store = dom0.store.connect();
    dom0.host.interrupt(move |round| {
        if round == 2 {
            drop(store.remove(Tx::NONE, "/local/domain/1"));
        }
    });
    let start = dom0.host.now();
    let error = dom0.devices().attach(1, &vif()).expect_err("no domain");
    assert!(matches!(error, Error::NoDomain(1)), "{error}");
    // Ten seconds for the end of a back end that does not answer, none for the answer.
    assert!(dom0.host.now() - start < Duration::from_secs(11));
    dom0.assert_nothing_left("after it ended");
}
