//! Runs scenarios, several at once where asked: makes the boot CD, starts the machine, reports.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::boot_cd::{self, Module, Part};
use crate::dom0_initramfs::{self, Dom0Files, Extras};
use crate::emulator::{self, Console, Machine};
use crate::expect::{Judge, Verdict};
use crate::options::{Command, Options};
use crate::report::Report;
use crate::scenario::{self, Dom0, Overrides, Scenario};

const LOGS: &str = "target/logs";
const WORK: &str = "target/scenarios";
const DEMONSTRATION: &str = "debian-pvh-guest";

/// Does what the command line asks; true when everything passed.
pub fn run(options: &Options) -> Result<bool, String> {
    let plain = |name: &String| (name.clone(), Overrides::default());
    let chosen = match &options.command {
        Command::List => {
            scenario::names()?
                .iter()
                .for_each(|name| println!("{name}"));
            return Ok(true);
        }
        Command::All => scenario::enabled()?,
        Command::Scenarios(names) => names.iter().map(plain).collect(),
        Command::Run => vec![plain(&DEMONSTRATION.into())],
    };
    let (report, next) = (Mutex::new(Report::default()), AtomicUsize::new(0));
    let work = || {
        while let Some((name, own)) = chosen.get(next.fetch_add(1, Relaxed)) {
            run_and_tell(options, name, *own, &report);
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(work);
        }
    });
    let report = report
        .into_inner()
        .map_err(|_| "a scenario's run panicked")?;
    Ok(report.finish())
}

/// Runs one scenario with what the list of scenarios and the caller set, and puts the result into the report.
fn run_and_tell(options: &Options, name: &str, own: Overrides, report: &Mutex<Report>) {
    let overrides = Overrides {
        tools: options.tools.or(own.tools),
        is_reference: options.is_reference || own.is_reference,
        cpus: options.cpus.or(own.cpus),
        memory_mib: options.memory_mib,
        limit_s: options.limit_s,
    };
    let title = title(name, overrides);
    let log = PathBuf::from(format!("{LOGS}/{title}.log"));
    let started = Instant::now();
    let verdict = run_one(options, name, &title, overrides, &log).unwrap_or_else(Verdict::Failed);
    if let Ok(mut report) = report.lock() {
        report.tell(&title, &verdict, started.elapsed(), &log);
    }
}

/// The name of the run's log and directory.
fn title(name: &str, overrides: Overrides) -> String {
    let cpus = overrides.cpus.map(|cpus| format!("-{cpus}cpus"));
    let xen = if overrides.is_reference { "-xen" } else { "" };
    let tools = overrides.tools.unwrap_or_default().suffix();
    format!("{name}{}{tools}{xen}", cpus.unwrap_or_default())
}

fn run_one(
    options: &Options,
    name: &str,
    title: &str,
    overrides: Overrides,
    log: &Path,
) -> Result<Verdict, String> {
    let work = PathBuf::from(WORK).join(title);
    for directory in [Path::new(LOGS), &work] {
        fs::create_dir_all(directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    // A log of an earlier run must not explain this one.
    let _ = fs::remove_file(log);
    let scenario = scenario::load(name, overrides)?;
    let is_interactive = options.command == Command::Run && std::io::stdin().is_terminal();
    let cd = make_cd(options, &scenario, &work, is_interactive)?;
    let machine = Machine {
        emulator: scenario.emulator.clone(),
        has_input: !scenario.demands.actions.is_empty(),
        must_stop: scenario.stops_s.map(Duration::from_secs),
        work: work.clone(),
        cd,
        cpus: scenario.cpus,
        memory_mib: scenario.memory_mib,
        has_iommu: scenario.is_reference,
        qemu_args: qemu_args(&scenario, options, is_interactive),
        is_interactive,
    };
    let console = Console {
        log,
        complaints: &work.join("qemu.stderr"),
        is_shown: options.show_console,
    };
    let verdict = emulator::run(
        &machine,
        Judge::new(&scenario.demands),
        &console,
        Duration::from_secs(scenario.limit_s),
    )?;
    // Tens of megabytes that can be made again in a second.
    let _ = fs::remove_file(&machine.cd);
    Ok(verdict)
}

fn make_cd(
    options: &Options,
    scenario: &Scenario,
    work: &Path,
    has_shell: bool,
) -> Result<PathBuf, String> {
    let args = hypervisor_args(scenario);
    let kernel_args = |own: &str| format!("placeholder {own} {}", scenario.dom0_args);
    let module = |part, args| Module {
        parts: vec![part],
        args,
        is_raw: false,
    };
    let guest_path;
    let dom0: Dom0Files;
    let modules = match &scenario.dom0 {
        Dom0::Missing => vec![],
        Dom0::Text(words) => vec![module(
            Part::Bytes(words.clone().into_bytes()),
            kernel_args(""),
        )],
        Dom0::Cut(bytes) => vec![module(
            Part::Bytes(cut_kernel(options, *bytes as usize)?),
            kernel_args(""),
        )],
        Dom0::Damaged(from) => vec![module(
            Part::Bytes(damaged_kernel(options, *from as usize)?),
            kernel_args(""),
        )],
        Dom0::Guest(name) => {
            guest_path = options.guests.join(name);
            vec![module(Part::File(&guest_path), kernel_args(""))]
        }
        Dom0::Debian => {
            let extras = Extras {
                stock: scenario.tools.has_stock(),
                systemd: scenario.has_systemd,
            };
            dom0 = dom0_initramfs::prepare(&options.debian, Path::new("target/dom0"), extras)?;
            let shell = if has_shell { "dom0.shell" } else { "" };
            let kernels: Vec<_> = scenario
                .domu_kernels
                .iter()
                .map(|name| options.guests.join(name))
                .collect();
            let own = dom0_initramfs::scenario_archive(
                scenario.script.as_deref(),
                &kernels,
                scenario.files.as_deref(),
            )?;
            let tools = scenario.tools.overlay(&options.built_tools)?;
            let parts = vec![
                Part::File(&dom0.initramfs),
                Part::Bytes(tools),
                Part::Bytes(own),
            ];
            let kernel = module(
                Part::File(&dom0.kernel),
                kernel_args(&format!("console=hvc0 {shell}")),
            );
            vec![
                kernel,
                Module {
                    parts,
                    args: String::new(),
                    is_raw: true,
                },
            ]
        }
    };
    let image = hypervisor_file(options, scenario, work)?;
    boot_cd::make(work, &image, &args, &modules)
}

/// What the scenario and the command line add for the emulator. Real Xen loses dom0 on an emulated machine whose clock follows the host's; one
/// that counts instructions serves it well, but its time flies while nothing runs, which nobody wants at a terminal.
fn qemu_args(scenario: &Scenario, options: &Options, is_interactive: bool) -> Vec<String> {
    let mut args: Vec<String> = scenario
        .qemu_args
        .iter()
        .chain(&options.qemu)
        .cloned()
        .collect();
    if scenario.is_reference && !is_interactive && !args.iter().any(|arg| arg == "-icount") {
        args.extend(["-icount", "shift=0,sleep=off"].map(String::from));
    }
    args
}

/// The hypervisor as GRUB gets it.
fn hypervisor_file(options: &Options, scenario: &Scenario, work: &Path) -> Result<PathBuf, String> {
    let image = image(options, scenario);
    if !scenario.is_compressed {
        return Ok(image);
    }
    let compressed = work.join("hypervisor.gz");
    compress(&image, &compressed)?;
    Ok(compressed)
}

/// The file of the hypervisor.
fn image(options: &Options, scenario: &Scenario) -> PathBuf {
    let usual = if scenario.is_reference {
        options.debian.join("xen")
    } else {
        "target/xen-rs".into()
    };
    options.image.clone().unwrap_or(usual)
}

/// `gzip` of a file into another.
fn compress(from: &Path, to: &Path) -> Result<(), String> {
    let named = |error: std::io::Error| format!("gzip: {error}");
    let output = fs::File::create(to).map_err(named)?;
    let status = std::process::Command::new("gzip")
        .arg("-9nc")
        .arg(from)
        .stdout(output)
        .status();
    match status.map_err(named)?.success() {
        true => Ok(()),
        false => Err("gzip failed".into()),
    }
}

/// The beginning of Debian's kernel.
fn cut_kernel(options: &Options, bytes: usize) -> Result<Vec<u8>, String> {
    let mut kernel = debian_kernel(options)?;
    kernel.truncate(bytes);
    Ok(kernel)
}

/// Debian's kernel, of which 4 KiB from `from` on are something else.
fn damaged_kernel(options: &Options, from: usize) -> Result<Vec<u8>, String> {
    let mut kernel = debian_kernel(options)?;
    let damaged = kernel.iter_mut().skip(from).take(4096);
    damaged.for_each(|byte| *byte ^= 0x5a);
    Ok(kernel)
}

fn debian_kernel(options: &Options) -> Result<Vec<u8>, String> {
    let path = dom0_initramfs::kernel(&options.debian)?;
    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn hypervisor_args(scenario: &Scenario) -> String {
    // Pinned: without it dom0 on real Xen and several emulated processors (QEMU 7.2) often died with a wrong GS base.
    let reference = if scenario.is_reference {
        "dom0=pvh dom0_vcpus_pin "
    } else {
        ""
    };
    let memory = scenario.dom0_memory_mib;
    let own = &scenario.hypervisor_args;
    format!(
        "{reference}dom0_mem={memory}M console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all {own}"
    )
}
