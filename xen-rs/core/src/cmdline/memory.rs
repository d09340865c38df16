//! `dom0_mem=`: how much memory dom0 gets ("dom0_mem (x86)" in xen-command-line.pandoc); `bootscrub=`: what is done about the rest.

use super::word::{BadValue, boolean, take_size};
use crate::ids::PAGE_SHIFT;

/// Largest amount kept free by default, in pages (128 MiB).
const RESERVE_MAX_PAGES: u64 = (128 << 20) >> PAGE_SHIFT;

/// `bootscrub=`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum BootScrub {
    /// While CPUs are idle, and before a domain gets it (`idle`).
    Idle,
    /// Before dom0 is built (true).
    AtBoot,
    /// Not at all: what the machine did before may be seen (false).
    Never,
}

impl BootScrub {
    pub(super) fn parse(text: &str) -> Result<Self, BadValue> {
        match (text, boolean(text)) {
            ("idle", _) => Ok(Self::Idle),
            ("", _) | (_, Some(true)) => Ok(Self::AtBoot),
            (_, Some(false)) => Ok(Self::Never),
            _ => Err(BadValue),
        }
    }
}

/// `[-]<size>`, `[-]<frac>%` or `[-]<size>+<frac>%`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct MemorySize {
    /// The absolute part, in pages.
    pub pages: u64,
    /// The part relative to the available memory, in percent, below 100.
    pub percent: u8,
    /// Whether the sum is left to others rather than given to dom0 (a leading minus).
    pub all_but: bool,
}

impl MemorySize {
    /// The amount in pages; `None` when "all but" asks for more than there is.
    #[must_use]
    pub fn of(&self, available_pages: u64) -> Option<u64> {
        let fraction = u128::from(available_pages) * u128::from(self.percent) / 100;
        let sum = self
            .pages
            .saturating_add(u64::try_from(fraction).unwrap_or(u64::MAX));
        if self.all_but {
            available_pages.checked_sub(sum)
        } else {
            Some(sum)
        }
    }

    fn parse(text: &str) -> Result<Self, BadValue> {
        let (all_but, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (first, second) = match text.split_once('+') {
            Some((first, second)) => (first, Some(second)),
            None => (text, None),
        };
        let mut size = Self {
            all_but,
            ..Self::default()
        };
        match (take_size(first).ok_or(BadValue)?, second) {
            ((percent, "%"), None) => size.percent = whole_percent(percent)?,
            ((bytes, ""), None) => size.pages = bytes >> PAGE_SHIFT,
            ((bytes, ""), Some(second)) => {
                size.pages = bytes >> PAGE_SHIFT;
                let Some((percent, "%")) = take_size(second) else {
                    return Err(BadValue);
                };
                size.percent = whole_percent(percent)?;
            }
            _ => return Err(BadValue),
        }
        Ok(size)
    }
}

fn whole_percent(value: u64) -> Result<u8, BadValue> {
    u8::try_from(value)
        .ok()
        .filter(|percent| *percent < 100)
        .ok_or(BadValue)
}

/// dom0's amount with its limits.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct Dom0Memory {
    /// The amount wanted; without it, everything but a reserve.
    pub size: Option<MemorySize>,
    /// `min:`, the least amount.
    pub min: Option<MemorySize>,
    /// `max:`, the most dom0 gets now and may balloon to. Wins over `min:`.
    pub max: Option<MemorySize>,
}

impl Dom0Memory {
    /// Pages dom0 starts with. The reserve kept by default is a sixteenth of what is available, at most 128 MiB. An amount of zero, or an
    /// "all but" that leaves nothing, counts as not given.
    #[must_use]
    pub fn initial_pages(&self, available_pages: u64) -> u64 {
        let wanted = self
            .size
            .and_then(|size| size.of(available_pages))
            .filter(|pages| *pages != 0);
        let default = available_pages.saturating_sub((available_pages / 16).min(RESERVE_MAX_PAGES));
        let min = self
            .min
            .and_then(|min| min.of(available_pages))
            .unwrap_or(0);
        wanted
            .unwrap_or(default)
            .max(min)
            .min(self.max_pages(available_pages))
            .min(available_pages)
    }

    /// Most pages dom0 may ever own; `u64::MAX` when unlimited.
    #[must_use]
    pub fn max_pages(&self, available_pages: u64) -> u64 {
        self.max
            .and_then(|max| max.of(available_pages))
            .unwrap_or(u64::MAX)
    }

    /// Reads the comma-separated list; elements before a bad one stay in force, as in Xen.
    pub(super) fn parse(&mut self, text: &str) -> Result<(), BadValue> {
        for part in text.split(',') {
            if let Some(min) = part.strip_prefix("min:") {
                self.min = Some(MemorySize::parse(min)?);
            } else if let Some(max) = part.strip_prefix("max:") {
                self.max = Some(MemorySize::parse(max)?);
            } else {
                self.size = Some(MemorySize::parse(part)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::cmdline::Options;

    const GIB: u64 = (1 << 30) >> 12;

    fn pages(option: &str, available: u64) -> u64 {
        let options = Options::parse(option);
        assert!(options.notes.is_empty(), "{option}: {:?}", options.notes);
        options.dom0_memory(available)
    }

    #[test]
    fn default_keeps_a_sixteenth_but_at_most_128_mib() {
        assert_eq!(pages("", GIB), GIB - GIB / 16);
        assert_eq!(pages("", 64 * GIB), 64 * GIB - GIB / 8);
        assert_eq!(pages("", 0), 0);
    }

    #[test]
    fn sizes_are_absolute_negative_or_fractions() {
        assert_eq!(pages("dom0_mem=2G", 8 * GIB), 2 * GIB);
        assert_eq!(pages("dom0_mem=-2G", 8 * GIB), 6 * GIB);
        assert_eq!(pages("dom0_mem=25%", 8 * GIB), 2 * GIB);
        assert_eq!(pages("dom0_mem=1G+25%", 8 * GIB), 3 * GIB);
        assert_eq!(pages("dom0_mem=-1G+25%", 8 * GIB), 5 * GIB);
        assert_eq!(pages("dom0_mem=1048576", 8 * GIB), GIB);
    }

    #[test]
    fn limits_clamp_and_max_wins() {
        assert_eq!(pages("dom0_mem=1G,min:2G,max:4G", 8 * GIB), 2 * GIB);
        assert_eq!(pages("dom0_mem=min:4G,max:2G", 8 * GIB), 2 * GIB);
        assert_eq!(pages("dom0_mem=max:512M", 8 * GIB), GIB / 2);
        assert_eq!(pages("dom0_mem=100G", 8 * GIB), 8 * GIB);
    }

    #[test]
    fn subtracting_more_than_there_is_counts_as_not_given() {
        assert_eq!(pages("dom0_mem=-100G", 16 * GIB), 16 * GIB - GIB / 8);
        assert_eq!(pages("dom0_mem=1G,max:-100G", 16 * GIB), GIB);
    }

    #[test]
    fn malformed_sizes_are_noted() {
        for bad in [
            "1Q", "100%", "5%+1G", "1G+2G", "", "min:", "1G+5%+5%", "max:x", "1G,,",
        ] {
            assert_eq!(
                Options::parse(&alloc::format!("dom0_mem={bad}"))
                    .notes
                    .len(),
                1,
                "{bad}"
            );
        }
    }
}
