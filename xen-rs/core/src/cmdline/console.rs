//! Options about messages: where they go and which are printed.

use super::serial::SerialPort;
use super::word::{BadValue, Word, element};
use super::{Applied, Options};

/// `console=`: the devices messages go to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Consoles {
    /// The screen.
    pub vga: bool,
    /// The first serial port; used only when `com1=` configures it.
    pub com1: bool,
    /// The second serial port; used only when `com2=` configures it.
    pub com2: bool,
}

impl Default for Consoles {
    fn default() -> Self {
        Self {
            vga: true,
            com1: true,
            com2: false,
        }
    }
}

impl Consoles {
    const NONE: Self = Self {
        vga: false,
        com1: false,
        com2: false,
    };
}

/// Which messages are printed, as the highest [`crate::console::Level`]: 0 is none, 1 errors, 2 also warnings, 3 also information, 4
/// everything.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct LogThreshold {
    /// Levels up to this are always printed.
    pub lower: u8,
    /// Levels above `lower` and up to this are printed within a rate limit.
    pub upper: u8,
}

impl LogThreshold {
    /// Default for the hypervisor: `info`.
    pub const HYPERVISOR: Self = Self { lower: 3, upper: 3 };
    /// Default for guests: `none/warning`.
    pub const GUEST: Self = Self { lower: 0, upper: 2 };

    /// Reads `<level>[/<rate-limited level>]`; an upper level below the lower one is raised to it.
    fn parse(text: &str) -> Result<Self, BadValue> {
        let (lower, upper) = match text.split_once('/') {
            Some((lower, upper)) => (threshold(lower)?, threshold(upper)?),
            None => (threshold(text)?, threshold(text)?),
        };
        Ok(Self {
            lower,
            upper: upper.max(lower),
        })
    }
}

fn threshold(text: &str) -> Result<u8, BadValue> {
    Ok(match text {
        "none" => 0,
        "error" => 1,
        "warning" => 2,
        "info" => 3,
        "debug" | "all" => 4,
        _ => return Err(BadValue),
    })
}

/// `conswitch=`: the control character that switches serial input between dom0 and the hypervisor.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ConSwitch {
    /// The letter typed with Ctrl, `a` to `z`; `None` for no switching.
    pub letter: Option<u8>,
    /// Input stays with the hypervisor after boot.
    pub stays: bool,
}

impl Default for ConSwitch {
    fn default() -> Self {
        Self {
            letter: Some(b'a'),
            stays: false,
        }
    }
}

impl ConSwitch {
    /// `<letter>[x]`; a backquote, whose control character is NUL, switches it off.
    fn parse(text: &str) -> Result<Self, BadValue> {
        let (letter, stays) = match text.as_bytes() {
            [letter] => (*letter, false),
            [letter, next, ..] => (*letter, *next == b'x'),
            [] => return Err(BadValue),
        };
        match letter {
            b'a'..=b'z' => Ok(Self {
                letter: Some(letter),
                stays,
            }),
            b'`' => Ok(Self {
                letter: None,
                stays,
            }),
            _ => Err(BadValue),
        }
    }
}

/// `console_timestamps=`: what precedes each line.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// Nothing.
    None,
    /// Date and time.
    Date,
    /// Date and time with milliseconds.
    DateMs,
    /// Seconds and microseconds since boot.
    Boot,
    /// Ticks of the platform's clock.
    Raw,
}

impl Timestamps {
    fn parse(text: &str) -> Result<Self, BadValue> {
        Ok(match text {
            "none" | "no" | "off" | "false" | "disable" | "0" => Self::None,
            "" | "date" | "yes" | "on" | "true" | "enable" | "1" => Self::Date,
            "datems" => Self::DateMs,
            "boot" => Self::Boot,
            "raw" => Self::Raw,
            _ => return Err(BadValue),
        })
    }
}

/// Takes the words of this topic.
pub(super) fn apply(options: &mut Options, word: &Word<'_>) -> Applied {
    Some(match word.name {
        "console" => word.custom().and_then(|list| consoles(options, list)),
        "com1" => port(options, word, SerialPort::COM1).map(|port| options.com1 = port),
        "com2" => port(options, word, SerialPort::COM2).map(|port| options.com2 = port),
        "sync_console" => word.boolean().map(|on| options.sync_console = on),
        "console_to_ring" => word.boolean().map(|on| options.console_to_ring = on),
        "conring_size" => word.size().map(|bytes| options.conring_size = bytes),
        "serial_tx_buffer" => word.size().map(|bytes| options.serial_tx_buffer = bytes),
        "conswitch" => word
            .required()
            .and_then(ConSwitch::parse)
            .map(|switch| options.conswitch = switch),
        "console_timestamps" => word
            .custom()
            .and_then(Timestamps::parse)
            .map(|format| options.console_timestamps = format),
        "loglvl" => word
            .required()
            .and_then(LogThreshold::parse)
            .map(|levels| options.loglvl = levels),
        "guest_loglvl" => word
            .required()
            .and_then(LogThreshold::parse)
            .map(|levels| options.guest_loglvl = levels),
        "vga" => word.custom().map(|list| {
            options.vga_keep = list
                .split(',')
                .any(|part| element(part, "keep") == Some(true));
            options.note_no_effect(word.text);
        }),
        _ => return None,
    })
}

fn consoles(options: &mut Options, list: &str) -> Result<(), BadValue> {
    let mut chosen = Consoles::NONE;
    for name in list.split(',') {
        match name {
            "vga" => {
                chosen.vga = true;
                options.note_no_effect("console=vga");
            }
            "com1" | "com1H" | "com1L" => chosen.com1 = true,
            "com2" | "com2H" | "com2L" => chosen.com2 = true,
            "none" => {}
            "pv" | "dbgp" | "ehci" | "xhci" => {
                options.note(alloc::format!("console \"{name}\" is not supported"))
            }
            _ => return Err(BadValue),
        }
    }
    // Two devices on one line are told apart by the eighth bit, for which nothing here asks.
    if list.ends_with(['H', 'L']) || list.contains("H,") || list.contains("L,") {
        options.note_no_effect(&alloc::format!("console={list}"));
    }
    options.console = chosen;
    Ok(())
}

fn port(
    options: &mut Options,
    word: &Word<'_>,
    default: SerialPort,
) -> Result<Option<SerialPort>, BadValue> {
    let text = word.required()?;
    let (port, has_pci_address) = SerialPort::parse(text, default)?;
    if has_pci_address {
        options.note(alloc::format!(
            "{}: PCI addresses are not supported and ignored",
            word.name
        ));
    }
    if port.msi {
        options.note_no_effect(word.text);
    }
    Ok(Some(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_list_replaces_the_default() {
        assert_eq!(
            Options::parse("console=com2L").console,
            Consoles {
                vga: false,
                com1: false,
                com2: true
            }
        );
        assert_eq!(Options::parse("console=none").console, Consoles::NONE);
        assert_eq!(
            Options::parse("console=com1,vga").console,
            Consoles::default()
        );
    }

    #[test]
    fn unsupported_console_is_noted_and_the_rest_kept() {
        let options = Options::parse("console=xhci,com1");
        assert!(options.console.com1 && !options.console.vga);
        assert_eq!(options.notes.len(), 1);
        let bad = Options::parse("console=com9");
        assert_eq!((bad.console, bad.notes.len()), (Consoles::default(), 1));
    }

    #[test]
    fn log_levels_have_a_rate_limited_part() {
        let options = Options::parse("loglvl=all guest_loglvl=error/debug");
        assert_eq!(options.loglvl, LogThreshold { lower: 4, upper: 4 });
        assert_eq!(options.guest_loglvl, LogThreshold { lower: 1, upper: 4 });
        assert_eq!(
            Options::parse("loglvl=info/none").loglvl,
            LogThreshold { lower: 3, upper: 3 }
        );
        assert_eq!(Options::parse("loglvl=loud").notes.len(), 1);
    }

    #[test]
    fn defaults_are_those_of_a_release_build() {
        let options = Options::default();
        assert_eq!(options.loglvl, LogThreshold { lower: 3, upper: 3 });
        assert_eq!(options.guest_loglvl, LogThreshold { lower: 0, upper: 2 });
    }

    #[test]
    fn switching_input_is_by_a_letter() {
        let switch = |text| Options::parse(text).conswitch;
        assert_eq!(switch(""), ConSwitch::default());
        assert_eq!(
            (switch("conswitch=bx").letter, switch("conswitch=bx").stays),
            (Some(b'b'), true)
        );
        assert!(!switch("conswitch=ab").stays);
        assert_eq!(switch("conswitch=`").letter, None);
        assert_eq!(Options::parse("conswitch=7").notes.len(), 1);
    }

    #[test]
    fn timestamps_and_ring_size() {
        let options = Options::parse(
            "console_timestamps=boot conring_size=1M vga=gfx-1024x768x32,keep sync_console",
        );
        assert_eq!(
            (options.console_timestamps, options.conring_size),
            (Timestamps::Boot, 1 << 20)
        );
        assert!(options.vga_keep && options.sync_console);
        assert_eq!(
            Options::parse("console_timestamps").console_timestamps,
            Timestamps::Date
        );
    }
}
