//! Connects and disconnects devices of a domain by hand: run it without arguments for its commands.
//!
//! Also an example of how [`domain::devices`] is used: plan, attach, list, detach, remove.

use std::error::Error;
use std::time::Instant;

use domain::devices::{Device, DeviceId, Devices, Disk, Force, LinuxHost, Mode, Vif, VirtualDisk};
use xenstore::client::Client;

const USAGE: &str = "usage: devices attach DOMAIN DEVICE...   DEVICE: disk:VDEV:r|w:TARGET[:SCRIPT] or vif:BRIDGE[:MAC[:SCRIPT]] (MAC with -)
       devices detach DOMAIN disk VDEV|vif NUMBER [ask|force]
       devices list DOMAIN
       devices remove-all DOMAIN";

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (store, host) = (Client::connect()?, LinuxHost::new());
    let devices = Devices {
        store: &store,
        host: &host,
    };
    let start = Instant::now();
    match words[..] {
        ["attach", domain, ref rest @ ..] => {
            let wanted = rest
                .iter()
                .map(|text| device(text))
                .collect::<Result<Vec<_>, _>>()?;
            let ids = devices.attach_all(domain.parse()?, &devices.plan(&wanted)?)?;
            ids.iter().for_each(|id| println!("attached {id}"));
        }
        ["detach", domain, kind, number, ref how @ ..] => {
            let id = match kind {
                "disk" => DeviceId::Disk(number.parse()?),
                _ => DeviceId::Vif(number.parse()?),
            };
            let force = match how {
                ["ask"] => Force::Never,
                ["force"] => Force::Now,
                _ => Force::AfterTime,
            };
            devices.detach(domain.parse()?, id, force)?;
        }
        ["list", domain] => list(&devices, domain.parse()?)?,
        ["remove-all", domain] => devices.remove_all(domain.parse()?)?,
        _ => return Err(USAGE.into()),
    }
    println!("{} ms", start.elapsed().as_millis());
    Ok(())
}

fn list(devices: &Devices<'_>, domain: u16) -> Result<(), Box<dyn Error>> {
    devices
        .disks(domain)?
        .iter()
        .for_each(|disk| println!("{disk:?}"));
    devices
        .vifs(domain)?
        .iter()
        .for_each(|vif| println!("{vif:?}"));
    Ok(())
}

fn device(text: &str) -> Result<Device, Box<dyn Error>> {
    match text.split(':').collect::<Vec<_>>()[..] {
        ["disk", vdev, mode, target, ref script @ ..] => {
            let mode = match mode {
                "r" => Mode::ReadOnly,
                "w!" => Mode::ReadWriteShared,
                _ => Mode::ReadWrite,
            };
            let vdev: VirtualDisk = vdev.parse()?;
            Ok(Device::Disk(Disk {
                script: script.first().map(Into::into),
                ..Disk::raw(target, vdev, mode)
            }))
        }
        ["vif", bridge, ref rest @ ..] => Ok(Device::Vif(Vif {
            bridge: Some(bridge.to_owned()),
            mac: rest
                .first()
                .filter(|mac| !mac.is_empty())
                .map(|mac| mac.replace('-', ":").parse())
                .transpose()?,
            script: rest.get(1).map(Into::into),
            ..Vif::default()
        })),
        _ => Err(USAGE.into()),
    }
}
