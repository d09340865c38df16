//! The daemon as a process, without a hypervisor: started, asked, killed and started again.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xenstore::client::Client;
use xenstore::{Access, Errno, Permission, Tx, transaction};

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenstored"));
        command
            .arg("--no-domains")
            .args(arguments)
            .env("XENSTORED_RUNDIR", self.0.path())
            .env_remove("XENSTORED_PATH")
            .stdin(Stdio::null());
        command
    }

    /// A daemon in the foreground that serves.
    fn start(&self, arguments: &[&str]) -> Daemon {
        let child = self.command(arguments).arg("--no-fork").spawn();
        let daemon = Daemon(child.expect("started"));
        let end = Instant::now() + Duration::from_secs(10);
        while Client::connect_socket(&self.path("socket")).is_err() {
            assert!(Instant::now() < end, "it does not serve");
            std::thread::sleep(Duration::from_millis(2));
        }
        daemon
    }

    fn client(&self) -> Client {
        Client::connect_socket(&self.path("socket")).expect("it serves")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("started")
    }
}

struct Daemon(Child);

impl Daemon {
    fn kill(mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("dead");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8(value).expect("text")
}

#[test]
fn a_new_store_has_the_first_nodes_and_a_socket_for_root() {
    let place = Place::new();
    let _daemon = place.start(&[]);
    let client = place.client();
    let list = |path| client.list(Tx::NONE, path).expect("listed");
    assert_eq!(list("/"), ["tool"]);
    assert_eq!(list("/tool"), ["xenstored"]);
    assert!(list("/tool/xenstored").is_empty());
    let permissions = client.permissions(Tx::NONE, "@releaseDomain");
    assert_eq!(permissions.expect("there"), [Permission::none(0)]);
    let socket = place.path("socket").metadata().expect("there");
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_state_survives_a_kill_and_clients_do_not_notice() {
    let place = Place::new();
    let daemon = place.start(&[]);
    let client = place.client();
    client.write(Tx::NONE, "/a/b", b"1").expect("written");
    client
        .set_permissions(Tx::NONE, "/a", &[Permission::none(3), Permission::read(4)])
        .expect("set");
    client.watch("/a", "token").expect("watching");
    client.next_event(None).expect("the first").expect("event");
    let tx = client.begin().expect("begun");
    client.write(tx, "/a/lost", b"").expect("written");
    daemon.kill();
    let _daemon = place.start(&[]);
    let lost = client.write(tx, "/a/lost", b"");
    // The connection is found to be lost by this request or one before it.
    assert_eq!(lost.expect_err("lost").errno(), Some(Errno::EAGAIN));
    assert!(!client.end(tx, true).expect("a conflict"));
    assert_eq!(client.list(Tx::NONE, "/a").expect("listed"), ["b"]);
    let permissions = client.permissions(Tx::NONE, "/a").expect("there");
    assert_eq!(permissions, [Permission::none(3), Permission::read(4)]);
    let event = client.next_event(None).expect("an event").expect("no end");
    assert_eq!(event.path, "/a", "watched again");
    client.write(Tx::NONE, "/a/c", b"").expect("written");
    let event = client.next_event(None).expect("an event").expect("no end");
    assert_eq!(event.path, "/a/c");
}

#[test]
fn more_children_than_fit_a_message_are_listed() {
    let place = Place::new();
    let _daemon = place.start(&[]);
    let client = place.client();
    let names: Vec<String> = (0..2000).map(|i| format!("node-{i}")).collect();
    transaction(&client, |tx| {
        names
            .iter()
            .try_for_each(|name| client.write(tx, &format!("/many/{name}"), b""))
    })
    .expect("written");
    assert_eq!(client.list(Tx::NONE, "/many").expect("listed"), names);
}

#[test]
fn control_answers_as_the_original() {
    let place = Place::new();
    let _daemon = place.start(&["-E", "777"]);
    let client = place.client();
    assert_eq!(client.control(&["check"]).expect("sound"), "OK");
    let help = client.control(&["help"]).expect("help");
    for command in [
        "check",
        "log",
        "logfile",
        "memreport",
        "print",
        "quota",
        "quota-soft",
        "live-update",
        "help",
    ] {
        assert!(
            help.lines()
                .any(|line| line.starts_with(&format!("{command} "))),
            "{command}"
        );
    }
    let quotas = client.control(&["quota"]).expect("quotas");
    assert!(quotas.starts_with("Quota settings:\nnodes            :      777 "));
    assert!(client.control(&["quota", "set", "nodes", "5"]).is_ok());
    let refused = client.control(&["nothing"]).expect_err("no such");
    assert_eq!(refused.errno(), Some(Errno::EINVAL));
    let trace = place.path("trace");
    client
        .control(&["logfile", trace.to_str().expect("a name")])
        .expect("done");
    client.write(Tx::NONE, "/traced", b"yes").expect("written");
    // Its answer comes after the line about the one before.
    client.read(Tx::NONE, "/traced").expect("there");
    let lines = std::fs::read_to_string(trace).expect("a trace");
    assert!(
        lines.contains(" WRITE (/traced yes)\n") && lines.contains(" WRITE (OK )\n"),
        "{lines}"
    );
}

#[test]
fn it_goes_into_the_background_once_it_serves() {
    let place = Place::new();
    let pid_file = place.path("pid");
    let arguments = ["--pid-file", pid_file.to_str().expect("a name")];
    let first = place.run(&arguments);
    assert!(first.status.success(), "{first:?}");
    let client = place.client();
    client.write(Tx::NONE, "/x", b"").expect("written");
    let pid = std::fs::read_to_string(&pid_file).expect("there");
    let second = place.run(&arguments);
    assert!(
        second.status.success(),
        "as the original: one is there already"
    );
    let same = std::fs::read_to_string(&pid_file).expect("there");
    assert_eq!(pid, same);
    let third = place.run(&[]);
    assert!(!third.status.success());
    let complaint = text(third.stderr);
    assert!(
        complaint.contains("another xenstored is running"),
        "{complaint}"
    );
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().expect("a number"));
    rustix::process::kill_process(pid.expect("a number"), rustix::process::Signal::TERM)
        .expect("there");
    let daemon = place.start(&[]);
    assert_eq!(client.read(Tx::NONE, "/x").expect("still there"), b"");
    daemon.kill();
}

#[test]
fn a_damaged_state_is_refused_and_can_be_discarded() {
    let place = Place::new();
    let daemon = place.start(&[]);
    place.client().write(Tx::NONE, "/x", b"").expect("written");
    daemon.kill();
    let state = place.path("state");
    let mut bytes = std::fs::read(&state).expect("there");
    let whole = bytes.clone();
    bytes[100] ^= 1;
    std::fs::write(&state, &bytes).expect("damaged");
    let refused = place.run(&["--no-fork"]);
    assert_eq!(refused.status.code(), Some(1));
    let complaint = text(refused.stderr);
    assert!(
        complaint.contains("is damaged") && complaint.contains("--discard-state"),
        "{complaint}"
    );
    // A torn end is what a kill in the middle of writing leaves.
    std::fs::write(&state, &whole[..whole.len() - 1]).expect("torn");
    let daemon = place.start(&[]);
    let torn = place.client().read(Tx::NONE, "/x");
    assert!(torn.expect_err("cut off").is_not_found());
    daemon.kill();
    std::fs::write(&state, &bytes).expect("damaged");
    let _daemon = place.start(&["--discard-state"]);
    assert_eq!(
        place.client().list(Tx::NONE, "/").expect("listed"),
        ["tool"]
    );
}

#[test]
fn a_state_of_another_boot_is_put_aside() {
    let place = Place::new();
    let daemon = place.start(&[]);
    place.client().write(Tx::NONE, "/x", b"").expect("written");
    daemon.kill();
    let state = place.path("state");
    let mut bytes = std::fs::read(&state).expect("there");
    let title = b"xenstored state 1 ".len();
    bytes[title] = if bytes[title] == b'0' { b'1' } else { b'0' };
    std::fs::write(&state, &bytes).expect("changed");
    let _daemon = place.start(&[]);
    assert_eq!(
        place.client().list(Tx::NONE, "/").expect("listed"),
        ["tool"]
    );
    assert!(place.path("state.old").exists());
}

#[test]
fn bad_options_end_with_1_and_help_with_0() {
    let place = Place::new();
    assert_eq!(place.run(&["-Q", "nothing=1"]).status.code(), Some(1));
    assert_eq!(place.run(&["argument"]).status.code(), Some(1));
    assert_eq!(place.run(&["--help"]).status.code(), Some(0));
    assert_eq!(place.run(&["-H"]).status.code(), Some(0));
}

/// What a client of the storm did: the last value of each of its nodes.
type Model = BTreeMap<String, u64>;

/// Writes pairs of nodes in transactions, until it is told to stop. What was acknowledged is in the model.
fn storm(client: &Client, number: u64, stop: &AtomicBool) -> Model {
    let mut model = Model::new();
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let node = format!("/storm/{number}/{}", round % 7);
        let value = round + 1;
        let text = value.to_string();
        transaction(client, |tx| {
            client.write(tx, &node, text.as_bytes())?;
            client.write(tx, &format!("{node}/twin"), text.as_bytes())
        })
        .expect("done, sooner or later");
        model.insert(node, value);
    }
    model
}

#[test]
fn after_a_storm_with_kills_the_store_is_what_was_acknowledged() {
    let place = Place::new();
    let mut daemon = place.start(&[]);
    let stop = AtomicBool::new(false);
    let (models, _daemon) = std::thread::scope(|scope| {
        let (stop, place) = (&stop, &place);
        let runners: Vec<_> = (0..4)
            .map(|number| scope.spawn(move || storm(&place.client(), number, stop)))
            .collect();
        for _ in 0..6 {
            std::thread::sleep(Duration::from_millis(150));
            daemon.kill();
            daemon = place.start(&[]);
        }
        stop.store(true, Ordering::Relaxed);
        let join =
            |runner: std::thread::ScopedJoinHandle<'_, Model>| runner.join().expect("no panic");
        let models: Vec<Model> = runners.into_iter().map(join).collect();
        (models, daemon)
    });
    let client = place.client();
    assert_eq!(client.control(&["check"]).expect("sound"), "OK");
    let mut nodes = 0;
    for (node, value) in models.into_iter().flatten() {
        for path in [format!("{node}/twin"), node] {
            let found = text(client.read(Tx::NONE, &path).expect("there"));
            assert_eq!(found, value.to_string(), "{path}");
        }
        nodes += 1;
    }
    assert_eq!(nodes, 28);
}
