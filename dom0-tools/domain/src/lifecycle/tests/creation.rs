//! Making domains, and that failures leave nothing of them.

use domcfg::DomainConfig;
use domcfg::model::DomainType;
use xen_abi::errno::Errno;
use xenctl::{Hypervisor, call};
use xenstore::Access;

use super::unreliable::{Failure, Unreliable};
use super::*;
use crate::lifecycle::{CONFIG, Error};

/// What `xl create` 4.20 leaves in the store for such a domain (number 1, a guest's third vCPU offline), without its devices.
const NODES: &str = r#"
/local/domain/0/backend/console/1/0 = "" (n0,r1)
/local/domain/0/backend/console/1/0/frontend = "/local/domain/1/console" (n0,r1)
/local/domain/0/backend/console/1/0/frontend-id = "1" (n0,r1)
/local/domain/0/backend/console/1/0/online = "1" (n0,r1)
/local/domain/0/backend/console/1/0/state = "1" (n0,r1)
/local/domain/0/backend/console/1/0/protocol = "vt100" (n0,r1)
/local/domain/1 = "" (n0,r1)
/local/domain/1/vm = "/vm/adf389ee-9a13-41d6-b686-cd69bf695628" (n0,r1)
/local/domain/1/name = "pvh1" (n0,r1)
/local/domain/1/cpu = "" (n0,r1)
/local/domain/1/cpu/0 = "" (n0,r1)
/local/domain/1/cpu/0/availability = "online" (n0,r1)
/local/domain/1/cpu/1 = "" (n0,r1)
/local/domain/1/cpu/1/availability = "online" (n0,r1)
/local/domain/1/cpu/2 = "" (n0,r1)
/local/domain/1/cpu/2/availability = "offline" (n0,r1)
/local/domain/1/memory = "" (n0,r1)
/local/domain/1/memory/static-max = "65536" (n0,r1)
/local/domain/1/memory/target = "65536" (n0,r1)
/local/domain/1/memory/videoram = "0" (n0,r1)
/local/domain/1/device = "" (n0,r1)
/local/domain/1/device/suspend = "" (n0,r1)
/local/domain/1/device/suspend/event-channel = "" (n1)
/local/domain/1/control = "" (n0,r1)
/local/domain/1/control/shutdown = "" (n1)
/local/domain/1/control/feature-poweroff = "" (n1)
/local/domain/1/control/feature-reboot = "" (n1)
/local/domain/1/control/feature-suspend = "" (n1)
/local/domain/1/control/sysrq = "" (n1)
/local/domain/1/control/platform-feature-multiprocessor-suspend = "1" (n0,r1)
/local/domain/1/control/platform-feature-xs_reset_watches = "1" (n0,r1)
/local/domain/1/data = "" (n1)
/local/domain/1/drivers = "" (n1)
/local/domain/1/feature = "" (n1)
/local/domain/1/attr = "" (n1)
/local/domain/1/error = "" (n1)
/local/domain/1/domid = "1" (n0,r1)
/local/domain/1/store = "" (n0,r1)
/local/domain/1/store/port = "1" (n0,r1)
/local/domain/1/store/ring-ref = "1044476" (n0,r1)
/local/domain/1/console = "" (n0,r1)
/local/domain/1/console/backend = "/local/domain/0/backend/console/1/0" (n0,r1)
/local/domain/1/console/backend-id = "0" (n1,r0)
/local/domain/1/console/limit = "1048576" (n0,r1)
/local/domain/1/console/type = "xenconsoled" (n0,r1)
/local/domain/1/console/output = "pty" (n0,r1)
/local/domain/1/console/tty = "" (n0,r1)
/local/domain/1/console/port = "2" (n0,r1)
/local/domain/1/console/ring-ref = "1044479" (n0,r1)
/vm/adf389ee-9a13-41d6-b686-cd69bf695628 = "" (n0,r1)
/vm/adf389ee-9a13-41d6-b686-cd69bf695628/name = "pvh1" (n0,r1)
/vm/adf389ee-9a13-41d6-b686-cd69bf695628/uuid = "adf389ee-9a13-41d6-b686-cd69bf695628" (n0,r1)
/libxl/1 = "" (n0)
/libxl/1/device = "" (n0)
/libxl/1/device/console = "" (n0)
/libxl/1/device/console/0 = "" (n0)
/libxl/1/device/console/0/frontend = "/local/domain/1/console" (n0)
/libxl/1/device/console/0/backend = "/local/domain/0/backend/console/1/0" (n0)
/libxl/1/device/console/0/frontend-id = "1" (n0)
/libxl/1/device/console/0/online = "1" (n0)
/libxl/1/device/console/0/state = "1" (n0)
/libxl/1/device/console/0/protocol = "vt100" (n0)
/libxl/1/type = "pvh" (n0)
/libxl/1/dm-version = "qemu_xen" (n0)
"#;

#[test]
fn new_domain_has_the_nodes_that_libxl_writes() {
    let dom0 = Dom0::new();
    let before = dom0.nodes();
    let domain = dom0.toolstack().create(&dom0.request("pvh1")).unwrap();
    assert_eq!(domain, DomId(1));
    let time = "/start_time = ";
    let shared = [
        "/libxl =",
        "/local/domain/0 =",
        "/vm =",
        "/local/domain/0/backend",
        "/local/domain =",
        "/local =",
    ];
    let is_of_domain = |node: &&String| {
        let parent = shared.iter().any(|start| node.starts_with(start));
        !node.contains(time) && !before.contains(*node) && (!parent || node.contains("/1/0"))
    };
    let nodes = dom0.nodes();
    let written: BTreeSet<&str> = nodes
        .iter()
        .filter(is_of_domain)
        .map(String::as_str)
        .collect();
    let expected: BTreeSet<&str> = NODES.trim().lines().collect();
    let missing: Vec<_> = expected.difference(&written).collect();
    let surplus: Vec<_> = written.difference(&expected).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:#?} surplus {surplus:#?}"
    );
    assert_eq!(nodes.iter().filter(|node| node.contains(time)).count(), 1);
    assert!(dom0.store.is_introduced(1).unwrap());
    assert_eq!(dom0.xen.pause_count(domain), Some(1));
}

#[test]
fn configuration_is_kept_for_other_tools() {
    let dom0 = Dom0::new();
    let domain = dom0.running("pvh1");
    let json = dom0
        .toolstack()
        .userdata(domain)
        .unwrap()
        .read(CONFIG)
        .unwrap();
    let kept = DomainConfig::from_libxl_json_text(&json.unwrap()).unwrap();
    let mut expected = dom0.config("pvh1");
    expected.c_info.domid = u32::MAX;
    expected.b_info.video_memkb = Some(0);
    expected.b_info.arch_x86.msr_relaxed = Some(false);
    assert_eq!(kept, expected);
    let names: Vec<_> = fs::read_dir(&dom0.directories.lib).unwrap().collect();
    assert_eq!(names.len(), 1);
}

#[test]
fn every_request_that_the_hypervisor_refuses_leaves_nothing() {
    let dom0 = Dom0::new();
    let request = dom0.request("pvh1");
    let before = dom0.xen.calls().len();
    let domain = dom0.toolstack().create(&request).unwrap();
    let calls = dom0.xen.calls()[before..].to_vec();
    dom0.toolstack().destroy(domain).unwrap();
    for (index, call) in calls.iter().enumerate() {
        // The answer to too much memory is how much there was; the rest then comes in other pieces.
        if *call == call::POPULATE {
            continue;
        }
        let earlier = calls[..index].iter().filter(|other| *other == call).count();
        dom0.xen.fail_after(call, earlier, Errno::ENOMEM);
        let made = dom0.toolstack().create(&request);
        assert!(made.is_err(), "{call} {earlier}");
        assert_eq!(dom0.leftovers(), [""; 0], "{call} {earlier}");
    }
}

/// How many requests to the store a creation takes.
fn requests_of_creation(dom0: &Dom0) -> usize {
    let counter = Unreliable::new(&dom0.store, Failure::Once, usize::MAX);
    let request = dom0.request("pvh1");
    let domain = dom0.toolstack_on(&counter).create(&request).unwrap();
    let requests = counter.requests();
    dom0.toolstack().destroy(domain).unwrap();
    requests
}

#[test]
fn every_request_that_the_store_refuses_leaves_nothing() {
    let dom0 = Dom0::new();
    let request = dom0.request("pvh1");
    let requests = requests_of_creation(&dom0);
    for at in 0..requests {
        let store = Unreliable::new(&dom0.store, Failure::Once, at);
        let made = dom0.toolstack_on(&store).create(&request);
        if let Ok(domain) = made {
            // What a removal finds missing is no failure, and an event that does not come is waited for.
            dom0.toolstack().destroy(domain).unwrap();
        }
        assert_eq!(dom0.leftovers(), [""; 0], "request {at} of {requests}");
    }
}

#[test]
fn store_that_dies_leaves_no_domain_in_the_hypervisor() {
    let dom0 = Dom0::new();
    let request = dom0.request("pvh1");
    for at in (0..requests_of_creation(&dom0)).step_by(7) {
        let store = Unreliable::new(&dom0.store, Failure::ForEver, at);
        assert!(dom0.toolstack_on(&store).create(&request).is_err());
        assert_eq!(
            dom0.xen.domains().unwrap().len(),
            1,
            "dead from request {at}"
        );
        // A store that comes back may still have the nodes; they are removed on request.
        for domain in 1..200 {
            match dom0.toolstack().destroy(DomId(domain)) {
                Ok(()) | Err(Error::NoDomain(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(dom0.leftovers(), [""; 0], "dead from request {at}");
    }
}

#[test]
fn kernel_that_is_none_is_named_and_leaves_nothing() {
    let dom0 = Dom0::new();
    let request = dom0.request("pvh1");
    fs::write(dom0.files.path().join("kernel"), "#!/bin/sh").unwrap();
    let error = dom0.toolstack().create(&request).unwrap_err().to_string();
    assert!(
        error.ends_with("it is neither a bzImage nor an ELF file"),
        "{error}"
    );
    assert_eq!(dom0.leftovers(), [""; 0]);
}

#[test]
fn other_types_of_guests_are_refused_with_a_hint() {
    let dom0 = Dom0::new();
    for kind in [DomainType::Pv, DomainType::Hvm] {
        let mut config = dom0.config("a");
        config.c_info.domain_type = kind;
        let error = dom0.toolstack().request(&config).unwrap_err().to_string();
        assert!(error.contains("type=\"pvh\""), "{error}");
    }
}

#[test]
fn number_that_was_in_use_a_moment_ago_is_not_given_again() {
    let dom0 = Dom0::new();
    let mut config = dom0.config("a");
    config.c_info.domid = 7;
    let request = dom0.toolstack().request(&config).unwrap();
    assert_eq!(dom0.toolstack().create(&request).unwrap(), DomId(7));
    dom0.toolstack().destroy(DomId(7)).unwrap();
    let error = dom0.toolstack().create(&request).unwrap_err().to_string();
    assert!(error.contains("less than a minute ago"), "{error}");
}

#[test]
fn many_at_once_get_different_names_or_none() {
    let dom0 = Dom0::new();
    let stores: Vec<LocalStore> = (0..6).map(|_| dom0.store.connect()).collect();
    let made = std::thread::scope(|scope| {
        let threads: Vec<_> = stores
            .iter()
            .enumerate()
            .map(|(index, store)| {
                let mut config = dom0.config(["a", "b"][index % 2]);
                config.c_info.uuid = domcfg::identity::Uuid([index as u8 + 1; 16]);
                let toolstack = dom0.toolstack_on(store);
                scope.spawn(move || toolstack.create(&toolstack.request(&config).unwrap()))
            })
            .collect();
        let made: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        made
    });
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 2);
    let refused = made.iter().filter_map(|made| made.as_ref().err());
    assert!(
        refused
            .clone()
            .all(|error| matches!(error, Error::NameTaken { .. }))
    );
    assert_eq!(dom0.xen.domains().unwrap().len(), 3);
}
