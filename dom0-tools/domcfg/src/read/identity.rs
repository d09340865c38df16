//! What the domain is: type, name, identity, pool.

use crate::grammar::Setting;
use crate::model::{DomainConfig, DomainType, GuestInfo, HvmInfo, Passthrough, PvhInfo};
use crate::problem::{Place, quoted};

use super::reader::Reader;

pub fn read(source: &str, reader: &mut Reader<'_>, config: &mut DomainConfig) {
    let domain_type = read_type(source, reader);
    config.b_info.u = match domain_type {
        DomainType::Hvm => GuestInfo::Hvm(Box::<HvmInfo>::default()),
        DomainType::Pvh => GuestInfo::Pvh(PvhInfo::default()),
        DomainType::Pv | DomainType::Invalid => GuestInfo::Invalid,
    };
    config.c_info.domain_type = domain_type;
    config.c_info.name = read_name(source, reader);
    if let Some(text) = reader.text("uuid") {
        match text.parse() {
            Ok(uuid) => config.c_info.uuid = uuid,
            Err(_) => unexpected(reader, "uuid"),
        }
    }
    config.c_info.hap = reader.flag("hap");
    config.c_info.oos = reader.flag("oos");
    config.c_info.pool_name = reader.string("pool");
    config.c_info.driver_domain = reader.flag("driver_domain");
    config.c_info.passthrough = reader
        .choice("passthrough", Passthrough::from_name)
        .unwrap_or_default();
    config.c_info.xend_suspend_evtchn_compat = reader.flag("xend_suspend_evtchn_compat");
    config.c_info.run_hotplug_scripts = Some(reader.context.defaults.run_hotplug_scripts);
    read_labels(reader, config);
}

/// `builder=` is the old form of `type=`; xl takes a domain without either for a PV one.
fn read_type(source: &str, reader: &mut Reader<'_>) -> DomainType {
    let said = reader
        .setting("type")
        .map(|setting| (setting, type_of(reader, "type", "pv")));
    let built = reader
        .setting("builder")
        .map(|setting| (setting, type_of(reader, "builder", "generic")));
    match (said, built) {
        (Some((_, Some(said))), Some((setting, Some(built)))) if said != built => {
            let message = format!("\"builder\" contradicts type=\"{said}\"; leave it out");
            reader.problem(setting.value.place.clone(), message);
            DomainType::Invalid
        }
        (Some((setting, said)), _) => supported(reader, setting, said),
        (None, Some((setting, built))) => supported(reader, setting, built),
        (None, None) => {
            let message = "expected type=\"pvh\" or type=\"hvm\"; without a type a domain is classic PV, which is not supported";
            reader.problem(start_of(source), message);
            DomainType::Invalid
        }
    }
}

/// The type a key names; `None` after a report.
fn type_of(reader: &mut Reader<'_>, key: &str, pv: &str) -> Option<DomainType> {
    reader.choice(key, |text| match text {
        "hvm" => Some(DomainType::Hvm),
        "pvh" if key == "type" => Some(DomainType::Pvh),
        text if text == pv => Some(DomainType::Pv),
        _ => None,
    })
}

fn supported(
    reader: &mut Reader<'_>,
    setting: &Setting,
    domain_type: Option<DomainType>,
) -> DomainType {
    if domain_type == Some(DomainType::Pv) {
        let message = "classic PV domains are not supported; use type=\"pvh\", which boots the same Linux kernels";
        reader.problem(setting.value.place.clone(), message);
        return DomainType::Invalid;
    }
    domain_type.unwrap_or_default()
}

/// The name becomes part of file names, and of lines in lists.
fn read_name(source: &str, reader: &mut Reader<'_>) -> Option<String> {
    let Some(setting) = reader.setting("name") else {
        reader.problem(
            start_of(source),
            "expected a name for the domain, e.g. name=\"demo\"",
        );
        return None;
    };
    let name = reader.text("name")?;
    if name.is_empty()
        || name.contains(|character: char| character == '/' || character.is_control())
    {
        let message = format!(
            "expected a name without \"/\" and control characters, found {}",
            quoted(name)
        );
        reader.problem(setting.value.place.clone(), message);
        return None;
    }
    Some(name.to_owned())
}

/// With `init_seclabel`, that is the label while the domain is built and `seclabel` the one it runs with.
fn read_labels(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    config.c_info.ssid_label = reader.string("init_seclabel");
    let label = reader.string("seclabel");
    if config.c_info.ssid_label.is_some() {
        config.b_info.exec_ssid_label = label;
    } else {
        config.c_info.ssid_label = label;
    }
}

fn unexpected(reader: &mut Reader<'_>, name: &str) {
    if let Some(setting) = reader.setting(name) {
        reader.unexpected(name, &setting.value);
    }
}

/// The place of what is missing in a file.
pub fn start_of(source: &str) -> Place {
    Place {
        source: source.into(),
        line: 1,
        column: 1,
    }
}
