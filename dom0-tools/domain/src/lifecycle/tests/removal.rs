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

#[test]
fn what_is_left_of_domains_without_a_hypervisors_part_goes_before_the_next_is_made() {
    let dom0 = Dom0::new();
    let gone = dom0.running("gone");
    let files = dom0.toolstack().userdata(gone).unwrap();
    assert!(files.read(crate::lifecycle::CONFIG).unwrap().is_some());
    dom0.xen.destroy_domain(gone).unwrap();
    // Of another one only a back end is left.
    let stray = "/local/domain/0/backend/vbd/77/51712";
    dom0.store
        .write(Tx::NONE, &format!("{stray}/state"), b"6")
        .unwrap();
    let mut config = dom0.config("new");
    config.c_info.uuid = "89abcdef-0123-4567-89ab-cdef01234567".parse().unwrap();
    let new = dom0.running_as(&config);
    let mentions = |nodes: &BTreeSet<String>, part: &str| {
        let found = nodes.iter().find(|node| node.contains(part)).cloned();
        found.unwrap_or_default()
    };
    let nodes = dom0.nodes();
    for part in [
        &format!("/local/domain/{gone}"),
        &format!("/libxl/{gone}"),
        "/vm/adf389ee",
        "/vbd/77",
    ] {
        assert_eq!(mentions(&nodes, part), "");
    }
    assert_eq!(fs::read_dir(&dom0.directories.lib).unwrap().count(), 1);
    dom0.toolstack().destroy(new).unwrap();
    assert_eq!(dom0.leftovers(), [""; 0]);
}

#[test]
fn domains_that_live_or_are_being_removed_are_not_leftovers() {
    let dom0 = Dom0::new();
    let (one, two) = (dom0.running("one"), dom0.running("two"));
    // Half of it is gone, as when it is being destroyed.
    let home = format!("/local/domain/{two}");
    dom0.store.remove(Tx::NONE, &home).unwrap();
    let before = dom0.nodes();
    assert_eq!(dom0.toolstack().remove_leftovers().unwrap(), []);
    assert_eq!(dom0.nodes(), before);
    dom0.xen.destroy_domain(two).unwrap();
    assert_eq!(dom0.toolstack().remove_leftovers().unwrap(), [two]);
    assert!(dom0.toolstack().info(one).is_ok());
}
