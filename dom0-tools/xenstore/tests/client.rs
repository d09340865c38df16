//! The client against a daemon that says what a test wants it to say.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xenstore::client::Client;
use xenstore::wire::{Decoder, Message, MessageType};
use xenstore::{Access, Errno, Error, Permission, Tx, transaction};

/// What the daemon answers: nothing at all means that it goes away.
type Script = Vec<fn(&Message) -> Vec<Message>>;

struct Place {
    _dir: TempDir,
    socket: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let socket = dir.path().join("socket");
        Self { _dir: dir, socket }
    }

    /// A daemon for one connection. Gives what it was asked.
    fn serve(&self, script: Script) -> JoinHandle<Vec<Message>> {
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).expect("a socket");
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            drop(listener);
            converse(stream, script)
        })
    }

    fn client(&self) -> Client {
        Client::connect_socket(&self.socket).expect("the daemon listens")
    }
}

fn converse(mut stream: UnixStream, script: Script) -> Vec<Message> {
    let mut seen = Vec::new();
    let mut decoder = Decoder::new();
    for answer in script {
        let Some(request) = receive(&mut stream, &mut decoder) else {
            break;
        };
        let answers = answer(&request);
        seen.push(request);
        if answers.is_empty() {
            return seen;
        }
        let bytes: Vec<u8> = answers.iter().flat_map(Message::encode).collect();
        stream.write_all(&bytes).expect("the client listens");
    }
    // Until the client goes.
    let _ = stream.read(&mut [0]);
    seen
}

fn receive(stream: &mut UnixStream, decoder: &mut Decoder) -> Option<Message> {
    loop {
        let mut chunk = vec![0; decoder.missing().expect("the client sends no nonsense")];
        let count = stream.read(&mut chunk).expect("the client is there");
        if count == 0 {
            return None;
        }
        let message = decoder.next(&mut &chunk[..count]).expect("allowed sizes");
        if message.is_some() {
            return message;
        }
    }
}

fn ok(request: &Message) -> Vec<Message> {
    vec![request.reply(*b"OK\0")]
}

fn gone(_: &Message) -> Vec<Message> {
    Vec::new()
}

fn event(path: &str) -> Message {
    Message::new(MessageType::WATCH_EVENT, format!("{path}\0token\0"))
}

fn kinds(seen: JoinHandle<Vec<Message>>) -> Vec<MessageType> {
    let seen = seen.join().expect("the daemon ended");
    seen.iter().map(|message| message.kind).collect()
}

#[test]
fn events_between_a_request_and_its_answer_are_kept_in_order() {
    let place = Place::new();
    let daemon = place.serve(vec![|request| {
        vec![
            event("/a"),
            event("/b"),
            request.reply(*b"value"),
            event("/c"),
        ]
    }]);
    let client = place.client();
    assert_eq!(client.read(Tx::NONE, "/x").expect("answered"), b"value");
    for path in ["/a", "/b", "/c"] {
        let next = client.next_event(None).expect("an event").expect("no end");
        assert_eq!((next.path.as_str(), next.token.as_str()), (path, "token"));
    }
    let none = client.next_event(Some(Duration::from_millis(20)));
    assert_eq!(none.expect("silence"), None);
    drop(client);
    let seen = daemon.join().expect("the daemon ended");
    assert_eq!(seen[0].payload, b"/x\0");
}

#[test]
fn requests_are_encoded_as_the_protocol_has_them() {
    let place = Place::new();
    let daemon = place.serve(vec![
        |request| vec![request.reply(*b"7\0")],
        ok,
        ok,
        |request| vec![request.reply(*b"n0\0r5\0")],
        ok,
        ok,
    ]);
    let client = place.client();
    let tx = client.begin().expect("begun");
    client.write(tx, "/a", b"x\0y").expect("written");
    let permissions = [Permission::none(0), Permission::read(5)];
    client.set_permissions(tx, "/a", &permissions).expect("set");
    assert_eq!(client.permissions(tx, "/a").expect("got"), permissions);
    assert!(client.end(tx, true).expect("committed"));
    client.introduce(3, 0xf_effc, 1).expect("introduced");
    drop(client);
    let seen = daemon.join().expect("the daemon ended");
    let payloads: Vec<&[u8]> = seen.iter().map(|m| m.payload.as_slice()).collect();
    let expected: [&[u8]; 6] = [
        b"\0",
        b"/a\0x\0y",
        b"/a\0n0\0r5\0",
        b"/a\0",
        b"T\0",
        b"3\x001044476\x001\0",
    ];
    assert_eq!(payloads, expected);
    assert!(seen[1..5].iter().all(|message| message.tx_id == 7));
    assert!(seen.windows(2).all(|pair| pair[0].req_id != pair[1].req_id));
}

#[test]
fn refusals_carry_the_reason() {
    let place = Place::new();
    let daemon = place.serve(vec![
        |request| vec![request.refuse(Errno::ENOENT)],
        |request| vec![request.refuse(Errno::EACCES)],
    ]);
    let client = place.client();
    let error = client.read(Tx::NONE, "/x").expect_err("refused");
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "xenstore: read /x: ENOENT");
    let error = client.remove(Tx::NONE, "/x").expect_err("refused");
    assert_eq!(error.errno(), Some(Errno::EACCES));
    drop(client);
    daemon.join().expect("the daemon ended");
}

#[test]
fn what_no_message_can_carry_is_refused_without_asking() {
    let place = Place::new();
    let daemon = place.serve(vec![ok]);
    let client = place.client();
    let long = client.write(Tx::NONE, "/x", &[0; 4096]);
    assert_eq!(long.expect_err("too long").errno(), Some(Errno::E2BIG));
    let nul = client.write(Tx::NONE, "/x\0y", b"");
    assert_eq!(nul.expect_err("a nul").errno(), Some(Errno::EINVAL));
    let unknown = client.read(Tx(9), "/x");
    assert_eq!(unknown.expect_err("no such").errno(), Some(Errno::ENOENT));
    drop(client);
    assert!(kinds(daemon).is_empty());
}

#[test]
fn long_listings_come_in_parts() {
    let place = Place::new();
    let daemon = place.serve(vec![
        |request| vec![request.refuse(Errno::E2BIG)],
        |request| vec![request.reply(*b"5\0a\0b\0")],
        |request| vec![request.reply(*b"5\0c\0\0")],
    ]);
    let client = place.client();
    assert_eq!(
        client.list(Tx::NONE, "/x").expect("listed"),
        ["a", "b", "c"]
    );
    drop(client);
    let seen = daemon.join().expect("the daemon ended");
    assert_eq!(seen[2].payload, b"/x\x004\0");
}

#[test]
fn an_answer_to_another_request_ends_the_connection() {
    let place = Place::new();
    let daemon = place.serve(vec![|request| {
        let mut answer = request.reply(*b"x");
        answer.req_id += 1;
        vec![answer]
    }]);
    let client = place.client();
    let error = client.read(Tx::NONE, "/x").expect_err("nonsense");
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    drop(client);
    daemon.join().expect("the daemon ended");
}

#[test]
fn after_a_restart_requests_are_repeated_and_watches_are_there_again() {
    let place = Place::new();
    let first = place.serve(vec![ok, gone]);
    let client = Arc::new(place.client());
    client.watch("/w", "token").expect("watching");
    let request = {
        let client = Arc::clone(&client);
        std::thread::spawn(move || client.write(Tx::NONE, "/x", b"1"))
    };
    assert_eq!(kinds(first), [MessageType::WATCH, MessageType::WRITE]);
    let second = place.serve(vec![
        |request| vec![request.reply(*b"OK\0"), event("/w")],
        ok,
    ]);
    let written = request.join().expect("no panic");
    written.expect("the new daemon did it");
    let next = client.next_event(None).expect("an event").expect("no end");
    assert_eq!(next.path, "/w");
    drop(client);
    assert_eq!(kinds(second), [MessageType::WATCH, MessageType::WRITE]);
}

#[test]
fn who_waits_for_an_event_waits_through_a_restart() {
    let place = Place::new();
    let first = place.serve(vec![ok, gone]);
    let client = Arc::new(place.client());
    client.watch("/w", "token").expect("watching");
    let waiter = {
        let client = Arc::clone(&client);
        std::thread::spawn(move || client.next_event(None))
    };
    let control = client.control(&["check"]);
    assert_eq!(kinds(first), [MessageType::WATCH, MessageType::CONTROL]);
    let second = place.serve(vec![|request| vec![request.reply(*b"OK\0"), event("/w")]]);
    let next = waiter.join().expect("no panic").expect("an event");
    assert_eq!(next.expect("no end").path, "/w");
    drop(control);
    drop(client);
    assert_eq!(kinds(second), [MessageType::WATCH]);
}

#[test]
fn a_transaction_that_was_lost_is_tried_again() {
    let place = Place::new();
    let first = place.serve(vec![|request| vec![request.reply(*b"1\0")], gone]);
    let client = Arc::new(place.client());
    let runner = {
        let client = Arc::clone(&client);
        std::thread::spawn(move || transaction(&*client, |tx| client.write(tx, "/x", b"1")))
    };
    first.join().expect("the daemon ended");
    let second = place.serve(vec![|request| vec![request.reply(*b"1\0")], ok, ok]);
    let done = runner.join().expect("no panic");
    done.expect("the second attempt succeeds");
    drop(client);
    let expected = [
        MessageType::TRANSACTION_START,
        MessageType::WRITE,
        MessageType::TRANSACTION_END,
    ];
    assert_eq!(kinds(second), expected);
}

#[test]
fn a_waiting_thread_is_told_of_events_that_another_one_received() {
    let place = Place::new();
    let daemon = place.serve(vec![|request| {
        vec![event("/a"), event("/b"), request.reply(*b"x")]
    }]);
    let client = Arc::new(place.client());
    let ready = Arc::new(Barrier::new(3));
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let (client, ready) = (Arc::clone(&client), Arc::clone(&ready));
            std::thread::spawn(move || {
                ready.wait();
                client.next_event(Some(Duration::from_secs(5)))
            })
        })
        .collect();
    ready.wait();
    std::thread::sleep(Duration::from_millis(30));
    let start = Instant::now();
    client.read(Tx::NONE, "/x").expect("answered");
    let mut paths: Vec<String> = waiters
        .into_iter()
        .map(|waiter| waiter.join().expect("no panic").expect("no error"))
        .map(|event| event.expect("in time").path)
        .collect();
    paths.sort();
    assert_eq!(paths, ["/a", "/b"]);
    assert!(start.elapsed() < Duration::from_secs(4));
    drop(client);
    daemon.join().expect("the daemon ended");
}

#[test]
fn events_of_a_watch_that_was_taken_back_are_dropped() {
    let place = Place::new();
    let daemon = place.serve(vec![
        |request| vec![request.reply(*b"OK\0"), event("/w")],
        ok,
    ]);
    let client = place.client();
    client.watch("/w", "token").expect("watching");
    client.unwatch("/w", "token").expect("no longer");
    let none = client.next_event(Some(Duration::ZERO));
    assert_eq!(none.expect("silence"), None);
    drop(client);
    daemon.join().expect("the daemon ended");
}
