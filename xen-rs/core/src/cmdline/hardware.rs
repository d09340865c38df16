//! Options about hardware features: IOMMU, CPUID, speculation, second-level paging, grant-table limits.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::word::{BadValue, Word, boolean, element};
use super::{Applied, Options, cut, quoted};

/// Most features kept of `cpuid=` and settings of `spec-ctrl=`.
const LIST_MAX: usize = 64;
/// Longest name kept, in bytes.
const NAME_MAX: usize = 40;

/// `iommu=quarantine`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Quarantine {
    /// Only when the tools ask.
    Off,
    /// A device taken from a guest can reach nothing.
    Basic,
    /// A device taken from a guest can reach a scratch page.
    ScratchPage,
}

/// `iommu=`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Iommu {
    /// Use IOMMUs that are found.
    pub enable: bool,
    /// Refuse to boot without one (`force`, `required`).
    pub required: bool,
    /// Print what is found.
    pub verbose: bool,
    /// Print more.
    pub debug: bool,
    /// What happens to devices taken from guests.
    pub quarantine: Quarantine,
    /// Share page tables with the CPUs where possible.
    pub sharept: bool,
    /// Large pages in IOMMU tables.
    pub superpages: bool,
    /// Interrupt remapping.
    pub intremap: bool,
    /// AMD: one interrupt-remapping table per device.
    pub amd_perdev_intremap: bool,
}

impl Default for Iommu {
    fn default() -> Self {
        Self {
            enable: true,
            required: false,
            verbose: false,
            debug: false,
            quarantine: Quarantine::Basic,
            sharept: true,
            superpages: true,
            intremap: true,
            amd_perdev_intremap: true,
        }
    }
}

/// One element of `cpuid=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuidFeature {
    /// Name of the feature as Xen spells it.
    pub name: String,
    /// False hides it from the hypervisor and its guests.
    pub shown: bool,
}

/// How much of the speculation defences is on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mitigations {
    /// What the hardware calls for.
    Default,
    /// The hypervisor does not protect itself, guests still get their controls (`no-xen`).
    GuestsOnly,
    /// None, and no controls for guests (`no`).
    Off,
}

/// `spec-ctrl=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecCtrl {
    /// The overall choice.
    pub mitigations: Mitigations,
    /// Single settings as written, such as `ibpb=no`, for whoever implements them.
    pub settings: Vec<String>,
}

impl SpecCtrl {
    /// The boolean setting `name`, when given; the last one counts.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<bool> {
        self.settings
            .iter()
            .rev()
            .find_map(|setting| element(setting, name))
    }
}

impl Default for SpecCtrl {
    fn default() -> Self {
        Self {
            mitigations: Mitigations::Default,
            settings: Vec::new(),
        }
    }
}

/// Takes the words of this topic.
pub(super) fn apply(options: &mut Options, word: &Word<'_>) -> Applied {
    Some(match word.name {
        "iommu" => word
            .custom()
            .and_then(|list| iommu(options, list))
            .map(|()| {
                // There is no driver: only a wish for none is met.
                if options.iommu.enable {
                    options.note_no_effect(word.text);
                }
            }),
        "cpuid" => noted(options, word, |options| {
            word.required().and_then(|list| cpuid(options, list))
        }),
        "spec-ctrl" => noted(options, word, |options| {
            word.custom().and_then(|list| spec_ctrl(options, list))
        }),
        "hap_1gb" => word.boolean().map(|on| {
            options.hap_1gb = on;
            if on {
                options.note_no_effect(word.text);
            }
        }),
        "hap_2mb" => word.boolean().map(|on| {
            options.hap_2mb = on;
            if !on {
                options.note_no_effect(word.text);
            }
        }),
        "gnttab" => word
            .required()
            .and_then(|list| gnttab(options, list))
            .map(|()| {
                if options.gnttab_max_version > 1 {
                    options.note_no_effect(word.text);
                }
            }),
        "gnttab_max_frames" => word
            .u32()
            .map(|frames| options.gnttab_max_frames = frames.max(1)),
        "gnttab_max_maptrack_frames" => word
            .u32()
            .map(|frames| options.gnttab_max_maptrack_frames = frames),
        _ => return None,
    })
}

/// Reads an option that nobody acts on, and says so.
fn noted(
    options: &mut Options,
    word: &Word<'_>,
    read: impl FnOnce(&mut Options) -> Result<(), BadValue>,
) -> Result<(), BadValue> {
    read(options)?;
    options.note_no_effect(word.text);
    Ok(())
}

fn iommu(options: &mut Options, list: &str) -> Result<(), BadValue> {
    for part in list.split(',') {
        if let Some(on) = if part.is_empty() {
            Some(true)
        } else {
            boolean(part)
        } {
            options.iommu.enable = on;
        } else if !(options.iommu.set_flag(part) || options.iommu.set_quarantine(part)) {
            no_effect(part)?;
        }
    }
    Ok(())
}

impl Iommu {
    /// Sets the boolean that `part` is about; false when it is about none.
    fn set_flag(&mut self, part: &str) -> bool {
        let required = element(part, "force").or_else(|| element(part, "required"));
        if let Some(on) = required {
            self.required = on;
            self.enable |= on;
            return true;
        }
        let flags = [
            ("verbose", &mut self.verbose),
            ("debug", &mut self.debug),
            ("sharept", &mut self.sharept),
            ("superpages", &mut self.superpages),
            ("intremap", &mut self.intremap),
            ("amd-iommu-perdev-intremap", &mut self.amd_perdev_intremap),
        ];
        for (name, flag) in flags {
            if let Some(on) = element(part, name) {
                *flag = on;
                return true;
            }
        }
        false
    }

    fn set_quarantine(&mut self, part: &str) -> bool {
        self.quarantine = match (part, element(part, "quarantine")) {
            ("quarantine=scratch-page", _) => Quarantine::ScratchPage,
            (_, Some(true)) => Quarantine::Basic,
            (_, Some(false)) => Quarantine::Off,
            (_, None) => return false,
        };
        true
    }
}

/// Accepts sub-options of `iommu=` that exist in Xen only; the note about the whole option covers them.
fn no_effect(part: &str) -> Result<(), BadValue> {
    let names = [
        "intpost",
        "crash-disable",
        "snoop",
        "qinval",
        "igfx",
        "dom0-passthrough",
        "dom0-strict",
    ];
    if names.iter().any(|name| element(part, name).is_some()) {
        Ok(())
    } else {
        Err(BadValue)
    }
}

fn cpuid(options: &mut Options, list: &str) -> Result<(), BadValue> {
    for part in list.split(',') {
        let (name, shown) = match (part.strip_prefix("no-"), part.split_once('=')) {
            (Some(name), None) => (name, false),
            (None, Some((name, value))) => (name, boolean(value).ok_or(BadValue)?),
            (None, None) => (part, true),
            (Some(_), Some(_)) => return Err(BadValue),
        };
        if name.is_empty() || options.cpuid.len() >= LIST_MAX {
            return Err(BadValue);
        }
        options.cpuid.push(CpuidFeature {
            name: cut(name, NAME_MAX).to_string(),
            shown,
        });
    }
    Ok(())
}

fn spec_ctrl(options: &mut Options, list: &str) -> Result<(), BadValue> {
    for part in list.split(',') {
        if boolean(part) == Some(false) {
            options.spec_ctrl.mitigations = Mitigations::Off;
        } else if element(part, "xen") == Some(false) {
            options.spec_ctrl.mitigations = Mitigations::GuestsOnly;
        } else if part.is_empty() || boolean(part).is_some() || element(part, "xen").is_some() {
            return Err(BadValue);
        } else if options.spec_ctrl.settings.len() < LIST_MAX {
            options
                .spec_ctrl
                .settings
                .push(cut(part, NAME_MAX).to_string());
        } else {
            return Err(BadValue);
        }
    }
    Ok(())
}

/// `max-ver:<1|2>`; transitive grants and transfers are not offered here.
fn gnttab(options: &mut Options, list: &str) -> Result<(), BadValue> {
    for part in list.split(',') {
        match part.strip_prefix("max-ver:") {
            Some("1") => options.gnttab_max_version = 1,
            Some("2") => options.gnttab_max_version = 2,
            Some(_) => return Err(BadValue),
            None if element(part, "transitive").is_some()
                || element(part, "transfer").is_some() =>
            {
                options.note(format!(
                    "gnttab={} has no effect in this hypervisor",
                    quoted(part)
                ));
            }
            None => return Err(BadValue),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iommu_list_sets_flags_and_the_overall_switch() {
        let options = Options::parse("iommu=verbose,no-intremap,quarantine=scratch-page,required");
        assert!(
            options.iommu.verbose
                && !options.iommu.intremap
                && options.iommu.required
                && options.notes.len() == 1
        );
        assert_eq!(options.iommu.quarantine, Quarantine::ScratchPage);
        assert!(!Options::parse("iommu=no").iommu.enable);
        assert!(!Options::parse("no-iommu").iommu.enable);
        assert!(Options::parse("iommu=off iommu=force").iommu.enable);
        assert_eq!(Options::parse("iommu=qinval=0").notes.len(), 1);
        assert_eq!(Options::parse("iommu=fast").notes.len(), 1);
    }

    #[test]
    fn cpuid_names_are_kept_in_order() {
        let options = Options::parse("cpuid=no-rdrand,rdseed=off,md-clear");
        let shown: Vec<_> = options
            .cpuid
            .iter()
            .map(|f| (f.name.as_str(), f.shown))
            .collect();
        assert_eq!(
            shown,
            [("rdrand", false), ("rdseed", false), ("md-clear", true)]
        );
        assert_eq!(Options::parse("cpuid=").notes.len(), 1);
    }

    #[test]
    fn spec_ctrl_has_overall_and_single_settings() {
        assert_eq!(
            Options::parse("spec-ctrl=no").spec_ctrl.mitigations,
            Mitigations::Off
        );
        assert_eq!(
            Options::parse("no-spec-ctrl").spec_ctrl.mitigations,
            Mitigations::Off
        );
        let options = Options::parse("spec-ctrl=no-xen,ibpb=0,ssbd");
        assert_eq!(options.spec_ctrl.mitigations, Mitigations::GuestsOnly);
        assert_eq!(
            (
                options.spec_ctrl.setting("ibpb"),
                options.spec_ctrl.setting("ssbd")
            ),
            (Some(false), Some(true))
        );
        assert_eq!(options.spec_ctrl.setting("rsb"), None);
        assert_eq!(Options::parse("spec-ctrl=yes").notes.len(), 1);
    }

    #[test]
    fn grant_limits() {
        let options = Options::parse(
            "gnttab_max_frames=128 gnttab=max-ver:2 gnttab_max_maptrack_frames=0 hap_1gb=0",
        );
        assert_eq!(
            (
                options.gnttab_max_frames,
                options.gnttab_max_version,
                options.gnttab_max_maptrack_frames
            ),
            (128, 2, 0)
        );
        assert!(!options.hap_1gb && options.hap_2mb);
    }
}
