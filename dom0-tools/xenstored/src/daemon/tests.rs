//! The daemon with a fake hypervisor, whose guests and dom0 kernel are played here.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;
use xen_abi::domctl::{DomctlCreatedomain, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM};
use xen_abi::sched::SHUTDOWN_POWEROFF;
use xenctl::fake::{FakeEvents, FakeXen, KernelSide, MemoryPage};
use xenctl::{DomId, Events, Hypervisor, Populate, Port, SharedPage};
use xenstore::client::Client;
use xenstore::wire::{Decoder, Message, MessageType};
use xenstore::{Access, Errno, Tx};

use super::*;

const SIZE: u32 = 1024;
const RING_GFN: u64 = 0xfefc;

/// A host with a daemon that runs only when it is told to.
struct Host {
    xen: FakeXen,
    kernel: Peer<KernelEnd>,
    dir: TempDir,
    daemon: Option<Daemon>,
}

/// A ring as its domain uses it.
struct Peer<E> {
    end: E,
    page: MemoryPage,
    decoder: Decoder,
    messages: VecDeque<Message>,
}

struct KernelEnd(KernelSide);

struct GuestEnd {
    domain: DomId,
    events: FakeEvents,
    port: u32,
}

trait Kick {
    fn kick(&self);
}

impl Kick for KernelEnd {
    fn kick(&self) {
        self.0.events.notify(self.0.port).expect("bound");
    }
}

impl Kick for GuestEnd {
    fn kick(&self) {
        self.events.notify(Port(self.port)).expect("bound");
    }
}

impl<E: Kick> Peer<E> {
    fn new(end: E, page: MemoryPage) -> Self {
        Self {
            end,
            page,
            decoder: Decoder::new(),
            messages: VecDeque::new(),
        }
    }

    fn index(&self, at: usize) -> u32 {
        self.page.load_u32(2048 + 4 * at)
    }

    /// Writes as much as there is room for; gives what is left.
    fn write<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let (cons, prod) = (self.index(0), self.index(1));
        let room = (SIZE - prod.wrapping_sub(cons)) as usize;
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        for (i, byte) in (0_u32..).zip(now) {
            let at = (prod.wrapping_add(i) % SIZE) as usize;
            self.page.copy_in(at, &[*byte]);
        }
        self.page
            .store_u32(2052, prod.wrapping_add(now.len() as u32));
        self.end.kick();
        later
    }

    fn read(&mut self) {
        let (cons, prod) = (self.index(2), self.index(3));
        let mut bytes = Vec::new();
        for i in 0..prod.wrapping_sub(cons) {
            let mut byte = [0];
            let at = (cons.wrapping_add(i) % SIZE) as usize;
            self.page.copy_out(1024 + at, &mut byte);
            bytes.push(byte[0]);
        }
        self.page.store_u32(2056, prod);
        self.end.kick();
        let mut input = bytes.as_slice();
        while let Some(message) = self.decoder.next(&mut input).expect("no nonsense") {
            self.messages.push_back(message);
        }
    }

    fn send(&self, kind: MessageType, payload: &[u8]) {
        let request = Message::new(kind, payload).encode();
        let left = self.write(&request);
        assert!(left.is_empty(), "there is room");
    }

    /// Sends, lets the daemon work, gives the answer's payload.
    fn ask(&mut self, daemon: &mut Daemon, kind: MessageType, payload: &[u8]) -> Vec<u8> {
        self.send(kind, payload);
        settle(daemon);
        self.read();
        let answer = self.messages.pop_front().expect("an answer");
        assert_eq!(answer.kind, kind, "{:?}", answer.payload);
        answer.payload
    }
}

/// Lets the daemon work until there is nothing to do.
fn settle(daemon: &mut Daemon) {
    for _ in 0..8 {
        daemon.turn(Some(Duration::ZERO)).expect("a turn");
    }
}

impl Host {
    fn new() -> Self {
        let xen = FakeXen::new();
        let kernel = xen.kernel_store_ring().expect("a ring");
        let page = kernel.page.clone();
        let kernel = Peer::new(KernelEnd(kernel), page);
        // In memory, where the state is kept on a real host, too.
        let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        let dir = dir.expect("a directory");
        let mut host = Self {
            xen,
            kernel,
            dir,
            daemon: None,
        };
        host.start();
        host
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    fn start(&mut self) {
        let xen = Arc::new(self.xen.clone());
        let settings = Settings {
            store: xenstore::engine::Settings::default(),
            socket: self.socket(),
            state: Some(self.dir.path().to_owned()),
            discard_state: false,
            xen: Some(Xen {
                hypervisor: xen.clone(),
                backend: xen,
            }),
            trace: None,
            trace_switches: Vec::new(),
        };
        self.daemon = Some(Daemon::start(settings).expect("started"));
    }

    /// The daemon is killed, at whatever point it is, and another takes its place.
    fn restart(&mut self) {
        self.daemon = None;
        self.start();
    }

    fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("running")
    }

    fn settle(&mut self) {
        settle(self.daemon());
    }

    /// Something a process asks, while the daemon works.
    fn tool<T: Send>(&mut self, ask: impl FnOnce(&Client) -> T + Send) -> T {
        let socket = self.socket();
        let daemon = self.daemon.as_mut().expect("running");
        std::thread::scope(|scope| {
            let asking = scope.spawn(move || ask(&Client::connect_socket(&socket).expect("there")));
            while !asking.is_finished() {
                daemon.turn(Some(Duration::from_millis(1))).expect("a turn");
            }
            asking.join().expect("no panic")
        })
    }

    /// A domain that is introduced.
    fn guest(&mut self) -> Peer<GuestEnd> {
        let how = DomctlCreatedomain {
            flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
            max_vcpus: 1,
            ..DomctlCreatedomain::default()
        };
        let xen = self.xen.clone();
        let domain = xen.create_domain(DomId(0), &how).expect("created");
        xen.set_max_memory(domain, 1024).expect("set");
        let what = Populate {
            order: 0,
            mem_flags: 0,
            gfns: &[RING_GFN],
        };
        assert_eq!(xen.populate(domain, what).expect("populated"), 1);
        xen.seed_grant(domain, 1, RING_GFN, DomId::DOM0)
            .expect("granted");
        let port = xen.alloc_unbound_port(domain, DomId::DOM0).expect("a port");
        self.tool(|client| client.introduce(domain.0, RING_GFN, port))
            .expect("introduced");
        let end = GuestEnd {
            domain,
            events: xen.guest_events(domain).expect("events"),
            port,
        };
        Peer::new(end, xen.guest_page(domain, RING_GFN).expect("its page"))
    }
}

#[test]
fn the_kernel_and_guests_and_processes_share_one_store() {
    let mut host = Host::new();
    let mut guest = host.guest();
    let domain = guest.end.domain;
    let home = format!("/local/domain/{domain}");
    let home = home.as_str();
    host.tool(|client| {
        client.write(Tx::NONE, &format!("{home}/data"), b"")?;
        let own = [xenstore::Permission::none(domain.0)];
        client.set_permissions(Tx::NONE, &format!("{home}/data"), &own)
    })
    .expect("set up");
    let daemon = host.daemon.as_mut().expect("running");
    assert_eq!(
        guest.ask(daemon, MessageType::WRITE, b"data/x\0hello"),
        b"OK\0"
    );
    let path = format!("{home}/data/x\0");
    let read = host.kernel.ask(daemon, MessageType::READ, path.as_bytes());
    assert_eq!(read, b"hello");
    let listed = host.tool(|client| client.list(Tx::NONE, "/tool"));
    assert_eq!(listed.expect("listed"), ["xenstored"]);
}

#[test]
fn introducing_tells_the_guest_that_it_is_connected() {
    let mut host = Host::new();
    let guest = host.guest();
    assert_eq!(guest.page.load_u32(2064), 3, "features");
    let page = &guest.page;
    page.store_u32(2068, 1);
    let port = host.xen.alloc_unbound_port(guest.end.domain, DomId::DOM0);
    let (domain, port) = (guest.end.domain.0, port.expect("a port"));
    host.tool(|client| client.introduce(domain, RING_GFN, port))
        .expect("introduced again");
    assert_eq!(guest.page.load_u32(2068), 0, "connected");
}

#[test]
fn a_request_is_done_once_wherever_the_daemon_is_killed() {
    for stage in 0..4 {
        let mut host = Host::new();
        let mut guest = host.guest();
        let daemon = host.daemon();
        let begun = guest.ask(daemon, MessageType::TRANSACTION_START, b"\0");
        assert_eq!(begun, b"1\0");
        // Made twice it would have another number, lost it would have no answer.
        guest.send(MessageType::TRANSACTION_START, b"\0");
        let daemon = host.daemon();
        if stage > 0 {
            daemon.wait(Some(Duration::ZERO)).expect("woken");
            daemon.advance();
            daemon.take_requests();
        }
        if stage > 1 {
            daemon.keep();
        }
        if stage > 2 {
            daemon.send();
        }
        host.restart();
        host.settle();
        guest.read();
        let answer = guest.messages.pop_front().expect("an answer");
        assert_eq!(answer.payload, b"2\0", "killed at stage {stage}");
        assert!(guest.messages.is_empty(), "killed at stage {stage}");
        let next = guest.ask(host.daemon(), MessageType::TRANSACTION_START, b"\0");
        assert_eq!(next, b"3\0");
    }
}

#[test]
fn messages_in_pieces_go_on_after_a_kill() {
    let mut host = Host::new();
    let payload = [b"/tool/long\0".as_slice(), &[b'x'; 3000]].concat();
    let request = Message::new(MessageType::WRITE, payload.clone()).encode();
    let mut left = request.as_slice();
    while !left.is_empty() {
        left = host.kernel.write(left);
        host.settle();
        host.restart();
    }
    host.settle();
    host.kernel.read();
    let answer = host.kernel.messages.pop_front().expect("an answer");
    assert_eq!(answer.payload, b"OK\0");
    // The answer, of three rings' size, in pieces as well.
    host.kernel.send(MessageType::READ, b"/tool/long\0");
    for _ in 0..5 {
        host.settle();
        host.kernel.read();
        host.restart();
    }
    host.settle();
    host.kernel.read();
    let answer = host.kernel.messages.pop_front().expect("an answer");
    assert_eq!(answer.payload, [b'x'; 3000]);
    assert!(host.kernel.messages.is_empty());
}

/// A turn that ends at some point, as a kill would end it.
fn broken_turn(daemon: &mut Daemon, stage: u32) {
    let steps: [fn(&mut Daemon); 4] = [
        |daemon| drop(daemon.wait(Some(Duration::ZERO))),
        Daemon::take_requests,
        Daemon::keep,
        Daemon::send,
    ];
    for step in steps.iter().take(stage as usize) {
        step(daemon);
    }
}

/// What a kernel asks, and what it must be answered, whatever happens to the daemon.
fn questions() -> Vec<(Message, Vec<u8>)> {
    let mut questions = Vec::new();
    let mut ask = |kind, payload: &[u8], answer: &[u8]| {
        questions.push((Message::new(kind, payload), answer.to_vec()));
    };
    for round in 0..40_u8 {
        // Numbers of transactions show whether a request was done once.
        let next = format!("{}\0", u32::from(round) + 1);
        ask(MessageType::TRANSACTION_START, b"\0", next.as_bytes());
        let value = vec![round; 50 * usize::from(round)];
        ask(
            MessageType::WRITE,
            &[b"/tool/x\0", value.as_slice()].concat(),
            b"OK\0",
        );
        ask(MessageType::READ, b"/tool/x\0", &value);
    }
    questions
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]
    #[test]
    fn no_request_is_lost_or_done_twice_however_often_the_daemon_is_killed(
        moves in proptest::collection::vec((0_u32..5, any::<bool>(), any::<bool>(), 1_usize..1500), 20..120),
    ) {
        let mut host = Host::new();
        let questions = questions();
        let stream: Vec<u8> = questions.iter().flat_map(|(request, _)| request.encode()).collect();
        let mut left = stream.as_slice();
        let whole = std::iter::repeat_n((4, false, true, usize::MAX), 400);
        for (stage, kill, read, size) in moves.into_iter().chain(whole) {
            let (now, later) = left.split_at(size.min(left.len()));
            let rest = host.kernel.write(now).len();
            left = &left[now.len() - rest..];
            debug_assert!(later.len() <= left.len());
            broken_turn(host.daemon(), stage);
            if kill {
                host.restart();
            }
            if read {
                host.kernel.read();
            }
        }
        let answers: Vec<&[u8]> = host.kernel.messages.iter().map(|m| m.payload.as_slice()).collect();
        let expected: Vec<&[u8]> = questions.iter().map(|(_, answer)| answer.as_slice()).collect();
        prop_assert!(left.is_empty());
        prop_assert_eq!(answers, expected);
    }
}

#[test]
fn watches_of_rings_survive_a_kill() {
    let mut host = Host::new();
    let mut guest = host.guest();
    let path = format!("/local/domain/{}/control", guest.end.domain);
    let own = [xenstore::Permission::none(guest.end.domain.0)];
    host.tool(|client| {
        client.write(Tx::NONE, &path, b"")?;
        client.set_permissions(Tx::NONE, &path, &own)
    })
    .expect("set up");
    let ok = guest.ask(host.daemon(), MessageType::WATCH, b"control\0token\0");
    assert_eq!(ok, b"OK\0");
    assert_eq!(
        guest.messages.pop_front().expect("first event").kind,
        MessageType::WATCH_EVENT
    );
    host.restart();
    host.tool(|client| client.write(Tx::NONE, &path, b"poweroff"))
        .expect("written");
    guest.read();
    let event = guest.messages.pop_front().expect("an event");
    assert_eq!(event.payload, b"control\0token\0");
    assert!(guest.messages.is_empty());
}

#[test]
fn the_death_of_a_domain_is_told_even_if_the_daemon_was_dead() {
    let mut host = Host::new();
    let guest = host.guest();
    let domain = guest.end.domain;
    let ok = host.kernel.ask(
        host.daemon.as_mut().expect("running"),
        MessageType::WATCH,
        b"@releaseDomain\0t\0",
    );
    assert_eq!(ok, b"OK\0");
    host.kernel.messages.clear();
    host.xen
        .guest_shuts_down(domain, SHUTDOWN_POWEROFF)
        .expect("down");
    host.settle();
    host.kernel.read();
    assert_eq!(host.kernel.messages.len(), 1, "it shut down");
    host.kernel.messages.clear();
    host.daemon = None;
    drop(guest);
    host.xen.destroy_domain(domain).expect("destroyed");
    host.start();
    host.settle();
    host.kernel.read();
    assert_eq!(host.kernel.messages.len(), 1, "it is gone");
    let introduced = host.tool(|client| client.is_introduced(domain.0));
    assert!(!introduced.expect("answered"));
    assert_eq!(host.xen.port_count(domain), 0);
}

#[test]
fn a_port_that_the_killed_daemon_still_holds_is_waited_for() {
    let mut host = Host::new();
    let mut guest = host.guest();
    host.daemon = None;
    host.xen
        .fail_next(xenctl::call::BIND_VIRQ, xen_abi::errno::Errno::EEXIST);
    host.xen.fail_after(
        xenctl::call::BIND_INTERDOMAIN,
        1,
        xen_abi::errno::Errno::EINVAL,
    );
    host.start();
    let path = guest.ask(host.daemon(), MessageType::GET_DOMAIN_PATH, b"4\0");
    assert_eq!(path, b"/local/domain/4\0");
}

#[test]
fn a_hostile_ring_harms_nobody_else_and_can_begin_anew() {
    let mut host = Host::new();
    let mut bad = host.guest();
    let mut good = host.guest();
    bad.page.store_u32(2052, 5000);
    bad.end.kick();
    host.settle();
    assert_eq!(bad.page.load_u32(2072), 2, "it is told of its index");
    assert_eq!(
        good.ask(host.daemon(), MessageType::GET_DOMAIN_PATH, b"5\0"),
        b"/local/domain/5\0"
    );
    // It asks to begin anew.
    bad.page.store_u32(2068, 1);
    bad.end.kick();
    host.settle();
    assert_eq!(bad.page.load_u32(2068), 0);
    assert_eq!(bad.page.load_u32(2072), 0);
    assert_eq!(
        bad.ask(host.daemon(), MessageType::GET_DOMAIN_PATH, b"6\0"),
        b"/local/domain/6\0"
    );
    // Then it sends what is no message.
    bad.write(&[0xff; 16]);
    host.settle();
    assert_eq!(bad.page.load_u32(2072), 3, "it is told of the length");
    host.restart();
    host.settle();
    assert_eq!(bad.index(0), 18, "it is not read any longer");
    bad.write(&[0xff; 64]);
    host.settle();
    assert_eq!(
        good.ask(host.daemon(), MessageType::GET_DOMAIN_PATH, b"7\0"),
        b"/local/domain/7\0"
    );
}

#[test]
fn a_flood_of_requests_leaves_others_their_turn() {
    let mut host = Host::new();
    let flood = host.guest();
    let mut good = host.guest();
    let request = Message::new(MessageType::GET_DOMAIN_PATH, *b"1\0").encode();
    let many: Vec<u8> = request.iter().copied().cycle().take(1008).collect();
    flood.write(&many);
    good.send(MessageType::GET_DOMAIN_PATH, b"2\0");
    // One turn is enough for the good one, whatever the other has.
    host.daemon().turn(Some(Duration::ZERO)).expect("a turn");
    good.read();
    assert_eq!(good.messages.len(), 1);
    host.settle();
    // Answers that nobody takes stop the flood: what waits is bounded.
    let taken = flood.index(0);
    let connection = ring(&host, &flood);
    let waiting = host.daemon().server.waiting(connection);
    assert!(taken <= 1008 && waiting <= 20 * 64, "{waiting} bytes wait");
}

#[test]
fn a_page_that_changes_all_the_time_harms_nobody_else() {
    let mut host = Host::new();
    let bad = host.guest();
    let mut good = host.guest();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = 1_u32;
            while !stop.load(Ordering::Relaxed) {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Mostly bytes of requests, often indices, sometimes the connection.
                let at = match random >> 28 {
                    0..10 => random >> 8 & 1020,
                    10..15 => 2048 + (random >> 8 & 12),
                    _ => 2068,
                };
                bad.page.store_u32(at as usize, random >> 16 & 0x3ff);
                if random >> 20 & 7 == 0 {
                    bad.end.kick();
                }
            }
        });
        for _ in 0..60 {
            let path = good.ask(host.daemon(), MessageType::GET_DOMAIN_PATH, b"9\0");
            assert_eq!(path, b"/local/domain/9\0");
        }
        host.restart();
        let path = good.ask(host.daemon(), MessageType::GET_DOMAIN_PATH, b"9\0");
        assert_eq!(path, b"/local/domain/9\0");
        stop.store(true, Ordering::Relaxed);
    });
    let sound = host.tool(|client| client.control(&["check"]));
    assert_eq!(sound.expect("answered"), "OK");
}

fn ring(host: &Host, guest: &Peer<GuestEnd>) -> xenstore::engine::ConnectionId {
    let daemon = host.daemon.as_ref().expect("running");
    daemon.server.ring(guest.end.domain.0).expect("introduced")
}

#[test]
fn a_domain_over_its_soft_limit_is_warned_of_once() {
    let mut host = Host::new();
    let guest = host.guest();
    let watch = Message::new(MessageType::WATCH, *b"some/path\0token\0").encode();
    guest.write(&watch);
    host.settle();
    host.tool(|client| client.control(&["quota-soft", "set", "memory", "5"]))
        .expect("set");
    let server = &host.daemon.as_ref().expect("running").server;
    let mut warnings = Warnings::default();
    let start = Instant::now();
    assert_eq!(warnings.look(server, start), [guest.end.domain.0]);
    assert!(warnings.look(server, start).is_empty(), "not so soon");
    let later = start + Duration::from_secs(11);
    assert!(warnings.look(server, later).is_empty(), "no news");
}

#[test]
fn a_full_disk_is_survived_and_left_behind() {
    let mut host = Host::new();
    let place = host.dir.path().join("state");
    // Nothing can be kept where a directory is in the way.
    let blocked = host.dir.path().join("state.new");
    std::fs::create_dir(&blocked).expect("made");
    host.daemon().keeper = None;
    let daemon = host.daemon();
    let now = Instant::now();
    let mut keeper = Keeper::begin(
        place.parent().expect("a directory"),
        &daemon.server,
        &[],
        now,
    );
    assert!(!keeper.is_keeping());
    assert!(!place.exists(), "what is old would mislead");
    std::fs::remove_dir(&blocked).expect("removed");
    keeper.keep(&Turn::default(), &daemon.server, Vec::new, now);
    assert!(!keeper.is_keeping(), "not at once");
    let later = now + Duration::from_secs(11);
    keeper.keep(&Turn::default(), &daemon.server, Vec::new, later);
    assert!(keeper.is_keeping() && place.exists());
}

#[test]
fn a_domain_that_can_not_be_mapped_is_not_introduced() {
    let mut host = Host::new();
    let port = host.xen.alloc_unbound_port(DomId::DOM0, DomId::DOM0);
    let port = port.unwrap_or(1);
    let error = host
        .tool(|client| client.introduce(77, 0, port))
        .expect_err("there is none");
    assert_eq!(error.errno(), Some(Errno::EINVAL));
    let introduced = host.tool(|client| client.is_introduced(77));
    assert!(!introduced.expect("answered"));
}
