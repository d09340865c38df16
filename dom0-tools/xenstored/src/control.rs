//! `xenstore-control`'s commands that concern the daemon, not the store: the trace, and reports.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use xenstore::Errno;

use crate::trace::Trace;

/// The commands and their parameters, for `help`.
pub const COMMANDS: [(&str, &str); 5] = [
    ("log", "[on|off|+<switch>|-<switch>]"),
    (
        "live-update",
        "(not needed: restart the daemon, its state stays)",
    ),
    ("logfile", "<file>"),
    ("memreport", "[<file>]"),
    ("print", "<string>"),
];

/// What `live-update` is answered. Anything but `OK` is a failure for `xenstore-control`.
const NO_LIVE_UPDATE: &str = "live update is not needed: stop this daemon and start the new one, which goes on with its state";

/// Runs a command. `EINVAL` where there is none such, or its parameters are wrong.
pub fn run(words: &[&[u8]], trace: &mut Trace, report: &str) -> Result<String, Errno> {
    let texts: Result<Vec<&str>, _> = words.iter().map(|word| std::str::from_utf8(word)).collect();
    let ok = || Ok("OK".to_owned());
    match texts.map_err(|_| Errno::EINVAL)?.as_slice() {
        ["log"] => Ok(trace.settings()),
        ["log", "on"] => {
            trace.open();
            ok()
        }
        ["log", "off"] => {
            trace.close();
            ok()
        }
        ["log", switch] => trace.switch(switch).map_err(|_| Errno::EINVAL).and(ok()),
        ["logfile", path] => {
            trace.set_path(Path::new(path));
            ok()
        }
        ["memreport", path] => append(Path::new(path), report).and(ok()),
        // Without a file it is the trace's, as far as there is one.
        ["memreport"] => {
            trace.print(report);
            ok()
        }
        ["print", text] => {
            trace.print(text);
            ok()
        }
        ["live-update", ..] => Ok(NO_LIVE_UPDATE.to_owned()),
        _ => Err(Errno::EINVAL),
    }
}

fn append(path: &Path, text: &str) -> Result<(), Errno> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{text}"));
    // What xenstored says: EBADF, which the protocol does not have.
    written.map_err(|_| Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(words: &[&str]) -> Result<String, Errno> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        run(&words, &mut Trace::new(None), "report")
    }

    #[test]
    fn commands_are_answered_as_xenstore_control_expects() {
        assert_eq!(control(&["print", "x"]), Ok("OK".to_owned()));
        assert_eq!(control(&["log", "+io"]), Ok("OK".to_owned()));
        assert!(control(&["log"]).is_ok_and(|text| text.starts_with("Log switch")));
        assert!(control(&["live-update", "-s"]).is_ok_and(|text| text != "OK"));
        for bad in [&["log", "io"][..], &["print"], &["nothing"], &["logfile"]] {
            assert_eq!(control(bad), Err(Errno::EINVAL));
        }
    }

    #[test]
    fn a_report_goes_to_its_file() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("report");
        let words = ["memreport", path.to_str().expect("a name")];
        assert_eq!(control(&words), Ok("OK".to_owned()));
        assert_eq!(std::fs::read_to_string(path).expect("there"), "report\n");
        assert_eq!(
            control(&["memreport", "/nowhere/at/all"]),
            Err(Errno::EINVAL)
        );
    }
}
