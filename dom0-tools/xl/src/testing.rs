//! A dom0 of fakes for the tests of commands: a fake hypervisor, a store in this process, and the lines of a terminal.

use std::ffi::OsString;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use domain::devices;
use domain::devices::fake::FakeHost;
use domain::lifecycle::Directories;
use tempfile::TempDir;
use xen_abi::domctl::{DomctlCreatedomain, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM};
use xenctl::fake::FakeXen;
use xenctl::{DomId, Hypervisor};
use xenstore::local::LocalStore;
use xenstore::{Access, Tx};

use crate::cli::{self, Request};
use crate::context::{Context, Host};
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

/// The fakes.
#[derive(Clone)]
pub struct Lab {
    /// The hypervisor.
    pub xen: FakeXen,
    /// The store.
    pub store: LocalStore,
    /// Dom0's kernel: a bridge, and the back ends.
    pub kernel: Arc<FakeHost>,
    /// What xl.conf says.
    pub settings: Settings,
    /// Files about domains, until the last clone goes.
    files: Arc<TempDir>,
}

/// What a command printed, and its exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    /// Standard output.
    pub out: String,
    /// Standard error, without the lines about causes.
    pub err: String,
    /// The exit code.
    pub code: u8,
}

impl Host for Lab {
    fn hypervisor(&self) -> anyhow::Result<Arc<dyn Hypervisor>> {
        Ok(Arc::new(self.xen.clone()))
    }

    fn store(&self) -> anyhow::Result<Arc<dyn Access>> {
        Ok(Arc::new(self.store.connect()))
    }

    fn kernel(&self) -> Arc<dyn devices::Host> {
        self.kernel.clone()
    }

    fn directories(&self) -> Directories {
        Directories {
            lib: self.files.path().join("lib"),
            run: self.files.path().join("run"),
            dump: self.files.path().join("dump"),
            cache: self.files.path().join("cache"),
        }
    }

    fn settings(&self) -> (Settings, Vec<String>) {
        (self.settings.clone(), Vec::new())
    }
}

/// A stream that can be read afterwards.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Lab {
    /// Dom0 alone, as xen-init-dom0 leaves it.
    pub fn new() -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let store = LocalStore::default();
        let lab = Self {
            xen: FakeXen::new(),
            kernel: Arc::new(FakeHost::new(&store)),
            store,
            settings: Settings::default(),
            files: Arc::new(files),
        };
        for directory in ["lib", "run"] {
            std::fs::create_dir(lab.files.path().join(directory)).expect(directory);
        }
        lab.write("/local/domain/0/name", "Domain-0");
        lab.write("/local/pool/0/name", "Pool-0");
        lab
    }

    /// Writes a node.
    pub fn write(&self, path: &str, value: &str) {
        self.store
            .write(Tx::NONE, path, value.as_bytes())
            .expect(path);
    }

    /// A node's value.
    pub fn read(&self, path: &str) -> String {
        let value = self.store.read(Tx::NONE, path);
        value.map_or("(none)".into(), |value| {
            String::from_utf8_lossy(&value).into_owned()
        })
    }

    /// A PVH guest with 2 vCPUs that runs, known to the store.
    pub fn guest(&self, name: &str) -> DomId {
        let how = DomctlCreatedomain {
            handle: [0x11; 16],
            flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
            max_vcpus: 2,
            max_grant_frames: -1,
            max_maptrack_frames: -1,
            ..Default::default()
        };
        let domain = self.xen.create_domain(DomId(0), &how).expect("a domain");
        self.xen.set_max_vcpus(domain, 2).expect("vCPUs");
        self.xen.set_max_memory(domain, 65536).expect("memory");
        self.xen.unpause_domain(domain).expect("running");
        let vm = "/vm/11111111-1111-1111-1111-111111111111";
        self.write(&format!("/local/domain/{domain}/name"), name);
        self.write(&format!("/local/domain/{domain}/vm"), vm);
        self.write(&format!("/local/domain/{domain}/memory/target"), "65536");
        self.write(
            &format!("/local/domain/{domain}/memory/static-max"),
            "131072",
        );
        self.write(&format!("/libxl/{domain}/type"), "pvh");
        domain
    }

    /// A file, for a command to read; its path.
    pub fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.files.path().join(name);
        std::fs::write(&path, content).expect(name);
        path.display().to_string()
    }

    /// A configuration of a PVH guest with more settings; its path.
    pub fn config(&self, name: &str, more: &str) -> String {
        let kernel = self.file("kernel", &pvh_kernel());
        let text =
            format!("name=\"{name}\"\ntype=\"pvh\"\nkernel=\"{kernel}\"\nmemory=64\n{more}\n");
        self.file(&format!("{name}.cfg"), text.as_bytes())
    }

    /// From now on no file of this domain can be replaced: where the next would be written, there is a directory.
    pub fn break_files(&self, domain: u16) {
        let directory = self.files.path().join("lib");
        let prefix = format!("userdata-d.{domain}.");
        for entry in std::fs::read_dir(&directory).expect("files") {
            let name = entry.expect("a file").file_name();
            let name = name.to_str().expect("a name");
            if let Some(rest) = name.strip_prefix(&prefix) {
                let next = directory.join(format!("userdata-n.{domain}.{rest}"));
                std::fs::create_dir(next).expect("a directory");
            }
        }
    }

    /// Runs a command line; words in single quotes are one.
    pub fn xl(&self, line: &str) -> Ran {
        let (out, err) = (Paper::default(), Paper::default());
        let code = self.run(line, &out, &err);
        let err: Vec<String> = err
            .text()
            .lines()
            .filter(|line| !line.starts_with("xl: "))
            .map(str::to_owned)
            .collect();
        Ran {
            out: out.text(),
            err: err.join("\n"),
            code,
        }
    }

    fn run(&self, line: &str, out: &Paper, err: &Paper) -> u8 {
        let say = |text: &str, code: u8, mut paper: Paper| {
            paper.write_all(text.as_bytes()).expect("paper");
            code
        };
        let (globals, rest) = match cli::globals(words(line)) {
            Ok(split) => split,
            Err(Failure { code, message }) => return say(&message, code, err.clone()),
        };
        match cli::request(&globals, &rest) {
            Ok(Request::Print { text, code }) => say(&text, code, out.clone()),
            Ok(Request::Refuse { complaint, .. }) => say(&complaint, Failure::USAGE, err.clone()),
            Err(Failure { code, message }) => say(&message, code, err.clone()),
            Ok(Request::Run { verb, json }) => {
                let output = Output::new(Box::new(out.clone()), Box::new(err.clone()));
                let globals = cli::Globals {
                    json: json || globals.json,
                    ..globals
                };
                crate::run(
                    &Context::new(globals, output, Box::new(self.clone())),
                    &verb,
                )
            }
        }
    }
}

/// The smallest kernel that a PVH guest can be made of: an ELF file with some bytes at 16 MiB and Xen's note of where it begins.
fn pvh_kernel() -> Vec<u8> {
    let mut note = Vec::new();
    // Length of the name and of the value, XEN_ELFNOTE_PHYS32_ENTRY, the name, the value.
    for word in [4_u32, 4, 18, u32::from_le_bytes(*b"Xen\0"), 0x100_0000] {
        note.extend(word.to_le_bytes());
    }
    let mut image = vec![0; 64 + 2 * 56];
    image[..6].copy_from_slice(b"\x7fELF\x02\x01");
    // Machine, place, size and number of the program headers.
    (image[18], image[32], image[54], image[56]) = (62, 64, 56, 2);
    for (index, (kind, address, bytes)) in [(1, 0x100_0000_u64, vec![1; 64]), (4, 0, note)]
        .into_iter()
        .enumerate()
    {
        let at = 64 + 56 * index;
        image[at] = kind;
        let size = bytes.len() as u64;
        let fields = [
            (8, image.len() as u64),
            (24, address),
            (32, size),
            (40, size),
            (48, 0x1000),
        ];
        for (offset, value) in fields {
            image[at + offset..][..8].copy_from_slice(&value.to_le_bytes());
        }
        image.extend(bytes);
    }
    image
}

fn words(line: &str) -> Vec<OsString> {
    let quoted = line.split('\'').enumerate();
    let words = quoted.flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(OsString::from).collect(),
        _ => vec![OsString::from(part)],
    });
    words.collect()
}

/// A successful command that printed `out`.
pub fn printed(out: &str) -> Ran {
    Ran {
        out: out.into(),
        err: String::new(),
        code: 0,
    }
}

/// A command that failed with this last line.
pub fn refused(code: u8, err: &str) -> Ran {
    Ran {
        out: String::new(),
        err: err.into(),
        code,
    }
}
