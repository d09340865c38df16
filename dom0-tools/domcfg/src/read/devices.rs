//! Devices served by other programs or domains: channels, 9pfs, pvcalls, TPMs, virtio.

use crate::model::{
    Channel, ChannelConnection, DomainConfig, P9, P9Type, PvCalls, Virtio, VirtioTransport, Vtpm,
};

use super::reader::{Item, Reader};
use super::words::{Specification, words};

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    for item in reader.items("channel").unwrap_or_default() {
        let channel = read_channel(reader, item);
        config.channels.push(channel);
    }
    let name = config.c_info.name.clone().unwrap_or_default();
    for item in reader.items("p9").unwrap_or_default() {
        let p9 = read_p9(reader, item, &name);
        config.p9s.push(p9);
    }
    for item in reader.items("pvcalls").unwrap_or_default() {
        let pvcalls = read_pvcalls(reader, item, config.pvcallsifs.len());
        config.pvcallsifs.push(pvcalls);
    }
    for item in reader.items("vtpm").unwrap_or_default() {
        let vtpm = read_vtpm(reader, item, config.vtpms.len());
        config.vtpms.push(vtpm);
    }
    for item in reader.items("virtio").unwrap_or_default() {
        let virtio = read_virtio(reader, item, config.virtios.len());
        config.virtios.push(virtio);
    }
}

fn devid(index: usize) -> Option<u32> {
    u32::try_from(index).ok()
}

fn read_channel(reader: &mut Reader<'_>, item: Item<'_>) -> Channel {
    let mut channel = Channel::default();
    let (mut connection, mut path) = (None, None);
    let mut specification = Specification::new(reader, item, "channel");
    for word in words(item.text) {
        match word
            .pair()
            .map(|(key, value)| (key.trim(), value.trimmed()))
        {
            Some(("backend", value)) => channel.backend_domname = value.string(),
            Some(("name", value)) => channel.name = value.string(),
            Some(("path", value)) => path = value.string(),
            Some(("connection", value)) => {
                let known = matches!(value.text, "pty" | "socket").then_some(value.text);
                connection = specification.choice("connection", value, known, "pty or socket");
            }
            _ => specification.unknown(word),
        }
    }
    channel.connection = match (connection, path) {
        (Some("pty"), _) => ChannelConnection::Pty,
        (Some("socket"), Some(path)) => ChannelConnection::Socket(path),
        (Some("socket"), None) => {
            specification.incomplete("expected path= for a channel with connection=socket");
            ChannelConnection::Unknown
        }
        _ => {
            specification.incomplete("expected connection=pty or connection=socket for a channel");
            ChannelConnection::Unknown
        }
    };
    channel
}

fn read_p9(reader: &mut Reader<'_>, item: Item<'_>, name: &str) -> P9 {
    let mut p9 = P9::default();
    let mut specification = Specification::new(reader, item, "9pfs device");
    for word in words(item.text) {
        match word
            .pair()
            .map(|(key, value)| (key.trim(), value.trimmed()))
        {
            Some(("tag", value)) => p9.tag = value.string(),
            Some(("path", value)) => p9.path = value.string(),
            Some(("security_model", value)) => p9.security_model = value.string(),
            Some(("backend", value)) => p9.backend_domname = value.string(),
            Some(("type", value)) => {
                let kind = P9Type::from_name(value.text).filter(|kind| *kind != P9Type::Unknown);
                p9.kind = specification
                    .choice("type", value, kind, "qemu or xen_9pfsd")
                    .unwrap_or_default();
            }
            Some((key @ "max-space", value)) => {
                p9.max_space = specification.number(key, value).unwrap_or_default()
            }
            Some((key @ "max-files", value)) => {
                p9.max_files = specification.number(key, value).unwrap_or_default()
            }
            Some((key @ "max-open-files", value)) => {
                p9.max_open_files = specification.number(key, value).unwrap_or_default()
            }
            Some((key @ "auto-delete", value)) => {
                p9.auto_delete = specification.flag(key, value).unwrap_or_default()
            }
            _ => specification.unknown(word),
        }
    }
    if p9.kind == P9Type::Xen9pfsd && p9.path.is_none() {
        p9.path = Some(format!("/var/log/xen/guests/{name}"));
    }
    p9
}

fn read_pvcalls(reader: &mut Reader<'_>, item: Item<'_>, index: usize) -> PvCalls {
    let mut pvcalls = PvCalls {
        devid: devid(index),
        ..PvCalls::default()
    };
    let mut specification = Specification::new(reader, item, "pvcalls device");
    for word in words(item.text) {
        match word.pair() {
            Some(("backend", value)) => pvcalls.backend_domname = value.string(),
            _ => specification.unknown(word),
        }
    }
    pvcalls
}

fn read_vtpm(reader: &mut Reader<'_>, item: Item<'_>, index: usize) -> Vtpm {
    let mut vtpm = Vtpm {
        devid: devid(index),
        ..Vtpm::default()
    };
    let mut specification = Specification::new(reader, item, "virtual TPM");
    for word in words(item.text) {
        match word.pair() {
            Some(("backend", value)) => vtpm.backend_domname = value.string(),
            Some(("uuid", value)) => {
                vtpm.uuid = specification
                    .choice("uuid", value, value.text.parse().ok(), "a UUID")
                    .unwrap_or_default()
            }
            _ => specification.unknown(word),
        }
    }
    if vtpm.backend_domname.is_none() {
        specification.incomplete("expected backend= for a virtual TPM");
    }
    vtpm
}

/// The type may have a comma in it: `type=virtio,device22`.
fn read_virtio(reader: &mut Reader<'_>, item: Item<'_>, index: usize) -> Virtio {
    let mut virtio = Virtio {
        devid: devid(index),
        ..Virtio::default()
    };
    let mut specification = Specification::new(reader, item, "virtio device");
    let mut words = words(item.text);
    while let Some(word) = words.next() {
        match word.pair() {
            Some(("backend", value)) => virtio.backend_domname = value.string(),
            Some(("type", value)) if value.text.starts_with("virtio") => match words.next() {
                Some(device) => virtio.kind = Some(format!("{},{}", value.text, device.text)),
                None => specification.unexpected("type", value, "a device such as virtio,device22"),
            },
            Some(("type", value)) => virtio.kind = value.string(),
            Some(("transport", value)) => {
                let transport = VirtioTransport::from_name(value.text)
                    .filter(|transport| *transport == VirtioTransport::Mmio);
                virtio.transport = specification
                    .choice("transport", value, transport, "mmio")
                    .unwrap_or_default();
            }
            Some(("grant_usage", value)) => {
                virtio.grant_usage = specification.flag("grant_usage", value)
            }
            _ => specification.unknown(word),
        }
    }
    virtio
}
