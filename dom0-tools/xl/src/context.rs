//! What a command works with: the hypervisor, the store, the settings and its output. Each is opened when first asked for, so that
//! `xl help` and a dry run need neither hypervisor nor store.

use std::cell::OnceCell;
use std::sync::Arc;

use anyhow::Context as _;
use domain::devices;
use domain::lifecycle::Directories;
use xenctl::Hypervisor;
use xenstore::Access;

use crate::cli::Globals;
use crate::output::Output;
use crate::settings::Settings;

/// Where the handles come from.
pub trait Host {
    /// A handle to the hypervisor.
    fn hypervisor(&self) -> anyhow::Result<Arc<dyn Hypervisor>>;
    /// A connection to the store.
    fn store(&self) -> anyhow::Result<Arc<dyn Access>>;
    /// The kernel, for devices.
    fn kernel(&self) -> Arc<dyn devices::Host>;
    /// Where files about domains are.
    fn directories(&self) -> Directories;
    /// The settings of `/etc/xen/xl.conf`, and what is wrong with them.
    fn settings(&self) -> (Settings, Vec<String>);
}

/// The dom0 this process runs in.
pub struct Dom0;

/// Where xl's settings are.
pub const SETTINGS: &str = "/etc/xen/xl.conf";

impl Host for Dom0 {
    fn hypervisor(&self) -> anyhow::Result<Arc<dyn Hypervisor>> {
        let xen = xenctl::real::Xen::open().context("can not reach the hypervisor")?;
        Ok(Arc::new(xen))
    }

    fn store(&self) -> anyhow::Result<Arc<dyn Access>> {
        let client = xenstore::client::Client::connect().context("can not reach xenstored")?;
        Ok(Arc::new(client))
    }

    fn kernel(&self) -> Arc<dyn devices::Host> {
        Arc::new(devices::LinuxHost::new())
    }

    fn directories(&self) -> Directories {
        Directories::default()
    }

    fn settings(&self) -> (Settings, Vec<String>) {
        Settings::of_file(SETTINGS.as_ref())
    }
}

/// A command's surroundings.
pub struct Context {
    /// The options before the command.
    pub globals: Globals,
    /// Where to write.
    pub output: Output,
    host: Box<dyn Host>,
    hypervisor: OnceCell<Arc<dyn Hypervisor>>,
    store: OnceCell<Arc<dyn Access>>,
    kernel: OnceCell<Arc<dyn devices::Host>>,
    directories: OnceCell<Directories>,
    settings: OnceCell<Settings>,
}

impl Context {
    /// Nothing is opened yet.
    pub fn new(globals: Globals, output: Output, host: Box<dyn Host>) -> Self {
        Self {
            globals,
            output,
            host,
            hypervisor: OnceCell::new(),
            store: OnceCell::new(),
            kernel: OnceCell::new(),
            directories: OnceCell::new(),
            settings: OnceCell::new(),
        }
    }

    /// The hypervisor.
    pub fn xen(&self) -> anyhow::Result<&dyn Hypervisor> {
        Ok(open(&self.hypervisor, || self.host.hypervisor())?.as_ref())
    }

    /// The hypervisor, to be kept.
    pub fn shared_xen(&self) -> anyhow::Result<Arc<dyn Hypervisor>> {
        open(&self.hypervisor, || self.host.hypervisor()).cloned()
    }

    /// The store.
    pub fn store(&self) -> anyhow::Result<&dyn Access> {
        Ok(open(&self.store, || self.host.store())?.as_ref())
    }

    /// The store, to be kept.
    pub fn shared_store(&self) -> anyhow::Result<Arc<dyn Access>> {
        open(&self.store, || self.host.store()).cloned()
    }

    /// The kernel, for devices.
    pub fn kernel(&self) -> &dyn devices::Host {
        self.kernel.get_or_init(|| self.host.kernel()).as_ref()
    }

    /// Where files about domains are.
    pub fn directories(&self) -> &Directories {
        self.directories.get_or_init(|| self.host.directories())
    }

    /// The settings. What is wrong with them is said once.
    pub fn settings(&self) -> &Settings {
        self.settings.get_or_init(|| {
            let (settings, complaints) = self.host.settings();
            for complaint in complaints {
                crate::complain!(self, "{complaint}\n");
            }
            settings
        })
    }

    /// Whether to print JSON.
    pub fn json(&self) -> bool {
        self.globals.json
    }

    /// Ends an acting command: with `--json` says what was done.
    pub fn done(&self, what: &serde_json::Value) {
        if self.json() {
            self.output.print_json(what);
        }
    }
}

fn open<T: ?Sized>(
    cell: &OnceCell<Arc<T>>,
    make: impl FnOnce() -> anyhow::Result<Arc<T>>,
) -> anyhow::Result<&Arc<T>> {
    if let Some(opened) = cell.get() {
        return Ok(opened);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}
