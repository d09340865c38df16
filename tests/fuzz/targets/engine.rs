//! The store with two guests that send what they like, and a process in domain 0.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenstore::Errno;
use xenstore::engine::{Change, ConnectionId, DomainState, Host, Restorer, Ring, Server, Settings};
use xenstore::wire::{Message, MessageType, terminated};

/// Two domains, which both exist until they are said to be gone.
struct World([DomainState; 2]);

impl Host for World {
    fn domain_state(&mut self, domain: u16) -> DomainState {
        let state = usize::from(domain)
            .checked_sub(1)
            .and_then(|at| self.0.get(at));
        state.copied().unwrap_or(DomainState::Absent)
    }

    fn connect(&mut self, _: ConnectionId, ring: Ring) -> Result<(), Errno> {
        match self.domain_state(ring.domain) {
            DomainState::Absent => Err(Errno::EINVAL),
            _ => Ok(()),
        }
    }

    fn reconnect(&mut self, _: ConnectionId, _: Ring) {}

    fn disconnect(&mut self, _: ConnectionId, _: u16) {}

    fn control(&mut self, _: &[&[u8]]) -> Result<String, Errno> {
        Err(Errno::EINVAL)
    }
}

const PATHS: [&str; 8] = [
    "a",
    "a/b",
    "/local/domain/1",
    "/local/domain/2/a",
    "/x",
    "/x/y/z",
    "@releaseDomain",
    "/",
];

struct Play {
    server: Server,
    world: World,
    tools: ConnectionId,
    now_ms: u64,
}

impl Play {
    fn new() -> Self {
        let mut server = Server::new(&Settings::default());
        server.record_changes(true);
        let tools = server.connect_socket();
        let mut play = Self {
            server,
            world: World([DomainState::Running; 2]),
            tools,
            now_ms: 0,
        };
        for domain in ["1", "2"] {
            let home = format!("/local/domain/{domain}");
            play.ask(MessageType::INTRODUCE, &[domain, "0", "1"]);
            play.ask(MessageType::MKDIR, &[&home]);
            play.ask(
                MessageType::SET_PERMS,
                &[&home, &format!("b{domain}"), "r1", "b2"],
            );
        }
        play.ask(MessageType::MKDIR, &["/x"]);
        play.ask(MessageType::SET_PERMS, &["/x", "b0"]);
        // Small enough for an input to reach them.
        for limit in [
            ["nodes", "30"],
            ["memory", "9000"],
            ["transaction-nodes", "12"],
        ] {
            play.ask(MessageType::CONTROL, &["quota", "set", limit[0], limit[1]]);
        }
        play
    }

    fn ask(&mut self, kind: MessageType, words: &[&str]) {
        let message = Message::new(kind, terminated(words));
        self.server.handle(self.tools, &message, &mut self.world);
        self.drain(self.tools, usize::MAX);
    }

    fn drain(&mut self, connection: ConnectionId, most: usize) {
        for _ in 0..most.min(1000) {
            let waiting = self.server.output(connection).len();
            if waiting == 0 {
                return;
            }
            self.server.sent(connection, waiting.min(most));
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        let domain = u16::from(what >> 7) + 1;
        let guest = self.server.ring(domain);
        match (what & 15, guest) {
            (0, _) => {
                let states = [
                    DomainState::Absent,
                    DomainState::Running,
                    DomainState::Shutdown,
                ];
                let state = states[usize::from(input.byte()) % states.len()];
                self.world.0[usize::from(domain) - 1] = state;
                self.server.check_domains(&mut self.world);
            }
            (1, _) => {
                let kind = MessageType(u32::from(input.byte()) % 24);
                let payload = input.payload();
                let message = Message::new(kind, payload);
                self.server.handle(self.tools, &message, &mut self.world);
            }
            (2, _) => {
                self.now_ms += u64::from(input.byte()) * 200;
                self.server.advance(self.now_ms);
            }
            (3, Some(guest)) => self.drain(guest, usize::from(input.byte())),
            (4, Some(guest)) => {
                let bytes = input.payload();
                let wanted = self.server.wanted(guest).min(bytes.len());
                _ = self
                    .server
                    .receive(guest, &bytes[..wanted], &mut self.world);
            }
            (_, Some(guest)) => self.message(guest, input),
            (_, None) => self.ask(MessageType::INTRODUCE, &[&domain.to_string(), "0", "1"]),
        }
    }

    fn message(&mut self, guest: ConnectionId, input: &mut Input<'_>) {
        let kind = MessageType(u32::from(input.byte()) % 24);
        let tx_id = u32::from(input.byte()) % 4;
        let message = Message {
            kind,
            req_id: 0,
            tx_id,
            payload: input.payload(),
        };
        if self.server.wanted(guest) > 0 {
            _ = self
                .server
                .receive(guest, &message.encode(), &mut self.world);
        }
    }
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *byte
    }

    /// A path that means something and some bytes, or bytes alone.
    fn payload(&mut self) -> Vec<u8> {
        let how = self.byte();
        let len = usize::from(self.byte()) % 64;
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        match PATHS.get(usize::from(how) % 16) {
            Some(path) => [path.as_bytes(), b"\0", bytes].concat(),
            None => bytes.to_vec(),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut play = Play::new();
    let mut changes = play.server.snapshot();
    play.server.take_changes();
    let mut input = Input(data);
    while !input.0.is_empty() {
        play.step(&mut input);
    }
    play.server.check().expect("all hangs together");
    changes.append(&mut play.server.take_changes());
    assert_eq!(
        restored(changes),
        lasting(&play.server),
        "not the same after a restart"
    );
});

fn restored(changes: Vec<Change>) -> Vec<Change> {
    let mut restorer = Restorer::new(&Settings::default());
    for change in changes {
        restorer.apply(change).expect("a change that follows");
    }
    lasting(&restorer.finish().expect("sound"))
}

/// Numbers that only transactions which are not committed had may be given again.
fn lasting(server: &Server) -> Vec<Change> {
    let mut changes = server.snapshot();
    changes.retain(|change| !matches!(change, Change::Generation(_)));
    changes
}
