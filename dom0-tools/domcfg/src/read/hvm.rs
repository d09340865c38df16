//! The emulated machine of an HVM guest, and the device model that emulates it.

use crate::cpus::CpuSet;
use crate::grammar::ValueKind;
use crate::identity::random;
use crate::model::{
    BiosType, DeviceModelVersion, DomainConfig, GfxPassthruKind, GuestInfo, HdType, HvmInfo,
    Smbios, SmbiosType, VIRIDIAN_NAMES, VendorDevice, VmGenerationId,
};
use crate::problem::quoted;

use super::reader::{Item, Reader};

/// XEN_HVM_MCA_CAP_LMCE
const MCA_CAP_LMCE: u64 = 1;
/// Bits that xl sets for `viridian=["all"]`, whether they have a name or not.
const ALL_VIRIDIAN: u32 = 64;
/// xl takes this many OEM strings.
const MAX_OEM_STRINGS: usize = 99;

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    read_device_model(reader, config);
    let GuestInfo::Hvm(hvm) = &mut config.b_info.u else {
        return;
    };
    config.b_info.apic = reader.flag("apic");
    read_firmware(reader, hvm);
    read_platform(reader, hvm);
    read_viridian(reader, hvm);
    read_smbios(reader, hvm);
    read_peripherals(reader, hvm);
    super::screens::read_emulated(reader, hvm);
}

fn read_device_model(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let info = &mut config.b_info;
    info.device_model = reader.string("device_model_override");
    let version = reader.choice("device_model_version", |text| match text {
        "qemu-xen" => Some(DeviceModelVersion::QemuXen),
        "qemu-xen-traditional" => Some(DeviceModelVersion::QemuXenTraditional),
        _ => None,
    });
    info.device_model_version = version.unwrap_or_default();
    info.device_model_stubdomain = reader.flag("device_model_stubdomain_override");
    info.device_model_ssid_label = reader.string("device_model_stubdomain_seclabel");
    info.device_model_user = reader.string("device_model_user");
    info.stubdomain_kernel = reader.string("stubdomain_kernel");
    info.stubdomain_cmdline = reader.string("stubdomain_cmdline");
    info.stubdomain_ramdisk = reader.string("stubdomain_ramdisk");
    info.stubdomain_memkb = reader.mib_as_kib("stubdomain_memory");
    info.extra = reader.strings("device_model_args").unwrap_or_default();
    info.extra_pv = reader.strings("device_model_args_pv").unwrap_or_default();
    info.extra_hvm = reader.strings("device_model_args_hvm").unwrap_or_default();
    info.dm_restrict = reader.flag("dm_restrict");
}

/// `firmware=` is a short form of `bios=` (a name) and of `firmware_override=` (a path).
fn read_firmware(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    hvm.firmware = reader.string("firmware_override");
    hvm.system_firmware = reader.string("bios_path_override");
    hvm.bios = reader
        .choice("bios", BiosType::from_name)
        .unwrap_or_default();
    hvm.smbios_firmware = reader.string("smbios_firmware");
    hvm.acpi_firmware = reader.string("acpi_firmware");
    match reader.text("firmware") {
        None | Some("bios") => {}
        Some("uefi") => hvm.bios = BiosType::Ovmf,
        Some(text) => match BiosType::from_name(text) {
            Some(bios) => hvm.bios = bios,
            None => hvm.firmware = Some(text.to_owned()),
        },
    }
}

fn read_platform(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    hvm.pae = reader.flag("pae");
    hvm.acpi_s3 = reader.flag("acpi_s3");
    hvm.acpi_s4 = reader.flag("acpi_s4");
    hvm.acpi_laptop_slate = reader.flag("acpi_laptop_slate");
    hvm.nx = reader.flag("nx");
    hvm.hpet = reader.flag("hpet");
    hvm.vpt_align = reader.flag("vpt_align");
    hvm.pirq = reader.flag("hvm_pirq");
    hvm.mmio_hole_memkb = reader.mib_as_kib("mmio_hole");
    hvm.altp2m = reader.flag("altp2mhvm");
    hvm.xen_platform_pci = reader.flag("xen_platform_pci");
    hvm.vendor_device = reader
        .choice("vendor_device", VendorDevice::from_name)
        .unwrap_or_default();
    hvm.rdm_mem_boundary_memkb = reader.mib_as_kib("rdm_mem_boundary");
    hvm.ms_vm_genid = read_generation_id(reader);
    for item in reader.items("mca_caps").unwrap_or_default() {
        match item.text {
            "lmce" => hvm.mca_caps |= MCA_CAP_LMCE,
            other => reader.problem(
                item.value.place.clone(),
                format!(
                    "expected the MCA capability \"lmce\", found {}",
                    quoted(other)
                ),
            ),
        }
    }
}

/// `generate` asks for a new identifier, which is random.
fn read_generation_id(reader: &mut Reader<'_>) -> VmGenerationId {
    let is_wanted = reader.choice("ms_vm_genid", |text| match text {
        "generate" => Some(true),
        "none" => Some(false),
        _ => None,
    });
    if is_wanted != Some(true) {
        return VmGenerationId::default();
    }
    match (random::<16>(), reader.setting("ms_vm_genid")) {
        (Ok(bytes), _) => VmGenerationId(bytes),
        (Err(error), Some(setting)) => {
            reader.problem(
                setting.place.clone(),
                format!("no random numbers for \"ms_vm_genid\": {error}"),
            );
            VmGenerationId::default()
        }
        (Err(_), None) => VmGenerationId::default(),
    }
}

/// A yes or no, or a list of enlightenments; `!` switches one off.
fn read_viridian(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    let Some(setting) = reader.setting("viridian") else {
        return;
    };
    let ValueKind::List(items) = &setting.value.kind else {
        hvm.viridian = reader.flag("viridian");
        return;
    };
    for item in reader.strings_of("viridian", items) {
        match item.text {
            "all" => hvm.viridian_enable = CpuSet::first(ALL_VIRIDIAN),
            "defaults" => hvm.viridian = Some(true),
            text => set_enlightenment(reader, hvm, item, text),
        }
    }
}

fn set_enlightenment(reader: &mut Reader<'_>, hvm: &mut HvmInfo, item: Item<'_>, text: &str) {
    let (name, is_off) = text
        .strip_prefix('!')
        .map_or((text, false), |name| (name, true));
    let found = (0..)
        .zip(VIRIDIAN_NAMES)
        .find(|(_, known)| known.eq_ignore_ascii_case(name));
    let Some((bit, _)) = found else {
        let message = format!(
            "expected an enlightenment such as \"base\" or \"!stimer\", \"all\" or \"defaults\", found {}",
            quoted(text)
        );
        return reader.problem(item.value.place.clone(), message);
    };
    let (set, clear) = match is_off {
        true => (&mut hvm.viridian_disable, &mut hvm.viridian_enable),
        false => (&mut hvm.viridian_enable, &mut hvm.viridian_disable),
    };
    set.insert(bit);
    clear.remove(bit);
}

fn read_smbios(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    let mut oem_strings = 0;
    for item in reader.items("smbios").unwrap_or_default() {
        let pair = item
            .text
            .split_once('=')
            .filter(|(_, value)| !value.is_empty());
        let key = pair
            .and_then(|(key, _)| SmbiosType::from_name(key))
            .filter(|key| *key != SmbiosType::Unknown);
        let (Some((_, value)), Some(key)) = (pair, key) else {
            let message = format!(
                "expected an SMBIOS string such as \"system_manufacturer=text\", found {}",
                quoted(item.text)
            );
            reader.problem(item.value.place.clone(), message);
            continue;
        };
        oem_strings += usize::from(key == SmbiosType::Oem);
        if oem_strings > MAX_OEM_STRINGS {
            return reader.problem(
                item.value.place.clone(),
                format!("expected at most {MAX_OEM_STRINGS} OEM strings"),
            );
        }
        hvm.smbios.push(Smbios {
            key,
            value: Some(value.to_owned()),
        });
    }
}

fn read_peripherals(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    hvm.hdtype = reader
        .choice("hdtype", HdType::from_name)
        .unwrap_or_default();
    hvm.boot = reader.string("boot");
    hvm.usb = reader.flag("usb");
    hvm.usbversion = reader.number_as("usbversion").unwrap_or(0);
    hvm.vkb_device = reader.flag("vkb_device");
    hvm.soundhw = reader.string("soundhw");
    (hvm.serial, hvm.serial_list) = one_or_many(reader, "serial");
    (hvm.usbdevice, hvm.usbdevice_list) = one_or_many(reader, "usbdevice");
    // A number says yes or no, a name says which card.
    match reader
        .text("gfx_passthru")
        .map(|text| (crate::number::parse(text), GfxPassthruKind::from_name(text)))
    {
        Some((Some(number), _)) => hvm.gfx_passthru = Some(number != 0),
        Some((None, Some(kind))) => {
            hvm.gfx_passthru_kind = kind;
            hvm.gfx_passthru = Some(true);
        }
        Some((None, None)) => {
            if let Some(setting) = reader.setting("gfx_passthru") {
                reader.unexpected("gfx_passthru", &setting.value);
            }
        }
        None => {}
    }
}

/// A string, or the strings of a list.
fn one_or_many(reader: &mut Reader<'_>, name: &str) -> (Option<String>, Vec<String>) {
    match reader.setting(name).map(|setting| &setting.value.kind) {
        Some(ValueKind::List(_)) => (None, reader.strings(name).unwrap_or_default()),
        Some(ValueKind::Text(text)) => (Some(text.text.clone()), Vec::new()),
        None => (None, Vec::new()),
    }
}
