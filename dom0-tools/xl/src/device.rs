//! Devices of running domains, and of the configuration that they are restarted with.

use domain::devices::{Device, DeviceId, Devices, Force};
use domain::lifecycle::CONFIG;
use domcfg::DomainConfig;
use domcfg::model::{Disk, Nic, NicType};
use xenctl::DomId;

use crate::context::Context;
use crate::life;
use crate::progress::Progress;

/// The devices as the store has them.
pub fn devices(context: &Context) -> anyhow::Result<Devices<'_>> {
    Ok(life::toolstack(context)?.devices())
}

/// Gives a domain a disk, and its configuration too.
pub fn attach_disk(context: &Context, domain: DomId, disk: &Disk) -> anyhow::Result<DeviceId> {
    let devices = devices(context)?;
    context.xen()?.domain(domain)?;
    let device = Device::Disk(devices.disk_from_config(disk)?);
    let _progress = Progress::of(format!("Attaching to domain {domain}"));
    let id = devices.attach(domain.0, &device)?;
    record(context, domain, id, |config| {
        let vdev = disk.vdev.as_deref().and_then(vdev);
        config
            .disks
            .retain(|known| known.vdev.as_deref().and_then(self::vdev) != vdev);
        config.disks.push(disk.clone());
    })?;
    Ok(id)
}

/// Gives a domain a network interface, and its configuration too.
pub fn attach_nic(context: &Context, domain: DomId, nic: &Nic) -> anyhow::Result<DeviceId> {
    let devices = devices(context)?;
    context.xen()?.domain(domain)?;
    let device = Device::Vif(devices.vif_from_config(nic)?);
    let _progress = Progress::of(format!("Attaching to domain {domain}"));
    let id = devices.attach(domain.0, &device)?;
    if let DeviceId::Vif(number) = id {
        let present = devices
            .vifs(domain.0)?
            .into_iter()
            .find(|vif| vif.number == number);
        let mac = present.map_or(nic.mac, |vif| vif.mac);
        let nic = Nic {
            devid: Some(number),
            mac,
            nictype: NicType::Vif,
            ..nic.clone()
        };
        record(context, domain, id, |config| {
            config.nics.retain(|known| known.devid != Some(number));
            config.nics.push(nic);
        })?;
    }
    Ok(id)
}

/// Takes a device from a domain, and out of its configuration.
pub fn detach(context: &Context, domain: DomId, id: DeviceId, force: Force) -> anyhow::Result<()> {
    let _progress = Progress::of(format!("Detaching {id} from domain {domain}"));
    devices(context)?.detach(domain.0, id, force)?;
    change(context, domain, |config| match id {
        DeviceId::Disk(disk) => {
            config
                .disks
                .retain(|known| known.vdev.as_deref().and_then(vdev) != Some(disk));
        }
        DeviceId::Vif(number) => config.nics.retain(|known| known.devid != Some(number)),
        DeviceId::Other(_) => {}
    })
}

/// Adds a device to the configuration. One that can not be recorded would be gone after a restart of the domain: it does not stay.
fn record(
    context: &Context,
    domain: DomId,
    id: DeviceId,
    add: impl FnOnce(&mut DomainConfig),
) -> anyhow::Result<()> {
    change(context, domain, add).inspect_err(|_| {
        if let Err(error) =
            devices(context).and_then(|all| Ok(all.detach(domain.0, id, Force::Now)?))
        {
            tracing::error!("{id} can not be taken away again: {error:#}");
        }
    })
}

fn vdev(name: &str) -> Option<domain::devices::VirtualDisk> {
    name.parse().ok()
}

/// Changes the configuration that is kept with a domain, if there is one.
fn change(
    context: &Context,
    domain: DomId,
    change: impl FnOnce(&mut DomainConfig),
) -> anyhow::Result<()> {
    let files = life::toolstack(context)?.userdata(domain)?;
    let _lock = files.lock()?;
    let Some(text) = files.read(CONFIG)? else {
        return Ok(());
    };
    let mut config = DomainConfig::from_libxl_json_text(&text)?;
    change(&mut config);
    let json = domcfg::pretty(&config.to_libxl_json());
    files.write(CONFIG, json.as_bytes())?;
    Ok(())
}
