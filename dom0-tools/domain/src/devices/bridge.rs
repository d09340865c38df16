//! Making a guest's link a port of a bridge: what the script `vif-bridge` is for.

use std::io;

use super::Vif;
use super::error::{Error, Result};
use super::host::{Host, Link, LinkChange};

/// The address of a link whose other end is the guest: the highest there is, so that no bridge chooses it as its own.
const BACK_END_ADDRESS: [u8; 6] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff];

/// The bridge of this name. An empty name means the first there is; `xenbrN` may stand for a bridge `ethN` as it did long ago.
pub fn find(host: &dyn Host, name: &str, device: &str) -> Result<Link> {
    if name.is_empty() {
        return first(host, device);
    }
    let found = host
        .link(name)
        .map_err(failed(device, "look for bridge", name))?;
    match found {
        Some(link) if link.is_bridge => return Ok(link),
        Some(_) => return Err(no_bridge(device, name)),
        None => {}
    }
    if let Some(number) = name.strip_prefix("xenbr") {
        let name = format!("eth{number}");
        let found = host
            .link(&name)
            .map_err(failed(device, "look for bridge", &name))?;
        if let Some(link) = found.filter(|link| link.is_bridge) {
            return Ok(link);
        }
    }
    Err(missing(
        device,
        format!("could not find bridge device {name}"),
    ))
}

fn first(host: &dyn Host, device: &str) -> Result<Link> {
    let links = host
        .links()
        .map_err(failed(device, "list", "network links"))?;
    let bridges = links.into_iter().filter(|link| link.is_bridge);
    bridges.min_by(|a, b| a.name.cmp(&b.name)).ok_or_else(|| {
        missing(
            device,
            "could not find a bridge, and none was named".to_owned(),
        )
    })
}

fn no_bridge(device: &str, name: &str) -> Error {
    Error::Invalid {
        device: device.to_owned(),
        reason: format!(
            "{name} is no bridge of Linux: for one of Open vSwitch use script=vif-openvswitch"
        ),
    }
}

fn missing(device: &str, reason: String) -> Error {
    Error::Invalid {
        device: device.to_owned(),
        reason: format!("{reason}: create it or name another with bridge="),
    }
}

/// An error of the kernel's, as one of the device's.
fn failed<'a>(
    device: &'a str,
    action: &'static str,
    what: &'a str,
) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::Host {
        device: device.to_owned(),
        action,
        what: what.to_owned(),
        source,
    }
}

/// Connects `link`, which the back end has made, and gives its largest packet.
pub fn connect(host: &dyn Host, vif: &Vif, link: &Link, device: &str) -> Result<u32> {
    let bridge = find(host, vif.bridge.as_deref().unwrap_or_default(), device)?;
    let change = |change: &LinkChange| {
        host.change_link(link.index, change)
            .map_err(failed(device, "set up link", &link.name))
    };
    let down = LinkChange {
        up: Some(false),
        name: vif.name.clone(),
        ..LinkChange::default()
    };
    if vif.name.is_some() || link.is_up {
        change(&down)?;
    }
    let name = vif.name.as_deref().unwrap_or(&link.name);
    host.flush_addresses(link.index)
        .map_err(failed(device, "take the addresses from", name))?;
    host.disable_ipv6(name)
        .map_err(failed(device, "switch off IPv6 on", name))?;
    let mtu = vif.mtu.filter(|&mtu| mtu > 0).unwrap_or(bridge.mtu);
    let resize = LinkChange {
        mtu: Some(mtu),
        ..LinkChange::default()
    };
    if let Err(error) = change(&resize) {
        // As with the script: the guest is told what was asked for, and the link works with what it has.
        tracing::warn!("{error}");
    }
    change(&LinkChange {
        address: Some(BACK_END_ADDRESS),
        master: Some(Some(bridge.index)),
        up: Some(true),
        ..LinkChange::default()
    })?;
    Ok(mtu)
}

/// Takes a link from its bridge, if it is still there.
pub fn disconnect(host: &dyn Host, name: &str) -> io::Result<()> {
    let Some(link) = host.link(name)? else {
        return Ok(());
    };
    host.change_link(
        link.index,
        &LinkChange {
            master: Some(None),
            up: Some(false),
            ..LinkChange::default()
        },
    )
}
