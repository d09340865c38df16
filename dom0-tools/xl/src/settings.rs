//! `/etc/xen/xl.conf`: what holds for all commands.
//!
//! The grammar is that of configuration files. A value that can not be used is reported and the default holds: a typing error in this file must
//! not keep anyone from destroying a domain.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use domcfg::grammar::{self, parse_settings};
use xenctl::{CpuSet, Hypervisor, VersionText};

use crate::parse::{cpus, number};

/// Whether dom0 gives memory to new domains.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Autoballoon {
    /// Unless dom0's memory was set on the hypervisor's command line.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Which numbers new domains get.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum DomidPolicy {
    /// The hypervisor chooses.
    #[default]
    Xen,
    /// A random one.
    Random,
}

/// What new network interfaces get unless their configuration says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VifDefaults {
    /// Hotplug script.
    pub script: Option<String>,
    /// Bridge.
    pub bridge: Option<String>,
    /// Interface of dom0 for routing scripts.
    pub gateway_device: Option<String>,
    /// The domain that serves it.
    pub backend: Option<String>,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether dom0 gives memory to new domains.
    pub autoballoon: Autoballoon,
    /// Whether scripts are run by xl rather than udev.
    pub run_hotplug_scripts: bool,
    /// Taken while a domain is created.
    pub lock_file: PathBuf,
    /// For network interfaces.
    pub vif: VifDefaults,
    /// Whether memory is claimed before a domain is built.
    pub claim_mode: bool,
    /// Limit of grant table frames of new domains.
    pub max_grant_frames: Option<u32>,
    /// Limit of mapped grants of new domains.
    pub max_maptrack_frames: Option<u32>,
    /// Highest grant table version of new domains.
    pub max_grant_version: Option<u32>,
    /// Which numbers new domains get.
    pub domid_policy: DomidPolicy,
    /// Processors that virtual processors may use: of any guest, and of HVM and PVH guests.
    cpu_masks: [Option<String>; 2],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            autoballoon: Autoballoon::Auto,
            run_hotplug_scripts: true,
            lock_file: "/var/lock/xl".into(),
            vif: VifDefaults::default(),
            claim_mode: true,
            max_grant_frames: None,
            max_maptrack_frames: None,
            max_grant_version: None,
            domid_policy: DomidPolicy::Xen,
            cpu_masks: [None, None],
        }
    }
}

impl Settings {
    /// Reads a file; and what is wrong with it.
    pub fn of_file(path: &Path) -> (Self, Vec<String>) {
        let name = path.display().to_string();
        match std::fs::read(path) {
            Ok(text) => Self::of_text(&name, &text),
            Err(error) => {
                let why = crate::failure::why(&error);
                let complaint = format!("Failed to read config file: {name}: {why}");
                (Self::default(), vec![complaint])
            }
        }
    }

    pub(crate) fn of_text(name: &str, text: &[u8]) -> (Self, Vec<String>) {
        let settings = match parse_settings(name, text, &[] as &[&str]) {
            Ok(settings) => settings,
            Err(problems) => return (Self::default(), vec![problems.to_string()]),
        };
        let mut reader = Reader {
            settings,
            complaints: Vec::new(),
        };
        let read = reader.read();
        (read, reader.complaints)
    }

    /// Whether dom0 gives memory to new domains on this host.
    pub fn autoballoons(&self, xen: &dyn Hypervisor) -> bool {
        match self.autoballoon {
            Autoballoon::On => true,
            Autoballoon::Off => false,
            Autoballoon::Auto => {
                let command_line = xen.version_text(VersionText::CommandLine);
                command_line.map_or(true, |text| !text.split(' ').any(sets_dom0_memory))
            }
        }
    }

    /// Whether some processors are not for virtual processors of PVH guests.
    pub fn has_cpu_masks(&self) -> bool {
        self.cpu_masks.iter().any(Option::is_some)
    }

    /// The processors that virtual processors of a PVH guest may use; `None`: all.
    pub fn allowed_cpus(&self, xen: &dyn Hypervisor) -> anyhow::Result<Option<CpuSet>> {
        let mut allowed: Option<CpuSet> = None;
        for mask in self.cpu_masks.iter().flatten() {
            let mask = cpus::list(xen, mask)?;
            allowed = Some(allowed.map_or(mask.clone(), |before| before.intersection(&mask)));
        }
        Ok(allowed)
    }
}

/// Whether a word of the hypervisor's command line is a `dom0_mem=` that the hypervisor understands.
fn sets_dom0_memory(word: &str) -> bool {
    let Some(value) = word.strip_prefix("dom0_mem=") else {
        return false;
    };
    let parts = value.strip_suffix(',').unwrap_or(value).split(',');
    parts.into_iter().all(|part| {
        let part = part
            .strip_prefix("min:")
            .or_else(|| part.strip_prefix("max:"))
            .unwrap_or(part);
        match part.strip_suffix('%') {
            Some(fraction) => {
                let (base, percent) = fraction.rsplit_once('+').unwrap_or(("0", fraction));
                is_size(base) && matches!(percent.len(), 1..=2) && is_digits(percent)
            }
            None => is_size(part),
        }
    })
}

fn is_size(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    is_digits(
        text.strip_suffix(|unit: char| "bkmgtBKMGT".contains(unit))
            .unwrap_or(text),
    )
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

struct Reader {
    settings: grammar::Settings,
    complaints: Vec<String>,
}

impl Reader {
    fn read(&mut self) -> Settings {
        let default = Settings::default();
        self.check_output_format();
        Settings {
            autoballoon: self.autoballoon(),
            run_hotplug_scripts: self.flag("run_hotplug_scripts", default.run_hotplug_scripts),
            lock_file: self
                .text("lockfile")
                .map_or(default.lock_file, PathBuf::from),
            vif: VifDefaults {
                script: self.renamed("vifscript", "vif.default.script"),
                bridge: self.renamed("defaultbridge", "vif.default.bridge"),
                gateway_device: self.text("vif.default.gatewaydev"),
                backend: self.text("vif.default.backend"),
            },
            claim_mode: self.flag("claim_mode", default.claim_mode),
            max_grant_frames: self.bounded("max_grant_frames"),
            max_maptrack_frames: self.bounded("max_maptrack_frames"),
            max_grant_version: self.bounded("max_grant_version"),
            domid_policy: self.domid_policy(),
            cpu_masks: [self.text("vm.cpumask"), self.text("vm.hvm.cpumask")],
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        Some(self.settings.get(key)?.value.text()?.to_owned())
    }

    fn complain(&mut self, key: &str, complaint: &str) {
        let place = self
            .settings
            .get(key)
            .map(|setting| format!("{}: ", setting.value.place));
        let mut text = place.unwrap_or_default();
        // Writing to a string can not fail.
        let _ = write!(text, "{complaint}");
        self.complaints.push(text);
    }

    fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(text) = self.text(key) else {
            return default;
        };
        match number::leading(&text) {
            Some((value, "")) => value != 0,
            _ => {
                self.complain(key, "expected a number");
                default
            }
        }
    }

    fn bounded(&mut self, key: &str) -> Option<u32> {
        let text = self.text(key)?;
        let value = number::leading(&text).filter(|(_, rest)| rest.is_empty());
        let value = value.and_then(|(value, _)| i32::try_from(value).ok());
        let value = value.and_then(|value| u32::try_from(value).ok());
        if value.is_none() {
            self.complain(key, "expected a number from 0 to 2147483647");
        }
        value
    }

    fn renamed(&mut self, old: &str, new: &str) -> Option<String> {
        let before = self.text(old);
        if before.is_some() {
            let complaint =
                format!("the global config option {old} is deprecated, please switch to {new}");
            self.complaints.push(complaint);
        }
        self.text(new).or(before)
    }

    fn autoballoon(&mut self) -> Autoballoon {
        match self.text("autoballoon").as_deref() {
            None | Some("auto") => Autoballoon::Auto,
            Some("on" | "1") => Autoballoon::On,
            Some("off" | "0") => Autoballoon::Off,
            Some(_) => {
                self.complain("autoballoon", "invalid autoballoon option");
                Autoballoon::Auto
            }
        }
    }

    /// Configurations are printed as JSON, whatever the file says: the other form has no PVH domains.
    fn check_output_format(&mut self) {
        match self.text("output_format").as_deref() {
            None | Some("json") => {}
            Some("sxp") => {
                self.complain("output_format", "\"sxp\" is not supported, JSON is printed")
            }
            Some(other) => {
                let complaint = format!("invalid default output format \"{other}\"");
                self.complain("output_format", &complaint);
            }
        }
    }

    fn domid_policy(&mut self) -> DomidPolicy {
        match self.text("domid_policy").as_deref() {
            None | Some("xen") => DomidPolicy::Xen,
            Some("random") => DomidPolicy::Random,
            Some(_) => {
                self.complain("domid_policy", "invalid domid_policy option");
                DomidPolicy::Xen
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Settings, Vec<String>) {
        Settings::of_text("xl.conf", text.as_bytes())
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert_eq!(
            read("# all is commented out\n"),
            (Settings::default(), vec![])
        );
    }

    #[test]
    fn values_are_read() {
        let (settings, complaints) = read(
            "autoballoon=\"off\"\nlockfile=\"/tmp/l\"\nvif.default.bridge=\"br7\"\nclaim_mode=0\n\
             output_format=\"json\"\nmax_grant_frames=64\ndomid_policy=\"random\"\nvm.cpumask=\"0-1\"\n",
        );
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(settings.autoballoon, Autoballoon::Off);
        assert_eq!(settings.lock_file, PathBuf::from("/tmp/l"));
        assert_eq!(settings.vif.bridge.as_deref(), Some("br7"));
        assert!(!settings.claim_mode);
        assert_eq!(settings.max_grant_frames, Some(64));
        assert_eq!(settings.domid_policy, DomidPolicy::Random);
    }

    #[test]
    fn wrong_values_are_reported_and_ignored() {
        let (settings, complaints) =
            read("autoballoon=\"maybe\"\nclaim_mode=\"x\"\nmax_grant_frames=\"-1\"\n");
        assert_eq!(settings, Settings::default());
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(complaints[0].starts_with("xl.conf:1:"), "{complaints:?}");
    }

    #[test]
    fn old_names_still_count() {
        let (settings, complaints) = read("defaultbridge=\"old\"\n");
        assert_eq!(settings.vif.bridge.as_deref(), Some("old"));
        assert_eq!(
            complaints,
            [
                "the global config option defaultbridge is deprecated, please switch to vif.default.bridge"
            ]
        );
    }

    #[test]
    fn dom0s_memory_on_the_command_line_ends_autoballooning() {
        for word in [
            "dom0_mem=1024M",
            "dom0_mem=min:1G,max:2G",
            "dom0_mem=1G+10%",
            "dom0_mem=50%",
        ] {
            assert!(sets_dom0_memory(word), "{word}");
        }
        for word in [
            "dom0_mem=",
            "dom0_mem=lots",
            "xdom0_mem=1G",
            "dom0_mem=1G+100%",
        ] {
            assert!(!sets_dom0_memory(word), "{word}");
        }
    }

    #[test]
    fn a_missing_file_is_reported() {
        let (settings, complaints) = Settings::of_file(Path::new("/nonexistent/xl.conf"));
        assert_eq!(settings, Settings::default());
        assert_eq!(
            complaints,
            ["Failed to read config file: /nonexistent/xl.conf: No such file or directory"]
        );
    }
}
