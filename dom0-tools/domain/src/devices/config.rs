//! Devices of a configuration, as [`domcfg`] reads it.

use domcfg::model::{Disk as DiskConfig, DiskBackend, DiskFormat, DiskSpecification, Nic, NicType};
use xenstore::Tx;

use super::error::{Error, Result};
use super::nodes::read_text;
use super::{Device, Devices, Disk, Format, Mode, Rate, Vif};

impl Devices<'_> {
    /// The disks and network interfaces of a configuration. What only an emulator can serve is refused.
    pub fn from_config(&self, disks: &[DiskConfig], nics: &[Nic]) -> Result<Vec<Device>> {
        let disks = disks
            .iter()
            .map(|disk| self.disk_from_config(disk).map(Device::Disk));
        let vifs = nics
            .iter()
            .map(|nic| self.vif_from_config(nic).map(Device::Vif));
        disks.chain(vifs).collect()
    }

    /// A disk of a configuration.
    pub fn disk_from_config(&self, disk: &DiskConfig) -> Result<Disk> {
        let vdev_name = disk.vdev.clone().unwrap_or_default();
        let device = format!("disk {vdev_name}");
        let vdev = vdev_name
            .parse()
            .map_err(|error| invalid(&device, format!("{error}")))?;
        check_back_end(disk, &device)?;
        Ok(Disk {
            target: disk.pdev_path.clone().unwrap_or_default(),
            format: format_of(disk.format),
            vdev,
            mode: match disk.is_writable() {
                true => Mode::ReadWrite,
                false => Mode::ReadOnly,
            },
            is_cdrom: disk.is_cdrom(),
            is_removable: disk.removable != 0,
            discard: disk.discard_enable,
            direct_io_safe: disk.direct_io_safe,
            is_trusted: disk.trusted.unwrap_or(true),
            script: disk.script.as_ref().map(Into::into),
            backend: self.back_end(disk.backend_domid, disk.backend_domname.as_deref(), &device)?,
            vdev_name,
        })
    }

    /// A network interface of a configuration.
    pub fn vif_from_config(&self, nic: &Nic) -> Result<Vif> {
        let device = match nic.devid {
            Some(number) => format!("network interface {number}"),
            None => "network interface".to_owned(),
        };
        if nic.nictype == NicType::VifIoemu {
            let hint = "type=ioemu needs an emulator, which type=\"pvh\" has not: use type=vif";
            return Err(invalid(&device, hint));
        }
        if !nic.colo.0.is_empty() {
            return Err(invalid(&device, "replication (colo) is not supported"));
        }
        let rate = Rate {
            bytes_per_interval: nic.rate_bytes_per_interval,
            interval_usecs: nic.rate_interval_usecs,
        };
        Ok(Vif {
            id: nic.devid,
            mac: (!nic.mac.is_none()).then_some(nic.mac),
            bridge: nic.bridge.clone(),
            name: nic.ifname.clone(),
            ip: nic.ip.clone(),
            gateway_device: nic.gatewaydev.clone(),
            mtu: u32::try_from(nic.mtu).ok().filter(|&mtu| mtu > 0),
            vlan: nic.vlan.clone(),
            rate: (rate.interval_usecs > 0).then_some(rate),
            script: nic.script.as_ref().map(Into::into),
            is_trusted: nic.trusted.unwrap_or(true),
            backend: self.back_end(nic.backend_domid, nic.backend_domname.as_deref(), &device)?,
        })
    }

    /// A back end's domain, named or by number.
    fn back_end(&self, number: u32, name: Option<&str>, device: &str) -> Result<u16> {
        let unknown =
            |what: &str| invalid(device, format!("backend={what}: there is no such domain"));
        let Some(name) = name else {
            return u16::try_from(number).map_err(|_| unknown(&number.to_string()));
        };
        if let Ok(number) = name.parse() {
            return Ok(number);
        }
        for domain in self.store.list(Tx::NONE, "/local/domain")? {
            let path = format!("/local/domain/{domain}/name");
            let is_it = read_text(self.store, Tx::NONE, &path)?.as_deref() == Some(name);
            if let (true, Ok(number)) = (is_it, domain.parse()) {
                return Ok(number);
            }
        }
        Err(unknown(name))
    }
}

fn invalid(device: &str, reason: impl Into<String>) -> Error {
    Error::Invalid {
        device: device.to_owned(),
        reason: reason.into(),
    }
}

/// Disks are served by the kernel, and by nobody else.
fn check_back_end(disk: &DiskConfig, device: &str) -> Result<()> {
    if disk.specification == DiskSpecification::Virtio {
        let hint = "specification=virtio is not supported: leave it out";
        return Err(invalid(device, hint));
    }
    if disk.colo_enable == Some(true) {
        return Err(invalid(device, "replication (colo) is not supported"));
    }
    match disk.backend {
        DiskBackend::Unknown | DiskBackend::Phy => Ok(()),
        DiskBackend::Qdisk | DiskBackend::Tap | DiskBackend::Standalone => Err(invalid(
            device,
            "only the kernel's back end is supported: leave backendtype= out",
        )),
    }
}

const fn format_of(format: DiskFormat) -> Format {
    match format {
        DiskFormat::Raw | DiskFormat::Unknown => Format::Raw,
        DiskFormat::Qcow => Format::Qcow,
        DiskFormat::Qcow2 => Format::Qcow2,
        DiskFormat::Qed => Format::Qed,
        DiskFormat::Vhd => Format::Vhd,
        DiskFormat::Empty => Format::Empty,
    }
}
