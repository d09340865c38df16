//! The client with a user at a terminal. A session takes over standard input and output, so each one runs in a process of its own: this test
//! program, started again with only [`session`].

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use xenconsoled::client::{Attach, DEFAULT_ESCAPE, Kind, attach};
use xenctl::DomId;
use xenstore::local::LocalStore;
use xenstore::{Access, Tx};

/// What the guest does in a session; also its domain's number, so that sessions do not lock each other out.
const GUEST: &str = "XENCONSOLED_TEST_GUEST";
const ECHOES: u16 = 32001;
const DIES: u16 = 32002;
const MOVES: u16 = 32003;
const IS_SILENT: u16 = 32004;
const IS_ONLY_SHOWN: u16 = 32005;

/// A pseudo-terminal: its master, and the other end.
fn terminal() -> (File, OwnedFd, String) {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let slave = rustix::fs::open(&*name, flags, Mode::empty()).unwrap();
    (master.into(), slave, name.into_string().unwrap())
}

/// A guest's terminal in the store.
struct Console {
    master: File,
    _slave: OwnedFd,
}

impl Console {
    fn new(store: &LocalStore, guest: u16) -> Self {
        let (master, slave, name) = terminal();
        let mut settings = tcgetattr(&slave).unwrap();
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings).unwrap();
        store.write(Tx::NONE, &tty(guest), name.as_bytes()).unwrap();
        Self {
            master,
            _slave: slave,
        }
    }

    fn say(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    fn echo(&mut self) {
        loop {
            let mut typed = [0; 256];
            let count = self.master.read(&mut typed).unwrap();
            let typed = String::from_utf8_lossy(&typed[..count]).into_owned();
            self.say(&format!("HEARD {typed:?}\r\n"));
        }
    }
}

fn tty(guest: u16) -> String {
    format!("/local/domain/{guest}/console/tty")
}

fn play(store: &LocalStore, guest: u16, mut console: Console) {
    console.say("WELCOME\r\n");
    let a_while = Duration::from_millis(200);
    match guest {
        ECHOES => console.echo(),
        DIES => {
            thread::sleep(a_while);
            console.say("Power down\r\n");
            thread::sleep(a_while);
            store.remove(Tx::NONE, &tty(guest)).unwrap();
            thread::sleep(Duration::from_secs(5));
        }
        MOVES => {
            thread::sleep(a_while);
            // The daemon is killed, and another one comes.
            drop(console);
            thread::sleep(a_while);
            let mut console = Console::new(store, guest);
            console.say("AGAIN\r\n");
            console.echo();
        }
        _ => thread::sleep(Duration::from_secs(5)),
    }
}

/// In a process of its own: plays a guest and attaches to its console.
#[test]
fn session() {
    let Some(guest) = std::env::var(GUEST)
        .ok()
        .and_then(|guest| guest.parse().ok())
    else {
        return;
    };
    let store = LocalStore::default();
    let console = Console::new(&store, guest);
    let guests_store = store.connect();
    thread::spawn(move || play(&guests_store, guest, console));
    let what = Attach {
        domain: DomId(guest),
        number: 0,
        kind: Kind::Serial,
        escape: DEFAULT_ESCAPE,
        is_interactive: false,
        started: None,
    };
    let store: Arc<dyn Access> = Arc::new(store);
    println!("SESSION {:?}", attach(&store, what));
}

fn start(guest: u16, input: Stdio, output: Stdio) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "session", "--nocapture"])
        .env(GUEST, guest.to_string())
        .stdin(input)
        .stdout(output)
        .spawn()
        .unwrap()
}

/// A user at a terminal with a session.
struct User {
    keyboard: File,
    terminal: OwnedFd,
    screen: String,
    process: Child,
}

impl User {
    fn of(guest: u16) -> Self {
        let (keyboard, terminal, _) = terminal();
        rustix::io::ioctl_fionbio(&keyboard, true).unwrap();
        let end = || Stdio::from(terminal.try_clone().unwrap());
        let process = start(guest, end(), end());
        Self {
            keyboard,
            terminal,
            screen: String::new(),
            process,
        }
    }

    fn sees(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(8);
        while !self.screen.contains(text) {
            assert!(Instant::now() < deadline, "no {text} in {:?}", self.screen);
            let mut bytes = [0; 4096];
            match self.keyboard.read(&mut bytes) {
                Ok(count) => self.screen += &String::from_utf8_lossy(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    fn has_lines(&self) -> bool {
        let modes = tcgetattr(self.terminal.as_fd()).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    fn sees_the_end(&mut self) {
        self.sees("SESSION Ok(())");
        self.process.wait().unwrap();
        assert!(self.has_lines(), "the terminal is as it was");
    }
}

#[test]
fn keys_reach_the_guest_and_the_escape_ends_the_session() {
    let mut user = User::of(ECHOES);
    user.sees("WELCOME");
    assert!(!user.has_lines(), "raw while the session lasts");
    user.types("\x03ls\r");
    user.sees(r#"HEARD "\u{3}ls\r""#);
    user.types("\x1d");
    user.sees_the_end();
    assert_eq!(user.screen.matches("HEARD").count(), 1);
}

#[test]
fn the_guests_end_is_the_sessions_and_its_last_words_are_shown() {
    let mut user = User::of(DIES);
    user.sees("Power down");
    user.sees_the_end();
}

#[test]
fn the_session_goes_on_with_another_daemon() {
    let mut user = User::of(MOVES);
    user.sees("AGAIN");
    user.types("x");
    user.sees(r#"HEARD "x""#);
    user.types("\x1d");
    user.sees_the_end();
}

#[test]
fn a_signal_ends_the_session_in_order() {
    let mut user = User::of(IS_SILENT);
    user.sees("WELCOME");
    let process = Pid::from_child(&user.process);
    kill_process(process, Signal::TERM).unwrap();
    user.sees_the_end();
}

#[test]
fn without_a_terminal_the_console_is_only_shown() {
    let mut process = start(IS_ONLY_SHOWN, Stdio::null(), Stdio::piped());
    let mut output = process.stdout.take().unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"WELCOME\r\n") {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    kill_process(Pid::from_child(&process), Signal::INT).unwrap();
    output.read_to_end(&mut text).unwrap();
    assert!(process.wait().unwrap().success());
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("SESSION Ok(())"), "{text}");
}
