//! Screens and keyboards: those of the emulated machine, `vfb=[…]`, `vkb=[…]` and `vdispl=[…]`.

use crate::model::{
    DisplayConnector, DomainConfig, HvmInfo, Vdispl, Vfb, VgaKind, Vkb, VkbBackend,
};

use super::reader::{Item, Reader};
use super::words::{Specification, Word, split, words};

pub fn read(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    for item in reader.items("vfb").unwrap_or_default() {
        let vfb = read_vfb(
            &mut Specification::new(reader, item, "frame buffer"),
            config.vfbs.len(),
        );
        config.vfbs.push(vfb);
        // Every frame buffer has a keyboard.
        config.vkbs.push(Vkb {
            devid: devid(config.vkbs.len()),
            ..Vkb::default()
        });
    }
    for item in reader.items("vkb").unwrap_or_default() {
        let vkb = read_vkb(reader, item, config.vkbs.len());
        config.vkbs.push(vkb);
    }
    for item in reader.items("vdispl").unwrap_or_default() {
        let vdispl = read_vdispl(reader, item, config.vdispls.len());
        config.vdispls.push(vdispl);
    }
}

fn devid(index: usize) -> Option<u32> {
    u32::try_from(index).ok()
}

/// The screen that the device model emulates.
pub fn read_emulated(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    let kind = reader.choice("vga", |text| match text {
        "stdvga" => Some(VgaKind::Std),
        "cirrus" => Some(VgaKind::Cirrus),
        "qxl" => Some(VgaKind::Qxl),
        "none" => Some(VgaKind::None),
        _ => None,
    });
    let old_kind = reader.flag("stdvga").map(|is_std| {
        if is_std {
            VgaKind::Std
        } else {
            VgaKind::Cirrus
        }
    });
    hvm.vga.kind = kind.or(old_kind).unwrap_or_default();
    hvm.nographic = reader.flag("nographic");
    hvm.keymap = reader.string("keymap");
    hvm.vnc.enable = reader.flag("vnc");
    hvm.vnc.listen = reader.string("vnclisten");
    hvm.vnc.passwd = reader.string("vncpasswd");
    hvm.vnc.display = reader.number_as("vncdisplay").unwrap_or(0);
    hvm.vnc.findunused = reader.flag("vncunused");
    let has_display = hvm
        .vnc
        .listen
        .as_deref()
        .is_some_and(|address| address.contains(':'));
    if let (true, true, Some(setting)) = (
        has_display,
        hvm.vnc.display != 0,
        reader.setting("vncdisplay"),
    ) {
        reader.problem(
            setting.place.clone(),
            "expected a display either in \"vnclisten\" or in \"vncdisplay\", found both",
        );
    }
    hvm.sdl.enable = reader.flag("sdl");
    hvm.sdl.opengl = reader.flag("opengl");
    hvm.sdl.display = reader.string("display");
    hvm.sdl.xauthority = reader.string("xauthority");
    read_spice(reader, hvm);
}

fn read_spice(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    let spice = &mut hvm.spice;
    spice.enable = reader.flag("spice");
    spice.port = reader.number_as("spiceport").unwrap_or(0);
    spice.tls_port = reader.number_as("spicetls_port").unwrap_or(0);
    spice.host = reader.string("spicehost");
    spice.disable_ticketing = reader.flag("spicedisable_ticketing");
    spice.passwd = reader.string("spicepasswd");
    spice.agent_mouse = reader.flag("spiceagent_mouse");
    spice.vdagent = reader.flag("spicevdagent");
    spice.clipboard_sharing = reader.flag("spice_clipboard_sharing");
    spice.usbredirection = reader.number_as("spiceusbredirection").unwrap_or(0);
    spice.image_compression = reader.string("spice_image_compression");
    spice.streaming_video = reader.string("spice_streaming_video");
}

fn read_vfb(specification: &mut Specification<'_, '_, '_>, index: usize) -> Vfb {
    let mut vfb = Vfb {
        devid: devid(index),
        ..Vfb::default()
    };
    for word in words(specification.item.text) {
        let Some((key, value)) = word.pair() else {
            specification.unknown(word);
            continue;
        };
        match key {
            "vnc" => vfb.vnc.enable = specification.flag(key, value),
            "vnclisten" => vfb.vnc.listen = value.string(),
            "vncpasswd" => vfb.vnc.passwd = value.string(),
            "vncdisplay" => vfb.vnc.display = specification.number(key, value).unwrap_or(0),
            "vncunused" => vfb.vnc.findunused = specification.flag(key, value),
            "keymap" => vfb.keymap = value.string(),
            "sdl" => vfb.sdl.enable = specification.flag(key, value),
            "opengl" => vfb.sdl.opengl = specification.flag(key, value),
            "display" => vfb.sdl.display = value.string(),
            "xauthority" => vfb.sdl.xauthority = value.string(),
            // Old files say "type=vnc"; xl skips what it does not know here.
            _ => {}
        }
    }
    vfb
}

fn read_vkb(reader: &mut Reader<'_>, item: Item<'_>, index: usize) -> Vkb {
    let mut vkb = Vkb {
        devid: devid(index),
        ..Vkb::default()
    };
    let mut specification = Specification::new(reader, item, "keyboard");
    for word in words(item.text) {
        match word.pair() {
            Some((key, value)) => read_vkb_word(&mut specification, &mut vkb, key, value, word),
            None => specification.unknown(word),
        }
    }
    let has_size = vkb.multi_touch_width != 0
        || vkb.multi_touch_height != 0
        || vkb.multi_touch_num_contacts != 0;
    if vkb.backend_type == VkbBackend::Unknown {
        specification.incomplete("expected backend-type=qemu or backend-type=linux for a keyboard");
    } else if vkb.feature_multi_touch && !has_size {
        specification.incomplete("expected multi-touch-width, multi-touch-height and multi-touch-num-contacts for a multi-touch keyboard");
    }
    vkb.feature_multi_touch |= has_size;
    vkb
}

fn read_vkb_word(
    specification: &mut Specification<'_, '_, '_>,
    vkb: &mut Vkb,
    key: &str,
    value: Word<'_>,
    word: Word<'_>,
) {
    match key {
        "backend" => vkb.backend_domname = value.string(),
        "backend-type" => {
            let known = [("qemu", VkbBackend::Qemu), ("linux", VkbBackend::Linux)];
            let found = known
                .into_iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(value.text))
                .map(|(_, backend)| backend);
            vkb.backend_type = specification
                .choice(key, value, found, "qemu or linux")
                .unwrap_or_default();
        }
        "unique-id" => vkb.unique_id = value.string(),
        "feature-disable-keyboard" => {
            vkb.feature_disable_keyboard = specification.flag(key, value).unwrap_or_default()
        }
        "feature-disable-pointer" => {
            vkb.feature_disable_pointer = specification.flag(key, value).unwrap_or_default()
        }
        "feature-abs-pointer" => {
            vkb.feature_abs_pointer = specification.flag(key, value).unwrap_or_default()
        }
        "feature-raw-pointer" => {
            vkb.feature_raw_pointer = specification.flag(key, value).unwrap_or_default()
        }
        "feature-multi-touch" => {
            vkb.feature_multi_touch = specification.flag(key, value).unwrap_or_default()
        }
        "multi-touch-width" => {
            vkb.multi_touch_width = specification.number(key, value).unwrap_or_default()
        }
        "multi-touch-height" => {
            vkb.multi_touch_height = specification.number(key, value).unwrap_or_default()
        }
        "multi-touch-num-contacts" => {
            vkb.multi_touch_num_contacts = specification.number(key, value).unwrap_or_default()
        }
        "width" => vkb.width = specification.number(key, value).unwrap_or_default(),
        "height" => vkb.height = specification.number(key, value).unwrap_or_default(),
        _ => specification.unknown(word),
    }
}

fn read_vdispl(reader: &mut Reader<'_>, item: Item<'_>, index: usize) -> Vdispl {
    let mut vdispl = Vdispl {
        devid: devid(index),
        ..Vdispl::default()
    };
    let mut specification = Specification::new(reader, item, "virtual display");
    for word in words(item.text) {
        match word.pair() {
            Some(("backend", value)) => vdispl.backend_domname = value.string(),
            Some(("be-alloc", value)) => {
                vdispl.be_alloc = specification.flag("be-alloc", value).unwrap_or_default()
            }
            Some(("connectors", value)) => {
                vdispl.connectors = read_connectors(&mut specification, value)
            }
            _ => specification.unknown(word),
        }
    }
    if vdispl.connectors.is_empty() {
        specification.incomplete(
            "expected at least one connector, e.g. connectors=id0:1920x1080, for a virtual display",
        );
    }
    vdispl
}

/// `id0:1920x1080;id1:800x600`
fn read_connectors(
    specification: &mut Specification<'_, '_, '_>,
    value: Word<'_>,
) -> Vec<DisplayConnector> {
    let mut connectors = Vec::new();
    for part in split(value.text, ';') {
        match parse_connector(part.text) {
            Some(connector) => connectors.push(connector),
            None => {
                let part = Word {
                    text: part.text,
                    offset: value.offset + part.offset,
                };
                specification.unexpected(
                    "connectors",
                    part,
                    "a name and a size such as id0:1920x1080",
                );
            }
        }
    }
    connectors
}

fn parse_connector(text: &str) -> Option<DisplayConnector> {
    let (name, size) = text.split_once(':')?;
    let (width, height) = size.split_once('x')?;
    Some(DisplayConnector {
        unique_id: Some(name.to_owned()),
        width: width.parse().ok()?,
        height: height.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connectors_have_a_name_and_a_size() {
        let connector = parse_connector("id0:1920x1080").unwrap();
        assert_eq!(
            (
                connector.unique_id.as_deref(),
                connector.width,
                connector.height
            ),
            (Some("id0"), 1920, 1080)
        );
        for wrong in ["id0", "id0:1920", "id0:x", "id0:-1x5", ":"] {
            assert_eq!(parse_connector(wrong), None, "{wrong}");
        }
    }
}
