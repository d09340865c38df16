//! Configurations: from files and arguments, and of domains that run.

pub mod running;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use domcfg::cpus::CpuSet as ConfigCpus;
use domcfg::grammar::Settings as FileSettings;
use domcfg::identity::Uuid;
use domcfg::model::{Disk, Nic};
use domcfg::network::NicError;
use domcfg::{
    Context as Surroundings, Defaults, DomainConfig, Host, parse_disk_words, parse_nic_words,
};
use serde_json::Value;
use xenctl::Hypervisor;

use crate::context::Context;
use crate::failure::{self, Failure};

/// Where a configuration comes from: a file, and settings that are added to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: Option<PathBuf>,
    /// `key=value`, in order.
    pub overrides: Vec<String>,
}

/// There is more than one file.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct TwoFiles;

impl Source {
    /// Sorts a command's words: those with a `=` are settings, another is the file.
    pub fn of(file: Option<&PathBuf>, words: &[String]) -> Result<Self, TwoFiles> {
        let mut source = Self {
            file: file.cloned(),
            overrides: Vec::new(),
        };
        for word in words {
            if word.contains('=') {
                source.overrides.push(word.clone());
            } else if source.file.is_none() {
                source.file = Some(word.into());
            } else {
                return Err(TwoFiles);
            }
        }
        Ok(source)
    }
}

/// Reads a file; `/dev/null` is empty.
pub fn read(path: &Path, code: u8) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let (path, why) = (path.display(), failure::why(&error));
        Failure::with_code(code, format!("Failed to read config file: {path}: {why}"))
    })
}

/// What a file says for a key, unless it is a list.
pub fn text_of<'a>(settings: &'a FileSettings, key: &str) -> Option<&'a str> {
    settings.get(key)?.value.text()
}

/// The texts of a list.
pub fn list_of<'a>(settings: &'a FileSettings, key: &str) -> Option<Vec<&'a str>> {
    use domcfg::grammar::ValueKind;
    match &settings.get(key)?.value.kind {
        ValueKind::Text(_) => None,
        ValueKind::List(items) => Some(
            items
                .iter()
                .filter_map(domcfg::grammar::Value::text)
                .collect(),
        ),
    }
}

/// What the reading of configurations depends on: this host and xl.conf.
///
/// Where there is no hypervisor to ask, the processors of this system are taken: a dry run needs none.
pub fn surroundings(context: &Context) -> Surroundings {
    let host = context.xen().ok().and_then(|xen| host(xen).ok());
    let settings = context.settings();
    let nic = Nic {
        script: settings.vif.script.clone(),
        bridge: settings.vif.bridge.clone(),
        gatewaydev: settings.vif.gateway_device.clone(),
        backend_domname: settings.vif.backend.clone(),
        ..Nic::default()
    };
    let defaults = Defaults {
        nic,
        max_grant_frames: settings.max_grant_frames,
        max_maptrack_frames: settings.max_maptrack_frames,
        max_grant_version: settings
            .max_grant_version
            .and_then(|version| version.try_into().ok()),
        claim_mode: settings.claim_mode,
        run_hotplug_scripts: settings.run_hotplug_scripts,
        ..Defaults::default()
    };
    Surroundings {
        host: host.unwrap_or_else(own_host),
        defaults,
    }
}

fn host(xen: &dyn Hypervisor) -> xenctl::Result<Host> {
    let cpus = xen.physinfo()?.max_cpu_id.saturating_add(1);
    let topology = xen.cpu_topology()?;
    let mut nodes: Vec<ConfigCpus> = Vec::new();
    for (cpu, place) in (0_u32..).zip(&topology) {
        let Ok(node) = usize::try_from(place.node) else {
            continue;
        };
        // A number that means "no node" is larger than any there is.
        if node >= topology.len() {
            continue;
        }
        if nodes.len() <= node {
            nodes.resize(node + 1, ConfigCpus::new());
        }
        if let Some(node) = nodes.get_mut(node) {
            node.insert(cpu);
        }
    }
    Ok(Host { cpus, nodes })
}

fn own_host() -> Host {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Host::with_cpus(cpus.try_into().unwrap_or(1))
}

/// A domain's configuration from the text of a file and settings. Warnings are printed, problems are a failure.
pub fn domain(
    context: &Context,
    name: &str,
    text: &[u8],
    overrides: &[String],
) -> anyhow::Result<DomainConfig> {
    let parsed = domcfg::parse(name, text, overrides, &surroundings(context));
    let parsed = parsed.map_err(|problems| {
        crate::complain!(context, "{problems}\n");
        Failure::said("Failed to parse config: Invalid argument")
    })?;
    for warning in &parsed.warnings {
        crate::complain!(context, "{warning}\n");
    }
    let mut config = parsed.config;
    if config.c_info.uuid.is_nil() {
        config.c_info.uuid = Uuid(random_uuid()?);
    }
    Ok(config)
}

/// A disk from a command's words.
pub fn disk(words: &[String]) -> anyhow::Result<Disk> {
    parse_disk_words(words).map_err(|error| {
        let word = words.get(error.word).map_or("", String::as_str);
        let message = format!(
            "command line: config parsing error in disk specification: {error} in `{word}'"
        );
        Failure::said(message).into()
    })
}

/// A network interface from a command's words.
pub fn nic(context: &Context, words: &[String]) -> anyhow::Result<Nic> {
    let mut nic = surroundings(context).defaults.nic;
    for word in words {
        nic = parse_nic_words(&nic, &[word]).map_err(|error| wrong_word(word, error))?;
    }
    Ok(nic)
}

fn wrong_word(word: &str, error: NicError) -> anyhow::Error {
    let message = match &error {
        NicError::Unknown(_) => format!("unrecognized argument `{word}'"),
        _ => {
            let key = word.split('=').next().unwrap_or(word);
            format!("Invalid parameter `{key}'.")
        }
    };
    Failure::because(error, message)
}

/// The JSON of a disk alone, as libxl has it.
pub fn disk_json(disk: &Disk) -> Value {
    let whole = DomainConfig {
        disks: vec![disk.clone()],
        ..DomainConfig::default()
    };
    alone(&whole, "disks")
}

/// The JSON of a network interface alone, as libxl has it.
pub fn nic_json(nic: &Nic) -> Value {
    let whole = DomainConfig {
        nics: vec![nic.clone()],
        ..DomainConfig::default()
    };
    alone(&whole, "nics")
}

fn alone(whole: &DomainConfig, key: &str) -> Value {
    let json = whole.to_libxl_json();
    json.get(key)
        .and_then(|items| items.get(0))
        .cloned()
        .unwrap_or_default()
}

/// A new UUID.
pub fn random_uuid() -> anyhow::Result<[u8; 16]> {
    Ok(Uuid::generate().context("can not make a UUID")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn words_with_an_equals_sign_are_settings() {
        let source = Source::of(None, &words("a=1 x.cfg b=2")).expect("one file");
        assert_eq!(source.file, Some("x.cfg".into()));
        assert_eq!(source.overrides, ["a=1", "b=2"]);
        assert_eq!(Source::of(None, &words("x.cfg y.cfg")), Err(TwoFiles));
        assert_eq!(
            Source::of(Some(&"x.cfg".into()), &words("y.cfg")),
            Err(TwoFiles)
        );
    }
}
