//! What of a console goes into its log: the bytes as they are, or with the time before each line, or without what would move a cursor.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How a log is written.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStyle {
    /// `[2026-11-23 01:37:00] ` before each line; carriage returns after a line's end are dropped.
    pub has_timestamps: bool,
    /// A dot in place of each ESC.
    pub replaces_escape: bool,
}

/// Where in a line the log is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the first byte of a line.
    #[default]
    LineStart,
    /// The line has its timestamp.
    InLine,
}

/// Turns output into log text. Lines may come in pieces.
#[derive(Debug, Default)]
pub struct LogText {
    style: LogStyle,
    place: Place,
}

impl LogText {
    /// At the start of a line.
    pub fn new(style: LogStyle) -> Self {
        Self {
            style,
            place: Place::LineStart,
        }
    }

    /// The text of `output`, written at the time `stamp` (which is asked only if it is needed).
    pub fn format(&mut self, output: &[u8], stamp: impl FnOnce() -> String) -> Vec<u8> {
        let mut text = if self.style.has_timestamps {
            self.stamped(output, stamp().as_bytes())
        } else {
            output.to_vec()
        };
        if self.style.replaces_escape {
            replace_escape(&mut text);
        }
        text
    }

    fn stamped(&mut self, output: &[u8], stamp: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(output.len() + stamp.len());
        for &byte in output {
            if self.place == Place::LineStart {
                if byte == b'\r' {
                    continue;
                }
                text.extend(stamp);
                self.place = Place::InLine;
            }
            text.push(byte);
            if byte == b'\n' {
                self.place = Place::LineStart;
            }
        }
        text
    }
}

fn replace_escape(text: &mut [u8]) {
    for byte in text.iter_mut().filter(|byte| **byte == 0x1b) {
        *byte = b'.';
    }
}

/// The local time as the logs have it. Made once a second: to find out the time zone may take files.
pub fn local_stamp() -> String {
    static LATEST: Mutex<(u64, String)> = Mutex::new((0, String::new()));
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let second = since_epoch.unwrap_or_default().as_secs();
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    if latest.0 != second {
        let now = jiff::Zoned::now().strftime("[%Y-%m-%d %H:%M:%S] ");
        *latest = (second, now.to_string());
    }
    latest.1.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(style: LogStyle, pieces: &[&str]) -> String {
        let mut text = LogText::new(style);
        let format = |piece: &&str| text.format(piece.as_bytes(), || "[T] ".into());
        let bytes: Vec<u8> = pieces.iter().flat_map(format).collect();
        String::from_utf8(bytes).unwrap()
    }

    const STAMPS: LogStyle = LogStyle {
        has_timestamps: true,
        replaces_escape: false,
    };

    #[test]
    fn without_wishes_the_bytes_are_the_guests() {
        let pieces = ["a\r\n", "\rb\x1b[1m", "\0"];
        assert_eq!(logged(LogStyle::default(), &pieces), pieces.concat());
    }

    #[test]
    fn each_line_has_one_stamp_however_it_is_cut() {
        let lines = "[T] one\r\n[T] two\n[T] \n[T] three";
        assert_eq!(logged(STAMPS, &["one\r\ntwo\n\nthree"]), lines);
        assert_eq!(
            logged(STAMPS, &["o", "ne\r", "\ntwo", "\n", "", "\nth", "ree"]),
            lines
        );
    }

    #[test]
    fn carriage_returns_that_begin_a_line_are_dropped() {
        assert_eq!(
            logged(STAMPS, &["one\n\r\r", "\rtwo\r"]),
            "[T] one\n[T] two\r"
        );
    }

    #[test]
    fn escapes_become_dots() {
        let style = LogStyle {
            replaces_escape: true,
            ..LogStyle::default()
        };
        assert_eq!(logged(style, &["\x1b[2Jx\x1b"]), ".[2Jx.");
    }

    #[test]
    fn the_stamp_has_the_shape_scripts_look_for() {
        let digits = |c: char| if c.is_ascii_digit() { '9' } else { c };
        let shape: String = local_stamp().chars().map(digits).collect();
        assert_eq!(shape, "[9999-99-99 99:99:99] ");
    }
}
