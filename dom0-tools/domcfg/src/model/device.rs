//! Devices that only some domains have: passed through, shared by other domains, or consoles with a name.

use serde_json::{Map, Value};

use crate::identity::Uuid;
use crate::json::{Json, JsonError, names, record};

names! {
    /// What happens when a device's reserved memory cannot be kept free.
    RdmReservePolicy, "a policy for reserved memory" {
        /// Not said.
        #[default]
        Invalid = "invalid",
        /// The domain is not made.
        Strict = "strict",
        /// A warning.
        Relaxed = "relaxed",
    }
}

record! {
    /// libxl's `device_pci`.
    PciDevice {
        /// Function on the host.
        func: u8,
        /// Device on the host.
        dev: u8,
        /// Bus on the host.
        bus: u8,
        /// PCI segment on the host.
        domain: i32,
        /// Device and function in the guest; 0: chosen for it.
        vdevfn: u32,
        /// Functions to pass, a bit each.
        vfunc_mask: u32,
        /// Translate MSI to INTx for the guest.
        msitranslate: bool,
        /// Let the guest manage power.
        power_mgmt: bool,
        /// Let the guest write any configuration register.
        permissive: bool,
        /// Take the device from its driver.
        seize: bool,
        /// `rdm_policy=`
        rdm_policy: RdmReservePolicy,
        /// A name from `xl pci-assignable-add`.
        name: Option<String>,
    }
}

record! {
    /// libxl's `device_rdm`.
    RdmRange {
        /// First address.
        start: u64,
        /// Bytes.
        size: u64,
        /// What happens on a conflict.
        policy: RdmReservePolicy,
    }
}

record! {
    /// libxl's `device_dtdev`.
    DeviceTreeDevice {
        /// Path of the node.
        path: Option<String>,
    }
}

names! {
    /// How a virtio device is found.
    VirtioTransport, "a virtio transport" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// Memory-mapped registers.
        Mmio = "mmio",
    }
}

record! {
    /// libxl's `device_virtio`.
    Virtio {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// `backend=`
        backend_domname: Option<String>,
        /// `type=`, e.g. `virtio,device22`.
        kind as "type": Option<String>,
        /// `transport=`
        transport: VirtioTransport,
        /// `grant_usage=`
        grant_usage: Option<bool>,
        /// Place in the list.
        devid: Option<u32>,
        /// Interrupt, chosen by libxl.
        irq: u32,
        /// Registers, chosen by libxl.
        base: u64,
    }
}

record! {
    /// libxl's `device_vtpm`.
    Vtpm {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// `backend=`
        backend_domname: Option<String>,
        /// Place in the list.
        devid: Option<u32>,
        /// `uuid=`
        uuid: Uuid,
    }
}

names! {
    /// Who serves a Plan 9 file system.
    P9Type, "a 9pfs type" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// QEMU.
        Qemu = "qemu",
        /// Xen's own daemon.
        Xen9pfsd = "xen_9pfsd",
    }
}

record! {
    /// libxl's `device_p9`.
    P9 {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// `backend=`
        backend_domname: Option<String>,
        /// `tag=`
        tag: Option<String>,
        /// `path=`
        path: Option<String>,
        /// `security_model=`
        security_model: Option<String>,
        /// Place in the list.
        devid: Option<u32>,
        /// `type=`
        kind as "type": P9Type,
        /// `max-space=` in MiB.
        max_space: i32,
        /// `max-files=`
        max_files: i32,
        /// `max-open-files=`
        max_open_files: i32,
        /// `auto-delete=`
        auto_delete: bool,
    }
}

record! {
    /// libxl's `device_pvcallsif`.
    PvCalls {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// `backend=`
        backend_domname: Option<String>,
        /// Place in the list.
        devid: Option<u32>,
    }
}

/// What a named console is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ChannelConnection {
    /// Not said.
    #[default]
    Unknown,
    /// A pseudo-terminal.
    Pty,
    /// A Unix socket that listens at this path.
    Socket(String),
}

impl Json for ChannelConnection {
    fn to_json(&self) -> Value {
        let mut record = Map::new();
        self.write_member("", &mut record);
        Value::Object(record)
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let record = value
            .as_object()
            .ok_or_else(|| JsonError::new("an object", value))?;
        Self::read_member("", record)
    }

    fn is_initial(&self) -> bool {
        false
    }

    fn write_member(&self, _key: &str, record: &mut Map<String, Value>) {
        let mut inner = Map::new();
        let key = match self {
            ChannelConnection::Unknown => "connection.unknown",
            ChannelConnection::Pty => "connection.pty",
            ChannelConnection::Socket(path) => {
                inner.insert("path".to_owned(), Value::from(path.as_str()));
                "connection.socket"
            }
        };
        record.insert(key.to_owned(), Value::Object(inner));
    }

    fn read_member(_key: &str, record: &Map<String, Value>) -> Result<Self, JsonError> {
        if let Some(socket) = record.get("connection.socket") {
            let path = socket.get("path").map(String::from_json).transpose();
            let path = path.map_err(|error| error.within("path").within("connection.socket"))?;
            return Ok(ChannelConnection::Socket(path.unwrap_or_default()));
        }
        let is_pty = record.contains_key("connection.pty");
        Ok(if is_pty {
            ChannelConnection::Pty
        } else {
            ChannelConnection::Unknown
        })
    }
}

record! {
    /// libxl's `device_channel`.
    Channel {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// `backend=`
        backend_domname: Option<String>,
        /// Number among the domain's consoles.
        devid: Option<u32>,
        /// `name=`
        name: Option<String>,
        /// `connection=` and `path=`
        connection: ChannelConnection,
    }
}

names! {
    /// Kind of a virtual USB controller.
    UsbControllerType, "a USB controller type" {
        /// By the domain's type.
        #[default]
        Auto = "auto",
        /// Paravirtual, served by the kernel.
        Pv = "pv",
        /// Emulated.
        DeviceModel = "devicemodel",
        /// Paravirtual, served by QEMU.
        Qusb = "qusb",
    }
}

record! {
    /// libxl's `device_usbctrl`.
    UsbController {
        /// `type=`
        kind as "type": UsbControllerType,
        /// Place in the list.
        devid: Option<u32>,
        /// `version=`: 1, 2 or 3; 0: not said.
        version: i32,
        /// `ports=`; 0: not said.
        ports: i32,
        /// The back end's domain as a number.
        backend_domid: u32,
        /// The back end's domain by name.
        backend_domname: Option<String>,
    }
}

record! {
    /// A USB device of the host.
    HostUsbDevice {
        /// `hostbus=`
        hostbus: u8,
        /// `hostaddr=`
        hostaddr: u8,
    }
}

/// What a USB device is: only devices of the host are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsbDeviceKind(pub Option<HostUsbDevice>);

impl Json for UsbDeviceKind {
    fn to_json(&self) -> Value {
        let mut record = Map::new();
        self.write_member("", &mut record);
        Value::Object(record)
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let record = value
            .as_object()
            .ok_or_else(|| JsonError::new("an object", value))?;
        Self::read_member("", record)
    }

    fn is_initial(&self) -> bool {
        self.0.is_none()
    }

    fn write_member(&self, _key: &str, record: &mut Map<String, Value>) {
        if let Some(device) = &self.0 {
            record.insert("type.hostdev".to_owned(), device.to_json());
        }
    }

    fn read_member(_key: &str, record: &Map<String, Value>) -> Result<Self, JsonError> {
        let device = record
            .get("type.hostdev")
            .map(HostUsbDevice::from_json)
            .transpose();
        device
            .map(UsbDeviceKind)
            .map_err(|error| error.within("type.hostdev"))
    }
}

record! {
    /// libxl's `device_usbdev`.
    UsbDevice {
        /// `controller=`
        ctrl: Option<u32>,
        /// `port=`; 0: chosen for it.
        port: i32,
        /// `type=` with `hostbus=` and `hostaddr=`
        kind: UsbDeviceKind,
    }
}
