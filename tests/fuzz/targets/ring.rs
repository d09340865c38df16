//! The whole daemon, with a guest that writes into the page of its ring whatever and whenever it likes.

#![no_main]

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use xen_abi::domctl::{DomctlCreatedomain, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM};
use xenctl::fake::{FakeXen, KernelSide};
use xenctl::{DomId, Events, Hypervisor, Populate, Port, SharedPage};
use xenstore::wire::{Message, MessageType, terminated};
use xenstored::{Daemon, Settings, Xen};

const RING_GFN: u64 = 0xfefc;
const RING: usize = 1024;
/// Where the indices and the other words are.
const WORDS: [usize; 7] = [2048, 2052, 2056, 2060, 2064, 2068, 2072];

/// A host, made once; each input is a guest of its own.
struct Host {
    xen: FakeXen,
    kernel: KernelSide,
    daemon: Daemon,
    _dir: TempDir,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host::new());
}

impl Host {
    fn new() -> Self {
        let xen = FakeXen::new();
        let kernel = xen.kernel_store_ring().expect("a ring");
        let dir = TempDir::new().expect("a directory");
        let shared = Arc::new(xen.clone());
        let settings = Settings {
            store: xenstore::engine::Settings::default(),
            socket: dir.path().join("socket"),
            state: None,
            discard_state: true,
            xen: Some(Xen {
                hypervisor: shared.clone(),
                backend: shared,
            }),
            trace: None,
            trace_switches: Vec::new(),
        };
        Self {
            xen,
            kernel,
            daemon: Daemon::start(settings).expect("started"),
            _dir: dir,
        }
    }

    fn turn(&mut self) {
        self.daemon.turn(Some(Duration::ZERO)).expect("a turn");
    }

    /// A request of domain 0's kernel, with its answer.
    fn kernel_asks(&mut self, kind: MessageType, words: &[&str]) {
        let bytes = Message::new(kind, terminated(words)).encode();
        let page = self.kernel.page.clone();
        let prod = page.load_u32(2052);
        for (i, byte) in (0_u32..).zip(&bytes) {
            page.copy_in(prod.wrapping_add(i) as usize % RING, &[*byte]);
        }
        page.store_u32(2052, prod.wrapping_add(bytes.len() as u32));
        self.kernel.events.notify(self.kernel.port).expect("bound");
        let before = page.load_u32(2060);
        for _ in 0..8 {
            self.turn();
        }
        assert_ne!(page.load_u32(2060), before, "no answer for domain 0");
        page.store_u32(2056, page.load_u32(2060));
        self.kernel.events.notify(self.kernel.port).expect("bound");
        self.turn();
    }

    fn play(&mut self, data: &[u8]) {
        let how = DomctlCreatedomain {
            flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
            max_vcpus: 1,
            ..DomctlCreatedomain::default()
        };
        let domain = self.xen.create_domain(DomId(0), &how).expect("created");
        self.xen.set_max_memory(domain, 1024).expect("set");
        let what = Populate {
            order: 0,
            mem_flags: 0,
            gfns: &[RING_GFN],
        };
        self.xen.populate(domain, what).expect("populated");
        self.xen
            .seed_grant(domain, 1, RING_GFN, DomId::DOM0)
            .expect("granted");
        let port = self
            .xen
            .alloc_unbound_port(domain, DomId::DOM0)
            .expect("a port");
        let [number, port_text] = [domain.to_string(), port.to_string()];
        self.kernel_asks(MessageType::INTRODUCE, &[&number, "0", &port_text]);
        let page = self.xen.guest_page(domain, RING_GFN).expect("its page");
        let events = self.xen.guest_events(domain).expect("events");
        let mut input = data;
        while let Some((&what, rest)) = input.split_first() {
            input = act(&page, what, rest);
            if what & 0x10 != 0 {
                // The daemon may have given the ring up, and then nobody is at the other end.
                _ = events.notify(Port(port));
            }
            if what & 0x20 != 0 {
                self.turn();
            }
        }
        // Whatever the guest did, domain 0 is served, and the guest can be removed.
        self.kernel_asks(MessageType::READ, &["/tool"]);
        self.xen.destroy_domain(domain).expect("destroyed");
        for _ in 0..4 {
            self.turn();
        }
        self.kernel_asks(MessageType::CONTROL, &["check"]);
        self.xen.forget_calls();
    }
}

/// The guest does something with its page; what is left of the input.
fn act<'a>(page: &impl SharedPage, what: u8, input: &'a [u8]) -> &'a [u8] {
    let count = match what & 3 {
        0 => 1,
        1 => 5,
        _ => input.first().map_or(0, |len| 1 + usize::from(*len)),
    };
    let (bytes, rest) = input.split_at(count.min(input.len()));
    match (what & 3, bytes) {
        // Takes all that is there.
        (0, _) => page.store_u32(2056, page.load_u32(2060)),
        // Any word, any value.
        (1, &[which, a, b, c, d]) => {
            let value = u32::from_le_bytes([a, b, c, d]);
            page.store_u32(WORDS[usize::from(which) % WORDS.len()], value);
        }
        // Bytes, or a message of them.
        (2, [_, bytes @ ..]) => put(page, bytes),
        (3, [_, kind, bytes @ ..]) => {
            let message = Message::new(MessageType(u32::from(*kind) % 24), bytes);
            put(page, &message.encode());
        }
        _ => {}
    }
    rest
}

fn put(page: &impl SharedPage, bytes: &[u8]) {
    let prod = page.load_u32(2052);
    for (i, byte) in (0_u32..).zip(bytes) {
        page.copy_in(prod.wrapping_add(i) as usize % RING, &[*byte]);
    }
    page.store_u32(2052, prod.wrapping_add(bytes.len() as u32));
}

fuzz_target!(|data: &[u8]| HOST.with_borrow_mut(|host| host.play(data)));
