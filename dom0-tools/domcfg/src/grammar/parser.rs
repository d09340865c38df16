//! From tokens to settings. A statement that is wrong is skipped up to the end of its line, so that one run reports them all.

use std::sync::Arc;

use crate::problem::{MAX_PROBLEMS, Place, Problem, Problems, quoted};

use super::lexer::{Lexer, Position, Token, require_utf8};
use super::value::{CannotAdd, Setting, Settings, Text, Value, ValueKind};
use super::{MAX_DEPTH, MAX_STRING, MAX_TEXT};

/// Reads the text of a configuration called `name`, then the `key=value` arguments of a command line, which win.
///
/// # Errors
/// Every statement that is wrong, up to 20.
pub fn parse_settings(
    name: &str,
    text: &[u8],
    overrides: &[impl AsRef<str>],
) -> Result<Settings, Problems> {
    let mut settings = Settings::default();
    let mut problems = Vec::new();
    let file: Arc<str> = Arc::from(name);
    let length = overrides
        .iter()
        .map(|argument| argument.as_ref().len() + 1)
        .fold(text.len(), usize::saturating_add);
    if length > MAX_TEXT {
        let place = Place {
            source: file,
            line: 1,
            column: 1,
        };
        let message = format!("a configuration may have {MAX_TEXT} bytes, this one has {length}");
        return Err(Problems(vec![Problem { place, message }]));
    }
    match require_utf8(text, &file) {
        Ok(text) => Parser::new(&file, 0, text, &mut settings, &mut problems).file(),
        Err(problem) => problems.push(problem),
    }
    let command_line: Arc<str> = Arc::from("command line");
    for (index, argument) in overrides.iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Parser::new(
            &command_line,
            index,
            argument.as_ref(),
            &mut settings,
            &mut problems,
        )
        .file();
    }
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(Problems(problems))
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    source: &'a Arc<str>,
    /// Added to every line number.
    line_offset: u32,
    token: Token<'a>,
    position: Position,
    settings: &'a mut Settings,
    problems: &'a mut Vec<Problem>,
}

/// The statement is wrong and has been reported.
struct Wrong;

impl<'a> Parser<'a> {
    fn new(
        source: &'a Arc<str>,
        line_offset: u32,
        text: &'a str,
        settings: &'a mut Settings,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        let mut lexer = Lexer::new(text);
        let (position, token) = lexer.next_token();
        Parser {
            lexer,
            source,
            line_offset,
            token,
            position,
            settings,
            problems,
        }
    }

    fn file(&mut self) {
        while self.token != Token::End && self.problems.len() < MAX_PROBLEMS {
            if self.statement().is_err() {
                self.skip_line();
            }
        }
    }

    fn statement(&mut self) -> Result<(), Wrong> {
        match self.token {
            Token::Newline | Token::Mark(";") => {
                self.advance();
                return Ok(());
            }
            Token::Name(name) => self.assignment(name)?,
            _ => return Err(self.unexpected("a key such as \"memory\" at the start of a line")),
        }
        match self.token {
            Token::Newline | Token::Mark(";") | Token::End => Ok(()),
            _ => Err(self.unexpected("a new line or \";\" after the value")),
        }
    }

    fn assignment(&mut self, name: &str) -> Result<(), Wrong> {
        let place = self.place();
        self.advance();
        let is_addition = match self.token {
            Token::Mark("=") => false,
            Token::Mark("+=") => true,
            _ => return Err(self.unexpected(&format!("\"=\" or \"+=\" after {}", quoted(name)))),
        };
        self.advance();
        let value = self.value(name, 0)?;
        let setting = Setting {
            name: name.to_owned(),
            place: place.clone(),
            value,
            is_addition,
        };
        self.settings.assign(setting).map_err(|error| {
            let name = quoted(name);
            let message = match error {
                CannotAdd::Mismatch => {
                    format!("cannot add a list to a string or a string to a list: {name}")
                }
                CannotAdd::TooLong => {
                    format!("a string may have {MAX_STRING} bytes, {name} would have more")
                }
            };
            self.report(place, message)
        })
    }

    fn value(&mut self, name: &str, depth: usize) -> Result<Value, Wrong> {
        let place = self.place();
        let text = match &self.token {
            Token::Number(digits) => Text::new((*digits).to_owned(), Some(0)),
            Token::String(text) => text.clone(),
            Token::Mark("[") => {
                let kind = ValueKind::List(self.list(name, depth + 1)?);
                return Ok(Value { place, kind });
            }
            _ if depth == 0 => {
                return Err(self.unexpected(&format!(
                    "a number, a string in quotes or a list after {}",
                    quoted(name)
                )));
            }
            _ => {
                return Err(self.unexpected(&format!(
                    "a number, a string in quotes or \"]\" in the list of {}",
                    quoted(name)
                )));
            }
        };
        self.advance();
        Ok(Value {
            place,
            kind: ValueKind::Text(text),
        })
    }

    /// The items of a list, from its opening bracket on.
    fn list(&mut self, name: &str, depth: usize) -> Result<Vec<Value>, Wrong> {
        if depth > MAX_DEPTH {
            let message = format!("lists may be nested {MAX_DEPTH} deep");
            return Err(self.report(self.place(), message));
        }
        self.advance();
        let mut items = Vec::new();
        loop {
            self.skip_newlines();
            if self.token == Token::Mark("]") {
                break;
            }
            items.push(self.value(name, depth)?);
            self.skip_newlines();
            match self.token {
                Token::Mark(",") => self.advance(),
                Token::Mark("]") => break,
                _ => {
                    return Err(
                        self.unexpected(&format!("\",\" or \"]\" in the list of {}", quoted(name)))
                    );
                }
            }
        }
        self.advance();
        Ok(items)
    }

    fn advance(&mut self) {
        (self.position, self.token) = self.lexer.next_token();
    }

    fn skip_newlines(&mut self) {
        while self.token == Token::Newline {
            self.advance();
        }
    }

    fn skip_line(&mut self) {
        while !matches!(self.token, Token::Newline | Token::End) {
            self.advance();
        }
    }

    fn place(&self) -> Place {
        let line = self.position.line.saturating_add(self.line_offset);
        Place {
            source: self.source.clone(),
            line,
            column: self.position.column,
        }
    }

    fn unexpected(&mut self, expected: &str) -> Wrong {
        let mut place = self.place();
        let message = match &self.token {
            Token::BrokenString { message, offset } => {
                place.column = place.column.saturating_add(*offset);
                message.clone()
            }
            Token::Wrong(text) if is_almost_a_number(text) => {
                format!(
                    "expected {expected}, found {}; write quotes around anything but plain numbers",
                    quoted(text)
                )
            }
            Token::Wrong(text) if text.starts_with(['(', '{', '.', ':', '-', '+']) => {
                format!(
                    "expected {expected}, found {}; Python code is not understood",
                    quoted(text)
                )
            }
            found => format!("expected {expected}, found {found}"),
        };
        self.report(place, message)
    }

    fn report(&mut self, place: Place, message: String) -> Wrong {
        self.problems.push(Problem { place, message });
        Wrong
    }
}

/// Whether the text starts with a digit, perhaps after a sign: a number to people, but not to the grammar.
fn is_almost_a_number(text: &str) -> bool {
    text.strip_prefix(['-', '+'])
        .unwrap_or(text)
        .starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    fn settings(text: &str) -> Settings {
        parse_settings("demo.cfg", text.as_bytes(), &NONE)
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn text(settings: &Settings, name: &str) -> String {
        settings
            .get(name)
            .and_then(|setting| setting.value.text())
            .unwrap()
            .to_owned()
    }

    fn items(settings: &Settings, name: &str) -> Vec<String> {
        match &settings.get(name).unwrap().value.kind {
            ValueKind::List(items) => items
                .iter()
                .map(|item| item.text().unwrap_or("a list").to_owned())
                .collect(),
            ValueKind::Text(_) => panic!("no list"),
        }
    }

    #[test]
    fn statements_end_at_newlines_and_semicolons() {
        let settings = settings("a=1;b = 'two' ;; c=\"three\"\n\n# comment\nd=0x1f # more\r\ne=5");
        let found: Vec<_> = settings
            .iter()
            .map(|setting| (setting.name.as_str(), setting.value.text().unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                ("a", "1"),
                ("b", "two"),
                ("c", "three"),
                ("d", "0x1f"),
                ("e", "5")
            ]
        );
    }

    #[test]
    fn strings_have_escapes() {
        let settings = settings(r#"a='e\'s"c\t\\x\x41\101' ; b="it's""#);
        assert_eq!(text(&settings, "a"), "e's\"c\t\\xAA");
        assert_eq!(text(&settings, "b"), "it's");
    }

    #[test]
    fn lists_span_lines_and_nest() {
        let settings = settings("a=[\n 'x', # one\n\n 2\n ,\n]\nb=[]\nc=[['d'],'e']");
        assert_eq!(items(&settings, "a"), ["x", "2"]);
        assert_eq!(items(&settings, "b"), [""; 0]);
        assert_eq!(items(&settings, "c"), ["a list", "e"]);
    }

    #[test]
    fn additions_append_and_assignments_replace() {
        let settings = settings("a='x'\na+='y'\nb=['p']\nb+=['q']\nc+='new'\nd=1\nd=2");
        assert_eq!(text(&settings, "a"), "xy");
        assert_eq!(items(&settings, "b"), ["p", "q"]);
        assert_eq!(text(&settings, "c"), "new");
        assert_eq!(text(&settings, "d"), "2");
    }

    #[test]
    fn arguments_of_the_command_line_come_last() {
        let settings = parse_settings(
            "demo.cfg",
            b"memory=1\ndisk=['a']",
            &["memory=2", "disk+=['b']"],
        )
        .unwrap();
        assert_eq!(text(&settings, "memory"), "2");
        assert_eq!(items(&settings, "disk"), ["a", "b"]);
        assert_eq!(
            settings.get("memory").unwrap().value.place.to_string(),
            "command line:1:8"
        );
        let problems = parse_settings("demo.cfg", b"", &["a=1", "b="]).unwrap_err();
        let expected = "command line:2:3: expected a number, a string in quotes or a list after \"b\", found the end of the file";
        assert_eq!(problems.to_string(), expected);
    }

    #[test]
    fn every_wrong_line_is_reported_up_to_a_limit() {
        let problems = parse_settings("f", b"a\nb=1\nC=2\nd=[1\n", &NONE).unwrap_err();
        assert_eq!(problems.0.len(), 3, "{problems}");
        let problems = parse_settings("f", "!\n".repeat(100).as_bytes(), &NONE).unwrap_err();
        assert_eq!(problems.0.len(), MAX_PROBLEMS);
    }

    #[test]
    fn places_inside_strings_are_known_unless_there_are_escapes() {
        let settings = settings("ab = \"x,y\"\ncd='\\tx'");
        assert_eq!(
            settings.get("ab").unwrap().value.place_at(2).to_string(),
            "demo.cfg:1:9"
        );
        assert_eq!(
            settings.get("cd").unwrap().value.place_at(1).to_string(),
            "demo.cfg:2:4"
        );
    }

    #[test]
    fn depth_and_size_are_limited() {
        let deep = format!("a={}", "[".repeat(1000));
        let problems = parse_settings("f", deep.as_bytes(), &NONE).unwrap_err();
        assert_eq!(problems.to_string(), "f:1:19: lists may be nested 16 deep");
        let half = "x".repeat(MAX_STRING / 2 + 1);
        let text = format!("a='{half}'\na+='{half}'\nb='{half}{half}'");
        let problems = parse_settings("f", text.as_bytes(), &NONE).unwrap_err();
        let expected = "f:2:1: a string may have 65536 bytes, \"a\" would have more\nf:3:65540: a string may have 65536 bytes";
        assert_eq!(problems.to_string(), expected);
        let long = vec![b'\n'; MAX_TEXT + 1];
        let problems = parse_settings("f", &long, &NONE).unwrap_err();
        assert_eq!(
            problems.to_string(),
            "f:1:1: a configuration may have 1048576 bytes, this one has 1048577"
        );
    }
}
