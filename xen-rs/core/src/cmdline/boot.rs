//! Options about starting and stopping the machine: CPUs, scheduler, microcode, what is passed on to dom0.

use alloc::format;
use alloc::string::ToString;

use super::word::{BadValue, Word, element, take_integer};
use super::{Applied, BootScrub, Options, quoted};

/// `sched=`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// Proportional share with run queues.
    Credit2,
    /// One vCPU per CPU, no sharing.
    Null,
}

/// `ucode=`: where microcode comes from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Microcode {
    /// Not asked for.
    None,
    /// Look for it in the boot modules (`scan`).
    Scan,
    /// Boot module of this number; negative counts from the end. Never zero.
    Module(i32),
}

/// `reboot=`: first way tried to restart the machine.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Reboot {
    /// The hypervisor's own order.
    Default,
    /// FADT reset register (`a`).
    Acpi,
    /// Keyboard controller (`k`).
    Keyboard,
    /// Triple fault (`t`).
    TripleFault,
    /// I/O port 0xcf9 (`p` and `P`).
    PciReset,
    /// Firmware service (`e`).
    Efi,
    /// Stay down (`n`).
    Never,
}

/// `nmi=`: what becomes of an NMI that reports a hardware error.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NmiAction {
    /// It is noted.
    Ignore,
    /// dom0 is told; a PVH dom0 cannot be, so it is noted.
    Dom0,
    /// The hypervisor stops with a report.
    Fatal,
}

impl NmiAction {
    fn parse(text: &str) -> Result<Self, BadValue> {
        match text {
            "ignore" => Ok(Self::Ignore),
            "dom0" => Ok(Self::Dom0),
            "fatal" => Ok(Self::Fatal),
            _ => Err(BadValue),
        }
    }
}

/// Takes the words of this topic.
pub(super) fn apply(options: &mut Options, word: &Word<'_>) -> Applied {
    Some(match word.name {
        "maxcpus" => word.u32().map(|count| options.maxcpus = Some(count.max(1))),
        "nosmp" => word
            .boolean()
            .map(|on| options.maxcpus = if on { Some(1) } else { options.maxcpus }),
        "smt" => word.boolean().map(|on| options.smt = Some(on)),
        "noreboot" => word.boolean().map(|on| options.noreboot = on),
        "reboot" => word
            .custom()
            .and_then(reboot)
            .map(|way| options.reboot = way),
        "nmi" => word
            .required()
            .and_then(NmiAction::parse)
            .map(|action| options.nmi = action),
        "watchdog" => word
            .custom()
            .and_then(|text| watchdog(options, text))
            .map(|()| {
                if options.watchdog {
                    options.note_no_effect(word.text);
                }
            }),
        "sched" => word.required().and_then(|name| scheduler(options, name)),
        "sched_ratelimit_us" => word.u32().map(|us| options.sched_ratelimit_us = us),
        "ucode" => word
            .required()
            .and_then(|list| microcode(options, list))
            .map(|()| {
                if options.microcode != Microcode::None {
                    options.note_no_effect(word.text);
                }
            }),
        "bootscrub" => word
            .custom()
            .and_then(BootScrub::parse)
            .map(|mode| options.bootscrub = mode),
        "scrub-domheap" => word.boolean().map(|on| options.scrub_domheap = on),
        "mem" => word.size().map(|bytes| options.mem = Some(bytes)),
        "noapic" => word.boolean().map(|on| options.noapic = on),
        "acpi" => word.custom().and_then(|text| acpi(options, text)),
        _ => return None,
    })
}

fn scheduler(options: &mut Options, name: &str) -> Result<(), BadValue> {
    options.scheduler = match name {
        "credit2" => Scheduler::Credit2,
        "null" => Scheduler::Null,
        "credit" | "rtds" | "arinc653" => {
            options.note(format!("sched={name} is not supported: credit2 is used"));
            Scheduler::Credit2
        }
        _ => return Err(BadValue),
    };
    Ok(())
}

fn reboot(text: &str) -> Result<Reboot, BadValue> {
    let way = text
        .split(',')
        .find(|part| !matches!(*part, "w" | "warm" | "c" | "cold"))
        .unwrap_or("");
    Ok(match way {
        "" => Reboot::Default,
        "no" | "n" => Reboot::Never,
        "a" | "acpi" => Reboot::Acpi,
        "k" | "kbd" => Reboot::Keyboard,
        "t" | "triple" => Reboot::TripleFault,
        "p" | "P" | "pci" | "Power" => Reboot::PciReset,
        "e" | "efi" => Reboot::Efi,
        _ => return Err(BadValue),
    })
}

fn watchdog(options: &mut Options, text: &str) -> Result<(), BadValue> {
    options.watchdog = match text {
        "" | "force" => true,
        _ => super::word::boolean(text).ok_or(BadValue)?,
    };
    Ok(())
}

fn microcode(options: &mut Options, list: &str) -> Result<(), BadValue> {
    for part in list.split(',') {
        if let Some(on) = element(part, "scan") {
            options.microcode = if on { Microcode::Scan } else { Microcode::None };
        } else if element(part, "nmi").is_some() || element(part, "digest-check").is_some() {
            options.note(format!(
                "ucode={} has no effect in this hypervisor",
                quoted(part)
            ));
        } else {
            options.microcode = Microcode::Module(module_index(part)?);
        }
    }
    Ok(())
}

fn module_index(text: &str) -> Result<i32, BadValue> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let Some((value, "")) = take_integer(digits) else {
        return Err(BadValue);
    };
    let index = i32::try_from(value).map_err(|_| BadValue)?;
    match (index, negative) {
        (0, _) => Err(BadValue),
        (index, true) => Ok(-index),
        (index, false) => Ok(index),
    }
}

/// Keeps the value for dom0; the hypervisor itself needs ACPI and says so.
fn acpi(options: &mut Options, text: &str) -> Result<(), BadValue> {
    match text {
        "force" | "verbose" => return Ok(()),
        "ht" | "noirq" => {}
        _ => match super::word::boolean(text) {
            Some(false) => {
                options.note("acpi=off: the hypervisor uses ACPI all the same".to_string())
            }
            Some(true) => return Ok(()),
            None => return Err(BadValue),
        },
    }
    options.acpi = Some(if matches!(text, "ht" | "noirq") {
        text.to_string()
    } else {
        "off".to_string()
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedulers_we_lack_fall_back_with_a_note() {
        assert_eq!(Options::parse("sched=null").scheduler, Scheduler::Null);
        let credit = Options::parse("sched=credit");
        assert_eq!(
            (credit.scheduler, credit.notes.len()),
            (Scheduler::Credit2, 1)
        );
        assert_eq!(Options::parse("sched=fifo").notes.len(), 1);
    }

    #[test]
    fn cpu_counts_are_at_least_one() {
        assert_eq!(Options::parse("maxcpus=0").maxcpus, Some(1));
        assert_eq!(Options::parse("maxcpus=4 nosmp").maxcpus, Some(1));
        assert_eq!(Options::parse("smt=0").smt, Some(false));
    }

    #[test]
    fn microcode_is_scanned_or_indexed() {
        assert_eq!(Options::parse("ucode=scan").microcode, Microcode::Scan);
        assert_eq!(Options::parse("ucode=-1").microcode, Microcode::Module(-1));
        assert_eq!(Options::parse("ucode=2").microcode, Microcode::Module(2));
        assert_eq!(Options::parse("ucode=0").notes.len(), 1);
    }

    #[test]
    fn reboot_and_panic_behaviour() {
        assert_eq!(Options::parse("reboot=w,a noreboot").reboot, Reboot::Acpi);
        assert!(Options::parse("noreboot").noreboot && !Options::parse("noreboot=off").noreboot);
        assert_eq!(Options::parse("no-reboot").reboot, Reboot::Never);
        assert!(Options::parse("watchdog=force").watchdog);
        assert_eq!(Options::parse("nmi=fatal").nmi, NmiAction::Fatal);
        assert_eq!(Options::parse("nmi=maybe").notes.len(), 1);
    }

    #[test]
    fn memory_is_scrubbed_at_boot_or_when_idle_or_not_at_all() {
        let mode = |line| Options::parse(line).bootscrub;
        for (line, expected) in [
            ("", BootScrub::Idle),
            ("bootscrub=idle", BootScrub::Idle),
            ("bootscrub", BootScrub::AtBoot),
            ("bootscrub=on", BootScrub::AtBoot),
            ("bootscrub=0", BootScrub::Never),
            ("no-bootscrub", BootScrub::Never),
        ] {
            assert_eq!(mode(line), expected, "{line}");
        }
        assert_eq!(Options::parse("bootscrub=later").notes.len(), 1);
        assert!(Options::parse("scrub-domheap").scrub_domheap);
    }

    #[test]
    fn acpi_is_passed_on() {
        assert_eq!(Options::parse("acpi=0").acpi.as_deref(), Some("off"));
        assert_eq!(Options::parse("acpi=noirq").acpi.as_deref(), Some("noirq"));
        assert_eq!(Options::parse("acpi=sometimes").notes.len(), 1);
    }
}
