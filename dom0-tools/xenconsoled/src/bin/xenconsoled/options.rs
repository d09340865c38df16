//! The command line, as Xen's daemon has it, and ours to let logs move themselves away.

use std::path::PathBuf;

use clap::{ArgAction, Parser};
use xenconsoled::daemon::{LogStyle, Logs, Overflow, Rotation};

/// Gives every guest a terminal and a log
#[derive(Debug, Parser)]
#[command(
    name = "xenconsoled",
    infer_long_args = true,
    disable_version_flag = true
)]
pub struct Options {
    /// Print the version and exit
    #[arg(short = 'V', long)]
    pub version: bool,
    /// Say more, on standard error too
    #[arg(short, long)]
    pub verbose: bool,
    /// Stay in the foreground
    #[arg(short, long)]
    pub interactive: bool,
    /// What to log: none, guest, hv or all
    #[arg(long, value_name = "WHAT", action = ArgAction::Append)]
    log: Vec<String>,
    /// Where logs are written
    #[arg(long, value_name = "DIR", default_value = "/var/log/xen/console")]
    pub log_dir: PathBuf,
    /// Where the daemon writes its process number
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/var/run/xen/xenconsoled.pid"
    )]
    pub pid_file: PathBuf,
    /// Which logs have the time before each line: none, guest, hv or all
    #[arg(short, long, value_name = "WHICH", action = ArgAction::Append)]
    timestamp: Vec<String>,
    /// What becomes of output that nobody reads: discard (all but some) or keep (the guest waits)
    #[arg(short, long, value_name = "HOW", action = ArgAction::Append)]
    overflow_data: Vec<String>,
    /// Replace ESC characters with dots in logs of guests and of the hypervisor
    #[arg(long)]
    replace_escape: bool,
    /// Move a log away before it grows longer than this (bytes; K, M or G may follow)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    log_size: Option<u64>,
    /// How many logs moved away stay
    #[arg(long, value_name = "COUNT", default_value_t = 5, requires = "log_size")]
    log_keep: u32,
    /// Internal: this is the process in the background
    #[arg(long, hide = true)]
    pub in_background: bool,
}

/// Which of two logs.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct Which {
    guest: bool,
    hypervisor: bool,
}

impl Options {
    /// Which logs there are to be.
    pub fn logs(&self) -> Logs {
        let logs = which("--log", &self.log, |_| {});
        let stamps = which("--timestamp", &self.timestamp, |all| {
            *all = Which::default()
        });
        let style = |has_timestamps| LogStyle {
            has_timestamps,
            replaces_escape: self.replace_escape,
        };
        Logs {
            guests: logs.guest.then(|| style(stamps.guest)),
            hypervisor: logs.hypervisor.then(|| style(stamps.hypervisor)),
            directory: self.log_dir.clone(),
            rotation: self.log_size.map(|size_bytes| Rotation {
                size_bytes,
                keep: self.log_keep,
            }),
        }
    }

    /// What becomes of output that nobody reads. As everywhere, the last one wins and what is not known changes nothing.
    pub fn overflow(&self) -> Overflow {
        let mut overflow = Overflow::default();
        for how in &self.overflow_data {
            match how.as_str() {
                "keep" => overflow = Overflow::Keep,
                "discard" => overflow = Overflow::Discard,
                other => not_known("--overflow-data", other),
            }
        }
        overflow
    }
}

/// What was asked for, in sum. `none` does what the option's `none` does.
fn which(option: &str, words: &[String], none: impl Fn(&mut Which)) -> Which {
    let mut which = Which::default();
    for word in words {
        match word.as_str() {
            "guest" => which.guest = true,
            "hv" => which.hypervisor = true,
            "all" => {
                which = Which {
                    guest: true,
                    hypervisor: true,
                }
            }
            "none" => none(&mut which),
            other => not_known(option, other),
        }
    }
    which
}

/// Xen's daemon starts nevertheless, and so do we; but not in silence.
fn not_known(option: &str, word: &str) {
    eprintln!("xenconsoled: {option}={word} is not known and changes nothing");
}

fn size(text: &str) -> Result<u64, String> {
    let units = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30)];
    let unit = units.into_iter().find_map(|(letter, factor)| {
        Some((
            text.strip_suffix([letter, letter.to_ascii_lowercase()])?,
            factor,
        ))
    });
    let (digits, factor) = unit.unwrap_or((text, 1_u64));
    let count = digits.parse::<u64>().ok();
    count
        .and_then(|count| count.checked_mul(factor))
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| "expected a number of bytes, or of K, M or G".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Options {
        let words = std::iter::once("xenconsoled").chain(words.split_whitespace());
        Options::try_parse_from(words).unwrap()
    }

    const STAMPED: LogStyle = LogStyle {
        has_timestamps: true,
        replaces_escape: false,
    };

    #[test]
    fn nothing_is_logged_unless_asked_for() {
        for words in ["", "--log=none", "--log=nonsense", "--timestamp=all"] {
            let logs = parse(words).logs();
            assert_eq!((logs.guests, logs.hypervisor), (None, None), "{words}");
        }
    }

    #[test]
    fn logs_and_their_timestamps_are_asked_for_one_by_one() {
        let plain = Some(LogStyle::default());
        let logs = |words| {
            let logs = parse(words).logs();
            (logs.guests, logs.hypervisor)
        };
        assert_eq!(logs("--log=all"), (plain, plain));
        assert_eq!(logs("--log guest"), (plain, None));
        assert_eq!(logs("--log hv --log=guest -t hv"), (plain, Some(STAMPED)));
        assert_eq!(
            logs("--log=all --timestamp=all"),
            (Some(STAMPED), Some(STAMPED))
        );
        assert_eq!(
            logs("--log=all -t all -t none -t guest"),
            (Some(STAMPED), plain)
        );
    }

    #[test]
    fn the_files_are_where_xens_daemon_has_them() {
        let options = parse("");
        assert_eq!(
            options.logs().directory.to_str(),
            Some("/var/log/xen/console")
        );
        assert_eq!(
            options.pid_file.to_str(),
            Some("/var/run/xen/xenconsoled.pid")
        );
        assert_eq!(options.logs().rotation, None);
    }

    #[test]
    fn options_may_be_shortened_as_getopt_has_it() {
        let options = parse("-i -v --pid /run/p --over keep --replace");
        assert!(options.interactive && options.verbose && options.replace_escape);
        assert_eq!(options.pid_file.to_str(), Some("/run/p"));
        assert_eq!(options.overflow(), Overflow::Keep);
        assert_eq!(parse("-o keep -o discard").overflow(), Overflow::Discard);
    }

    #[test]
    fn sizes_have_units() {
        let rotation = |words| parse(words).logs().rotation.unwrap();
        let size_bytes = 10 << 20;
        assert_eq!(
            rotation("--log-size=10M"),
            Rotation {
                size_bytes,
                keep: 5
            }
        );
        assert_eq!(rotation("--log-size 512 --log-keep 1").keep, 1);
        for bad in ["", "0", "-1", "M", "1X", "99999999999G"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
