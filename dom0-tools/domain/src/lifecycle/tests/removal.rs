//! Destroying domains that are whole, half there, or being destroyed.

use std::thread;

use super::*;
use crate::build;
use crate::lifecycle::Error;

#[test]
fn destroyed_domain_leaves_nothing_and_is_unknown_then() {
    let dom0 = Dom0::new();
    let domain = dom0.running("a");
    dom0.toolstack().destroy(domain).unwrap();
    assert_eq!(dom0.leftovers(), [""; 0]);
    let error = dom0.toolstack().destroy(domain).unwrap_err();
    assert!(matches!(error, Error::NoDomain(_)), "{error}");
}

#[test]
fn half_of_a_domain_is_removed_like_a_whole_one() {
    let dom0 = Dom0::new();
    // Nodes and files alone.
    let domain = dom0.running("a");
    dom0.xen.destroy_domain(domain).unwrap();
    dom0.toolstack().destroy(domain).unwrap();
    assert_eq!(dom0.leftovers(), [""; 0]);
    // In the hypervisor alone.
    let domain = build::create(&dom0.xen, &dom0.request("a").plan).unwrap();
    dom0.toolstack().destroy(domain).unwrap();
    assert_eq!(dom0.leftovers(), [""; 0]);
}

#[test]
fn many_may_destroy_the_same_domain() {
    let dom0 = Dom0::new();
    let domain = dom0.running("a");
    let stores: Vec<LocalStore> = (0..4).map(|_| dom0.store.connect()).collect();
    thread::scope(|scope| {
        for store in &stores {
            let toolstack = dom0.toolstack_on(store);
            scope.spawn(move || match toolstack.destroy(domain) {
                Ok(()) | Err(Error::NoDomain(_)) => {}
                Err(error) => panic!("{error}"),
            });
        }
    });
    assert_eq!(dom0.leftovers(), [""; 0]);
}

#[test]
fn domain_0_is_not_destroyed() {
    let dom0 = Dom0::new();
    assert!(dom0.toolstack().destroy(DomId::DOM0).is_err());
    assert_eq!(dom0.xen.domains().unwrap().len(), 1);
}
