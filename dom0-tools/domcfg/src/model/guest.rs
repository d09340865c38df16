//! What only one type of guest has.

use serde_json::{Map, Value};

use crate::json::{Json, JsonError, names, record};

use super::{RdmReservePolicy, SdlInfo, SpiceInfo, VgaInfo, VncInfo};

/// The member `u` of libxl's `domain_build_info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GuestInfo {
    /// The type was not said.
    #[default]
    Invalid,
    /// Emulated machine.
    Hvm(Box<HvmInfo>),
    /// Classic paravirtual.
    Pv(PvInfo),
    /// Hardware-assisted without an emulated machine.
    Pvh(PvhInfo),
}

impl Json for GuestInfo {
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
        let (key, value) = match self {
            GuestInfo::Invalid => ("type.invalid", Value::Object(Map::new())),
            GuestInfo::Hvm(info) => ("type.hvm", info.to_json()),
            GuestInfo::Pv(info) => ("type.pv", info.to_json()),
            GuestInfo::Pvh(info) => ("type.pvh", info.to_json()),
        };
        record.insert(key.to_owned(), value);
    }

    fn read_member(_key: &str, record: &Map<String, Value>) -> Result<Self, JsonError> {
        if let Some(info) = record.get("type.hvm") {
            let info = HvmInfo::from_json(info).map_err(|error| error.within("type.hvm"))?;
            return Ok(GuestInfo::Hvm(Box::new(info)));
        }
        if let Some(info) = record.get("type.pv") {
            return PvInfo::from_json(info)
                .map(GuestInfo::Pv)
                .map_err(|error| error.within("type.pv"));
        }
        match record.get("type.pvh") {
            Some(info) => PvhInfo::from_json(info)
                .map(GuestInfo::Pvh)
                .map_err(|error| error.within("type.pvh")),
            None => Ok(GuestInfo::Invalid),
        }
    }
}

record! {
    /// Settings of PVH guests.
    PvhInfo {
        /// `pvshim=`: the guest is a PV guest under a small Xen of its own.
        pvshim: Option<bool>,
        /// `pvshim_path=`
        pvshim_path: Option<String>,
        /// `pvshim_cmdline=`
        pvshim_cmdline: Option<String>,
        /// `pvshim_extra=`
        pvshim_extra: Option<String>,
    }
}

record! {
    /// Settings of PV guests, as other toolstacks store them.
    PvInfo {
        /// Memory beyond the guest's own, in KiB.
        slack_memkb: Option<u64>,
        /// `e820_host=`
        e820_host: Option<bool>,
    }
}

names! {
    /// The firmware of an HVM guest.
    BiosType, "a firmware" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// Bochs' BIOS.
        Rombios = "rombios",
        /// SeaBIOS.
        Seabios = "seabios",
        /// UEFI.
        Ovmf = "ovmf",
    }
}

names! {
    /// The emulated disk controller.
    HdType, "a disk controller" {
        /// PIIX3 IDE.
        #[default]
        Ide = "ide",
        /// AHCI.
        Ahci = "ahci",
    }
}

names! {
    /// Which graphics card is passed through.
    GfxPassthruKind, "a kind of graphics card" {
        /// By its identifiers.
        #[default]
        Default = "default",
        /// Intel's integrated one.
        Igd = "igd",
    }
}

names! {
    /// A platform device for a vendor's drivers.
    VendorDevice, "a vendor device" {
        /// None.
        #[default]
        None = "none",
        /// XenServer's.
        Xenserver = "xenserver",
    }
}

names! {
    /// Which reserved device memory is kept free.
    RdmReserveStrategy, "a strategy for reserved memory" {
        /// None.
        #[default]
        Ignore = "ignore",
        /// All of the host's.
        Host = "host",
    }
}

record! {
    /// libxl's `rdm_reserve`.
    RdmReserve {
        /// `strategy=`
        strategy: RdmReserveStrategy,
        /// `policy=`
        policy: RdmReservePolicy,
    }
}

names! {
    /// A string of the SMBIOS tables.
    SmbiosType, "an SMBIOS string" {
        /// None; never written.
        #[default]
        Unknown = "unknown",
        /// BIOS vendor.
        BiosVendor = "bios_vendor",
        /// BIOS version.
        BiosVersion = "bios_version",
        /// System manufacturer.
        SystemManufacturer = "system_manufacturer",
        /// System product name.
        SystemProductName = "system_product_name",
        /// System version.
        SystemVersion = "system_version",
        /// System serial number.
        SystemSerialNumber = "system_serial_number",
        /// Baseboard manufacturer.
        BaseboardManufacturer = "baseboard_manufacturer",
        /// Baseboard product name.
        BaseboardProductName = "baseboard_product_name",
        /// Baseboard version.
        BaseboardVersion = "baseboard_version",
        /// Baseboard serial number.
        BaseboardSerialNumber = "baseboard_serial_number",
        /// Baseboard asset tag.
        BaseboardAssetTag = "baseboard_asset_tag",
        /// Baseboard location in the chassis.
        BaseboardLocationInChassis = "baseboard_location_in_chassis",
        /// Enclosure manufacturer.
        EnclosureManufacturer = "enclosure_manufacturer",
        /// Enclosure serial number.
        EnclosureSerialNumber = "enclosure_serial_number",
        /// Enclosure asset tag.
        EnclosureAssetTag = "enclosure_asset_tag",
        /// Battery manufacturer.
        BatteryManufacturer = "battery_manufacturer",
        /// Battery device name.
        BatteryDeviceName = "battery_device_name",
        /// A string of the maker's choice; up to 99.
        Oem = "oem",
    }
}

record! {
    /// libxl's `smbios`.
    Smbios {
        /// Which string.
        key: SmbiosType,
        /// Its text.
        value: Option<String>,
    }
}

/// The Viridian enlightenments, by bit.
pub const VIRIDIAN_NAMES: [&str; 13] = [
    "base",
    "freq",
    "time_ref_count",
    "reference_tsc",
    "hcall_remote_tlb_flush",
    "apic_assist",
    "crash_ctl",
    "synic",
    "stimer",
    "hcall_ipi",
    "ex_processor_masks",
    "no_vp_limit",
    "cpu_hotplug",
];

/// A set of Viridian enlightenments, by bit number.
pub type ViridianSet = crate::cpus::CpuSet;

/// Microsoft's VM generation identifier; all zero: none.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct VmGenerationId(pub [u8; 16]);

impl Json for VmGenerationId {
    fn to_json(&self) -> Value {
        self.0.iter().map(|byte| Value::from(*byte)).collect()
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let bytes = Vec::<u8>::from_json(value)?;
        bytes
            .try_into()
            .map(VmGenerationId)
            .map_err(|_| JsonError::new("16 bytes", value))
    }

    fn is_initial(&self) -> bool {
        *self == Self::default()
    }
}

record! {
    /// Settings of HVM guests.
    HvmInfo {
        /// `firmware_override=`, or a path in `firmware=`.
        firmware: Option<String>,
        /// `bios=`, or the name in `firmware=`.
        bios: BiosType,
        /// `pae=`
        pae: Option<bool>,
        /// `acpi_s3=`
        acpi_s3: Option<bool>,
        /// `acpi_s4=`
        acpi_s4: Option<bool>,
        /// `acpi_laptop_slate=`
        acpi_laptop_slate: Option<bool>,
        /// `nx=`
        nx: Option<bool>,
        /// `viridian=` as a yes or no.
        viridian: Option<bool>,
        /// `viridian=`: enlightenments switched on.
        viridian_enable: ViridianSet,
        /// `viridian=`: enlightenments switched off.
        viridian_disable: ViridianSet,
        /// Offset of the clock, as old toolstacks stored it.
        timeoffset: Option<String>,
        /// `hpet=`
        hpet: Option<bool>,
        /// `vpt_align=`
        vpt_align: Option<bool>,
        /// `mmio_hole=` in KiB.
        mmio_hole_memkb: Option<u64>,
        /// `altp2mhvm=`
        altp2m: Option<bool>,
        /// `bios_path_override=`
        system_firmware: Option<String>,
        /// `smbios_firmware=`
        smbios_firmware: Option<String>,
        /// `smbios=`
        smbios: Vec<Smbios>,
        /// `acpi_firmware=`
        acpi_firmware: Option<String>,
        /// `hdtype=`
        hdtype: HdType,
        /// `nographic=`
        nographic: Option<bool>,
        /// `vga=` or `stdvga=`
        vga: VgaInfo,
        /// VNC server.
        vnc: VncInfo,
        /// `keymap=`
        keymap: Option<String>,
        /// Window in dom0.
        sdl: SdlInfo,
        /// SPICE server.
        spice: SpiceInfo,
        /// `gfx_passthru=`
        gfx_passthru: Option<bool>,
        /// `gfx_passthru=` by kind.
        gfx_passthru_kind: GfxPassthruKind,
        /// `serial=` as one string.
        serial: Option<String>,
        /// `boot=`: letters in order: c disk, d CD drive, n network.
        boot: Option<String>,
        /// `usb=`
        usb: Option<bool>,
        /// `usbversion=`
        usbversion: i32,
        /// `usbdevice=` as one string.
        usbdevice: Option<String>,
        /// `vkb_device=`
        vkb_device: Option<bool>,
        /// `soundhw=`
        soundhw: Option<String>,
        /// `xen_platform_pci=`
        xen_platform_pci: Option<bool>,
        /// `usbdevice=` as a list.
        usbdevice_list: Vec<String>,
        /// `vendor_device=`
        vendor_device: VendorDevice,
        /// `ms_vm_genid=`
        ms_vm_genid: VmGenerationId,
        /// `serial=` as a list.
        serial_list: Vec<String>,
        /// `rdm=`
        rdm: RdmReserve,
        /// `rdm_mem_boundary=` in KiB.
        rdm_mem_boundary_memkb: Option<u64>,
        /// `mca_caps=`: XEN_HVM_MCA_CAP bits.
        mca_caps: u64,
        /// `hvm_pirq=`
        pirq: Option<bool>,
    }
}
