//! Every key that configurations may have is acted on, refused or named: none is ignored in silence.

mod table;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use domcfg::keys::{KEYS, Support};
use tempfile::TempDir;
use xen_abi::hvm::save::{HVM_SAVE_CODE_CPU, HvmHwCpu};
use xen_abi::sysctl::{
    XEN_SYSCTL_PHYSCAP_GNTTAB_V2, XEN_SYSCTL_PHYSCAP_HAP, XEN_SYSCTL_PHYSCAP_HVM,
    XEN_SYSCTL_PHYSCAP_SHADOW, XEN_SYSCTL_PHYSCAP_VPMU,
};
use xenctl::fake::{FakeHost as FakeMachine, FakeXen};
use xenctl::{DomId, Hypervisor};
use xenstore::local::LocalStore;
use xenstore::{Access, Tx};
use zerocopy::FromBytes;

use super::collect;
use crate::devices::fake::FakeHost;
use crate::lifecycle::{Directories, Toolstack};
use kernel_image::sample;
use table::{Fate, ROWS, Row};

/// A configuration without anything unusual; a key that is set takes the place of the one here.
const PLAIN: [(&str, &str); 7] = [
    ("type", "\"pvh\""),
    ("name", "\"plain\""),
    ("uuid", "\"adf389ee-9a13-41d6-b686-cd69bf695628\""),
    ("kernel", "\"DIRECTORY/kernel\""),
    ("memory", "64"),
    ("maxmem", "64"),
    ("vcpus", "1"),
];

/// A machine that can do everything, with files for a guest.
struct Machine {
    xen: FakeXen,
    store: LocalStore,
    host: FakeHost,
    directories: Directories,
    files: TempDir,
}

/// What came of a configuration.
struct Outcome {
    warnings: String,
    /// All that can be seen of the domain, or why there is none.
    domain: Result<String, String>,
}

impl Machine {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let directories = super::directories(&files);
        let kernel = sample::kernel();
        fs::write(files.path().join("kernel"), &kernel).unwrap();
        fs::write(files.path().join("other-kernel"), other(kernel)).unwrap();
        let xen = FakeXen::on(FakeMachine {
            abilities: XEN_SYSCTL_PHYSCAP_HVM
                | XEN_SYSCTL_PHYSCAP_HAP
                | XEN_SYSCTL_PHYSCAP_SHADOW
                | XEN_SYSCTL_PHYSCAP_VPMU
                | XEN_SYSCTL_PHYSCAP_GNTTAB_V2,
            ..FakeMachine::default()
        });
        let store = LocalStore::default();
        let pool = xen.create_pool(xen.scheduler().unwrap()).unwrap();
        let name = format!("/local/pool/{pool}/name");
        store.write(Tx::NONE, &name, b"second").unwrap();
        store
            .write(Tx::NONE, "/local/domain/0/name", b"Domain-0")
            .unwrap();
        let host = FakeHost::new(&store);
        host.add_file("/disk.img", true);
        Self {
            xen,
            store,
            host,
            directories,
            files,
        }
    }

    /// What comes of the plain configuration with these settings.
    fn try_out(settings: &[(&str, &str)]) -> Outcome {
        let machine = Self::new();
        let plain = PLAIN
            .iter()
            .filter(|(key, _)| !settings.iter().any(|(other, _)| other == key));
        let lines = plain.chain(settings);
        let lines: String = lines
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        let directory = machine.files.path().to_str().unwrap();
        let text = lines.replace("DIRECTORY", directory);
        let context = domcfg::Context::with_cpus(4);
        match domcfg::parse("x.cfg", text.as_bytes(), &[] as &[&str], &context) {
            Ok(parsed) => Outcome {
                warnings: parsed.warnings.join("\n"),
                domain: machine.make(&parsed.config),
            },
            Err(problems) => Outcome {
                warnings: String::new(),
                domain: Err(problems.to_string()),
            },
        }
    }

    fn make(&self, config: &domcfg::DomainConfig) -> Result<String, String> {
        let toolstack = Toolstack {
            hypervisor: &self.xen,
            store: &self.store,
            host: &self.host,
            directories: &self.directories,
        };
        let request = toolstack
            .request(config)
            .map_err(|error| error.to_string())?;
        let domain = toolstack.create(&request);
        let domain = domain.map_err(|error| error.to_string())?;
        Ok(self.describe(domain))
    }

    /// All of a domain that hypervisor and store know, but for the time.
    fn describe(&self, domain: DomId) -> String {
        let info = self.xen.domain(domain).unwrap();
        let built = self.xen.built(domain).unwrap();
        let cpu = &built.records[&(HVM_SAVE_CODE_CPU, 0)];
        let start_info = HvmHwCpu::read_from_bytes(cpu).unwrap().rbx;
        let mut text = format!("{info:?}\n{built:?}\n");
        for vcpu in 0..=info.max_vcpu_id {
            let affinity = self.xen.vcpu_affinity(domain, vcpu).unwrap();
            writeln!(text, "{affinity:?}").unwrap();
        }
        for at in [start_info, 16 << 20, 18 << 20] {
            let mut page = vec![0; 4096];
            self.xen.read_guest(domain, at, &mut page).unwrap();
            writeln!(text, "{page:?}").unwrap();
        }
        writeln!(text, "{:?}", self.xen.credit(domain)).unwrap();
        let mut nodes = std::collections::BTreeSet::new();
        collect(&self.store, "", &mut nodes);
        let nodes = nodes.iter().filter(|node| !node.contains("/start_time ="));
        nodes.for_each(|node| writeln!(text, "{node}").unwrap());
        text
    }
}

/// A kernel whose first segment has another last byte: its bytes are 1.
fn other(mut kernel: Vec<u8>) -> Vec<u8> {
    let segment = [1; 0x40];
    let mut places = kernel.windows(segment.len());
    let start = places.position(|bytes| bytes == segment).unwrap();
    kernel[start + segment.len() - 1] = 9;
    kernel
}

/// A file of the repository.
fn repository(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn warning_of(outcome: &Outcome, kind: &str, key: &str) -> bool {
    let mention = format!("{key} (line ");
    let mut lines = outcome.warnings.lines();
    lines.any(|line| line.contains(kind) && line.contains(&mention))
}

/// What is wrong with a row, tried out.
fn check(row: &Row, plain: &str) -> Result<(), String> {
    if let Fate::Shown(file, words) = row.fate {
        let is_there = repository(file).contains(words);
        return is_there
            .then_some(())
            .ok_or(format!("{file} lacks {words}"));
    }
    let outcome = Machine::try_out(&[(row.key, row.value)]);
    let told = match &outcome.domain {
        Ok(_) => outcome.warnings.clone(),
        Err(error) => error.clone(),
    };
    let is_so = match row.fate {
        Fate::Acts => {
            let is_named = outcome.warnings.contains(row.key);
            outcome.domain.as_ref().is_ok_and(|made| made != plain) && !is_named
        }
        Fate::Refused(message) => outcome.domain.is_err() && told.contains(message),
        Fate::Warned => {
            outcome.domain.as_deref() == Ok(plain)
                && warning_of(&outcome, "keys that are not supported yet", row.key)
        }
        Fate::Idle => {
            outcome.domain.as_deref() == Ok(plain)
                && warning_of(&outcome, "keys without effect", row.key)
        }
        Fate::Old(message) => told.contains(message),
        Fate::Shown(..) => true,
    };
    is_so.then_some(()).ok_or(told)
}

#[test]
fn each_key_has_a_fate_which_it_meets() {
    let plain = Machine::try_out(&[]);
    assert_eq!(plain.warnings, "");
    let plain = plain.domain.unwrap();
    let again = Machine::try_out(&[]).domain.unwrap();
    assert!(plain == again, "what is looked at changes by itself");
    let mut wrong = Vec::new();
    for key in KEYS {
        let mut rows = ROWS.iter().filter(|row| row.key == key.name);
        match (rows.next(), rows.next()) {
            (Some(row), None) => {
                let is_refused = matches!(row.fate, Fate::Refused(_));
                if is_refused != (key.support == Support::Refused) {
                    wrong.push(format!(
                        "{}: {:?} in the table of keys",
                        key.name, key.support
                    ));
                }
                if let Err(told) = check(row, &plain) {
                    wrong.push(format!(
                        "{} = {}: {:?}: {told}",
                        row.key, row.value, row.fate
                    ));
                }
            }
            (None, _) => wrong.push(format!("{}: nothing is said of it", key.name)),
            (Some(_), Some(_)) => wrong.push(format!("{}: two rows", key.name)),
        }
    }
    let names = ROWS
        .iter()
        .filter(|row| domcfg::keys::find(row.key).is_none());
    wrong.extend(names.map(|row| format!("{}: no such key", row.key)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the manual calls keys of one fate, and which it is.
type Group = (&'static str, fn(Fate) -> bool);

/// The table as the manual has it.
fn page() -> String {
    let groups: [Group; 5] = [
        ("acted on", |fate| {
            matches!(fate, Fate::Acts | Fate::Shown(..))
        }),
        ("refused: the guest is not made", |fate| {
            matches!(fate, Fate::Refused(_))
        }),
        (
            "not supported yet: named in a warning, the guest is made without",
            |fate| matches!(fate, Fate::Warned),
        ),
        (
            "without effect, with xl 4.20 neither: named in a warning",
            |fate| matches!(fate, Fate::Idle),
        ),
        ("of old: named with what has taken its place", |fate| {
            matches!(fate, Fate::Old(_))
        }),
    ];
    let mut page = "| What becomes of them | Keys |\n|---|---|\n".to_owned();
    for (name, is_in) in groups {
        let rows = ROWS.iter().filter(|row| is_in(row.fate));
        let keys: Vec<_> = rows.map(|row| format!("`{}`", row.key)).collect();
        writeln!(page, "| {name} | {} |", keys.join(", ")).unwrap();
    }
    page
}

#[test]
fn manual_has_the_table_of_keys() {
    let page = page();
    let manual = repository("docs/tools.md");
    assert!(manual.contains(&page), "docs/tools.md must have\n{page}");
}
