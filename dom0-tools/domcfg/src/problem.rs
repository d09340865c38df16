//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// A place in a file, or in an argument of the command line.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name, or "command line".
    pub source: Arc<str>,
    /// Line, or number of the argument; from 1.
    pub line: u32,
    /// Column in characters; from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.source, self.line, self.column)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// One thing that is wrong: `demo.cfg:3:9: expected a number of MiB after "memory", found "lots"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, in a sentence without a full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

/// How many problems are reported before the reader gives up.
pub(crate) const MAX_PROBLEMS: usize = 20;

/// Everything that is wrong with a configuration, in the order of the text; at least one problem and at most 20.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    /// One line for each problem.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Text from a configuration as messages quote it: shortened, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    const MAX_CHARACTERS: usize = 60;
    let mut shown: String = text
        .chars()
        .take(MAX_CHARACTERS)
        .flat_map(char::escape_debug)
        .collect();
    // Quotes and letters beyond ASCII read better as they are.
    shown = shown.replace("\\'", "'").replace("\\\"", "\"");
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        shown.push_str("...");
    }
    format!("\"{shown}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_short_and_printable() {
        assert_eq!(quoted("a'b\u{1b}[m"), "\"a'b\\u{1b}[m\"");
        assert_eq!(quoted(&"x".repeat(100)).len(), 65);
    }
}
