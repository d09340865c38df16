//! Options about dom0: its kind, memory, vCPUs and access.

use alloc::format;
use alloc::vec::Vec;

use super::word::{BadValue, Word, element, take_digits, take_integer};
use super::{Applied, Options, quoted};

/// Most ranges kept of `dom0_ioports_disable=`.
const PORT_RANGES_MAX: usize = 32;

/// How dom0 is virtualised.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Dom0Kind {
    /// Hardware-assisted without emulated firmware: the only kind there is here.
    Pvh,
}

/// `dom0=`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Dom0Options {
    /// How it is virtualised.
    pub kind: Dom0Kind,
    /// Log the building of dom0 in detail.
    pub verbose: bool,
    /// Unknown MSRs read as zero and ignore writes instead of faulting.
    pub msr_relaxed: bool,
    /// Map MMIO that no table announced when dom0 touches it.
    pub pf_fixup: bool,
}

impl Default for Dom0Options {
    fn default() -> Self {
        Self {
            kind: Dom0Kind::Pvh,
            verbose: false,
            msr_relaxed: false,
            pf_fixup: false,
        }
    }
}

/// `dom0_max_vcpus=`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct VcpuLimits {
    /// Least number, at least 1.
    pub min: u32,
    /// Largest number.
    pub max: u32,
}

impl Default for VcpuLimits {
    fn default() -> Self {
        Self {
            min: 1,
            max: u32::MAX,
        }
    }
}

impl VcpuLimits {
    /// vCPUs of dom0 on a host with `cpus` running CPUs: as many, raised to `min`, then lowered to `max`; never zero.
    #[must_use]
    pub fn of(&self, cpus: u32) -> u32 {
        cpus.max(self.min).min(self.max).max(1)
    }

    /// `N`, `N-`, `N-M` or `-M`.
    fn parse(text: &str) -> Result<Self, BadValue> {
        let mut limits = Self::default();
        match text.split_once('-') {
            Some(("", max)) => limits.max = number(max)?,
            Some((min, "")) => limits.min = number(min)?.max(1),
            Some((min, max)) => (limits.min, limits.max) = (number(min)?.max(1), number(max)?),
            None => {
                limits.min = number(text)?.max(1);
                limits.max = limits.min;
            }
        }
        Ok(limits)
    }
}

fn number(text: &str) -> Result<u32, BadValue> {
    match take_integer(text) {
        Some((value, "")) => u32::try_from(value).map_err(|_| BadValue),
        _ => Err(BadValue),
    }
}

/// `dom0-iommu=`, and the deprecated `iommu=dom0-passthrough,dom0-strict`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Dom0Iommu {
    /// Map reserved regions one to one.
    pub map_reserved: bool,
    /// Map all that is not RAM below 4 GiB one to one.
    pub map_inclusive: bool,
    /// Start dom0 even without a working IOMMU.
    pub none: bool,
}

impl Default for Dom0Iommu {
    fn default() -> Self {
        Self {
            map_reserved: true,
            map_inclusive: false,
            none: false,
        }
    }
}

/// A range of I/O ports, both ends included.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

/// Takes the words of this topic.
pub(super) fn apply(options: &mut Options, word: &Word<'_>) -> Applied {
    Some(match word.name {
        "dom0" => word.required().and_then(|list| kind(options, list)),
        "dom0_mem" => word
            .required()
            .and_then(|list| options.dom0_mem.parse(list)),
        "dom0_max_vcpus" => word
            .required()
            .and_then(VcpuLimits::parse)
            .map(|limits| options.dom0_max_vcpus = limits),
        "dom0_vcpus_pin" => word.boolean().map(|on| options.dom0_vcpus_pin = on),
        "dom0-iommu" => word.required().and_then(|list| iommu(options, list)),
        "dom0_ioports_disable" => word
            .required()
            .and_then(ports)
            .map(|ranges| options.dom0_ioports_disable = ranges),
        _ => return None,
    })
}

fn kind(options: &mut Options, list: &str) -> Result<(), BadValue> {
    for part in list.split(',') {
        if part == "pvh" {
            options.dom0.kind = Dom0Kind::Pvh;
        } else if part == "pv" {
            options.note(format!(
                "dom0={part} is not supported: dom0 is built as PVH"
            ));
        } else if let Some(on) = element(part, "verbose") {
            options.dom0.verbose = on;
            if on {
                options.note_no_effect("dom0=verbose");
            }
        } else if let Some(on) = element(part, "msr-relaxed") {
            options.dom0.msr_relaxed = on;
        } else if let Some(on) = element(part, "pf-fixup") {
            options.dom0.pf_fixup = on;
        } else if element(part, "shadow").is_some() || element(part, "cpuid-faulting").is_some() {
            options.note(format!(
                "dom0={} has no effect in this hypervisor",
                quoted(part)
            ));
        } else {
            return Err(BadValue);
        }
    }
    Ok(())
}

fn iommu(options: &mut Options, list: &str) -> Result<(), BadValue> {
    for part in list.split(',') {
        if part == "none" {
            options.dom0_iommu.none = true;
        } else if let Some(on) = element(part, "map-reserved") {
            options.dom0_iommu.map_reserved = on;
            options.note_no_effect("dom0-iommu=map-reserved");
        } else if let Some(on) = element(part, "map-inclusive") {
            options.dom0_iommu.map_inclusive = on;
            options.note_no_effect("dom0-iommu=map-inclusive");
        } else if element(part, "passthrough").is_some() || element(part, "strict").is_some() {
            options.note(format!(
                "dom0-iommu={} does not apply to a PVH dom0",
                quoted(part)
            ));
        } else {
            return Err(BadValue);
        }
    }
    Ok(())
}

/// Hexadecimal ports and ranges separated by commas.
fn ports(list: &str) -> Result<Vec<PortRange>, BadValue> {
    let ranges: Vec<PortRange> = list
        .split(',')
        .take(PORT_RANGES_MAX + 1)
        .map(port_range)
        .collect::<Result<_, _>>()?;
    if ranges.len() > PORT_RANGES_MAX {
        Err(BadValue)
    } else {
        Ok(ranges)
    }
}

fn port_range(text: &str) -> Result<PortRange, BadValue> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = PortRange {
        first: hex_port(first)?,
        last: hex_port(last)?,
    };
    if range.first > range.last {
        Err(BadValue)
    } else {
        Ok(range)
    }
}

fn hex_port(text: &str) -> Result<u16, BadValue> {
    match take_digits(text.strip_prefix("0x").unwrap_or(text), 16) {
        Some((port, "")) => u16::try_from(port).map_err(|_| BadValue),
        _ => Err(BadValue),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pv_is_noted_and_pvh_built() {
        let options = Options::parse("dom0=pv,verbose");
        assert_eq!(
            (options.dom0.kind, options.dom0.verbose),
            (Dom0Kind::Pvh, true)
        );
        assert!(options.notes[0].contains("not supported"));
        assert!(
            Options::parse("dom0=pvh,no-verbose,msr-relaxed=1")
                .notes
                .is_empty()
        );
    }

    #[test]
    fn vcpu_limits_follow_the_documented_table() {
        let limits = Options::parse("dom0_max_vcpus=4-8").dom0_max_vcpus;
        assert_eq!(
            [2, 4, 6, 8, 10].map(|cpus| limits.of(cpus)),
            [4, 4, 6, 8, 8]
        );
        assert_eq!(Options::parse("dom0_max_vcpus=3").dom0_max_vcpus.of(16), 3);
        assert_eq!(Options::parse("dom0_max_vcpus=-4").dom0_max_vcpus.of(16), 4);
        assert_eq!(Options::parse("dom0_max_vcpus=4-").dom0_max_vcpus.of(2), 4);
        assert_eq!(Options::parse("dom0_max_vcpus=0").dom0_max_vcpus.of(16), 1);
        assert_eq!(Options::parse("").dom0_max_vcpus.of(16), 16);
        assert_eq!(Options::parse("dom0_max_vcpus=many").notes.len(), 1);
    }

    #[test]
    fn port_ranges_are_hexadecimal() {
        let options = Options::parse("dom0_ioports_disable=3f8-3ff,0x60");
        assert_eq!(
            options.dom0_ioports_disable,
            [
                PortRange {
                    first: 0x3f8,
                    last: 0x3ff
                },
                PortRange {
                    first: 0x60,
                    last: 0x60
                }
            ]
        );
        assert_eq!(
            Options::parse("dom0_ioports_disable=3ff-3f8").notes.len(),
            1
        );
        assert_eq!(Options::parse("dom0_ioports_disable=10000").notes.len(), 1);
    }

    #[test]
    fn dom0_iommu_list() {
        let options = Options::parse("dom0-iommu=none,map-reserved=no dom0_vcpus_pin");
        assert!(
            options.dom0_iommu.none && !options.dom0_iommu.map_reserved && options.dom0_vcpus_pin
        );
    }
}
