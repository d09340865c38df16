//! Runs an emulator with a time limit and passes its serial console to a judge, a log file and, on request, the terminal; does to the machine
//! what the scenario says.
//!
//! No KVM is used: an emulated processor is the same on every machine. The process is ended by its own handle, and
//! `setpriv` has the kernel end it if the runner dies first.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::bochs;
use crate::expect::{Action, Judge, Verdict};
use crate::qemu;

/// How long a machine may go on after the verdict: to power off, or to finish telling why it died.
const GRACE: Duration = Duration::from_secs(5);
/// Between two typed characters: a port has room for sixteen, and a machine may be slow.
const TYPING: Duration = Duration::from_millis(20);

/// What emulates the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emulator {
    /// QEMU, with AMD-V.
    Qemu,
    /// Bochs, with this processor model.
    Bochs(String),
}

/// An emulated machine to run once.
pub struct Machine {
    /// What emulates it.
    pub emulator: Emulator,
    /// The scenario does something to it: its serial port and the emulator's monitor take input.
    pub has_input: bool,
    /// It must stop by itself so long after the last expectation.
    pub must_stop: Option<Duration>,
    /// A directory for files of the emulator.
    pub work: PathBuf,
    /// The CD it boots from.
    pub cd: PathBuf,
    /// Number of processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Has an AMD IOMMU.
    pub has_iommu: bool,
    /// Further arguments for QEMU.
    pub qemu_args: Vec<String>,
    /// The terminal belongs to the machine's serial port; there is no limit once the verdict is there.
    pub is_interactive: bool,
}

/// A running emulator.
pub struct Started {
    /// Its process.
    pub child: Child,
    /// What comes out of the machine's serial port.
    pub output: Box<dyn Read + Send>,
    /// What goes into it, if the scenario types.
    pub input: Option<Box<dyn Write>>,
    /// Where the monitor listens, if there is one.
    pub monitor: Option<PathBuf>,
}

/// Where the console goes besides the judge.
pub struct Console<'a> {
    /// Everything read from the serial port.
    pub log: &'a Path,
    /// What the emulator itself complained about.
    pub complaints: &'a Path,
    /// Copy to standard output.
    pub is_shown: bool,
}

/// Runs the machine until it stops, the verdict is there, or `limit` has passed.
pub fn run(
    machine: &Machine,
    judge: Judge<'_>,
    console: &Console<'_>,
    limit: Duration,
) -> Result<Verdict, String> {
    let named = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let log = File::create(console.log).map_err(|error| named(console.log, error))?;
    let complaints =
        File::create(console.complaints).map_err(|error| named(console.complaints, error))?;
    let started = match &machine.emulator {
        Emulator::Qemu => qemu::start(machine, complaints)?,
        Emulator::Bochs(model) => bochs::start(machine, model, complaints)?,
    };
    let mut child = started.child;
    let output = read_in_background(started.output);
    let mut watch = Watch {
        judge,
        log,
        is_shown: console.is_shown,
        line: Vec::new(),
        input: started.input,
        monitor: started.monitor,
    };
    let grace = if machine.is_interactive {
        Duration::from_secs(u32::MAX.into())
    } else {
        machine.must_stop.unwrap_or(GRACE)
    };
    let end = watch.until_done(&output, limit, grace);
    stop(&mut child);
    watch.end_line();
    let goes_on = machine.must_stop.is_some() && end != End::Stopped;
    Ok(match watch.judge.close(&end.to_string()) {
        Verdict::Passed if goes_on => Verdict::Failed("the machine goes on".into()),
        verdict => verdict,
    })
}

/// A command that the kernel ends if the runner dies first.
pub fn guarded(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
}

/// Starts `command`.
pub fn spawn(command: &mut Command, complaints: File) -> Result<Child, String> {
    let program = command.get_args().nth(2).unwrap_or_default().to_owned();
    command
        .stderr(Stdio::from(complaints))
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))
}

fn read_in_background(mut serial: Box<dyn Read + Send>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = serial.read(&mut buffer) {
            if sender.send(buffer[..len].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn stop(child: &mut Child) {
    if !matches!(child.try_wait(), Ok(Some(_))) {
        // Failing to end a process that has just ended by itself is no failure.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Why nothing more was read.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Stopped,
    Limit(Duration),
    Trouble(String),
}

impl std::fmt::Display for End {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => write!(out, "the machine stopped"),
            Self::Limit(limit) => write!(out, "time limit of {} s", limit.as_secs()),
            Self::Trouble(why) => write!(out, "{why}"),
        }
    }
}

struct Watch<'a> {
    judge: Judge<'a>,
    log: File,
    is_shown: bool,
    line: Vec<u8>,
    input: Option<Box<dyn Write>>,
    monitor: Option<PathBuf>,
}

impl Watch<'_> {
    /// Reads until there is nothing more to learn, which is at most `grace` after the verdict; says why that is.
    fn until_done(&mut self, output: &Receiver<Vec<u8>>, limit: Duration, grace: Duration) -> End {
        let mut deadline = Instant::now() + limit;
        let mut is_decided = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match output.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => return End::Limit(limit),
                Err(RecvTimeoutError::Disconnected) => return End::Stopped,
            }
            if let Err(why) = self.act() {
                return End::Trouble(why);
            }
            if !is_decided && *self.judge.verdict() != Verdict::Open {
                is_decided = true;
                deadline = Instant::now() + grace;
            }
        }
    }

    /// Does what is due.
    fn act(&mut self) -> Result<(), String> {
        for action in self.judge.due() {
            match action {
                Action::Send(bytes) => self.type_in(bytes)?,
                Action::Monitor(command) => self.tell_monitor(command)?,
            }
        }
        Ok(())
    }

    fn type_in(&mut self, bytes: &[u8]) -> Result<(), String> {
        let input = self.input.as_mut().ok_or("nothing can be typed")?;
        for byte in bytes {
            input
                .write_all(&[*byte])
                .and_then(|()| input.flush())
                .map_err(|error| format!("typing: {error}"))?;
            std::thread::sleep(TYPING);
        }
        Ok(())
    }

    fn tell_monitor(&mut self, command: &str) -> Result<(), String> {
        let path = self.monitor.as_ref().ok_or("there is no monitor")?;
        std::os::unix::net::UnixStream::connect(path)
            .and_then(|mut stream| {
                stream.write_all(format!("{command}\n").as_bytes())?;
                // It reads the command only as long as somebody listens.
                stream.set_read_timeout(Some(Duration::from_secs(1)))?;
                while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
                Ok(())
            })
            .map_err(|error| format!("monitor: {error}"))
    }

    fn take(&mut self, bytes: &[u8]) {
        // A log that cannot be written must not change the verdict.
        let _ = self.log.write_all(bytes);
        if self.is_shown {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        }
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                byte => self.line.push(*byte),
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.judge.read(&String::from_utf8_lossy(&line));
    }
}
