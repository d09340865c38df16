//! Resources of the host handed to the domain: PCI and USB devices, ports, interrupts, memory.

use crate::model::{
    DeviceTreeDevice, DomainConfig, GuestInfo, HostUsbDevice, IoMemRange, IoPortRange, PciDevice,
    RdmReserve, RdmReservePolicy, RdmReserveStrategy, UsbController, UsbControllerType, UsbDevice,
    UsbDeviceKind,
};
use crate::number::parse_digits;
use crate::problem::quoted;

use super::reader::{Item, Reader};
use super::words::{Specification, Word, words};

/// Every function of a device.
const ALL_FUNCTIONS: u32 = u32::MAX;

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let reserve = read_rdm(reader);
    if let GuestInfo::Hvm(hvm) = &mut config.b_info.u {
        hvm.rdm = reserve;
    }
    let initial = initial_pci_device(reader, config);
    for item in reader.items("pci").unwrap_or_default() {
        let device = read_pci(reader, item, initial.clone());
        config.pcidevs.push(device);
    }
    let paths = reader.strings("dtdev").unwrap_or_default();
    config.dtdevs = paths
        .into_iter()
        .map(|path| DeviceTreeDevice { path: Some(path) })
        .collect();
    read_usb(reader, config);
    config.b_info.ioports = collect(
        reader,
        "ioports",
        "I/O ports in hexadecimal such as 3f8-3ff",
        parse_ports,
    );
    config.b_info.irqs = collect(reader, "irqs", "the number of an interrupt", |text| {
        text.parse().ok()
    });
    config.b_info.iomem = collect(
        reader,
        "iomem",
        "frames in hexadecimal such as fee00,1 or fee00,1@100",
        parse_frames,
    );
}

fn collect<T>(
    reader: &mut Reader<'_>,
    name: &str,
    expectation: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let mut found = Vec::new();
    for item in reader.items(name).unwrap_or_default() {
        match parse(item.text) {
            Some(value) => found.push(value),
            None => {
                let message = format!(
                    "expected {expectation} in the list of {}, found {}",
                    quoted(name),
                    quoted(item.text)
                );
                reader.problem(item.value.place.clone(), message);
            }
        }
    }
    found
}

fn hexadecimal(text: &str) -> Option<u64> {
    parse_digits(
        text.strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text),
        16,
    )
}

fn parse_ports(text: &str) -> Option<IoPortRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text| {
        hexadecimal(text)
            .and_then(|port| u32::try_from(port).ok())
            .filter(|port| *port < u32::MAX)
    };
    let (first, last) = (port(first)?, port(last)?);
    Some(IoPortRange {
        first,
        number: last.checked_sub(first)? + 1,
    })
}

/// `START,NUMBER[@GUEST]`
fn parse_frames(text: &str) -> Option<IoMemRange> {
    let (range, gfn) = match text.split_once('@') {
        Some((range, gfn)) => (range, Some(hexadecimal(gfn)?)),
        None => (text, None),
    };
    let (start, number) = range.split_once(',')?;
    // The highest number means "not said" to libxl.
    let gfn = gfn.filter(|gfn| *gfn != u64::MAX);
    Some(IoMemRange {
        start: hexadecimal(start)?,
        number: hexadecimal(number)?,
        gfn,
    })
}

/// `strategy=host,policy=strict`
fn read_rdm(reader: &mut Reader<'_>) -> RdmReserve {
    let mut reserve = RdmReserve::default();
    let (Some(text), Some(setting)) = (reader.text("rdm"), reader.setting("rdm")) else {
        return reserve;
    };
    let item = Item {
        text,
        value: &setting.value,
    };
    let mut specification = Specification::new(reader, item, "reserve of device memory");
    for word in words(text) {
        match word.pair() {
            Some(("strategy", value)) => {
                let strategy = (value.text == "host").then_some(RdmReserveStrategy::Host);
                reserve.strategy = specification
                    .choice("strategy", value, strategy, "host")
                    .unwrap_or_default();
            }
            Some(("policy", value)) => {
                reserve.policy =
                    read_policy(&mut specification, "policy", value).unwrap_or_default()
            }
            _ => specification.unknown(word),
        }
    }
    reserve
}

fn read_policy(
    specification: &mut Specification<'_, '_, '_>,
    key: &str,
    value: Word<'_>,
) -> Option<RdmReservePolicy> {
    let policy = RdmReservePolicy::from_name(value.text)
        .filter(|policy| *policy != RdmReservePolicy::Invalid);
    specification.choice(key, value, policy, "strict or relaxed")
}

/// What the keys for all devices say. libxl takes the policy of a guest that has no `rdm=` for strict.
fn initial_pci_device(reader: &mut Reader<'_>, config: &DomainConfig) -> PciDevice {
    PciDevice {
        msitranslate: reader.flag("pci_msitranslate").unwrap_or_default(),
        power_mgmt: reader.flag("pci_power_mgmt").unwrap_or_default(),
        permissive: reader.flag("pci_permissive").unwrap_or_default(),
        seize: reader.flag("pci_seize").unwrap_or_default(),
        rdm_policy: match &config.b_info.u {
            GuestInfo::Hvm(hvm) => hvm.rdm.policy,
            _ => RdmReservePolicy::Strict,
        },
        ..PciDevice::default()
    }
}

/// `[SEGMENT:]BUS:DEVICE.FUNCTION[@SLOT]` and `key=value` words, or `name=` instead of the address.
fn read_pci(reader: &mut Reader<'_>, item: Item<'_>, mut device: PciDevice) -> PciDevice {
    let mut specification = Specification::new(reader, item, "PCI device");
    let mut has_address = false;
    for word in words(item.text) {
        let Some((key, value)) = word.pair() else {
            let (address, slot) = word
                .text
                .split_once('@')
                .map_or((word.text, None), |(address, slot)| (address, Some(slot)));
            let is_right = word.offset == 0
                && parse_address(&mut device, address)
                && slot.is_none_or(|slot| parse_slot(&mut device, slot));
            if !is_right {
                specification.unknown(word);
            }
            has_address = true;
            continue;
        };
        match key {
            "bdf" => {
                has_address = true;
                if !parse_address(&mut device, value.text) {
                    specification.unexpected(key, value, "an address such as 0000:03:00.0");
                }
            }
            "vslot" => {
                if !parse_slot(&mut device, value.text) {
                    specification.unexpected(key, value, "a slot from 0 to 1f");
                }
            }
            "permissive" => device.permissive = specification.flag(key, value).unwrap_or_default(),
            "msitranslate" => {
                device.msitranslate = specification.flag(key, value).unwrap_or_default()
            }
            "seize" => device.seize = specification.flag(key, value).unwrap_or_default(),
            "power_mgmt" => device.power_mgmt = specification.flag(key, value).unwrap_or_default(),
            "rdm_policy" => {
                device.rdm_policy = read_policy(&mut specification, key, value).unwrap_or_default()
            }
            "name" => device.name = value.string(),
            _ => specification.unknown(word),
        }
    }
    if has_address == device.name.is_some() {
        specification.incomplete("expected either the address or the name of a PCI device");
    }
    device
}

/// `[SEGMENT:]BUS:DEVICE.FUNCTION`; `*` stands for every function.
fn parse_address(device: &mut PciDevice, text: &str) -> bool {
    let parsed = (|| {
        let (slot, function) = text.split_once('.')?;
        let mut parts = slot.rsplit(':');
        let number = |text: Option<&str>, most: u64| {
            text.and_then(hexadecimal).filter(|number| *number <= most)
        };
        let dev = number(parts.next(), 0x1f)?;
        let bus = number(parts.next(), 0xff)?;
        let domain = parts
            .next()
            .map_or(Some(0), |text| number(Some(text), 0xffff))?;
        let func = if function == "*" {
            0
        } else {
            number(Some(function), 7)?
        };
        let is_complete = parts.next().is_none();
        is_complete.then_some((
            i32::try_from(domain).ok()?,
            bus as u8,
            dev as u8,
            func as u8,
        ))
    })();
    if let Some((domain, bus, dev, func)) = parsed {
        (device.domain, device.bus, device.dev, device.func) = (domain, bus, dev, func);
        device.vfunc_mask = if text.ends_with('*') {
            ALL_FUNCTIONS
        } else {
            1
        };
    }
    parsed.is_some()
}

fn parse_slot(device: &mut PciDevice, text: &str) -> bool {
    let slot = hexadecimal(text)
        .and_then(|slot| u32::try_from(slot).ok())
        .filter(|slot| *slot <= 0x1f);
    device.vdevfn = slot.unwrap_or(0) << 3;
    slot.is_some()
}

fn read_usb(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    for item in reader.items("usbctrl").unwrap_or_default() {
        let controller = read_usb_controller(reader, item, config.usbctrls.len());
        config.usbctrls.push(controller);
    }
    for item in reader.items("usbdev").unwrap_or_default() {
        let device = read_usb_device(reader, item);
        config.usbdevs.push(device);
    }
}

fn read_usb_controller(reader: &mut Reader<'_>, item: Item<'_>, index: usize) -> UsbController {
    let mut controller = UsbController {
        devid: u32::try_from(index).ok(),
        ..UsbController::default()
    };
    let mut specification = Specification::new(reader, item, "USB controller");
    for word in words(item.text) {
        match word.pair() {
            Some(("type", value)) => {
                let kind = UsbControllerType::from_name(value.text);
                controller.kind = specification
                    .choice("type", value, kind, "auto, pv, devicemodel or qusb")
                    .unwrap_or_default();
            }
            Some(("version", value)) => {
                controller.version = specification.number("version", value).unwrap_or_default()
            }
            Some(("ports", value)) => {
                controller.ports = specification.number("ports", value).unwrap_or_default()
            }
            _ => specification.unknown(word),
        }
    }
    controller
}

fn read_usb_device(reader: &mut Reader<'_>, item: Item<'_>) -> UsbDevice {
    let mut device = UsbDevice::default();
    let mut host = HostUsbDevice::default();
    let mut specification = Specification::new(reader, item, "USB device");
    for word in words(item.text) {
        match word.pair() {
            Some(("type", value)) => {
                let kind = value.text.eq_ignore_ascii_case("hostdev").then_some(());
                _ = specification.choice("type", value, kind, "hostdev");
            }
            Some(("hostbus", value)) => {
                host.hostbus = specification.number("hostbus", value).unwrap_or_default()
            }
            Some(("hostaddr", value)) => {
                host.hostaddr = specification.number("hostaddr", value).unwrap_or_default()
            }
            Some(("controller", value)) => device.ctrl = specification.number("controller", value),
            Some(("port", value)) => {
                device.port = specification.number("port", value).unwrap_or_default()
            }
            _ => specification.unknown(word),
        }
    }
    device.kind = UsbDeviceKind(Some(host));
    device
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_an_optional_segment() {
        let mut device = PciDevice::default();
        assert!(parse_address(&mut device, "0001:03:1f.7"));
        assert_eq!(
            (
                device.domain,
                device.bus,
                device.dev,
                device.func,
                device.vfunc_mask
            ),
            (1, 3, 31, 7, 1)
        );
        assert!(parse_address(&mut device, "a0:00.*"));
        assert_eq!(
            (device.domain, device.bus, device.vfunc_mask),
            (0, 0xa0, ALL_FUNCTIONS)
        );
        for wrong in [
            "",
            "03:00",
            "00.0",
            "03:20.0",
            "03:00.8",
            "0:0:0:0.0",
            "100:00.0",
            "x:00.0",
            "03:-1.0",
        ] {
            assert!(!parse_address(&mut device, wrong), "{wrong}");
        }
    }

    #[test]
    fn ports_and_frames_are_hexadecimal() {
        assert_eq!(
            parse_ports("3f8-3ff"),
            Some(IoPortRange {
                first: 0x3f8,
                number: 8
            })
        );
        assert_eq!(
            parse_ports("70"),
            Some(IoPortRange {
                first: 0x70,
                number: 1
            })
        );
        assert_eq!(parse_ports("3ff-3f8"), None);
        assert_eq!(
            parse_frames("fee00,1@100"),
            Some(IoMemRange {
                start: 0xfee00,
                number: 1,
                gfn: Some(0x100)
            })
        );
        assert_eq!(parse_frames("fee00"), None);
    }
}
