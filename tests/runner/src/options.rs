//! The command line.

use std::path::PathBuf;
use std::thread;

use crate::tools::Tools;

/// What the user is told when the command line makes no sense.
pub const USAGE: &str = "\
usage: runner all [OPTION]...             the scenarios listed in tests/scenarios/enabled
       runner scenario NAME... [OPTION]   these scenarios
       runner run [OPTION]...             the demonstration, on this terminal
       runner list                        the scenarios there are
  --image FILE     the hypervisor that GRUB loads           (target/xen-rs)
  --reference      real Xen (--image, else Debian's): ask it for a PVH dom0 and give the machine an IOMMU
  --tools WHICH    dom0's tools: stock, own, own-daemons, own-commands, both
                                                            (as the scenario says)
  --cpus N         processors of the machine                (as the scenario says)
  --memory MIB     its memory                               (as the scenario says)
  --limit SECONDS  time limit of each scenario              (as the scenario says)
  --debian DIR     where tests/debian.sh unpacked Debian    (target/debian)
  --built-tools DIR  where `make tools` put ours            (target/tools)
  --guests DIR     where the bare test kernels are          (target/guests)
  --qemu ARGS      further arguments for the emulator
  --jobs N         scenarios that run at once, each on one processor
                   (all: this machine's processors, 4 at most; else 1)
  --console        print the serial console as it comes";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Every enabled scenario.
    All,
    /// The named scenarios.
    Scenarios(Vec<String>),
    /// The demonstration, with its console on this terminal and a dom0 shell if it is one.
    Run,
    /// Print the names of all scenarios.
    List,
}

/// The parsed command line. `None` leaves a choice to the scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What to do.
    pub command: Command,
    /// File that GRUB's `multiboot2` command loads; by default ours, or Debian's for a reference.
    pub image: Option<PathBuf>,
    /// The image is real Xen, which needs to be told what this hypervisor does by itself.
    pub is_reference: bool,
    /// dom0's tools.
    pub tools: Option<Tools>,
    /// Where our tools are.
    pub built_tools: PathBuf,
    /// Processors of the emulated machine.
    pub cpus: Option<u32>,
    /// Memory of the emulated machine in MiB.
    pub memory_mib: Option<u32>,
    /// Time limit of one scenario in seconds.
    pub limit_s: Option<u64>,
    /// Output directory of `tests/debian.sh`.
    pub debian: PathBuf,
    /// Directory of the bare PVH kernels.
    pub guests: PathBuf,
    /// Further arguments for the emulator.
    pub qemu: Vec<String>,
    /// How many scenarios run at once. An emulator keeps one processor busy and takes up to 5 GiB of memory.
    pub jobs: usize,
    /// Copy the serial console to standard output.
    pub show_console: bool,
}

impl Options {
    fn new(command: Command) -> Self {
        let show_console = command == Command::Run;
        let jobs = match command {
            Command::All => thread::available_parallelism().map_or(1, |cpus| cpus.get().min(4)),
            _ => 1,
        };
        Self {
            command,
            image: None,
            is_reference: false,
            tools: None,
            built_tools: "target/tools".into(),
            cpus: None,
            memory_mib: None,
            limit_s: None,
            debian: "target/debian".into(),
            guests: "target/guests".into(),
            qemu: Vec::new(),
            jobs,
            show_console,
        }
    }
}

/// Parses the arguments after the program's name.
pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let command = match args.next().as_deref() {
        Some("all") => Command::All,
        Some("scenario") => Command::Scenarios(Vec::new()),
        Some("run") => Command::Run,
        Some("list") => Command::List,
        Some(other) => return Err(format!("unknown command {other:?}")),
        None => return Err("no command given".into()),
    };
    let mut options = Options::new(command);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--image" => options.image = Some(value()?.into()),
            "--reference" => options.is_reference = true,
            "--tools" => options.tools = Some(Tools::parse(&value()?)?),
            "--built-tools" => options.built_tools = value()?.into(),
            "--cpus" => options.cpus = Some(number(&value()?)?),
            "--memory" => options.memory_mib = Some(number(&value()?)?),
            "--limit" => options.limit_s = Some(number(&value()?)?),
            "--debian" => options.debian = value()?.into(),
            "--guests" => options.guests = value()?.into(),
            "--qemu" => options
                .qemu
                .extend(value()?.split_whitespace().map(String::from)),
            "--jobs" => options.jobs = number::<usize>(&value()?)?.max(1),
            "--console" => options.show_console = true,
            name => match &mut options.command {
                Command::Scenarios(names) if !name.starts_with('-') => names.push(name.into()),
                _ => return Err(format!("unknown argument {name:?}")),
            },
        }
    }
    match &options.command {
        Command::Scenarios(names) if names.is_empty() => Err("no scenario named".into()),
        _ => Ok(options),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn names_and_options_may_be_mixed() {
        let options = parsed("scenario a --cpus 4 b --reference").unwrap();
        assert_eq!(
            options.command,
            Command::Scenarios(vec!["a".into(), "b".into()])
        );
        assert_eq!((options.cpus, options.is_reference), (Some(4), true));
    }

    #[test]
    fn the_demonstration_shows_its_console() {
        assert!(parsed("run").unwrap().show_console);
        assert!(!parsed("all").unwrap().show_console);
    }

    #[test]
    fn only_the_whole_suite_runs_several_at_once_by_itself() {
        assert_eq!(parsed("scenario a").unwrap().jobs, 1);
        assert!((1..=4).contains(&parsed("all").unwrap().jobs));
        assert_eq!(parsed("scenario a b --jobs 2").unwrap().jobs, 2);
        assert!(parsed("all --jobs some").is_err());
    }

    #[test]
    fn senseless_lines_are_errors() {
        for line in [
            "",
            "fly",
            "scenario",
            "all --cpus",
            "all --cpus many",
            "run debian-info",
            "scenario --fast",
        ] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
    }
}
