//! From text to tokens.

use std::fmt;
use std::iter::Peekable;
use std::str::CharIndices;

use crate::problem::{Problem, quoted};

use super::MAX_STRING;
use super::value::Text;

/// A token; what it borrows is the configuration's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A key.
    Name(&'a str),
    /// Digits, or `0x` and hexadecimal digits.
    Number(&'a str),
    /// A string in quotes.
    String(Text),
    /// One of `= += , [ ] ;`
    Mark(&'static str),
    /// The end of a line.
    Newline,
    /// The end of the text.
    End,
    /// Characters that are no token.
    Wrong(&'a str),
    /// A string that is wrong inside.
    BrokenString {
        /// What is wrong.
        message: String,
        /// Characters from its start to the wrong one.
        offset: u32,
    },
}

impl fmt::Display for Token<'_> {
    /// As "found ..." says it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Name(text) | Token::Number(text) | Token::Wrong(text) => {
                formatter.write_str(&quoted(text))
            }
            Token::String(text) => write!(formatter, "the string {}", quoted(&text.text)),
            Token::Mark(mark) => write!(formatter, "\"{mark}\""),
            Token::Newline => formatter.write_str("the end of the line"),
            Token::End => formatter.write_str("the end of the file"),
            Token::BrokenString { .. } => formatter.write_str("a broken string"),
        }
    }
}

/// Line and column, from 1.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// Reads tokens one after the other.
pub struct Lexer<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    position: Position,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Lexer {
            text,
            rest: text.char_indices().peekable(),
            position: Position { line: 1, column: 1 },
        }
    }

    /// The next token and where it starts. After the end comes the end again.
    pub fn next_token(&mut self) -> (Position, Token<'a>) {
        self.skip_blanks();
        let position = self.position;
        let start = self.offset();
        let token = match self.advance() {
            None => Token::End,
            Some('\n') => Token::Newline,
            Some('=') => Token::Mark("="),
            Some(',') => Token::Mark(","),
            Some('[') => Token::Mark("["),
            Some(']') => Token::Mark("]"),
            Some(';') => Token::Mark(";"),
            Some('+') if self.peek() == Some('=') => {
                self.advance();
                Token::Mark("+=")
            }
            Some(quote @ ('"' | '\'')) => self.string(quote),
            Some('a'..='z') => Token::Name(self.take_while(start, is_name_character)),
            Some('0'..='9') => self.number(start),
            Some(_) => self.wrong(start),
        };
        (position, token)
    }

    /// Spaces, tabs, and a comment up to its newline.
    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) || self.is_at_carriage_return() {
            self.advance();
        }
        if self.peek() == Some('#') {
            while self.peek().is_some_and(|character| character != '\n') {
                self.advance();
            }
        }
    }

    fn is_at_carriage_return(&mut self) -> bool {
        let offset = self.offset();
        self.text
            .get(offset..)
            .is_some_and(|rest| rest.starts_with("\r\n"))
    }

    /// A number; libxlutil's pattern takes `f` and `x` anywhere and leaves the check to whoever wants the number.
    fn number(&mut self, start: usize) -> Token<'a> {
        let digits = self.take_while(
            start,
            |character| matches!(character, '0'..='9' | 'a'..='f' | 'x'),
        );
        let is_complete = !self.peek().is_some_and(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | ':')
        });
        if is_complete {
            Token::Number(digits)
        } else {
            self.wrong(start)
        }
    }

    /// Everything up to the next blank or mark.
    fn wrong(&mut self, start: usize) -> Token<'a> {
        Token::Wrong(self.take_while(start, |character| {
            !matches!(character, ' ' | '\t' | '\n' | ',' | ']' | ';' | '=' | '#')
        }))
    }

    /// The rest of a string whose opening quote has been read.
    fn string(&mut self, quote: char) -> Token<'a> {
        let start = self.position.column - 1;
        let mut text = String::new();
        let mut is_plain = true;
        loop {
            let offset = self.position.column - start;
            let broken = |message: String| Token::BrokenString { message, offset };
            match self.peek() {
                None | Some('\n') => {
                    return broken(format!(
                        "expected {quote} at the end of the string, before the end of the line"
                    ));
                }
                Some(character) if character != quote && text.len() >= MAX_STRING => {
                    self.skip_line();
                    return broken(format!("a string may have {MAX_STRING} bytes"));
                }
                Some('\0') => return broken("a string cannot have a zero byte".to_owned()),
                Some('\\') => {
                    is_plain = false;
                    self.advance();
                    match self.escape() {
                        Ok(character) => text.push(character),
                        Err(message) => {
                            self.skip_line();
                            return broken(message);
                        }
                    }
                }
                Some(character) => {
                    self.advance();
                    if character == quote {
                        return Token::String(Text::new(text, is_plain.then_some(1)));
                    }
                    text.push(character);
                }
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, String> {
        let Some(character) = self.peek().filter(|character| *character != '\n') else {
            return Err("expected a character after \"\\\", found the end of the line".to_owned());
        };
        if matches!(character, '0'..='7') {
            return self.character_number(8, 3, "octal");
        }
        self.advance();
        match character {
            '\\' | '\'' | '"' => Ok(character),
            'a' => Ok('\x07'),
            'b' => Ok('\x08'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            'x' => self.character_number(16, 2, "hexadecimal"),
            other => Err(format!(
                "unknown escape {} in a string",
                quoted(&format!("\\{other}"))
            )),
        }
    }

    /// A character by its number; only ASCII can be said so, as everything else takes more than a byte.
    fn character_number(&mut self, base: u32, digits: u32, what: &str) -> Result<char, String> {
        let (mut number, mut count) = (0, 0);
        while let Some(digit) = self
            .peek()
            .and_then(|character| character.to_digit(base))
            .filter(|_| count < digits)
        {
            number = number * base + digit;
            count += 1;
            self.advance();
        }
        if count == 0 || (base == 16 && count < digits) {
            return Err(format!(
                "expected {digits} {what} digits after \"\\x\" in a string"
            ));
        }
        match u8::try_from(number) {
            Ok(byte @ 1..=127) => Ok(char::from(byte)),
            _ => Err(format!(
                "an escape stands for a character from 1 to 127, not for {number}"
            )),
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|character| character != '\n') {
            self.advance();
        }
    }

    fn take_while(&mut self, start: usize, belongs: impl Fn(char) -> bool) -> &'a str {
        while self.peek().is_some_and(&belongs) {
            self.advance();
        }
        let end = self.offset();
        self.text.get(start..end).unwrap_or_default()
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|(_, character)| *character)
    }

    fn offset(&mut self) -> usize {
        self.rest
            .peek()
            .map_or(self.text.len(), |(offset, _)| *offset)
    }

    fn advance(&mut self) -> Option<char> {
        let (_, character) = self.rest.next()?;
        if character == '\n' {
            self.position = Position {
                line: self.position.line + 1,
                column: 1,
            };
        } else {
            self.position.column += 1;
        }
        Some(character)
    }
}

fn is_name_character(character: char) -> bool {
    matches!(character, 'a'..='z' | '0'..='9' | '.' | '_')
}

/// The first byte that is not part of UTF-8 text, as a problem.
pub fn require_utf8<'a>(bytes: &'a [u8], source: &std::sync::Arc<str>) -> Result<&'a str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let before = String::from_utf8_lossy(valid);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX - 1) + 1;
        let place = crate::problem::Place {
            source: source.clone(),
            line: count(before.matches('\n').count()),
            column: count(before.get(line_start..).unwrap_or_default().chars().count()),
        };
        Problem {
            place,
            message: "expected UTF-8 text, found a byte that is none".to_owned(),
        }
    })
}
