//! The command line.

use std::time::Duration;

use clap::Parser;

use crate::batch::Format;
use crate::table::View;

/// Displays what domains use of a Xen host.
#[derive(Clone, Debug, Parser)]
#[command(name = "xentop", version, disable_version_flag = true)]
pub struct Options {
    /// Print the version and exit.
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    /// Time between updates.
    #[arg(short, long, value_name = "SECONDS", default_value_t = 3)]
    pub delay: u32,
    /// Show what each virtual network interface moved.
    #[arg(short, long)]
    networks: bool,
    /// Show what each virtual disk moved.
    #[arg(short = 'x', long)]
    vbds: bool,
    /// Print the table's header before each domain.
    #[arg(short, long)]
    repeat_header: bool,
    /// Show the time of each virtual processor.
    #[arg(short, long)]
    vcpus: bool,
    /// Print tables one after the other, without reading keys.
    #[arg(short, long)]
    pub batch: bool,
    /// Print each update as one line of JSON, without reading keys.
    #[arg(long)]
    pub json: bool,
    /// Print shell completions (`completions bash`, `zsh`, `fish`) or the manual page (`man`), and exit.
    #[arg(long, hide = true, num_args = 1..=2, value_name = "WHAT")]
    pub generate: Vec<String>,
    /// Number of updates before the end.
    #[arg(short, long, value_name = "ITERATIONS")]
    pub iterations: Option<u32>,
    /// Do not cut domains' names off.
    #[arg(short, long)]
    full_name: bool,
    /// Show dom0 first, whatever the order.
    #[arg(short = 'z', long)]
    dom0_first: bool,
    /// Show network and disk use per second instead of in total.
    #[arg(short = 't', long)]
    rates: bool,
}

impl Options {
    /// What is shown at the start.
    pub fn view(&self) -> View {
        View {
            networks: self.networks,
            vbds: self.vbds,
            vcpus: self.vcpus,
            repeat_header: self.repeat_header,
            full_name: self.full_name,
            dom0_first: self.dom0_first,
            rates: self.rates,
            ..View::default()
        }
    }

    /// How updates are printed where there is no screen; `None` on a screen.
    pub fn format(&self) -> Option<Format> {
        match (self.json, self.batch) {
            (true, _) => Some(Format::Json),
            (false, true) => Some(Format::Text),
            (false, false) => None,
        }
    }

    /// Time between updates.
    pub fn delay(&self) -> Duration {
        Duration::from_secs(self.delay.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_options_are_those_of_the_original() {
        let options = Options::parse_from(["xentop", "-bnxrvfz", "-i2", "-d", "1"]);
        let view = options.view();
        assert!(options.batch && view.networks && view.vbds && view.repeat_header);
        assert!(view.vcpus && view.full_name && view.dom0_first && !view.rates);
        assert_eq!((options.iterations, options.delay), (Some(2), 1));
        assert_eq!(Options::parse_from(["xentop"]).delay, 3);
    }

    #[test]
    fn json_needs_no_screen() {
        let format = |line: &[&str]| Options::parse_from(line).format();
        assert_eq!(format(&["xentop"]), None);
        assert_eq!(format(&["xentop", "-b"]), Some(Format::Text));
        assert_eq!(format(&["xentop", "--json"]), Some(Format::Json));
        assert_eq!(format(&["xentop", "-b", "--json"]), Some(Format::Json));
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Options as clap::CommandFactory>::command().debug_assert();
    }
}
