//! The daemon with a hypervisor and a store that are played: guests that write, shout, cheat and die.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xen_abi::domctl::{DomctlCreatedomain, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM};
use xenconsoled::daemon::{Host, LogStyle, Logs, Overflow, Service};
use xenctl::fake::{FakeEvents, FakeXen, MemoryPage};
use xenctl::{Backend, DomId, Events, Hypervisor, Populate, Port, SharedPage};
use xenstore::local::LocalStore;
use xenstore::{Access, Tx, read_string};

const OUT: usize = 1024;
const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;

const GFN: u64 = 7;
const O_NONBLOCK: i32 = 0o4000;
const O_NOCTTY: i32 = 0o400;

/// A host with a store and a directory for logs.
struct World {
    xen: FakeXen,
    store: LocalStore,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            xen: FakeXen::new(),
            store: LocalStore::default(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn daemon_with(&self, overflow: Overflow) -> Service {
        let store = self.store.clone();
        let host = Host {
            hypervisor: Arc::new(self.xen.clone()),
            backend: Arc::new(self.xen.clone()),
            connect: Box::new(move || Ok(Arc::new(store.connect()) as Arc<dyn Access>)),
        };
        let logs = Logs {
            guests: Some(LogStyle::default()),
            directory: self.directory.path().into(),
            ..Logs::default()
        };
        Service::start(host, logs, overflow).unwrap()
    }

    fn daemon(&self) -> Service {
        self.daemon_with(Overflow::Discard)
    }

    fn node(&self, guest: &Guest, name: &str) -> String {
        format!("/local/domain/{}/{name}", guest.domain)
    }

    fn write(&self, guest: &Guest, name: &str, value: &str) {
        let path = self.node(guest, name);
        self.store.write(Tx::NONE, &path, value.as_bytes()).unwrap();
    }

    fn read(&self, guest: &Guest, name: &str) -> Option<String> {
        read_string(&self.store, Tx::NONE, &self.node(guest, name)).ok()
    }

    /// A guest with a console, as the toolstack makes one.
    fn guest(&self, name: &str) -> Guest {
        let how = DomctlCreatedomain {
            flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
            max_vcpus: 1,
            ..DomctlCreatedomain::default()
        };
        let domain = self.xen.create_domain(DomId(0), &how).unwrap();
        self.xen.set_max_memory(domain, 1024).unwrap();
        let memory = Populate {
            order: 0,
            mem_flags: 0,
            gfns: &[GFN],
        };
        assert_eq!(self.xen.populate(domain, memory).unwrap(), 1);
        self.xen.seed_grant(domain, 0, GFN, DomId::DOM0).unwrap();
        let port = self.xen.alloc_unbound_port(domain, DomId::DOM0).unwrap();
        let store_port = self.xen.alloc_unbound_port(domain, DomId::DOM0).unwrap();
        let guest = Guest {
            domain,
            page: self.xen.guest_page(domain, GFN).unwrap(),
            events: self.xen.guest_events(domain).unwrap(),
            port: Port(port),
        };
        self.write(&guest, "name", name);
        self.write(&guest, "console/type", "xenconsoled");
        self.write(&guest, "console/limit", "100000");
        self.write(&guest, "console/ring-ref", &GFN.to_string());
        self.write(&guest, "console/port", &port.to_string());
        self.store.introduce(domain.0, GFN + 1, store_port).unwrap();
        guest
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("guest-{name}.log"))
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.log_path(name)).unwrap_or_default()
    }

    fn terminal(&self, guest: &Guest) -> File {
        let name = self.read(guest, "console/tty").unwrap();
        let mut options = File::options();
        options.read(true).write(true);
        options
            .custom_flags(O_NONBLOCK | O_NOCTTY)
            .open(name)
            .unwrap()
    }
}

/// A guest's side of its console.
struct Guest {
    domain: DomId,
    page: MemoryPage,
    events: FakeEvents,
    port: Port,
}

impl Guest {
    /// Writes what there is space for, and says how much that was.
    fn say(&self, text: &str) -> usize {
        let start = self.page.load_u32(OUT_PROD);
        let used = start.wrapping_sub(self.page.load_u32(OUT_CONS)) as usize;
        let count = text.len().min(2048_usize.saturating_sub(used));
        for (i, byte) in text.bytes().take(count).enumerate() {
            self.page
                .copy_in(OUT + (start as usize + i) % 2048, &[byte]);
        }
        self.page
            .store_u32(OUT_PROD, start.wrapping_add(count as u32));
        self.events.notify(self.port).unwrap();
        count
    }

    fn hear(&self) -> String {
        let (start, end) = (self.page.load_u32(IN_CONS), self.page.load_u32(IN_PROD));
        let mut text = String::new();
        for i in start..end {
            let mut byte = [0];
            self.page.copy_out(i as usize % 1024, &mut byte);
            text.push(byte[0].into());
        }
        self.page.store_u32(IN_CONS, end);
        self.events.notify(self.port).unwrap();
        text
    }
}

/// Lets the daemon work until something is so.
fn until(daemon: &mut Service, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        daemon.turn(Some(Duration::from_millis(5))).unwrap();
    }
}

/// Lets the daemon do all there is to do now.
fn settle(daemon: &mut Service) {
    for _ in 0..20 {
        daemon.turn(Some(Duration::from_millis(2))).unwrap();
    }
}

fn shown(terminal: &mut File) -> String {
    let mut text = Vec::new();
    match terminal.read_to_end(&mut text) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
        _ => String::from_utf8(text).unwrap(),
    }
}

#[test]
fn output_reaches_log_and_terminal_and_keys_reach_the_guest() {
    let world = World::new();
    let mut daemon = world.daemon();
    let guest = world.guest("a");
    until(&mut daemon, "a terminal", || {
        world.read(&guest, "console/tty").is_some()
    });
    let mut terminal = world.terminal(&guest);
    guest.say("login: ");
    until(&mut daemon, "a log", || world.log("a") == "login: ");
    let mut screen = String::new();
    until(&mut daemon, "a prompt", || {
        screen += &shown(&mut terminal);
        screen == "login: "
    });
    terminal.write_all(b"root\r").unwrap();
    let mut heard = String::new();
    until(&mut daemon, "keys", || {
        heard += &guest.hear();
        heard == "root\r"
    });
}

#[test]
fn more_keys_than_the_ring_holds_arrive_one_after_the_other() {
    let world = World::new();
    let guest = world.guest("a");
    let mut daemon = world.daemon();
    let mut terminal = world.terminal(&guest);
    let typed = "0123456789".repeat(300);
    terminal.write_all(typed.as_bytes()).unwrap();
    settle(&mut daemon);
    assert_eq!(guest.page.load_u32(IN_PROD), 1024, "a full ring");
    let mut heard = String::new();
    until(&mut daemon, "all keys", || {
        heard += &guest.hear();
        heard == typed
    });
}

#[test]
fn a_killed_daemon_loses_nothing() {
    let world = World::new();
    let guest = world.guest("a");
    let mut first = world.daemon();
    guest.say("one ");
    settle(&mut first);
    let old_terminal = world.read(&guest, "console/tty");
    // As a kill does: all handles are closed, nothing is said.
    drop(first);
    guest.say("two ");
    let mut second = world.daemon();
    assert_eq!(world.log("a"), "one two ", "found when it started");
    guest.say("three");
    until(&mut second, "going on", || {
        world.log("a") == "one two three"
    });
    assert!(old_terminal.is_some() && world.read(&guest, "console/tty").is_some());
}

#[test]
fn shouting_guests_do_not_keep_a_quiet_one_waiting() {
    let world = World::new();
    let shouters = [world.guest("loud"), world.guest("louder")];
    let quiet = world.guest("quiet");
    let mut daemon = world.daemon();
    let text = "SHOUT ".repeat(400);
    let (start, mut longest, mut said) = (Instant::now(), Duration::ZERO, 0);
    while start.elapsed() < Duration::from_millis(900) {
        let asked = Instant::now();
        quiet.say("tick\n");
        said += 1;
        until(&mut daemon, "the quiet guest's line", || {
            for shouter in &shouters {
                shouter.say(&text);
            }
            world.log("quiet").lines().count() >= said
        });
        longest = longest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(longest < Duration::from_millis(400), "waited {longest:?}");
    let periods = start.elapsed().as_millis() as u64 / 200 + 2;
    for name in ["loud", "louder"] {
        let bytes = fs::metadata(world.log_path(name)).unwrap().len();
        assert!(
            bytes > 0 && bytes <= periods * 30 * 2048,
            "{bytes} bytes of {name}"
        );
    }
}

#[test]
fn a_guest_nobody_listens_to_waits_if_its_output_is_kept() {
    let world = World::new();
    let guest = world.guest("a");
    world.write(&guest, "console/limit", "5000");
    let mut daemon = world.daemon_with(Overflow::Keep);
    let mut said = 0;
    for _ in 0..40 {
        said += guest.say(&"x".repeat(1000));
        settle(&mut daemon);
    }
    assert!(
        said < 5000 + 2 * 2048 + 64 * 1024,
        "{said} bytes were taken"
    );
    assert_eq!(guest.say("x"), 0, "the ring is full, and the guest waits");
    let mut terminal = world.terminal(&guest);
    let mut screen = 0;
    until(&mut daemon, "all output", || {
        screen += shown(&mut terminal).len();
        screen == said
    });
    assert_eq!(guest.say("x"), 1);
}

#[test]
fn a_guest_that_dies_leaves_its_last_words_and_nothing_else() {
    let world = World::new();
    let guest = world.guest("a");
    let mut daemon = world.daemon();
    let ports = world.xen.port_count(DomId::DOM0);
    assert_eq!(ports, 1);
    guest.say("Kernel panic");
    let domain = guest.domain;
    drop(guest);
    world.xen.destroy_domain(domain).unwrap();
    world.store.release(domain.0).unwrap();
    until(&mut daemon, "an end", || {
        world.xen.port_count(DomId::DOM0) == 0
    });
    assert_eq!(world.log("a"), "Kernel panic");
    world.xen.domains().unwrap();
    assert!(world.xen.domain(domain).is_err(), "its page is unmapped");
}

#[test]
fn a_guest_that_breaks_its_ring_hurts_nobody() {
    let world = World::new();
    let (bad, good) = (world.guest("bad"), world.guest("good"));
    let mut daemon = world.daemon();
    for value in [1 << 31, 2049, u32::MAX, 7] {
        for index in [OUT_PROD, OUT_CONS, IN_PROD, IN_CONS] {
            bad.page.store_u32(index, value);
            bad.events.notify(bad.port).unwrap();
            settle(&mut daemon);
        }
    }
    good.say("well");
    until(&mut daemon, "the other guest", || {
        world.log("good") == "well"
    });
}

#[test]
fn a_new_event_channel_is_bound_even_if_its_number_is_the_same() {
    let world = World::new();
    let mut guest = world.guest("a");
    let mut daemon = world.daemon();
    guest.say("before ");
    settle(&mut daemon);
    let terminal = world.read(&guest, "console/tty");
    // The domain starts anew: another port, and then the node.
    guest.events.unbind(guest.port).unwrap();
    let port = world.xen.alloc_unbound_port(guest.domain, DomId::DOM0);
    guest.port = Port(port.unwrap());
    world.write(&guest, "console/port", &guest.port.to_string());
    settle(&mut daemon);
    guest.say("after");
    until(&mut daemon, "the new channel", || {
        world.log("a") == "before after"
    });
    assert_eq!(world.read(&guest, "console/tty"), terminal);
}

#[test]
fn a_console_of_somebody_else_is_left_alone() {
    let world = World::new();
    let guest = world.guest("a");
    world.write(&guest, "console/type", "ioemu");
    let mut daemon = world.daemon();
    guest.say("for the device model");
    settle(&mut daemon);
    assert_eq!(world.read(&guest, "console/tty"), None);
    assert!(!world.log_path("a").exists());
}

#[test]
fn the_page_is_mapped_as_a_foreign_one_if_it_is_not_granted() {
    let world = World::new();
    let guest = world.guest("a");
    world.xen.guest_revokes(guest.domain, 0).unwrap();
    let mut daemon = world.daemon();
    guest.say("hello");
    until(&mut daemon, "output", || world.log("a") == "hello");
}

#[test]
fn the_hypervisors_log_is_followed() {
    let world = World::new();
    world.xen.print("(XEN) boot\n");
    let store = world.store.clone();
    let host = Host {
        hypervisor: Arc::new(world.xen.clone()),
        backend: Arc::new(world.xen.clone()),
        connect: Box::new(move || Ok(Arc::new(store.connect()) as Arc<dyn Access>)),
    };
    let logs = Logs {
        hypervisor: Some(LogStyle::default()),
        directory: world.directory.path().into(),
        ..Logs::default()
    };
    let mut daemon = Service::start(host, logs, Overflow::Discard).unwrap();
    let path = world.directory.path().join("hypervisor.log");
    let text = || fs::read_to_string(&path).unwrap();
    let boot = text();
    assert!(boot.ends_with("(XEN) boot\n"));
    world.xen.print("(XEN) more\n");
    until(&mut daemon, "more", || {
        text() == format!("{boot}(XEN) more\n")
    });
    let other = world.xen.events().unwrap();
    assert!(other.bind_virq(xen_abi::xen::VIRQ_CON_RING).is_err());
}
