//! Links of a real kernel, in a network namespace of their own: what a bridge port goes through.
//!
//! Needs root, `unshare` and `ip`. Where they are missing the test says so on standard error and checks nothing.

use std::process::{Command, Stdio};

use domain::devices::{Host, LinkChange, LinuxHost};

/// Set in the process that runs inside the namespace.
const INSIDE: &str = "LINKS_TEST_INSIDE";

const SETUP: &str = "ip link add xenbr0 mtu 1400 type bridge && ip link set xenbr0 up && ip link add vif7.0 type veth peer name other \
    && ip addr add 192.0.2.1/24 dev vif7.0 && ip addr add 192.0.2.2/24 dev vif7.0 && exec \"$0\" --exact a_link_becomes_a_port --nocapture";

#[test]
fn a_link_becomes_a_port() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let possible = Command::new("unshare")
        .args(["-n", "ip", "link"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("not tried here: no network namespace can be made");
        return;
    }
    let status = Command::new("unshare")
        .args(["-n", "sh", "-c", SETUP])
        .arg(std::env::current_exe().expect("this program"))
        .env(INSIDE, "1")
        .status();
    assert!(status.expect("a namespace").success());
}

fn inside() {
    let host = LinuxHost::new();
    let find = |name: &str| host.link(name).expect("an answer");
    let bridge = find("xenbr0").expect("the bridge");
    assert!(bridge.is_bridge && bridge.is_up && bridge.mtu == 1400);
    let link = find("vif7.0").expect("the link");
    assert!(!link.is_bridge && !link.is_up && link.master.is_none());
    assert!(host.links().expect("links").contains(&link));

    host.flush_addresses(link.index).expect("no addresses");
    host.disable_ipv6("vif7.0").expect("no IPv6");
    let rename = LinkChange {
        name: Some("web".to_owned()),
        up: Some(false),
        ..LinkChange::default()
    };
    host.change_link(link.index, &rename).expect("another name");
    let connect = LinkChange {
        address: Some([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]),
        mtu: Some(1400),
        master: Some(Some(bridge.index)),
        up: Some(true),
        ..LinkChange::default()
    };
    host.change_link(link.index, &connect).expect("a port");

    assert_eq!(find("vif7.0"), None);
    let port = find("web").expect("the link");
    assert!(port.is_up && port.mtu == 1400 && port.master == Some(bridge.index));
    let shown = Command::new("ip")
        .args(["addr", "show", "web"])
        .output()
        .expect("ip");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("fe:ff:ff:ff:ff:ff") && !shown.contains("inet"),
        "{shown}"
    );

    let taken = LinkChange {
        name: Some("xenbr0".to_owned()),
        ..LinkChange::default()
    };
    host.change_link(port.index, &taken)
        .expect_err("the name is taken");
    let leave = LinkChange {
        master: Some(None),
        up: Some(false),
        ..LinkChange::default()
    };
    host.change_link(port.index, &leave)
        .expect("no port any more");
    assert_eq!(find("web").expect("the link").master, None);
    let gone = host
        .change_link(4711, &leave)
        .expect_err("there is no such link");
    assert_eq!(gone.raw_os_error(), Some(19), "{gone}");
}
