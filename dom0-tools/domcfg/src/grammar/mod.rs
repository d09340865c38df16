//! The grammar of xl.cfg(5), as libxlutil 4.20 reads it: assignments `key = value` and `key += value`, ended by a newline or `;`, with
//! numbers, strings in quotes and lists as values; comments run from `#` to the end of the line.
//!
//! Two things are taken that libxlutil refuses: a comment on a last line without a newline, and a carriage return before a newline.

mod lexer;
mod parser;
mod print;
mod value;

pub use parser::parse_settings;
pub use value::{Setting, Settings, Text, Value, ValueKind};

/// Longest text of a configuration in bytes, its overrides included.
pub const MAX_TEXT: usize = 1 << 20;
/// Longest string in bytes, also after `+=`.
pub const MAX_STRING: usize = 1 << 16;
/// Lists may be nested this deep.
pub const MAX_DEPTH: usize = 16;
