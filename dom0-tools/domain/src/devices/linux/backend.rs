//! What dom0's kernel says of its back ends in sysfs.

use std::path::{Path, PathBuf};

use super::super::host::Driver;
use super::super::paths::{DeviceId, Kind};

const DEVICES: &str = "/sys/bus/xen-backend/devices";

/// How the back end stands to a device. blkback makes the attribute `physical_device` once it has the storage open.
pub fn driver(kind: &Kind, domain: u16, device: DeviceId) -> Driver {
    let directory = directory(Path::new(DEVICES), kind, domain, device);
    if directory.join("physical_device").exists() {
        Driver::Holding
    } else if directory.exists() {
        Driver::Present
    } else {
        Driver::Absent
    }
}

fn directory(devices: &Path, kind: &Kind, domain: u16, device: DeviceId) -> PathBuf {
    devices.join(format!("{}-{domain}-{}", kind.name(), device.number()))
}
