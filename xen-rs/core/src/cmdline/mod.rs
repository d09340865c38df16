//! The hypervisor's command line, with the meaning Xen 4.20 gives it (docs/misc/xen-command-line.pandoc).
//!
//! Parsing never fails: a host must boot with a mistyped option. What is unknown, malformed or without effect here becomes a note, and
//! the boot code prints the notes. [`Options`] is plain data, filled once by the boot CPU before any other runs, read-only afterwards.

mod boot;
mod console;
mod dom0;
mod dom0_line;
mod hardware;
mod known;
mod memory;
mod serial;
mod word;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub use boot::{Microcode, NmiAction, Reboot, Scheduler};
pub use console::{ConSwitch, Consoles, LogThreshold, Timestamps};
pub use dom0::{Dom0Iommu, Dom0Kind, Dom0Options, PortRange, VcpuLimits};
pub use dom0_line::{DOM0_LINE_MAX, dom0_cmdline};
pub use hardware::{CpuidFeature, Iommu, Mitigations, Quarantine, SpecCtrl};
pub use memory::{BootScrub, Dom0Memory, MemorySize};
pub use serial::{Baud, Parity, SerialPlace, SerialPort};

use word::{BadValue, Word};

/// Most notes kept; later ones are counted, not stored.
pub const MAX_NOTES: usize = 32;
/// Longest part of a word quoted in a note, in bytes.
const QUOTE_MAX: usize = 80;
/// Longest command line that is looked at, in bytes; boot loaders stop far below.
const LINE_MAX: usize = 16 * 1024;

/// Everything the command line can set.
#[derive(Clone, Debug)]
pub struct Options {
    /// `console=`: where messages go.
    pub console: Consoles,
    /// `com1=`; `None` when not given, and then the port is not used.
    pub com1: Option<SerialPort>,
    /// `com2=`; as [`Self::com1`].
    pub com2: Option<SerialPort>,
    /// `sync_console`: write each message out before going on.
    pub sync_console: bool,
    /// `conring_size=`: bytes of the console ring; 0 chooses by the number of CPUs.
    pub conring_size: u64,
    /// `serial_tx_buffer=`: bytes of the queue to the serial port.
    pub serial_tx_buffer: u64,
    /// `conswitch=`: how serial input changes sides.
    pub conswitch: ConSwitch,
    /// `console_to_ring`: guest console output also enters the ring.
    pub console_to_ring: bool,
    /// `console_timestamps=`.
    pub console_timestamps: Timestamps,
    /// `loglvl=`: the hypervisor's own messages.
    pub loglvl: LogThreshold,
    /// `guest_loglvl=`: messages a guest can cause.
    pub guest_loglvl: LogThreshold,
    /// `vga=...,keep`: keep the screen after dom0 starts.
    pub vga_keep: bool,
    /// `dom0=`.
    pub dom0: Dom0Options,
    /// `dom0_mem=`.
    pub dom0_mem: Dom0Memory,
    /// `dom0_max_vcpus=`.
    pub dom0_max_vcpus: VcpuLimits,
    /// `dom0_vcpus_pin`: vCPU n runs on CPU n only.
    pub dom0_vcpus_pin: bool,
    /// `dom0-iommu=`.
    pub dom0_iommu: Dom0Iommu,
    /// `dom0_ioports_disable=`: I/O ports dom0 must not touch.
    pub dom0_ioports_disable: Vec<PortRange>,
    /// `maxcpus=`, and 1 for `nosmp`: CPUs to start, at least one; `None` is all.
    pub maxcpus: Option<u32>,
    /// `smt=`: use of hyper-threads when given.
    pub smt: Option<bool>,
    /// `noreboot`: stay down after a panic.
    pub noreboot: bool,
    /// `reboot=`: how to restart the machine.
    pub reboot: Reboot,
    /// `nmi=`.
    pub nmi: NmiAction,
    /// `watchdog`.
    pub watchdog: bool,
    /// `sched=`.
    pub scheduler: Scheduler,
    /// `sched_ratelimit_us=`: least time a vCPU runs before it may be preempted, in microseconds.
    pub sched_ratelimit_us: u32,
    /// `iommu=`.
    pub iommu: Iommu,
    /// `cpuid=`, in the order given.
    pub cpuid: Vec<CpuidFeature>,
    /// `spec-ctrl=`.
    pub spec_ctrl: SpecCtrl,
    /// `ucode=`.
    pub microcode: Microcode,
    /// `mem=`: ignore RAM from this address (bytes) on.
    pub mem: Option<u64>,
    /// `bootscrub=`: what becomes of RAM that was not used since boot.
    pub bootscrub: BootScrub,
    /// `scrub-domheap`: a domain does not get back what it left in its own pages either.
    pub scrub_domheap: bool,
    /// `hap_1gb`: 1 GiB mappings in guests' second-level tables.
    pub hap_1gb: bool,
    /// `hap_2mb`: 2 MiB mappings in guests' second-level tables.
    pub hap_2mb: bool,
    /// `gnttab_max_frames=`: default limit of grant-table frames of a domain.
    pub gnttab_max_frames: u32,
    /// `gnttab_max_maptrack_frames=`: default limit of maptrack frames of a domain.
    pub gnttab_max_maptrack_frames: u32,
    /// `gnttab=max-ver:`: highest grant-table version offered to domains.
    pub gnttab_max_version: u8,
    /// `noapic`: also passed on to dom0.
    pub noapic: bool,
    /// `acpi=`: passed on to dom0 as written.
    pub acpi: Option<String>,
    /// What follows ` -- `: appended to dom0's command line.
    pub dom0_tail: String,
    /// What should be logged about the command line, at most [`MAX_NOTES`] entries.
    pub notes: Vec<String>,
    /// Notes that found no place in [`Self::notes`].
    pub notes_lost: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            console: Consoles::default(),
            com1: None,
            com2: None,
            sync_console: false,
            conring_size: 16 << 10,
            serial_tx_buffer: 16 << 10,
            conswitch: ConSwitch::default(),
            console_to_ring: false,
            console_timestamps: Timestamps::None,
            loglvl: LogThreshold::HYPERVISOR,
            guest_loglvl: LogThreshold::GUEST,
            vga_keep: false,
            dom0: Dom0Options::default(),
            dom0_mem: Dom0Memory::default(),
            dom0_max_vcpus: VcpuLimits::default(),
            dom0_vcpus_pin: false,
            dom0_iommu: Dom0Iommu::default(),
            dom0_ioports_disable: Vec::new(),
            maxcpus: None,
            smt: None,
            noreboot: false,
            reboot: Reboot::Default,
            nmi: NmiAction::Dom0,
            watchdog: false,
            scheduler: Scheduler::Credit2,
            sched_ratelimit_us: 1000,
            iommu: Iommu::default(),
            cpuid: Vec::new(),
            spec_ctrl: SpecCtrl::default(),
            microcode: Microcode::None,
            mem: None,
            bootscrub: BootScrub::Idle,
            scrub_domheap: false,
            hap_1gb: true,
            hap_2mb: true,
            gnttab_max_frames: 64,
            gnttab_max_maptrack_frames: 1024,
            gnttab_max_version: 1,
            noapic: false,
            acpi: None,
            dom0_tail: String::new(),
            notes: Vec::new(),
            notes_lost: 0,
        }
    }
}

impl Options {
    /// Reads a command line as GRUB 2 hands it over: without the image's name, options separated by blanks, dom0's part after ` -- `.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut options = Self::default();
        let line = options.bounded(line);
        let (own, tail) = match line.split_once(" -- ") {
            Some((own, tail)) => (own, tail.trim_start_matches(' ')),
            None => (line, ""),
        };
        options.dom0_tail = tail.to_string();
        for text in own.split_ascii_whitespace() {
            options.apply(&Word::new(text));
        }
        options
    }

    /// Pages dom0 starts with when `available_pages` are free for it. See [`Dom0Memory::initial_pages`].
    #[must_use]
    pub fn dom0_memory(&self, available_pages: u64) -> u64 {
        self.dom0_mem.initial_pages(available_pages)
    }

    /// Notes that an option is understood but changes nothing here.
    fn note_no_effect(&mut self, option: &str) {
        self.note(format!(
            "option \"{}\" has no effect in this hypervisor",
            quoted(option)
        ));
    }

    /// Appends a note, unless there are enough already.
    fn note(&mut self, text: String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(text);
        } else {
            self.notes_lost = self.notes_lost.saturating_add(1);
        }
    }

    fn bounded<'a>(&mut self, line: &'a str) -> &'a str {
        if line.len() > LINE_MAX {
            self.note(format!(
                "command line longer than {LINE_MAX} bytes: the rest is ignored"
            ));
        }
        cut(line, LINE_MAX)
    }

    fn apply(&mut self, word: &Word<'_>) {
        if known::is_silent(word.name) {
            return;
        }
        let topics = [console::apply, dom0::apply, boot::apply, hardware::apply];
        match topics.iter().find_map(|topic| topic(self, word)) {
            Some(Ok(())) => {}
            Some(Err(BadValue)) => self.note(format!(
                "option \"{}\" has an invalid value",
                quoted(word.text)
            )),
            None if known::is_without_effect(word.name) => self.note_no_effect(word.text),
            None => self.note(format!("option \"{}\" is unknown", quoted(word.text))),
        }
    }
}

/// What a topic makes of a word: `None` when the word is another topic's.
type Applied = Option<Result<(), BadValue>>;

/// The longest start of `text` that has at most `max` bytes and whole characters.
fn cut(text: &str, max: usize) -> &str {
    let end = text.floor_char_boundary(max);
    text.get(..end).unwrap_or("")
}

/// `text` fit for a log line: short and without control characters.
fn quoted(text: &str) -> String {
    cut(text, QUOTE_MAX)
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_grub_entry_parses_without_notes() {
        let options = Options::parse(
            "placeholder dom0=pvh dom0_mem=2G,max:2G com1=115200,8n1 console=com1 no-real-mode edd=off",
        );
        assert!(options.notes.is_empty(), "{:?}", options.notes);
        assert_eq!(options.com1.unwrap().baud, Baud::Rate(115_200));
        assert_eq!(options.dom0_memory(1 << 30), (2 << 30) >> 12);
    }

    #[test]
    fn empty_line_gives_the_defaults() {
        let options = Options::parse("");
        assert!(options.com1.is_none() && options.console.vga && options.console.com1);
        assert_eq!(options.conring_size, 16384);
        assert!(options.notes.is_empty());
    }

    #[test]
    fn unknown_malformed_and_ineffective_options_are_noted_apart() {
        let options = Options::parse("frobnicate=3 maxcpus=lots vpid=0");
        assert_eq!(options.notes.len(), 3);
        assert!(options.notes[0].contains("frobnicate=3") && options.notes[0].contains("unknown"));
        assert!(options.notes[1].contains("maxcpus=lots") && options.notes[1].contains("invalid"));
        assert!(options.notes[2].contains("vpid=0") && options.notes[2].contains("no effect"));
        assert_eq!(options.maxcpus, None);
    }

    #[test]
    fn options_that_are_read_but_change_nothing_are_noted_and_wishes_that_are_met_are_not() {
        for line in [
            "console=vga,com1",
            "console=com1H",
            "vga=text-80x25",
            "com1=115200,8n1,0x3f8,msi",
            "dom0=verbose",
            "dom0-iommu=map-inclusive",
            "iommu=verbose",
            "iommu=on",
            "cpuid=no-rdrand",
            "spec-ctrl=no",
            "ucode=scan",
            "watchdog",
            "hap_1gb=1",
            "hap_2mb=0",
            "gnttab=max-ver:2",
        ] {
            let notes = Options::parse(line).notes;
            assert_eq!(notes.len(), 1, "{line}: {notes:?}");
            assert!(notes[0].contains("no effect"), "{notes:?}");
        }
        for line in [
            "dom0=pvh,pf-fixup,msr-relaxed",
            "dom0-iommu=none",
            "iommu=off",
            "no-iommu",
            "watchdog=0",
            "hap_1gb=0",
            "hap_2mb=1",
            "gnttab=max-ver:1",
            "smt=0 mem=2G dom0_ioports_disable=60 sched_ratelimit_us=0 reboot=k nmi=fatal",
        ] {
            let notes = Options::parse(line).notes;
            assert!(notes.is_empty(), "{line}: {notes:?}");
        }
    }

    #[test]
    fn notes_are_bounded_in_number_and_length() {
        let mut line = String::new();
        for _ in 0..500 {
            line.push_str(" x");
            line.push_str(&"\u{7}y".repeat(10));
        }
        let options = Options::parse(&line);
        assert_eq!(options.notes.len(), MAX_NOTES);
        assert_eq!(options.notes_lost, 500 - MAX_NOTES);
        assert!(
            options
                .notes
                .iter()
                .all(|n| n.len() < 160 && !n.contains('\u{7}'))
        );
    }

    #[test]
    fn what_follows_two_dashes_is_left_to_dom0() {
        let options = Options::parse("loglvl=all --   console=hvc0 frobnicate");
        assert_eq!(options.dom0_tail, "console=hvc0 frobnicate");
        assert!(options.notes.is_empty());
    }

    #[test]
    fn endless_line_is_cut_and_noted() {
        let options = Options::parse(&"é".repeat(LINE_MAX));
        assert!(options.notes[0].contains("longer than"));
    }

    #[test]
    fn every_option_survives_garbage_values() {
        let names = "console com1 com2 sync_console conring_size console_timestamps loglvl guest_loglvl vga dom0 dom0_mem dom0_max_vcpus \
                     dom0_vcpus_pin dom0-iommu dom0_ioports_disable maxcpus nosmp smt noreboot reboot watchdog sched sched_ratelimit_us iommu \
                     cpuid spec-ctrl ucode mem hap_1gb gnttab gnttab_max_frames noapic acpi";
        for name in names.split_ascii_whitespace() {
            for value in [
                "",
                "=",
                "=,",
                "=,,,,",
                "=-",
                "=--1",
                "=0x",
                "=99999999999999999999",
                "=%",
                "=+",
                "=1+",
                "=é",
                "=no-",
                "=a=b=c",
                "=:",
            ] {
                let _ = Options::parse(&format!("{name}{value} no-{name}{value}"));
            }
        }
    }
}
