//! From settings to a [`DomainConfig`]: one file for each area of xl.cfg(5). All problems of a configuration are found in one run.

mod boot;
mod cpus;
mod devices;
mod disks;
mod events;
mod hvm;
mod identity;
mod limits;
mod memory;
mod networks;
mod notes;
mod passthrough;
mod reader;
mod screens;
mod sounds;
mod vnuma;
mod words;

use crate::cpus::Host;
use crate::grammar::{Settings, parse_settings};
use crate::model::{DomainConfig, Nic};
use crate::problem::Problems;

pub use disks::parse_disk_words;
pub use networks::parse_nic_words;

use reader::Reader;

/// What a configuration depends on beyond its text.
#[derive(Clone, Debug)]
pub struct Context {
    /// CPUs and NUMA nodes.
    pub host: Host,
    /// What xl.conf(5) says.
    pub defaults: Defaults,
}

impl Context {
    /// A host with so many CPUs in one node, and no xl.conf(5).
    pub fn with_cpus(cpus: u32) -> Self {
        Context {
            host: Host::with_cpus(cpus),
            defaults: Defaults::default(),
        }
    }
}

/// The settings of xl.conf(5) that reach into domains' configurations; the default is xl's without that file.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// `vif.default.script`, `.bridge`, `.gatewaydev` and `.backend`: what an interface starts from.
    pub nic: Nic,
    /// `max_grant_frames`
    pub max_grant_frames: Option<u32>,
    /// `max_maptrack_frames`
    pub max_maptrack_frames: Option<u32>,
    /// `max_grant_version`
    pub max_grant_version: Option<i32>,
    /// `claim_mode`
    pub claim_mode: bool,
    /// `run_hotplug_scripts`
    pub run_hotplug_scripts: bool,
    /// `bootloader_restrict`
    pub bootloader_restrict: Option<bool>,
    /// `blkdev_start`
    pub blkdev_start: Option<String>,
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            nic: Nic::default(),
            max_grant_frames: None,
            max_maptrack_frames: None,
            max_grant_version: None,
            claim_mode: true,
            run_hotplug_scripts: true,
            bootloader_restrict: None,
            blkdev_start: None,
        }
    }
}

/// A configuration and what its author should be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The configuration.
    pub config: DomainConfig,
    /// Sentences, each complete with the file's name; no more than one each for unknown keys and for keys not supported yet.
    pub warnings: Vec<String>,
}

/// Reads a configuration file called `name`, followed by `key=value` arguments of a command line, which win.
///
/// # Errors
/// Everything that is wrong with it, up to 20 problems, each with its place.
pub fn parse(
    name: &str,
    text: &[u8],
    overrides: &[impl AsRef<str>],
    context: &Context,
) -> Result<Parsed, Problems> {
    let settings = parse_settings(name, text, overrides)?;
    read(name, &settings, context)
}

/// Reads settings that have been parsed already; `name` is the file's, for warnings.
///
/// # Errors
/// As [`parse`].
pub fn read(name: &str, settings: &Settings, context: &Context) -> Result<Parsed, Problems> {
    let mut reader = Reader::new(settings, context);
    let mut config = DomainConfig::default();
    identity::read(name, &mut reader, &mut config);
    cpus::read(&mut reader, &mut config);
    vnuma::read(&mut reader, &mut config);
    memory::read(&mut reader, &mut config);
    boot::read(name, &mut reader, &mut config);
    events::read(&mut reader, &mut config);
    limits::read(&mut reader, &mut config);
    hvm::read(&mut reader, &mut config);
    disks::read(&mut reader, &mut config);
    networks::read(name, &mut reader, &mut config);
    passthrough::read(&mut reader, &mut config);
    screens::read(&mut reader, &mut config);
    devices::read(&mut reader, &mut config);
    sounds::read(&mut reader, &mut config);
    notes::write(name, &mut reader, config.c_info.domain_type);
    let (problems, warnings) = reader.finish();
    if problems.is_empty() {
        Ok(Parsed { config, warnings })
    } else {
        Err(Problems(problems))
    }
}
