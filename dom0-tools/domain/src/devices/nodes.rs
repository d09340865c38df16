//! The nodes of a device as libxl 4.20 writes them.

use xenstore::{Access, Permission, Result, Tx};

use super::paths::{DeviceId, Paths};
use super::plan::{BLOCK_SCRIPT, BRIDGE_SCRIPT, full_script_path};
use super::{Device, Disk, Rate, Vif};

/// The largest packet a guest is told of until the bridge's is known.
const DEFAULT_MTU: u32 = 1500;

/// Names and values.
pub type Values = Vec<(&'static str, String)>;

/// What a device's directories hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// For the back end, and recorded.
    pub back: Values,
    /// For the front end, which may change them.
    pub front: Values,
    /// For the front end, which may only read them.
    pub fixed_front: Values,
}

impl Nodes {
    /// Those of `device`, which has number `id`, in `domain`.
    pub fn new(domain: u16, id: DeviceId, device: &Device) -> Self {
        match device {
            Device::Disk(disk) => of_disk(domain, id, disk),
            Device::Vif(vif) => of_vif(domain, id, vif),
        }
    }
}

fn flag(set: bool) -> String {
    u8::from(set).to_string()
}

/// Bytes of each interval, and its microseconds.
fn rate_text(rate: Rate) -> String {
    format!("{},{}", rate.bytes_per_interval, rate.interval_usecs)
}

fn of_disk(domain: u16, id: DeviceId, disk: &Disk) -> Nodes {
    let script = disk.script.as_deref().map(full_script_path);
    let mut back = vec![
        ("params", disk.target.clone()),
        (
            "script",
            script.map_or(BLOCK_SCRIPT.to_owned(), |path| path.display().to_string()),
        ),
        ("frontend-id", domain.to_string()),
        ("online", flag(true)),
        ("removable", flag(disk.is_removable)),
        ("bootable", flag(true)),
        ("state", "1".to_owned()),
        ("dev", disk.vdev_name.clone()),
        ("type", "phy".to_owned()),
        ("mode", disk.mode.node().to_owned()),
        ("device-type", "disk".to_owned()),
    ];
    if disk.direct_io_safe {
        back.push(("direct-io-safe", flag(true)));
    }
    let discard = disk.discard.unwrap_or(disk.mode.writes());
    back.push(("discard-enable", flag(discard)));
    back.push(("specification", "xen".to_owned()));
    let front = vec![
        ("backend-id", disk.backend.to_string()),
        ("state", "1".to_owned()),
        ("virtual-device", id.number().to_string()),
        ("device-type", "disk".to_owned()),
        ("trusted", flag(disk.is_trusted)),
    ];
    Nodes {
        back,
        front,
        fixed_front: Values::new(),
    }
}

fn of_vif(domain: u16, id: DeviceId, vif: &Vif) -> Nodes {
    let number = id.number().to_string();
    let mac = vif.mac.map(|mac| mac.to_string()).unwrap_or_default();
    let script = vif.script.as_deref().map(full_script_path);
    let mut back = vec![
        ("frontend-id", domain.to_string()),
        ("online", flag(true)),
        ("state", "1".to_owned()),
        (
            "script",
            script.map_or(BRIDGE_SCRIPT.to_owned(), |path| path.display().to_string()),
        ),
    ];
    let mtu = vif.mtu.filter(|&mtu| mtu > 0).unwrap_or(DEFAULT_MTU);
    let optional = [
        ("vifname", vif.name.clone()),
        ("mac", Some(mac.clone())),
        ("ip", vif.ip.clone()),
        ("gatewaydev", vif.gateway_device.clone()),
        ("rate", vif.rate.map(rate_text)),
        ("mtu", (mtu != DEFAULT_MTU).then(|| mtu.to_string())),
        ("vlan", vif.vlan.clone()),
    ];
    back.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    back.extend([
        ("bridge", vif.bridge.clone().unwrap_or_default()),
        ("handle", number.clone()),
        ("type", "vif".to_owned()),
        // Empty: the back end waits for `connected`.
        ("hotplug-status", String::new()),
    ]);
    let front = vec![
        ("backend-id", vif.backend.to_string()),
        ("state", "1".to_owned()),
        ("handle", number),
        ("mac", mac),
        ("trusted", flag(vif.is_trusted)),
    ];
    Nodes {
        back,
        front,
        fixed_front: vec![("mtu", mtu.to_string())],
    }
}

/// Writes a device's three directories. What was in them is gone.
pub fn write(
    store: &dyn Access,
    tx: Tx,
    domain: u16,
    backend: u16,
    paths: &Paths,
    nodes: &Nodes,
) -> Result<()> {
    let guests = [Permission::none(domain), Permission::read(backend)];
    let ours = [Permission::none(backend), Permission::read(domain)];
    let write_all = |directory: &str, values: &Values| {
        values.iter().try_for_each(|(name, value)| {
            store.write(tx, &format!("{directory}/{name}"), value.as_bytes())
        })
    };

    clear(store, tx, &paths.record)?;
    for (name, path) in [("frontend", &paths.front), ("backend", &paths.back)] {
        store.write(tx, &format!("{}/{name}", paths.record), path.as_bytes())?;
    }
    write_all(&paths.record, &nodes.back)?;

    // New nodes have the permissions of the directory they are made in.
    clear(store, tx, &paths.front)?;
    store.mkdir(tx, &paths.front)?;
    store.set_permissions(tx, &paths.front, &guests)?;
    store.write(
        tx,
        &format!("{}/backend", paths.front),
        paths.back.as_bytes(),
    )?;
    write_all(&paths.front, &nodes.front)?;
    write_all(&paths.front, &nodes.fixed_front)?;
    for (name, _) in &nodes.fixed_front {
        store.set_permissions(tx, &format!("{}/{name}", paths.front), &ours)?;
    }

    clear(store, tx, &paths.back)?;
    store.mkdir(tx, &paths.back)?;
    store.set_permissions(tx, &paths.back, &ours)?;
    store.write(
        tx,
        &format!("{}/frontend", paths.back),
        paths.front.as_bytes(),
    )?;
    write_all(&paths.back, &nodes.back)
}

/// The value of a node, if there is such a node. Another domain may have written it: what is no text comes out as one that means nothing.
pub fn read_text(store: &dyn Access, tx: Tx, path: &str) -> Result<Option<String>> {
    match store.read(tx, path) {
        Ok(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a node that may be missing.
pub fn clear(store: &dyn Access, tx: Tx, path: &str) -> Result<()> {
    match store.remove(tx, path) {
        Err(error) if error.is_removed() => Ok(()),
        result => result,
    }
}

/// Removes a node, and then its parents as far as they hold nothing else.
pub fn prune(store: &dyn Access, tx: Tx, path: &str) -> Result<()> {
    clear(store, tx, path)?;
    let mut path = path;
    while let Some((parent, _)) = path.rsplit_once('/') {
        if parent.is_empty() || !is_bare(store, tx, parent)? {
            break;
        }
        clear(store, tx, parent)?;
        path = parent;
    }
    Ok(())
}

/// Whether a node has neither a value nor children. A missing one is bare: its parent may be, too.
fn is_bare(store: &dyn Access, tx: Tx, path: &str) -> Result<bool> {
    let nothing = |empty: Result<bool>| match empty {
        Err(error) if error.is_not_found() => Ok(true),
        result => result,
    };
    Ok(nothing(store.read(tx, path).map(|value| value.is_empty()))?
        && nothing(store.list(tx, path).map(|children| children.is_empty()))?)
}
