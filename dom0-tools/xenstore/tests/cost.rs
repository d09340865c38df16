//! What a request costs does not depend on how much there is that it has nothing to do with. Nodes and watches that are touched are counted, not
//! time. (That a long list of children costs nothing either is tested with the list.)

use xenstore::Errno;
use xenstore::engine::{ConnectionId, DomainState, Host, Ring, Server, Settings};
use xenstore::wire::{Message, MessageType, terminated};

struct Everybody;

impl Host for Everybody {
    fn domain_state(&mut self, _: u16) -> DomainState {
        DomainState::Running
    }

    fn connect(&mut self, _: ConnectionId, _: Ring) -> Result<(), Errno> {
        Ok(())
    }

    fn reconnect(&mut self, _: ConnectionId, _: Ring) {}

    fn disconnect(&mut self, _: ConnectionId, _: u16) {}

    fn control(&mut self, _: &[&[u8]]) -> Result<String, Errno> {
        Err(Errno::EINVAL)
    }
}

struct Store {
    server: Server,
    tools: ConnectionId,
}

impl Store {
    /// With as many nodes and watches, half of the nodes in one directory.
    fn new(nodes: usize, watches: usize) -> Self {
        let mut server = Server::new(&Settings::default());
        let tools = server.connect_socket();
        let mut store = Self { server, tools };
        for i in 0..nodes / 2 {
            store.ask(MessageType::WRITE, 0, &format!("/dir/n{i}"), "v");
            store.ask(
                MessageType::WRITE,
                0,
                &format!("/tree/{}/{}", i % 100, i / 100),
                "v",
            );
        }
        for i in 0..watches {
            let payload = terminated(&[format!("/tree/{i}/x"), "t".to_owned()]);
            store.send(MessageType::WATCH, 0, payload);
        }
        store
    }

    fn send(&mut self, kind: MessageType, tx_id: u32, payload: Vec<u8>) -> Vec<u8> {
        let message = Message {
            tx_id,
            ..Message::new(kind, payload)
        };
        self.server.handle(self.tools, &message, &mut Everybody);
        let mut answer = Vec::new();
        while !self.server.output(self.tools).is_empty() {
            let bytes = self.server.output(self.tools).to_vec();
            self.server.sent(self.tools, bytes.len());
            if bytes[0] == kind.0 as u8 {
                answer = bytes[16..].to_vec();
            }
        }
        answer
    }

    fn ask(&mut self, kind: MessageType, tx: u32, path: &str, value: &str) {
        let mut payload = terminated(&[path]);
        payload.extend_from_slice(value.as_bytes());
        assert_eq!(self.send(kind, tx, payload), b"OK\0", "{kind:?} {path}");
    }

    /// What a request touches.
    fn cost(&mut self, kind: MessageType, path: &str, value: &str) -> u64 {
        let before = self.server.work();
        self.ask(kind, 0, path, value);
        self.server.work() - before
    }

    fn costs(&mut self) -> Vec<(&'static str, u64)> {
        let write = MessageType::WRITE;
        let mut costs = vec![
            ("a value", self.cost(write, "/dir/n7", "w")),
            ("a value that is watched", {
                self.cost(write, "/tree/5/x", "w");
                self.cost(write, "/tree/5/x", "x")
            }),
            (
                "a node in a long directory",
                self.cost(write, "/dir/new", "w"),
            ),
            ("two nodes", self.cost(write, "/dir/n7/deep/er", "w")),
            ("a removal", self.cost(MessageType::RM, "/dir/new", "")),
        ];
        let before = self.server.work();
        let id = self.send(MessageType::TRANSACTION_START, 0, vec![0]);
        let id = std::str::from_utf8(&id[..id.len() - 1])
            .expect("a number")
            .parse();
        let id = id.expect("a number");
        self.ask(write, id, "/dir/other", "w");
        assert_eq!(
            self.send(MessageType::TRANSACTION_END, id, b"T\0".to_vec()),
            b"OK\0"
        );
        costs.push(("a transaction", self.server.work() - before));
        let before = self.server.work();
        self.send(MessageType::WATCH, 0, terminated(&["/dir", "t"]));
        self.send(MessageType::UNWATCH, 0, terminated(&["/dir", "t"]));
        costs.push(("a watch", self.server.work() - before));
        costs
    }
}

#[test]
fn ten_thousand_nodes_and_a_thousand_watches_cost_a_request_nothing() {
    let little = Store::new(100, 10).costs();
    let much = Store::new(10_000, 1_000).costs();
    assert_eq!(little, much);
    assert!(much.iter().all(|(_, cost)| *cost < 20), "{much:?}");
}

#[test]
fn a_domain_that_goes_costs_its_own_nodes_only() {
    let mut store = Store::new(10_000, 10);
    for domain in ["5", "6"] {
        let home = format!("/local/domain/{domain}");
        store.send(MessageType::INTRODUCE, 0, terminated(&[domain, "0", "1"]));
        store.ask(MessageType::MKDIR, 0, &home, "");
        let words = [home.as_str(), &format!("n{domain}")];
        store.send(MessageType::SET_PERMS, 0, terminated(&words));
        for i in 0..10 {
            store.ask(MessageType::MKDIR, 0, &format!("{home}/{i}"), "");
        }
    }
    assert!(store.cost(MessageType::RELEASE, "5", "") < 60);
}
