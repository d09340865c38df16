//! Names.

use super::*;
use crate::lifecycle::Error;

#[test]
fn name_that_another_has_is_refused_before_there_is_a_domain() {
    let dom0 = Dom0::new();
    dom0.running("a");
    let count = dom0
        .xen
        .calls()
        .iter()
        .filter(|call| **call == xenctl::call::CREATE_DOMAIN)
        .count();
    let error = dom0.toolstack().create(&dom0.request("a")).unwrap_err();
    assert_eq!(error.to_string(), "Domain with name \"a\" already exists.");
    let after = dom0
        .xen
        .calls()
        .iter()
        .filter(|call| **call == xenctl::call::CREATE_DOMAIN)
        .count();
    assert_eq!(count, after);
}

#[test]
fn renamed_domain_is_found_by_its_new_name_alone() {
    let dom0 = Dom0::new();
    let toolstack = dom0.toolstack();
    let domain = dom0.running("a");
    toolstack.rename(domain, Some("a"), "b").unwrap();
    assert_eq!(toolstack.find("a").unwrap(), None);
    assert_eq!(toolstack.find("b").unwrap(), Some(domain));
    let vm = "/vm/adf389ee-9a13-41d6-b686-cd69bf695628/name";
    assert_eq!(dom0.store.read(Tx::NONE, vm).unwrap(), b"b");
    toolstack.rename(domain, Some("b"), "b").unwrap();
    let error = toolstack.rename(domain, Some("a"), "c").unwrap_err();
    assert!(matches!(error, Error::Renamed { .. }), "{error}");
    let error = toolstack.rename(DomId(99), None, "c").unwrap_err();
    assert!(matches!(error, Error::NoDomain(DomId(99))), "{error}");
}

#[test]
fn preserved_domain_makes_room_for_one_like_it() {
    let dom0 = Dom0::new();
    let toolstack = dom0.toolstack();
    let old = dom0.running("a");
    toolstack.preserve(old, "a", "-then").unwrap();
    assert_eq!(toolstack.name(old).unwrap().as_deref(), Some("a-then"));
    let new = dom0.running("a");
    assert_eq!(toolstack.find("a").unwrap(), Some(new));
    toolstack.destroy(old).unwrap();
    assert_eq!(toolstack.find("a").unwrap(), Some(new));
    let vm = "/vm/adf389ee-9a13-41d6-b686-cd69bf695628/name";
    assert_eq!(dom0.store.read(Tx::NONE, vm).unwrap(), b"a");
    toolstack.destroy(new).unwrap();
    assert_eq!(dom0.leftovers(), [""; 0]);
}
