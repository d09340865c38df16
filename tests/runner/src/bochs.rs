//! Bochs' configuration for a machine. It has what QEMU's emulation lacks: next-RIP saving with AMD-V, and x2APIC.
//!
//! Debian builds it with its debugger, which waits at start for a command. The serial port is a connection to a socket of the runner's:
//! Bochs buffers a file.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::emulator::{Machine, Started, guarded, spawn};

/// How long it may take until its serial port is there.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts it with the processor model.
pub fn start(machine: &Machine, model: &str, complaints: File) -> Result<Started, String> {
    let named = |error: std::io::Error| format!("Bochs: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(named)?;
    let port = listener.local_addr().map_err(named)?.port();
    let (settings, commands) = (machine.work.join("bochsrc"), machine.work.join("commands"));
    let screen_rom = first_present([
        "/usr/share/bochs/VGABIOS-lgpl-latest",
        "/usr/share/bochs/VGABIOS-lgpl-latest.bin",
    ])?;
    fs::write(&settings, configuration(machine, model, port, screen_rom)).map_err(named)?;
    fs::write(&commands, "c\n".repeat(100)).map_err(named)?;
    let mut command = guarded(first_present(["/usr/bin/bochs-bin", "/usr/bin/bochs"])?);
    command.arg("-q").arg("-f").arg(&settings);
    command.arg("-rc").arg(&commands);
    command
        .stdin(Stdio::null())
        .stdout(complaints.try_clone().map_err(named)?);
    let mut child = spawn(&mut command, complaints)?;
    let serial = accept(&listener, &mut child)?;
    Ok(Started {
        output: Box::new(serial.try_clone().map_err(named)?),
        input: Some(Box::new(serial)),
        child,
        monitor: None,
    })
}

/// The file that this version of Debian has.
fn first_present(candidates: [&'static str; 2]) -> Result<&'static str, String> {
    let found = candidates.into_iter().find(|path| Path::new(path).exists());
    found.ok_or_else(|| format!("Bochs is not installed: no {}", candidates[0]))
}

fn accept(listener: &TcpListener, child: &mut Child) -> Result<std::net::TcpStream, String> {
    let named = |error: std::io::Error| format!("Bochs' serial port: {error}");
    listener.set_nonblocking(true).map_err(named)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).map_err(named)?;
                return Ok(stream);
            }
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                return Err(named(error));
            }
            Err(_) if matches!(child.try_wait(), Ok(Some(_))) => return Err("Bochs ended".into()),
            Err(_) if Instant::now() > deadline => {
                // It may have ended meanwhile.
                let _ = child.kill();
                return Err("Bochs opens no serial port".into());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// GRUB must find no graphics modes: `vga: extension=none`.
fn configuration(machine: &Machine, model: &str, port: u16, screen_rom: &str) -> String {
    let (cpus, memory, cd) = (machine.cpus, machine.memory_mib, machine.cd.display());
    let log = machine.work.join("bochs.log");
    let log = log.display();
    format!(
        "display_library: rfb, options=\"timeout=0\"
cpu: model={model}, count={cpus}, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file={screen_rom}
vga: extension=none
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={cd}, status=inserted
boot: cdrom
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
log: {log}
clock: sync=none
plugin_ctrl: biosdev=1, sb16=0, es1370=0, voodoo=0, gameport=0, parallel=0
sound: driver=dummy
speaker: mode=none
panic: action=report
error: action=ignore
info: action=ignore
debug: action=ignore
"
    )
}
