//! QEMU's command line for a machine. Its serial port is the process's standard output and input.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::emulator::{Machine, Started, guarded, spawn};

/// All processors in one thread. With a thread each, QEMU 7.2 lets XRSTOR and FXRSTOR of one processor change flags of the first, among them
/// whether it runs a guest and under nested paging, without a lock (`cpu_clear_ignne`): see "Several processors" in docs/testing.md.
const ONE_THREAD: &str = "tcg,thread=single";

// -monitor: QEMU's MWAIT faults on hints. -rdtscp: its RDTSCP intercept reports the exit code of RDTSC.
const CPU: &str = "EPYC,+svm,+npt,-monitor,-rdtscp";

/// Starts it.
pub fn start(machine: &Machine, complaints: File) -> Result<Started, String> {
    let monitor = machine.has_input.then(|| machine.work.join("monitor"));
    let mut command = command(machine);
    if machine.is_interactive {
        command
            .args(["-serial", "mon:stdio"])
            .stdin(Stdio::inherit());
    } else {
        command.args(["-serial", "stdio"]);
        command.stdin(if machine.has_input {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        match &monitor {
            Some(path) => command
                .arg("-monitor")
                .arg(format!("unix:{},server=on,wait=off", path.display())),
            None => command.args(["-monitor", "none"]),
        };
    }
    command.args(&machine.qemu_args).stdout(Stdio::piped());
    let mut child = spawn(&mut command, complaints)?;
    Ok(Started {
        output: Box::new(child.stdout.take().expect("piped")),
        input: child
            .stdin
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn std::io::Write>),
        child,
        monitor,
    })
}

fn command(machine: &Machine) -> Command {
    let mut command = guarded("qemu-system-x86_64");
    let board = if machine.has_iommu {
        "q35,kernel-irqchip=split"
    } else {
        "q35"
    };
    command.args(["-M", board, "-accel", ONE_THREAD, "-cpu", CPU]);
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
    command
}
