//! Checking what a configuration asks for, before anything is changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::bridge;
use super::error::{Error, Result};
use super::host::{DeviceNumber, FileId, Host, Storage};
use super::paths::{DeviceId, Kind};
use super::{Device, Disk, Format, MacAddress, Vif};

/// Where scripts are that are named without a directory.
pub const SCRIPT_DIRECTORY: &str = "/etc/xen/scripts";
/// The script whose work for disks is done here.
pub const BLOCK_SCRIPT: &str = "/etc/xen/scripts/block";
/// The script whose work for network interfaces is done here.
pub const BRIDGE_SCRIPT: &str = "/etc/xen/scripts/vif-bridge";
/// Additions of the administrator to [`BRIDGE_SCRIPT`]: where there are any, the script is run.
pub const BRIDGE_HOOKS: &str = "/etc/xen/scripts/vif-post.d";
/// Where interfaces go that name no bridge.
pub const DEFAULT_BRIDGE: &str = "xenbr0";
/// The longest name of a link, `IFNAMSIZ` less the final zero.
const LINK_NAME_LIMIT: usize = 15;

/// Devices that were checked and can be attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the configuration.
    pub devices: Vec<Planned>,
}

/// A device that was checked. Open choices of the configuration are made, but for the numbers of interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What was asked for, with the choices made.
    pub device: Device,
    /// What has to be done in dom0.
    pub hotplug: Hotplug,
}

/// What has to be done in dom0 once the back end is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hotplug {
    /// Put a loop device before a file.
    File {
        /// Which one.
        id: FileId,
    },
    /// Give a block device.
    Block {
        /// Its number.
        number: DeviceNumber,
        /// Its path without symbolic links.
        path: PathBuf,
    },
    /// Make a link a port of a bridge.
    Bridge,
    /// Run a script.
    Script(PathBuf),
    /// Nothing: another domain serves the device and does it there.
    Elsewhere,
}

impl Planned {
    /// What kind of device.
    pub const fn kind(&self) -> Kind {
        match self.device {
            Device::Disk(_) => Kind::Vbd,
            Device::Vif(_) => Kind::Vif,
        }
    }

    /// The domain that serves it.
    pub const fn backend(&self) -> u16 {
        match &self.device {
            Device::Disk(disk) => disk.backend,
            Device::Vif(vif) => vif.backend,
        }
    }

    /// Which device, once interfaces have numbers.
    pub fn id(&self) -> Option<DeviceId> {
        match &self.device {
            Device::Disk(disk) => Some(DeviceId::Disk(disk.vdev)),
            Device::Vif(vif) => vif.id.map(DeviceId::Vif),
        }
    }
}

/// Checks devices; finds what is missing and makes the choices that were left open.
pub fn plan(host: &dyn Host, devices: &[Device]) -> Result<Plan> {
    let mut seen = BTreeSet::new();
    let check = |device: &Device| {
        let planned = match device {
            Device::Disk(disk) => plan_disk(host, disk)?,
            Device::Vif(vif) => plan_vif(host, vif)?,
        };
        match planned.id() {
            Some(id) if !seen.insert(id) => {
                Err(invalid(&name_of(device), "there are two of this number"))
            }
            _ => Ok(planned),
        }
    };
    let devices = devices.iter().map(check).collect::<Result<_>>()?;
    Ok(Plan { devices })
}

/// How messages call a device.
pub fn name_of(device: &Device) -> String {
    match device {
        Device::Disk(disk) => DeviceId::Disk(disk.vdev).to_string(),
        Device::Vif(Vif { id: Some(id), .. }) => DeviceId::Vif(*id).to_string(),
        Device::Vif(Vif { mac: Some(mac), .. }) => format!("network interface {mac}"),
        Device::Vif(_) => "network interface".to_owned(),
    }
}

fn invalid(device: &str, reason: impl Into<String>) -> Error {
    Error::Invalid {
        device: device.to_owned(),
        reason: reason.into(),
    }
}

fn plan_disk(host: &dyn Host, disk: &Disk) -> Result<Planned> {
    let name = DeviceId::Disk(disk.vdev).to_string();
    if disk.is_cdrom {
        let hint = "a CD drive needs an emulator, which type=\"pvh\" has not: give the image as a disk, with devtype=disk,access=ro";
        return Err(invalid(&name, hint));
    }
    check_format(disk, &name)?;
    let hotplug = match script_of(disk.script.as_deref(), BLOCK_SCRIPT) {
        _ if disk.backend != 0 => Hotplug::Elsewhere,
        Some(script) => Hotplug::Script(check_script(host, script, &name)?),
        None => check_target(host, disk, &name)?,
    };
    let device = Device::Disk(disk.clone());
    Ok(Planned { device, hotplug })
}

fn check_format(disk: &Disk, name: &str) -> Result<()> {
    match disk.format {
        Format::Raw => Ok(()),
        Format::Empty => Err(invalid(name, "only a CD drive can be without a medium")),
        format => {
            let (format, target) = (format.name(), &disk.target);
            Err(invalid(
                name,
                format!(
                    "{target} has format={format}, which only an emulator can serve: convert it (qemu-img convert -O raw {target} {target}.raw) and use format=raw"
                ),
            ))
        }
    }
}

fn check_target(host: &dyn Host, disk: &Disk, name: &str) -> Result<Hotplug> {
    if disk.target.is_empty() {
        return Err(invalid(name, "no target is given"));
    }
    let storage = host.storage(disk.path()).map_err(|source| Error::Host {
        device: name.to_owned(),
        action: "use",
        what: disk.target.clone(),
        source,
    })?;
    match storage {
        Storage::Block { number, path } => Ok(Hotplug::Block { number, path }),
        Storage::File { is_writable, .. } if disk.mode.writes() && !is_writable => {
            let reason = format!("{} is read-only: use access=ro", disk.target);
            Err(invalid(name, reason))
        }
        Storage::File { id, size, .. } => {
            if !size.is_multiple_of(512) {
                tracing::warn!(
                    "{name}: the last {} bytes of {} are no whole sector and stay out of reach",
                    size % 512,
                    disk.target
                );
            }
            Ok(Hotplug::File { id })
        }
        Storage::Other => {
            let reason = format!("{} is neither a file nor a block device", disk.target);
            Err(invalid(name, reason))
        }
    }
}

fn plan_vif(host: &dyn Host, vif: &Vif) -> Result<Planned> {
    let name = name_of(&Device::Vif(vif.clone()));
    if let Some(link) = &vif.name {
        check_link_name(link, &name)?;
    }
    let mac = vif.mac.map_or_else(|| random_mac(&name), Ok)?;
    let bridge = vif
        .bridge
        .clone()
        .or_else(|| Some(DEFAULT_BRIDGE.to_owned()));
    let vif = Vif {
        mac: Some(mac),
        bridge,
        ..vif.clone()
    };
    let hotplug = match script_of(vif.script.as_deref(), BRIDGE_SCRIPT) {
        _ if vif.backend != 0 => Hotplug::Elsewhere,
        Some(script) => Hotplug::Script(check_script(host, script, &name)?),
        None if host.has_hooks(Path::new(BRIDGE_HOOKS)) => {
            Hotplug::Script(check_script(host, BRIDGE_SCRIPT.into(), &name)?)
        }
        None => {
            bridge::find(host, vif.bridge.as_deref().unwrap_or_default(), &name)?;
            Hotplug::Bridge
        }
    };
    let device = Device::Vif(vif);
    Ok(Planned { device, hotplug })
}

fn random_mac(name: &str) -> Result<MacAddress> {
    MacAddress::generate().map_err(|source| Error::Host {
        device: name.to_owned(),
        action: "choose",
        what: "an Ethernet address".to_owned(),
        source,
    })
}

fn check_link_name(link: &str, name: &str) -> Result<()> {
    let usable = !link.is_empty()
        && link.len() <= LINK_NAME_LIMIT
        && link != "."
        && link != ".."
        && link
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"/:".contains(&byte));
    match usable {
        true => Ok(()),
        false => Err(invalid(
            name,
            format!(
                "{link:?} can not be the name of a link: at most {LINK_NAME_LIMIT} characters without spaces, / and :"
            ),
        )),
    }
}

/// The script to run, unless it is the one whose work is done here.
fn script_of(script: Option<&Path>, native: &str) -> Option<PathBuf> {
    let path = full_script_path(script?);
    (path != Path::new(native)).then_some(path)
}

/// Where a script is: relative names are below [`SCRIPT_DIRECTORY`].
pub fn full_script_path(script: &Path) -> PathBuf {
    Path::new(SCRIPT_DIRECTORY).join(script)
}

fn check_script(host: &dyn Host, script: PathBuf, name: &str) -> Result<PathBuf> {
    if host.is_executable(&script) {
        return Ok(script);
    }
    Err(Error::Script {
        device: name.to_owned(),
        script,
        reason: "there is no such program".to_owned(),
    })
}
