//! The store's behaviour as its users see it.

use super::*;
use crate::{Access, Permission, exists, read_optional, read_string, transaction};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn dom0() -> LocalStore {
    LocalStore::default()
}

fn guest(store: &LocalStore, domain: u16) -> LocalStore {
    store.introduce(domain, 0, 1).expect("introduce");
    let home = format!("/local/domain/{domain}");
    store.mkdir(Tx::NONE, &home).expect("home");
    let owner = [Permission::none(domain)];
    store
        .set_permissions(Tx::NONE, &home, &owner)
        .expect("permissions of the home");
    store.guest(domain).expect("introduced")
}

fn write(store: &LocalStore, path: &str, value: &str) {
    store.write(Tx::NONE, path, value.as_bytes()).expect(path);
}

fn events(store: &LocalStore) -> Vec<String> {
    let next = || store.next_event(NOW).expect("events");
    std::iter::from_fn(next)
        .map(|event| format!("{} {}", event.path, event.token))
        .collect()
}

fn refusal<T>(result: Result<T>) -> Option<Errno> {
    result.err().and_then(|error| error.errno())
}

#[test]
fn every_store_has_a_few_nodes() {
    let store = dom0();
    assert_eq!(store.list(Tx::NONE, "/").expect("list"), ["tool"]);
    assert_eq!(store.list(Tx::NONE, "/tool").expect("list"), ["xenstored"]);
    let special = store
        .permissions(Tx::NONE, "@releaseDomain")
        .expect("permissions");
    assert_eq!(special, [Permission::none(0)]);
}

#[test]
fn writing_makes_what_is_missing_above() {
    let store = dom0();
    write(&store, "/a/b/c", "v");
    assert_eq!(read_string(&store, Tx::NONE, "/a/b/c").expect("read"), "v");
    assert_eq!(read_string(&store, Tx::NONE, "/a/b").expect("read"), "");
    assert_eq!(read_optional(&store, Tx::NONE, "/a/x").expect("read"), None);
    store
        .mkdir(Tx::NONE, "/a/b/c")
        .expect("mkdir of what is there");
    assert_eq!(read_string(&store, Tx::NONE, "/a/b/c").expect("read"), "v");
}

#[test]
fn children_are_listed_in_the_order_of_their_making() {
    let store = dom0();
    for name in ["z", "a", "m"] {
        store.mkdir(Tx::NONE, &format!("/d/{name}")).expect("mkdir");
    }
    store.remove(Tx::NONE, "/d/a").expect("remove");
    store.mkdir(Tx::NONE, "/d/a").expect("mkdir");
    assert_eq!(store.list(Tx::NONE, "/d").expect("list"), ["z", "m", "a"]);
}

#[test]
fn long_lists_come_in_parts() {
    let store = dom0();
    let names: Vec<String> = (0..1000).map(|i| format!("child-{i}")).collect();
    for name in &names {
        write(&store, &format!("/d/{name}"), "");
    }
    assert_eq!(store.list(Tx::NONE, "/d").expect("list"), names);
}

#[test]
fn removing_needs_the_parent_only() {
    let store = dom0();
    write(&store, "/a/b", "");
    store.remove(Tx::NONE, "/a/x").expect("nothing to remove");
    assert_eq!(refusal(store.remove(Tx::NONE, "/x/y")), Some(Errno::ENOENT));
    assert_eq!(refusal(store.remove(Tx::NONE, "/")), Some(Errno::EINVAL));
    store.remove(Tx::NONE, "/a").expect("remove");
    assert!(!exists(&store, Tx::NONE, "/a/b").expect("read"));
}

#[test]
fn a_guest_sees_what_it_may() {
    let store = dom0();
    let guest = guest(&store, 5);
    write(&store, "/local/domain/5/name", "g");
    write(&store, "/secret", "s");
    assert_eq!(read_string(&guest, Tx::NONE, "name").expect("own"), "g");
    assert_eq!(
        refusal(guest.read(Tx::NONE, "/secret")),
        Some(Errno::EACCES)
    );
    assert_eq!(
        refusal(guest.read(Tx::NONE, "/nothing")),
        Some(Errno::EACCES)
    );
    assert_eq!(
        refusal(guest.read(Tx::NONE, "nothing")),
        Some(Errno::ENOENT)
    );
    assert_eq!(
        refusal(guest.write(Tx::NONE, "/x", b"")),
        Some(Errno::EACCES)
    );
    let all = [Permission::read(0)];
    store
        .set_permissions(Tx::NONE, "/secret", &all)
        .expect("permissions");
    assert_eq!(
        read_string(&guest, Tx::NONE, "/secret").expect("allowed"),
        "s"
    );
    assert_eq!(
        refusal(guest.write(Tx::NONE, "/secret", b"")),
        Some(Errno::EACCES)
    );
}

#[test]
fn a_guest_owns_what_it_makes_and_keeps_it() {
    let store = dom0();
    let guest = guest(&store, 5);
    let entries = [Permission::none(5), Permission::both(7)];
    guest
        .set_permissions(Tx::NONE, "", &entries)
        .expect_err("no path");
    let home = "/local/domain/5";
    guest
        .set_permissions(Tx::NONE, home, &entries)
        .expect("own node");
    write(&guest, "x/y", "");
    let made = guest.permissions(Tx::NONE, "x/y").expect("permissions");
    assert_eq!(made, entries);
    let others = [Permission::none(0)];
    assert_eq!(
        refusal(guest.set_permissions(Tx::NONE, "x", &others)),
        Some(Errno::EPERM)
    );
    store
        .set_permissions(Tx::NONE, "/local/domain/5/x", &others)
        .expect("dom0 may");
    assert_eq!(refusal(guest.read(Tx::NONE, "x")), Some(Errno::EACCES));
}

#[test]
fn permissions_do_not_pass_to_the_next_domain_of_a_number() {
    let store = dom0();
    guest(&store, 5);
    write(&store, "/shared", "v");
    let entries = [Permission::none(0), Permission::read(5)];
    store
        .set_permissions(Tx::NONE, "/shared", &entries)
        .expect("permissions");
    let reads = |guest: &LocalStore| guest.read(Tx::NONE, "/shared").is_ok();
    assert!(reads(&store.guest(5).expect("introduced")));
    store.set_domain(5, DomainState::Absent);
    assert!(store.guest(5).is_none());
    assert!(!exists(&store, Tx::NONE, "/local/domain/5").expect("its nodes are gone"));
    store.set_domain(5, DomainState::Running);
    let next = guest(&store, 5);
    assert!(!reads(&next));
    write(&store, "/shared", "w");
    assert!(!reads(&next));
    assert_eq!(
        store.permissions(Tx::NONE, "/shared").expect("as given"),
        entries
    );
    store
        .set_permissions(Tx::NONE, "/shared", &entries)
        .expect("permissions");
    assert!(reads(&next));
}

#[test]
fn a_watch_fires_at_once_and_for_all_below() {
    let store = dom0();
    let other = store.connect();
    store.watch("/a/b", "t").expect("watch");
    assert_eq!(events(&store), ["/a/b t"]);
    write(&other, "/a/b/c", "");
    write(&other, "/a/x", "");
    write(&other, "/a", "");
    assert_eq!(events(&store), ["/a/b/c t"]);
    assert_eq!(refusal(store.watch("/a/b", "t")), Some(Errno::EEXIST));
    store.unwatch("/a/b", "t").expect("unwatch");
    assert_eq!(refusal(store.unwatch("/a/b", "t")), Some(Errno::ENOENT));
    write(&other, "/a/b/c", "");
    assert_eq!(events(&store), Vec::<String>::new());
}

#[test]
fn relative_watches_get_relative_paths() {
    let store = dom0();
    let guest = guest(&store, 5);
    guest.watch("dev", "t").expect("watch");
    write(&store, "/local/domain/5/dev/0", "");
    assert_eq!(events(&guest), ["dev t", "dev/0 t"]);
}

#[test]
fn a_removal_tells_of_the_lowest_first_and_of_the_top_upwards() {
    let store = dom0();
    for path in ["/t/a/b", "/t/a/c/d", "/t/e"] {
        write(&store, path, "");
    }
    for path in ["/", "/t", "/t/a", "/t/a/b", "/t/a/c/d", "/t/a/none"] {
        store.watch(path, "w").expect("watch");
    }
    events(&store);
    store.remove(Tx::NONE, "/t/a").expect("remove");
    // Of the top, watches above and at it are told: three with the same path and token are one event.
    assert_eq!(events(&store), ["/t/a/b w", "/t/a/c/d w", "/t/a w"]);
}

#[test]
fn events_go_only_to_those_who_may_read() {
    let store = dom0();
    let guest = guest(&store, 5);
    guest.watch("/x", "t").expect("watch");
    assert_eq!(events(&guest), ["/x t"]);
    write(&store, "/x", "");
    assert_eq!(events(&guest), Vec::<String>::new());
    store
        .set_permissions(Tx::NONE, "/x", &[Permission::read(0)])
        .expect("permissions");
    write(&store, "/x", "1");
    assert_eq!(events(&guest), ["/x t"]);
    // Losing a permission is the last that is told.
    store
        .set_permissions(Tx::NONE, "/x", &[Permission::none(0)])
        .expect("permissions");
    write(&store, "/x", "2");
    assert_eq!(events(&guest), ["/x t"]);
}

#[test]
fn transactions_are_seen_when_they_are_committed() {
    let store = dom0();
    let other = store.connect();
    other.watch("/a", "t").expect("watch");
    events(&other);
    let tx = store.begin().expect("begin");
    store.write(tx, "/a/b", b"1").expect("write");
    assert!(exists(&store, tx, "/a/b").expect("own"));
    assert!(!exists(&other, Tx::NONE, "/a/b").expect("not yet"));
    assert_eq!(events(&other), Vec::<String>::new());
    assert!(store.end(tx, true).expect("commit"));
    assert_eq!(read_string(&other, Tx::NONE, "/a/b").expect("now"), "1");
    assert_eq!(events(&other), ["/a/b t"]);
    assert_eq!(refusal(store.read(tx, "/a")), Some(Errno::ENOENT));
}

#[test]
fn a_dropped_transaction_leaves_nothing() {
    let store = dom0();
    let tx = store.begin().expect("begin");
    store.write(tx, "/a", b"1").expect("write");
    assert!(store.end(tx, false).expect("drop"));
    assert!(!exists(&store, Tx::NONE, "/a").expect("read"));
}

#[test]
fn transactions_conflict_by_node_and_from_their_first_look() {
    let store = dom0();
    let other = store.connect();
    write(&store, "/a", "");
    write(&store, "/b", "");
    let tx = store.begin().expect("begin");
    write(&other, "/a", "before it looks");
    store.read(tx, "/a").expect("read");
    write(&other, "/b", "never looked at");
    store.write(tx, "/c", b"").expect("write");
    assert!(store.end(tx, true).expect("no conflict"));
    let tx = store.begin().expect("begin");
    store.read(tx, "/a").expect("read");
    write(&other, "/a", "after it looked");
    store.write(tx, "/c", b"lost").expect("write");
    assert!(!store.end(tx, true).expect("conflict"));
    assert_eq!(read_string(&store, Tx::NONE, "/c").expect("read"), "");
}

#[test]
fn the_helper_repeats_a_conflicting_transaction() {
    let store = dom0();
    let other = store.connect();
    let mut attempts = 0;
    let value = transaction(&store, |tx| {
        attempts += 1;
        let seen = read_optional(&store, tx, "/n")?;
        if attempts < 3 {
            other.write(Tx::NONE, "/n", attempts.to_string().as_bytes())?;
        }
        store.write(tx, "/m", b"")?;
        Ok(seen)
    });
    assert_eq!(
        (value.expect("committed").as_deref(), attempts),
        (Some("2"), 3)
    );
}

#[test]
fn domains_that_come_and_go_are_told_of() {
    let store = dom0();
    store.watch("@introduceDomain", "i").expect("watch");
    store.watch("@releaseDomain", "r").expect("watch");
    events(&store);
    guest(&store, 5);
    assert_eq!(events(&store), ["@introduceDomain i"]);
    assert!(store.is_introduced(5).expect("asked"));
    store.introduce(5, 0, 9).expect("again");
    store.set_domain(5, DomainState::Shutdown);
    store.set_domain(5, DomainState::Shutdown);
    assert_eq!(events(&store), ["@releaseDomain r"]);
    store.resume(5).expect("resume");
    store.set_domain(5, DomainState::Shutdown);
    store.release(5).expect("release");
    assert_eq!(events(&store), ["@releaseDomain r", "@releaseDomain r"]);
    assert_eq!(refusal(store.release(5)), Some(Errno::ENOENT));
    assert_eq!(refusal(store.release(0)), Some(Errno::EINVAL));
}

#[test]
fn a_device_model_has_its_targets_rights() {
    let store = dom0();
    let model = guest(&store, 6);
    guest(&store, 5);
    let refused = refusal(model.write(Tx::NONE, "/local/domain/5/x", b""));
    assert_eq!(refused, Some(Errno::EACCES));
    store.set_target(6, 5).expect("target");
    write(&model, "/local/domain/5/x", "");
    store.set_domain(5, DomainState::Absent);
    store.set_domain(5, DomainState::Running);
    guest(&store, 5);
    let refused = refusal(model.write(Tx::NONE, "/local/domain/5/x", b""));
    assert_eq!(refused, Some(Errno::EACCES));
}

#[test]
fn guests_may_not_send_what_is_for_dom0() {
    let store = dom0();
    let guest = guest(&store, 5);
    assert_eq!(refusal(guest.introduce(6, 0, 1)), Some(Errno::EACCES));
    assert_eq!(refusal(guest.control(&["check"])), Some(Errno::EACCES));
    assert_eq!(guest.domain_path(5).expect("path"), "/local/domain/5");
}

#[test]
fn limits_hold_for_guests() {
    let store = dom0();
    let guest = guest(&store, 5);
    // The home is the guest's, too.
    for i in 0..999 {
        write(&guest, &format!("n{}/x{i}", i % 9), "");
        if i == 989 {
            break;
        }
    }
    assert_eq!(
        refusal(guest.mkdir(Tx::NONE, "one/more")),
        Some(Errno::ENOSPC)
    );
    guest.remove(Tx::NONE, "n1").expect("remove");
    write(&guest, "one/more", "");
    let value = |len| guest.write(Tx::NONE, "one/more", &vec![b'x'; len]);
    assert_eq!(refusal(value(2025)), Some(Errno::ENOSPC));
    value(2024).expect("header, one permission and 2024 bytes");
    for i in 0..129 {
        guest.watch("one", &i.to_string()).expect("watch");
    }
    assert_eq!(refusal(guest.watch("one", "more")), Some(Errno::E2BIG));
    for _ in 0..11 {
        guest.begin().expect("begin");
    }
    assert_eq!(refusal(guest.begin()), Some(Errno::ENOSPC));
    let entries = [Permission::read(5); 6];
    let refused = refusal(guest.set_permissions(Tx::NONE, "one", &entries));
    assert_eq!(refused, Some(Errno::ENOSPC));
    let text = store.control(&["quota", "5"]).expect("usage");
    assert!(
        text.contains("watches          :      129 (max      129)"),
        "{text}"
    );
    store.control(&["check"]).expect("all is counted");
}

#[test]
fn limits_can_be_set() {
    let store = dom0();
    let guest = guest(&store, 5);
    assert_eq!(
        store.control(&["quota", "set", "nodes", "2"]).expect("set"),
        "OK"
    );
    write(&guest, "a", "");
    assert_eq!(refusal(guest.mkdir(Tx::NONE, "b")), Some(Errno::ENOSPC));
    let refused = refusal(store.control(&["quota", "set", "nodes", "0"]));
    assert_eq!(refused, Some(Errno::EINVAL));
    let text = store.control(&["quota"]).expect("shown");
    assert!(
        text.starts_with("Quota settings:\nnodes            :        2 "),
        "{text}"
    );
}

#[test]
fn events_wake_who_waits_for_them() {
    let store = dom0();
    let other = store.connect();
    store.watch("/x", "t").expect("watch");
    events(&store);
    let waiter = std::thread::spawn(move || store.next_event(Some(Duration::from_secs(20))));
    write(&other, "/x", "");
    let event = waiter
        .join()
        .expect("no panic")
        .expect("no error")
        .expect("an event");
    assert_eq!(event.path, "/x");
}

#[test]
fn a_transaction_learns_of_a_node_that_went_with_what_was_above_it_and_is_not_committed() {
    let one = dom0();
    let other = one.connect();
    one.write(Tx::NONE, "/a/b/c", b"").unwrap();
    let tx = one.begin().unwrap();
    one.read(tx, "/a/b/c").unwrap();
    other.remove(Tx::NONE, "/a").unwrap();
    let error = one.remove(tx, "/a/b/c").unwrap_err();
    assert!(error.is_removed() && !error.is_not_found(), "{error}");
    assert!(!one.end(tx, true).unwrap());
}
