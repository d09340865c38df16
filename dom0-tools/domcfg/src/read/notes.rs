//! What the author of a configuration should know although nothing is wrong: keys that are unknown, not supported yet, without effect,
//! or written in an old way.

use crate::grammar::{Setting, ValueKind};
use crate::keys::{self, Key, Scope, Support};
use crate::model::DomainType;

use super::reader::Reader;

pub fn write(source: &str, reader: &mut Reader<'_>, domain_type: DomainType) {
    let mut unknown = Vec::new();
    let mut later = Vec::new();
    let mut idle = Vec::new();
    let mut old = Vec::new();
    for setting in reader.settings() {
        match keys::find(&setting.name) {
            None => unknown.push(mention(setting)),
            Some(key) if !concerns(key, domain_type) => idle.push(mention(setting)),
            Some(key) => match key.support {
                Support::Full | Support::Refused => {}
                Support::Later(fine) | Support::Idle(fine) if asks_for_nothing(setting, fine) => {}
                Support::Later(_) => later.push(mention(setting)),
                Support::Idle(_) => idle.push(mention(setting)),
                Support::Deprecated(replacement) => {
                    old.push(format!(
                        "{}: \"{}\" is deprecated, write \"{replacement}\"",
                        setting.place, setting.name
                    ));
                }
            },
        }
    }
    old.into_iter().for_each(|sentence| reader.warn(sentence));
    warn(reader, source, "keys without effect", &idle);
    warn(
        reader,
        source,
        "keys that are not supported yet, ignored",
        &later,
    );
    warn(reader, source, "unknown keys, ignored", &unknown);
}

fn warn(reader: &mut Reader<'_>, source: &str, what: &str, keys: &[String]) {
    if !keys.is_empty() {
        reader.warn(format!("{source}: {what}: {}", listed(keys)));
    }
}

/// The first items of a list in a sentence, and how many more there are.
pub fn listed(items: &[String]) -> String {
    const MOST: usize = 30;
    match items.get(MOST..) {
        Some(rest) if !rest.is_empty() => {
            format!("{} and {} more", items[..MOST].join(", "), rest.len())
        }
        _ => items.join(", "),
    }
}

fn mention(setting: &Setting) -> String {
    let place = &setting.place;
    match &*place.source {
        "command line" => setting.name.clone(),
        _ => format!("{} (line {})", setting.name, place.line),
    }
}

fn concerns(key: &Key, domain_type: DomainType) -> bool {
    match key.scope {
        Scope::Any => true,
        Scope::Hvm => domain_type == DomainType::Hvm,
        Scope::Pvh => domain_type == DomainType::Pvh,
        Scope::Pv => domain_type == DomainType::Pv,
        Scope::Arm => cfg!(target_arch = "aarch64"),
    }
}

/// Whether a value is one of these, or a list without anything in it.
fn asks_for_nothing(setting: &Setting, values: &[&str]) -> bool {
    match &setting.value.kind {
        ValueKind::Text(text) => values.contains(&text.text.as_str()),
        ValueKind::List(items) => items.is_empty(),
    }
}
