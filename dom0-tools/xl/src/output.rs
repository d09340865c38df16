//! Where commands write, and how: text as xl prints it, or JSON.

pub mod cpus;
pub mod time;

use std::cell::RefCell;
use std::fmt::Arguments;
use std::io::{self, Write};

use serde::Serialize;

/// Standard output and standard error of a command, or their stand-ins in a test.
pub struct Output {
    standard: RefCell<Box<dyn Write>>,
    error: RefCell<Box<dyn Write>>,
    broken: RefCell<Option<io::Error>>,
}

impl Output {
    /// Writes to the process's own streams.
    pub fn of_process() -> Self {
        Self::new(
            Box::new(io::BufWriter::new(io::stdout())),
            Box::new(io::stderr()),
        )
    }

    /// Writes to `standard` and `error`.
    pub fn new(standard: Box<dyn Write>, error: Box<dyn Write>) -> Self {
        Self {
            standard: RefCell::new(standard),
            error: RefCell::new(error),
            broken: RefCell::new(None),
        }
    }

    /// Text for standard output. What can not be written is reported by [`Self::finish`].
    pub fn print(&self, text: Arguments<'_>) {
        let result = self.standard.borrow_mut().write_fmt(text);
        self.note(result);
    }

    /// Bytes for standard output.
    pub fn print_bytes(&self, bytes: &[u8]) {
        let result = self.standard.borrow_mut().write_all(bytes);
        self.note(result);
    }

    /// Text for standard error, after what was written so far to standard output.
    pub fn complain(&self, text: Arguments<'_>) {
        self.flush();
        let result = self.error.borrow_mut().write_fmt(text);
        self.note(result);
    }

    /// A value as JSON, on standard output.
    pub fn print_json(&self, value: &impl Serialize) {
        let result = serde_json::to_string_pretty(value).map_err(io::Error::from);
        match result {
            Ok(text) => self.print(format_args!("{text}\n")),
            Err(error) => self.note(Err(error)),
        }
    }

    /// Writes out what is buffered.
    pub fn flush(&self) {
        let result = self.standard.borrow_mut().flush();
        self.note(result);
    }

    /// Writes out what is buffered; the first error of all writes.
    pub fn finish(&self) -> io::Result<()> {
        self.flush();
        self.broken.borrow_mut().take().map_or(Ok(()), Err)
    }

    fn note(&self, result: io::Result<()>) {
        if let Err(error) = result {
            self.broken.borrow_mut().get_or_insert(error);
        }
    }
}

/// Prints to a command's standard output.
#[macro_export]
macro_rules! say {
    ($context:expr, $($text:tt)*) => { $context.output.print(format_args!($($text)*)) };
}

/// Prints to a command's standard error.
#[macro_export]
macro_rules! complain {
    ($context:expr, $($text:tt)*) => { $context.output.complain(format_args!($($text)*)) };
}
