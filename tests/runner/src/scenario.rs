//! Scenario files: `tests/scenarios/NAME.scenario`, with dom0's script in `NAME.sh` beside it, and the list of enabled ones.
//!
//! A file has one `key: value` a line; `#` starts a comment line. The keys are described at [`Scenario`]. Expectations are read
//! in the order they stand; `{cpus}` in them is the machine's number of processors.

use std::path::{Path, PathBuf};

use crate::emulator::Emulator;
use crate::expect::{Action, Demands, Expectation, Pattern};
use crate::tools::Tools;

const DIRECTORY: &str = "tests/scenarios";

/// What GRUB loads after the hypervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dom0 {
    /// `kernel: debian`: Debian's kernel with the test initramfs and the scenario's script.
    Debian,
    /// `kernel: guest NAME`: a bare PVH kernel of `tests/guests`.
    Guest(String),
    /// `kernel: text WORDS`: a file with these words, which is no kernel.
    Text(String),
    /// `kernel: cut BYTES`: the beginning of Debian's kernel.
    Cut(u64),
    /// `kernel: damaged BYTE`: Debian's kernel, of which 4 KiB from this byte on are something else.
    Damaged(u64),
    /// `kernel: none`: no module at all.
    Missing,
}

/// One scenario, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Name of its file.
    pub name: String,
    /// `kernel:`, see [`Dom0`].
    pub dom0: Dom0,
    /// `domu: NAME`: bare kernels of `tests/guests` that dom0 finds as `/guest/NAME`.
    pub domu_kernels: Vec<String>,
    /// `files: DIRECTORY`: what dom0 finds below `/files`.
    pub files: Option<PathBuf>,
    /// dom0's script, where there is one.
    pub script: Option<PathBuf>,
    /// `tools:` which tools dom0 has, see [`Tools::parse`].
    pub tools: Tools,
    /// `init: systemd`: what dom0's first process is, instead of a script.
    pub has_systemd: bool,
    /// `xen: reference`: the hypervisor is Debian's Xen.
    pub is_reference: bool,
    /// `cpus:` processors of the machine.
    pub cpus: u32,
    /// `memory:` of the machine in MiB.
    pub memory_mib: u32,
    /// `dom0-memory:` in MiB.
    pub dom0_memory_mib: u32,
    /// `limit:` in seconds for the whole run on a busy machine.
    pub limit_s: u64,
    /// `hypervisor:` further arguments for it.
    pub hypervisor_args: String,
    /// `dom0:` further arguments for dom0's kernel.
    pub dom0_args: String,
    /// `qemu:` further arguments for the emulator.
    pub qemu_args: Vec<String>,
    /// `emulator:`: `qemu`, or `bochs MODEL` with one of its processor models.
    pub emulator: Emulator,
    /// `stops:` seconds after the last expectation within which the machine must stop by itself.
    pub stops_s: Option<u64>,
    /// `image: gzip`: GRUB gets the hypervisor compressed.
    pub is_compressed: bool,
    /// `expect:`, `line:`, `step:`, and `end:` for the last; `send:`, `monitor:`, `never:`, `allow:` and `same:`. See [`Demands`].
    pub demands: Demands,
}

/// What a caller may set over a scenario's own choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// dom0's tools.
    pub tools: Option<Tools>,
    /// The hypervisor is Debian's Xen.
    pub is_reference: bool,
    /// Processors of the machine.
    pub cpus: Option<u32>,
    /// Memory of the machine in MiB.
    pub memory_mib: Option<u32>,
    /// Time limit in seconds.
    pub limit_s: Option<u64>,
}

/// Names of all scenarios there are, sorted.
pub fn names() -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(DIRECTORY).map_err(|error| format!("{DIRECTORY}: {error}"))?;
    let file_names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = file_names
        .filter_map(|name| Some(name.strip_suffix(".scenario")?.to_string()))
        .collect();
    names.sort();
    Ok(names)
}

/// The enabled scenarios with their own overrides, in the order of the list.
pub fn enabled() -> Result<Vec<(String, Overrides)>, String> {
    parse_enabled(&read(&Path::new(DIRECTORY).join("enabled"))?)
}

/// Reads one scenario.
pub fn load(name: &str, overrides: Overrides) -> Result<Scenario, String> {
    let directory = Path::new(DIRECTORY);
    let file = directory.join(format!("{name}.scenario"));
    let mut scenario = parse(name, &read(&file)?, overrides)
        .map_err(|reason| format!("{}: {reason}", file.display()))?;
    let script = directory.join(format!("{name}.sh"));
    scenario.script = script.exists().then_some(script);
    Ok(scenario)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn content_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn parse_enabled(text: &str) -> Result<Vec<(String, Overrides)>, String> {
    content_lines(text)
        .map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default().to_string();
            let mut overrides = Overrides::default();
            for word in words {
                match word.split_once('=') {
                    Some(("cpus", cpus)) => overrides.cpus = Some(number(cpus)?),
                    Some(("tools", tools)) => overrides.tools = Some(Tools::parse(tools)?),
                    Some(("xen", "reference")) => overrides.is_reference = true,
                    _ => return Err(format!("enabled: {word:?} in {line:?} means nothing")),
                }
            }
            Ok((name, overrides))
        })
        .collect()
}

fn parse(name: &str, text: &str, overrides: Overrides) -> Result<Scenario, String> {
    let mut scenario = Scenario {
        name: name.into(),
        dom0: Dom0::Missing,
        domu_kernels: Vec::new(),
        files: None,
        script: None,
        tools: Tools::Stock,
        has_systemd: false,
        is_reference: false,
        cpus: 2,
        memory_mib: 3072,
        dom0_memory_mib: 1024,
        limit_s: 300,
        hypervisor_args: String::new(),
        dom0_args: String::new(),
        qemu_args: Vec::new(),
        emulator: Emulator::Qemu,
        stops_s: None,
        is_compressed: false,
        demands: Demands::default(),
    };
    let mut has_ended = false;
    for line in content_lines(text) {
        let (key, value) = line
            .split_once(':')
            .ok_or_else(|| format!("no key in {line:?}"))?;
        set_machine(&mut scenario, key, value.trim())?;
        has_ended = key == "end"
            || (has_ended && !matches!(key, "expect" | "line" | "step" | "send" | "monitor"));
    }
    if !has_ended {
        return Err("the last expectation must be an `end:`".into());
    }
    scenario.tools = overrides.tools.unwrap_or(scenario.tools);
    scenario.is_reference |= overrides.is_reference;
    scenario.cpus = overrides.cpus.unwrap_or(scenario.cpus);
    scenario.memory_mib = overrides.memory_mib.unwrap_or(scenario.memory_mib);
    scenario.limit_s = overrides.limit_s.unwrap_or(scenario.limit_s);
    let cpus = scenario.cpus;
    for line in content_lines(text) {
        let (key, value) = line.split_once(':').unwrap_or_default();
        set_demand(
            &mut scenario.demands,
            key,
            &value.trim().replace("{cpus}", &cpus.to_string()),
        )?;
    }
    Ok(scenario)
}

fn set_machine(scenario: &mut Scenario, key: &str, value: &str) -> Result<(), String> {
    match key {
        "about" | "expect" | "line" | "step" | "end" | "never" | "allow" | "same" | "send"
        | "monitor" => {}
        "kernel" => scenario.dom0 = kernel(value)?,
        "domu" => scenario.domu_kernels.push(value.into()),
        "files" => scenario.files = Some(value.into()),
        "tools" => scenario.tools = Tools::parse(value)?,
        "init" if value == "systemd" => scenario.has_systemd = true,
        "xen" if value == "reference" => scenario.is_reference = true,
        "cpus" => scenario.cpus = number(value)?,
        "memory" => scenario.memory_mib = number(value)?,
        "dom0-memory" => scenario.dom0_memory_mib = number(value)?,
        "limit" => scenario.limit_s = number(value)?,
        "hypervisor" => scenario.hypervisor_args = value.into(),
        "dom0" => scenario.dom0_args = value.into(),
        "emulator" => scenario.emulator = emulator(value)?,
        "stops" => scenario.stops_s = Some(number(value)?),
        "image" if value == "gzip" => scenario.is_compressed = true,
        "qemu" => scenario.qemu_args = value.split_whitespace().map(String::from).collect(),
        _ => return Err(format!("unknown key {key:?}")),
    }
    Ok(())
}

fn set_demand(demands: &mut Demands, key: &str, value: &str) -> Result<(), String> {
    match key {
        "expect" | "end" => demands
            .ordered
            .push(Expectation::Anywhere(Pattern::parse(value)?)),
        "line" => demands
            .ordered
            .push(Expectation::LineStart(Pattern::parse(value)?)),
        "step" => demands.ordered.push(Expectation::Step(value.into())),
        "send" => demands
            .actions
            .push((demands.ordered.len(), Action::typed(value)?)),
        "monitor" => demands
            .actions
            .push((demands.ordered.len(), Action::Monitor(value.into()))),
        "never" => demands.forbidden.push(value.into()),
        "allow" => demands.allowed.push(value.into()),
        "same" => {
            let (one, other) = value
                .split_once(' ')
                .ok_or("`same:` takes two line beginnings")?;
            demands.equal.push((one.into(), other.trim().into()));
        }
        _ => {}
    }
    Ok(())
}

fn emulator(value: &str) -> Result<Emulator, String> {
    match value.split_once(' ') {
        None if value == "qemu" => Ok(Emulator::Qemu),
        Some(("bochs", model)) => Ok(Emulator::Bochs(model.trim().into())),
        _ => Err(format!("unknown emulator {value:?}")),
    }
}

fn kernel(value: &str) -> Result<Dom0, String> {
    match value.split_once(' ') {
        None if value == "debian" => Ok(Dom0::Debian),
        None if value == "none" => Ok(Dom0::Missing),
        Some(("guest", name)) => Ok(Dom0::Guest(name.trim().into())),
        Some(("text", words)) => Ok(Dom0::Text(words.into())),
        Some(("cut", bytes)) => Ok(Dom0::Cut(number(bytes.trim())?)),
        Some(("damaged", byte)) => Ok(Dom0::Damaged(number(byte.trim())?)),
        _ => Err(format!("unknown kernel {value:?}")),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_read_key_by_key() {
        let text = "# a comment\nabout: x\nkernel: guest hello\ncpus: 3\nlimit: 9\nexpect: cpus {cpus}\nend: done\nsame: A B\n";
        let scenario = parse("x", text, Overrides::default()).unwrap();
        assert_eq!(scenario.dom0, Dom0::Guest("hello".into()));
        assert_eq!((scenario.cpus, scenario.limit_s), (3, 9));
        assert_eq!(
            scenario.demands.ordered[0],
            Expectation::Anywhere(Pattern::parse("cpus 3").unwrap())
        );
        assert_eq!(scenario.demands.equal, [("A".into(), "B".into())]);
    }

    #[test]
    fn actions_wait_for_what_stands_before_them() {
        let text = "expect: a\nsend: ^a^Ah\\n\\^\nmonitor: nmi\nend: b\n";
        let scenario = parse("x", text, Overrides::default()).unwrap();
        assert_eq!(
            scenario.demands.actions,
            [
                (1, Action::Send(b"\x01\x01h\r^".to_vec())),
                (1, Action::Monitor("nmi".into()))
            ]
        );
        assert!(parse("x", "send: ^\nend: b", Overrides::default()).is_err());
        assert!(parse("x", "end: b\nsend: x", Overrides::default()).is_err());
        let bochs = parse("x", "emulator: bochs ryzen\nend: b", Overrides::default()).unwrap();
        assert_eq!(bochs.emulator, Emulator::Bochs("ryzen".into()));
    }

    #[test]
    fn the_caller_may_override_the_machine() {
        let overrides = Overrides {
            cpus: Some(4),
            memory_mib: Some(1),
            limit_s: Some(2),
            tools: Some(Tools::Own),
            is_reference: true,
        };
        let scenario = parse("x", "cpus: 3\nline: n {cpus}\nend: done", overrides).unwrap();
        assert_eq!(
            (scenario.cpus, scenario.memory_mib, scenario.limit_s),
            (4, 1, 2)
        );
        assert_eq!((scenario.tools, scenario.is_reference), (Tools::Own, true));
        assert_eq!(
            scenario.demands.ordered[0],
            Expectation::LineStart(Pattern::parse("n 4").unwrap())
        );
    }

    #[test]
    fn mistakes_in_a_file_are_errors() {
        for text in [
            "",
            "kernel: cut short\nend: x",
            "expect: x",
            "end: x\nexpect: y",
            "colour: red\nend: x",
            "cpus: two\nend: x",
            "kernel: maybe\nend: x",
            "words",
        ] {
            assert!(parse("x", text, Overrides::default()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_enabled_list_names_variants() {
        let list = parse_enabled("# list\none\ntwo cpus=4\n").unwrap();
        assert_eq!(list[0], ("one".into(), Overrides::default()));
        assert_eq!(
            list[1],
            (
                "two".into(),
                Overrides {
                    cpus: Some(4),
                    ..Overrides::default()
                }
            )
        );
        assert!(parse_enabled("one speed=2").is_err());
    }

    #[test]
    fn every_scenario_of_the_project_is_well_formed() {
        std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap();
        let names = names().unwrap();
        for name in &names {
            load(name, Overrides::default()).unwrap();
        }
        for (name, _) in enabled().unwrap() {
            assert!(
                names.contains(&name),
                "{name} is enabled, but there is no such scenario"
            );
        }
    }
}
