//! The store's nodes of a domain as libxl 4.20 writes them, without those of its disks and interfaces.
//!
//! A node made by dom0 has the owner and readers of the one above it, so that only those that differ are set.

use domcfg::identity::Uuid;
use xenctl::DomId;
use xenstore::{Access, Permission, Result, Tx};

use crate::build::Built;

/// Bytes of console output that xenconsoled keeps.
const CONSOLE_LIMIT: u32 = 1 << 20;
const CONSOLE_PROTOCOL: &str = "vt100";

/// What the nodes say of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: Uuid,
    /// Most memory, in KiB.
    pub max_memory_kib: u64,
    /// Memory it starts with, in KiB.
    pub memory_kib: u64,
    /// Memory for a screen, in KiB; a PVH guest has none.
    pub video_memory_kib: u64,
    /// For each vCPU whether it is up.
    pub online: Vec<bool>,
    /// Names and values below the domain's home, from the configuration.
    pub extra: Vec<(String, String)>,
    /// Names and values below its `platform`.
    pub platform: Vec<(String, String)>,
    /// The domain serves devices to others.
    pub is_driver_domain: bool,
    /// The guest may make nodes below `device`, as old guests do to be suspended.
    pub owns_device_directory: bool,
}

/// The domain's home.
#[must_use]
pub fn home(domain: DomId) -> String {
    format!("/local/domain/{domain}")
}

/// What the tools keep about it.
#[must_use]
pub fn record(domain: DomId) -> String {
    format!("/libxl/{domain}")
}

/// What belongs to the guest, wherever it runs.
#[must_use]
pub fn vm(uuid: Uuid) -> String {
    format!("/vm/{uuid}")
}

/// Nodes being written.
struct Writer<'a> {
    store: &'a dyn Access,
    tx: Tx,
    domain: DomId,
}

impl Writer<'_> {
    /// A node like the one above it.
    fn put(&self, path: &str, value: &str) -> Result<()> {
        self.store.write(self.tx, path, value.as_bytes())
    }

    /// An empty node with its own permissions.
    fn make(&self, path: &str, permissions: &[Permission]) -> Result<()> {
        self.store.mkdir(self.tx, path)?;
        self.store.set_permissions(self.tx, path, permissions)
    }

    /// A node in place of whatever was there.
    fn replace(&self, path: &str, permissions: &[Permission]) -> Result<()> {
        remove(self.store, self.tx, path)?;
        self.make(path, permissions)
    }

    /// Dom0's, and the guest may read.
    fn readable(&self) -> [Permission; 2] {
        [Permission::none(0), Permission::read(self.domain.0)]
    }

    /// The guest's own.
    fn guests(&self) -> [Permission; 1] {
        [Permission::none(self.domain.0)]
    }
}

/// Writes a new domain's nodes, all but those that tell where its rings are. What was in their place is gone.
///
/// # Errors
/// The store's.
pub fn write(store: &dyn Access, tx: Tx, domain: DomId, about: &Description) -> Result<()> {
    let to = Writer { store, tx, domain };
    let (home, vm, record) = (home(domain), vm(about.uuid), record(domain));
    to.replace(&home, &to.readable())?;
    make_vm(store, tx, domain, about.uuid, &about.name)?;
    to.replace(&record, &[Permission::none(0)])?;
    to.put(&format!("{home}/vm"), &vm)?;
    to.put(&format!("{home}/name"), &about.name)?;
    to.put(&format!("{home}/domid"), &domain.to_string())?;
    write_machine(&to, &home, about)?;
    write_guests_own(&to, &home, about)?;
    for (directory, values) in [
        (home.clone(), &about.extra),
        (format!("{home}/platform"), &about.platform),
    ] {
        for (name, value) in values {
            to.put(&format!("{directory}/{name}"), value)?;
        }
    }
    store.mkdir(tx, &format!("{record}/device"))?;
    to.put(&format!("{record}/type"), "pvh")?;
    to.put(&format!("{record}/dm-version"), "qemu_xen")
}

/// Makes the node that belongs to a UUID.
///
/// # Errors
/// The store's.
pub fn make_vm(store: &dyn Access, tx: Tx, domain: DomId, uuid: Uuid, name: &str) -> Result<()> {
    let (to, vm) = (Writer { store, tx, domain }, vm(uuid));
    to.replace(&vm, &to.readable())?;
    to.put(&format!("{vm}/name"), name)?;
    to.put(&format!("{vm}/uuid"), &uuid.to_string())
}

/// Processors and memory.
fn write_machine(to: &Writer<'_>, home: &str, about: &Description) -> Result<()> {
    for (number, online) in about.online.iter().enumerate() {
        let availability = if *online { "online" } else { "offline" };
        to.put(&format!("{home}/cpu/{number}/availability"), availability)?;
    }
    let memory = [
        ("static-max", about.max_memory_kib),
        ("target", about.memory_kib),
        ("videoram", about.video_memory_kib),
    ];
    for (name, kib) in memory {
        to.put(&format!("{home}/memory/{name}"), &kib.to_string())?;
    }
    Ok(())
}

/// What the guest may write, and what it should know before it does.
fn write_guests_own(to: &Writer<'_>, home: &str, about: &Description) -> Result<()> {
    let mut own = vec![
        "control/shutdown",
        "control/feature-poweroff",
        "control/feature-reboot",
        "control/feature-suspend",
        "control/sysrq",
        "data",
        "drivers",
        "feature",
        "attr",
        "error",
    ];
    if about.owns_device_directory {
        own.push("device");
    } else {
        own.push("device/suspend/event-channel");
    }
    if about.is_driver_domain {
        own.extend(["libxl", "device-model"]);
    }
    for name in own {
        to.make(&format!("{home}/{name}"), &to.guests())?;
    }
    for name in ["multiprocessor-suspend", "xs_reset_watches"] {
        to.put(&format!("{home}/control/platform-feature-{name}"), "1")?;
    }
    Ok(())
}

/// Tells where a built domain's rings are, and when it was started.
///
/// # Errors
/// The store's.
pub fn write_rings(
    store: &dyn Access,
    tx: Tx,
    domain: DomId,
    uuid: Uuid,
    built: &Built,
    console_domain: DomId,
    start_time: &str,
) -> Result<()> {
    let to = Writer { store, tx, domain };
    let home = home(domain);
    to.put(&format!("{home}/store/port"), &built.store.port.to_string())?;
    to.put(
        &format!("{home}/store/ring-ref"),
        &built.store.gfn.to_string(),
    )?;
    to.put(&format!("{}/start_time", vm(uuid)), start_time)?;
    write_console(&to, built, console_domain)
}

fn write_console(to: &Writer<'_>, built: &Built, served_by: DomId) -> Result<()> {
    let domain = to.domain;
    let back = format!("/local/domain/{served_by}/backend/console/{domain}/0");
    let front = format!("{}/console", home(domain));
    let record = format!("{}/device/console/0", record(domain));
    let ours = [Permission::none(served_by.0), Permission::read(domain.0)];
    to.replace(&front, &ours)?;
    to.put(&format!("{front}/backend"), &back)?;
    let backend_id = format!("{front}/backend-id");
    to.put(&backend_id, &served_by.to_string())?;
    let guests = [Permission::none(domain.0), Permission::read(served_by.0)];
    to.store.set_permissions(to.tx, &backend_id, &guests)?;
    let values = [
        ("limit", CONSOLE_LIMIT.to_string()),
        ("type", "xenconsoled".to_owned()),
        ("output", "pty".to_owned()),
        ("tty", String::new()),
        ("port", built.console.port.to_string()),
        ("ring-ref", built.console.gfn.to_string()),
    ];
    for (name, value) in values {
        to.put(&format!("{front}/{name}"), &value)?;
    }
    to.replace(&back, &ours)?;
    to.put(&format!("{record}/frontend"), &front)?;
    to.put(&format!("{record}/backend"), &back)?;
    let values = [
        ("frontend-id", domain.to_string()),
        ("online", "1".to_owned()),
        ("state", "1".to_owned()),
        ("protocol", CONSOLE_PROTOCOL.to_owned()),
    ];
    to.put(&format!("{back}/frontend"), &front)?;
    for directory in [&back, &record] {
        for (name, value) in &values {
            to.put(&format!("{directory}/{name}"), value)?;
        }
    }
    Ok(())
}

/// Removes a node with all below it, if it is there.
///
/// # Errors
/// The store's.
pub fn remove(store: &dyn Access, tx: Tx, path: &str) -> Result<()> {
    match store.remove(tx, path) {
        Err(error) if error.is_removed() => Ok(()),
        removed => removed,
    }
}
