//! What the domain boots.

use crate::model::{DomainConfig, GuestInfo};
use crate::problem::quoted;

use super::identity::start_of;
use super::reader::Reader;

/// Where Debian's Xen packages keep firmware.
const FIRMWARE_DIRECTORY: &str = "/usr/lib/xen-4.20/boot";

pub fn read(source: &str, reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let info = &mut config.b_info;
    info.kernel = reader.string("kernel");
    info.ramdisk = reader.string("ramdisk");
    info.cmdline = read_command_line(reader);
    info.device_tree = reader.string("device_tree");
    read_bootloader(reader, config);
    match &mut config.b_info.u {
        GuestInfo::Hvm(_) => check_direct_boot(reader, config),
        GuestInfo::Pvh(pvh) => {
            pvh.pvshim = reader.flag("pvshim");
            pvh.pvshim_path = reader.string("pvshim_path");
            pvh.pvshim_cmdline = reader.string("pvshim_cmdline");
            pvh.pvshim_extra = reader.string("pvshim_extra");
            read_firmware(reader, config);
            require_kernel(source, reader, config);
        }
        GuestInfo::Pv(_) | GuestInfo::Invalid => {}
    }
}

/// `cmdline=` wins over `root=` and `extra=`, which become one line otherwise.
fn read_command_line(reader: &mut Reader<'_>) -> Option<String> {
    let whole = reader.string("cmdline");
    let root = reader.text("root");
    let extra = reader.text("extra");
    match (whole, root, extra) {
        (Some(whole), None, None) => Some(whole),
        (Some(whole), ..) => {
            if let Some(setting) = reader.setting("cmdline") {
                let place = setting.place.clone();
                reader.warn(format!(
                    "{place}: ignoring root= and extra= in favour of cmdline="
                ));
            }
            Some(whole)
        }
        (None, Some(root), Some(extra)) => Some(format!("root={root} {extra}")),
        (None, Some(root), None) => Some(format!("root={root}")),
        (None, None, extra) => extra.map(str::to_owned),
    }
}

fn read_bootloader(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let info = &mut config.b_info;
    info.bootloader = reader.string("bootloader");
    info.bootloader_restrict = reader
        .flag("bootloader_restrict")
        .or(reader.context.defaults.bootloader_restrict);
    info.bootloader_user = reader.string("bootloader_user");
    let Some(setting) = reader.setting("bootloader_args") else {
        return;
    };
    info.bootloader_args = match setting.value.text() {
        Some(text) => {
            let place = setting.value.place.clone();
            reader.warn(format!(
                "{place}: bootloader_args as a string is deprecated, write a list of arguments"
            ));
            text.split([' ', '\t', '\n'])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        }
        None => reader.strings("bootloader_args").unwrap_or_default(),
    };
}

/// `firmware=` names a kernel that comes with Xen.
fn read_firmware(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let (Some(firmware), Some(setting)) = (reader.text("firmware"), reader.setting("firmware"))
    else {
        return;
    };
    if config.b_info.kernel.is_some() {
        reader.problem(
            setting.place.clone(),
            "expected either \"kernel\" or \"firmware\", found both",
        );
    } else if !matches!(firmware, "pvgrub32" | "pvgrub64") {
        reader.unexpected_with("firmware", &setting.value, "\"pvgrub32\" or \"pvgrub64\"");
    } else {
        config.b_info.kernel = Some(format!("{FIRMWARE_DIRECTORY}/{firmware}.bin"));
    }
}

fn require_kernel(source: &str, reader: &mut Reader<'_>, config: &DomainConfig) {
    let names = ["kernel", "firmware", "bootloader"];
    let is_said = names.iter().any(|name| reader.setting(name).is_some());
    if !is_said {
        reader.problem(
            start_of(source),
            "expected a kernel to boot, e.g. kernel=\"/boot/vmlinuz\"",
        );
    }
    for name in ["kernel", "ramdisk"] {
        let path = if name == "kernel" {
            &config.b_info.kernel
        } else {
            &config.b_info.ramdisk
        };
        if let (Some(""), Some(setting)) = (path.as_deref(), reader.setting(name)) {
            reader.problem(
                setting.value.place.clone(),
                format!("expected a file name after {}, found \"\"", quoted(name)),
            );
        }
    }
}

/// A guest with firmware boots its own kernel unless one is given.
fn check_direct_boot(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let info = &mut config.b_info;
    let is_firmware = info
        .kernel
        .as_deref()
        .is_some_and(|kernel| kernel.rsplit('/').next() == Some("hvmloader"));
    if is_firmware {
        info.kernel = None;
        reader.warn("ignoring \"kernel\", which names HVM firmware; write firmware_override= for another firmware");
    }
    let unused = ["ramdisk", "cmdline", "root", "extra"]
        .into_iter()
        .find_map(|name| reader.setting(name));
    if let (None, Some(setting)) = (&info.kernel, unused) {
        let message = format!(
            "expected \"kernel\" beside {}, which only a kernel can use",
            quoted(&setting.name)
        );
        reader.problem(setting.place.clone(), message);
    }
}
