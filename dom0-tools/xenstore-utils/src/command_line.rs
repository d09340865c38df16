//! The command line, as `getopt_long` takes it apart: options and paths in any order, `--` before paths that look like options.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::mode::Mode;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The command.
    pub mode: Mode,
    /// Paths, values, permissions.
    pub words: Vec<OsString>,
    /// `-f`: whole paths.
    pub is_flat: bool,
    /// `-p`: with paths (read, list) or permissions (ls).
    pub has_prefix: bool,
    /// `-t`: parents that become empty go too.
    pub is_tidy: bool,
    /// `-u`: parents too.
    pub is_upto: bool,
    /// `-r`: children too.
    pub is_recursive: bool,
    /// `-R`: bytes as they are.
    pub is_raw: bool,
    /// `-n`: how many events; for ever without.
    pub count: Option<u64>,
}

/// A command line that can be run.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What is to be done.
    pub line: CommandLine,
    /// What is said about options that do not exist. They change nothing.
    pub complaints: Vec<String>,
}

const LONG_OPTIONS: [(&str, char); 8] = [
    ("help", 'h'),
    ("flat", 'f'),
    ("prefix", 'p'),
    ("tidy", 't'),
    ("upto", 'u'),
    ("recurse", 'r'),
    ("number", 'n'),
    ("raw", 'R'),
];

/// The last part of the program's name.
pub fn short_name(program: Option<&OsString>) -> String {
    let program = program.map(|program| program.to_string_lossy());
    let program = program.unwrap_or("xenstore".into());
    program.rsplit('/').next().unwrap_or("xenstore").to_owned()
}

/// A command line that can not be run: what is said about it, at last how the program is to be used.
pub type Misused = Vec<String>;

/// Takes the command line apart.
pub fn parse(arguments: &[OsString]) -> Result<Parsed, Misused> {
    let program = arguments.first().map(|program| program.to_string_lossy());
    let program = program.unwrap_or("xenstore".into());
    let name = short_name(arguments.first());
    let (mode, call, rest) = match name.strip_prefix("xenstore-") {
        Some(mode) => (mode.to_owned(), program.to_string(), 1),
        None => {
            let mode = arguments.get(1).map(|mode| mode.to_string_lossy());
            let mode = mode.ok_or_else(|| vec![format!("Usage: {program} <mode> [-h] [...]")])?;
            let call = format!("{program} {mode}");
            (mode.into_owned(), call, 2)
        }
    };
    let mode = Mode::named(&mode).ok_or_else(|| vec![format!("unknown mode {mode}\n")])?;
    let mut parser = Parser::new(mode);
    let taken = parser.take_all(&arguments[rest.min(arguments.len())..]);
    let mut parsed = parser.parsed;
    if taken.is_ok() && parsed.line.is_complete() {
        Ok(parsed)
    } else {
        let usage = format!("Usage: {call} {}", mode.usage());
        parsed.complaints.push(usage);
        Err(parsed.complaints)
    }
}

impl CommandLine {
    fn new(mode: Mode) -> Self {
        Self {
            mode,
            words: Vec::new(),
            is_flat: false,
            has_prefix: false,
            is_tidy: false,
            is_upto: false,
            is_recursive: false,
            is_raw: false,
            count: None,
        }
    }

    fn is_complete(&self) -> bool {
        match self.mode {
            Mode::Ls => true,
            Mode::Write => !self.words.is_empty() && self.words.len().is_multiple_of(2),
            _ => !self.words.is_empty(),
        }
    }

    /// Whether others must not see half of it, or change something in the middle of it.
    pub fn needs_transaction(&self) -> bool {
        match self.mode {
            Mode::Read => self.words.len() > 1,
            Mode::Write => self.words.len() > 2,
            Mode::Ls | Mode::Watch => false,
            Mode::Rm | Mode::Exists | Mode::List | Mode::Chmod => true,
        }
    }

    /// The words as paths.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.words
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
    }
}

/// An option of another command, `-h`, or an option without its value.
struct Misuse;

struct Parser {
    parsed: Parsed,
}

impl Parser {
    fn new(mode: Mode) -> Self {
        Self {
            parsed: Parsed {
                line: CommandLine::new(mode),
                complaints: Vec::new(),
            },
        }
    }

    fn take_all(&mut self, arguments: &[OsString]) -> Result<(), Misuse> {
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_bytes() {
                b"--" => self.parsed.line.words.extend(rest.by_ref().cloned()),
                [b'-', b'-', long @ ..] => self.take_long(long, &mut rest)?,
                [b'-', letters @ ..] if !letters.is_empty() => {
                    self.take_short(letters, &mut rest)?
                }
                _ => self.parsed.line.words.push(argument.clone()),
            }
        }
        Ok(())
    }

    fn take_short<'a>(
        &mut self,
        letters: &[u8],
        rest: &mut impl Iterator<Item = &'a OsString>,
    ) -> Result<(), Misuse> {
        for (i, &letter) in letters.iter().enumerate() {
            let letter = char::from(letter);
            if letter == 'n' {
                let value = &letters[i + 1..];
                let value = match value.is_empty() {
                    true => rest.next().map(|value| value.as_bytes()),
                    false => Some(value),
                };
                return self.take_count(value, "option requires an argument -- 'n'");
            }
            if letter == 's' || LONG_OPTIONS.iter().any(|(_, known)| *known == letter) {
                self.set(letter)?;
            } else {
                self.complain(format!("invalid option -- '{letter}'"));
            }
        }
        Ok(())
    }

    fn take_long<'a>(
        &mut self,
        option: &[u8],
        rest: &mut impl Iterator<Item = &'a OsString>,
    ) -> Result<(), Misuse> {
        let option = String::from_utf8_lossy(option);
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (&*option, None),
        };
        let exact = LONG_OPTIONS.iter().find(|(known, _)| *known == name);
        let starting: Vec<_> = LONG_OPTIONS
            .iter()
            .filter(|(known, _)| known.starts_with(name))
            .collect();
        let found = match (exact, starting.as_slice()) {
            (Some(exact), _) | (None, &[exact]) => exact,
            (None, []) => {
                self.complain(format!("unrecognized option '--{name}'"));
                return Ok(());
            }
            (None, several) => {
                let several: String = several
                    .iter()
                    .map(|(long, _)| format!(" '--{long}'"))
                    .collect();
                self.complain(format!(
                    "option '--{name}' is ambiguous; possibilities:{several}"
                ));
                return Ok(());
            }
        };
        match (found, value) {
            ((_, 'n'), Some(value)) => self.take_count(Some(value.as_bytes()), ""),
            ((_, 'n'), None) => {
                let value = rest.next().map(|value| value.as_bytes());
                self.take_count(value, "option '--number' requires an argument")
            }
            ((long, _), Some(_)) => {
                self.complain(format!("option '--{long}' doesn't allow an argument"));
                Ok(())
            }
            ((_, letter), None) => self.set(*letter),
        }
    }

    fn take_count(&mut self, value: Option<&[u8]>, complaint: &str) -> Result<(), Misuse> {
        let Some(value) = value else {
            self.complain(complaint.to_owned());
            return Ok(());
        };
        if self.parsed.line.mode != Mode::Watch {
            return Err(Misuse);
        }
        self.parsed.line.count = count(OsStr::from_bytes(value));
        Ok(())
    }

    fn set(&mut self, letter: char) -> Result<(), Misuse> {
        let line = &mut self.parsed.line;
        if letter != 's' && !line.mode.options().contains(letter) {
            return Err(Misuse);
        }
        match letter {
            'f' => line.is_flat = true,
            'p' => line.has_prefix = true,
            't' => line.is_tidy = true,
            'u' => line.is_upto = true,
            'r' => line.is_recursive = true,
            'R' => line.is_raw = true,
            // `-s`, once for the socket, has no meaning any more.
            _ => {}
        }
        Ok(())
    }

    fn complain(&mut self, complaint: String) {
        self.parsed.complaints.push(complaint);
    }
}

/// As `atoi` reads it: leading digits, or nothing at all. -1 is for ever, as is everything below.
fn count(text: &OsStr) -> Option<u64> {
    let text = text.to_string_lossy();
    let text = text.trim_start();
    if text.starts_with('-') {
        return None;
    }
    let digits = text.trim_start_matches('+');
    let end = digits.find(|c: char| !c.is_ascii_digit());
    Some(digits[..end.unwrap_or(digits.len())].parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn line(text: &str) -> CommandLine {
        parse(&words(text)).unwrap().line
    }

    fn usage(text: &str) -> String {
        parse(&words(text)).unwrap_err().join("\n")
    }

    #[test]
    fn the_command_is_the_programs_name_or_the_first_word() {
        assert_eq!(line("/usr/bin/xenstore-read /a").mode, Mode::Read);
        assert_eq!(line("xenstore ls -f /a"), line("xenstore-ls /a -f"));
        assert_eq!(usage("xenstore"), "Usage: xenstore <mode> [-h] [...]");
        assert_eq!(usage("xenstore bogus"), "unknown mode bogus\n");
    }

    #[test]
    fn a_wrong_call_is_told_how_it_is_right() {
        let read = "Usage: xenstore-read [-h] [-p] [-R] key [...]";
        for text in ["xenstore-read", "xenstore-read -h", "xenstore-read -t /a"] {
            assert_eq!(usage(text), read);
        }
        assert_eq!(
            usage("xenstore read"),
            "Usage: xenstore read [-h] [-p] [-R] key [...]"
        );
        for text in [
            "xenstore-write",
            "xenstore-write /a",
            "xenstore-write /a b /c",
        ] {
            assert_eq!(
                usage(text),
                "Usage: xenstore-write [-h] [-R] key value [...]"
            );
        }
        assert_eq!(usage("xenstore-read -n 2 /a"), read);
        let no_value = "option requires an argument -- 'n'\nUsage: xenstore-watch [-h] [-n NR] key";
        assert_eq!(usage("xenstore-watch -n"), no_value);
    }

    #[test]
    fn options_come_in_all_their_forms() {
        let whole = line("xenstore-ls --flat --prefix /a");
        assert!(whole.is_flat && whole.has_prefix);
        assert_eq!(whole, line("xenstore-ls /a -fp"));
        assert_eq!(whole, line("xenstore-ls --fl --pre /a"));
        for text in ["-n 3 /a", "-n3 /a", "--number=3 /a", "/a --num 3"] {
            assert_eq!(line(&format!("xenstore-watch {text}")).count, Some(3));
        }
        assert_eq!(line("xenstore-watch -n -1 /a").count, None);
        assert_eq!(line("xenstore-watch -n x /a").count, Some(0));
        assert_eq!(line("xenstore-rm -- -t").words, words("-t"));
    }

    #[test]
    fn options_that_do_not_exist_are_named_and_change_nothing() {
        let parsed = parse(&words("xenstore-read -x /a")).unwrap();
        assert_eq!(parsed.complaints, ["invalid option -- 'x'"]);
        assert_eq!(parsed.line, line("xenstore-read -s /a"));
        let parsed = parse(&words("xenstore-read --bogus /a")).unwrap();
        assert_eq!(parsed.complaints, ["unrecognized option '--bogus'"]);
        let parsed = parse(&words("xenstore-read --r /a")).unwrap();
        let several = "option '--r' is ambiguous; possibilities: '--recurse' '--raw'";
        assert_eq!(parsed.complaints, [several]);
    }

    #[test]
    fn several_nodes_are_read_or_written_at_once() {
        assert!(!line("xenstore-read /a").needs_transaction());
        assert!(line("xenstore-read /a /b").needs_transaction());
        assert!(!line("xenstore-write /a 1").needs_transaction());
        assert!(line("xenstore-write /a 1 /b 2").needs_transaction());
        assert!(line("xenstore-rm /a").needs_transaction());
    }
}
