//! Runs QEMU with a time limit and passes its serial console to a judge, a log file and, on request, the terminal.
//!
//! No KVM is used: QEMU's own emulation of AMD-V is the same on every machine. The process is ended by its own handle, and
//! `setpriv` has the kernel end it if the runner dies first.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::expect::{Judge, Verdict};

// -monitor: QEMU's MWAIT faults on hints. -rdtscp: its RDTSCP intercept reports the exit code of RDTSC.
const CPU: &str = "EPYC,+svm,+npt,-monitor,-rdtscp";
/// How long a machine may go on after the verdict: to power off, or to finish telling why it died.
const GRACE: Duration = Duration::from_secs(5);

/// An emulated machine to run once.
pub struct Machine {
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

/// Where the console goes besides the judge.
pub struct Console<'a> {
    /// Everything read from the serial port.
    pub log: &'a Path,
    /// What QEMU itself complained about.
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
    let mut child = command(machine)
        .stderr(complaints)
        .spawn()
        .map_err(|error| format!("cannot start QEMU: {error}"))?;
    let output = read_in_background(child.stdout.take().expect("piped"));
    let mut watch = Watch {
        judge,
        log,
        is_shown: console.is_shown,
        line: Vec::new(),
    };
    let why = watch.until_done(&output, limit, machine.is_interactive);
    stop(&mut child);
    watch.end_line();
    Ok(watch.judge.close(&why))
}

fn command(machine: &Machine) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    let board = if machine.has_iommu {
        "q35,kernel-irqchip=split"
    } else {
        "q35"
    };
    command.args(["-M", board, "-accel", "tcg,thread=multi", "-cpu", CPU]);
    if machine.has_iommu {
        command.args(["-device", "amd-iommu"]);
    }
    command.args([
        "-smp",
        &machine.cpus.to_string(),
        "-m",
        &machine.memory_mib.to_string(),
    ]);
    command.arg("-cdrom").arg(&machine.cd);
    command.args(["-no-reboot", "-display", "none"]);
    if machine.is_interactive {
        command
            .args(["-serial", "mon:stdio"])
            .stdin(Stdio::inherit());
    } else {
        command
            .args(["-serial", "stdio", "-monitor", "none"])
            .stdin(Stdio::null());
    }
    command.args(&machine.qemu_args).stdout(Stdio::piped());
    command
}

fn read_in_background(mut serial: ChildStdout) -> Receiver<Vec<u8>> {
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

struct Watch<'a> {
    judge: Judge<'a>,
    log: File,
    is_shown: bool,
    line: Vec<u8>,
}

impl Watch<'_> {
    /// Reads until there is nothing more to learn; says why that is.
    fn until_done(
        &mut self,
        output: &Receiver<Vec<u8>>,
        limit: Duration,
        is_interactive: bool,
    ) -> String {
        let mut deadline = Instant::now() + limit;
        let mut is_decided = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match output.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => {
                    return format!("time limit of {} s", limit.as_secs());
                }
                Err(RecvTimeoutError::Disconnected) => return "the machine stopped".into(),
            }
            if !is_decided && *self.judge.verdict() != Verdict::Open {
                is_decided = true;
                deadline = Instant::now()
                    + if is_interactive {
                        Duration::from_secs(u32::MAX.into())
                    } else {
                        GRACE
                    };
            }
        }
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
