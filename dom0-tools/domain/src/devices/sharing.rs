//! Whether storage may be given to a domain that others use already.
//!
//! The rule of Xen's `block` script: a reader bears other readers, a writer nobody, and `w!` everybody. Other disks of the same virtual machine
//! do not count: after a reboot the old domain may not be gone yet. Scripts of Xen and these tools see each other: both look at the
//! nodes `physical-device` under one lock.

use xenstore::{Access, Result as StoreResult, Tx, exists};

use super::error::{Error, InUse, Result};
use super::host::{DeviceNumber, Host};
use super::nodes::read_text;
use super::paths::{DeviceId, Kind};
use super::plan::Hotplug;
use super::remove::children;
use super::{Disk, Mode};

const BACK_ENDS: &str = "/local/domain/0/backend/vbd";

/// Refuses `disk` of `domain` if somebody uses its storage in a way that does not go together with it. The caller holds the disks' lock.
pub fn check(
    store: &dyn Access,
    host: &dyn Host,
    domain: u16,
    disk: &Disk,
    hotplug: &Hotplug,
) -> Result<()> {
    if disk.mode == Mode::ReadWriteShared {
        return Ok(());
    }
    let devices = block_devices(host, disk, hotplug)?;
    if devices.is_empty() {
        return Ok(());
    }
    let user = match mounted(host, disk, &devices)? {
        Some(user) => Some(user),
        None => used_by_domain(store, domain, disk.mode, &devices)?,
    };
    let Some(user) = user else {
        return Ok(());
    };
    Err(Error::Busy {
        device: DeviceId::Disk(disk.vdev).to_string(),
        target: disk.target.clone(),
        user,
        wanted: match disk.mode {
            Mode::ReadOnly => "read-only",
            Mode::ReadWrite | Mode::ReadWriteShared => "read-write",
        },
    })
}

/// The block devices that are this storage: for a file, all loop devices before it.
fn block_devices(host: &dyn Host, disk: &Disk, hotplug: &Hotplug) -> Result<Vec<DeviceNumber>> {
    match hotplug {
        Hotplug::Block { number, .. } => Ok(vec![*number]),
        Hotplug::File { id } => {
            let loops = host.loops().map_err(|source| Error::Host {
                device: DeviceId::Disk(disk.vdev).to_string(),
                action: "list",
                what: "loop devices".to_owned(),
                source,
            })?;
            let ours = loops.iter().filter(|device| device.file == *id);
            Ok(ours.map(|device| device.number).collect())
        }
        Hotplug::Bridge | Hotplug::Script(_) | Hotplug::Elsewhere => Ok(Vec::new()),
    }
}

fn mounted(host: &dyn Host, disk: &Disk, devices: &[DeviceNumber]) -> Result<Option<InUse>> {
    let mounts = host.mounts().map_err(|source| Error::Host {
        device: DeviceId::Disk(disk.vdev).to_string(),
        action: "list",
        what: "mounted file systems".to_owned(),
        source,
    })?;
    let conflict = mounts.into_iter().find(|mount| {
        devices.contains(&mount.number) && (disk.mode.writes() || !mount.is_read_only)
    });
    Ok(conflict.map(|mount| InUse::Mounted {
        source: mount.source,
    }))
}

fn used_by_domain(
    store: &dyn Access,
    domain: u16,
    wanted: Mode,
    devices: &[DeviceNumber],
) -> StoreResult<Option<InUse>> {
    for other in children(store, BACK_ENDS)? {
        let home = format!("{BACK_ENDS}/{other}");
        for disk in children(store, &home)? {
            let back = format!("{home}/{disk}");
            let number = read_text(store, Tx::NONE, &format!("{back}/physical-device"))?;
            let number = number.as_deref().and_then(DeviceNumber::of_node);
            if !number.is_some_and(|number| devices.contains(&number)) {
                continue;
            }
            let mode = read_text(store, Tx::NONE, &format!("{back}/mode"))?.unwrap_or_default();
            let writes = Mode::of_node(&mode) == Mode::ReadWrite;
            if (wanted.writes() || writes) && !is_same_machine(store, domain, &other)? {
                return describe(store, &other, &disk, &mode).map(Some);
            }
        }
    }
    Ok(None)
}

fn describe(store: &dyn Access, domain: &str, disk: &str, mode: &str) -> StoreResult<InUse> {
    let name = read_text(store, Tx::NONE, &format!("/local/domain/{domain}/name"))?;
    let disk = match disk.parse() {
        Ok(number) => DeviceId::new(&Kind::Vbd, number).to_string(),
        Err(_) => disk.to_owned(),
    };
    Ok(InUse::Domain {
        domain: domain.parse().unwrap_or(u16::MAX),
        name,
        disk,
        writes: Mode::of_node(mode).writes(),
    })
}

/// Whether two domains are one virtual machine. One without a home is on its way out, and does not count either.
fn is_same_machine(store: &dyn Access, domain: u16, other: &str) -> StoreResult<bool> {
    let machine = |domain: &str| read_text(store, Tx::NONE, &format!("/local/domain/{domain}/vm"));
    let Some(theirs) = machine(other)? else {
        return Ok(!exists(store, Tx::NONE, &format!("/local/domain/{other}"))?);
    };
    Ok(machine(&domain.to_string())?.is_some_and(|ours| ours == theirs))
}
