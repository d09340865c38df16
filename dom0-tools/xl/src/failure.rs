//! How a command ends when it does not succeed.

use std::fmt;

/// The last line a failing command prints, and its exit code. Scripts know these lines, so they are xl's.
#[derive(Debug)]
pub struct Failure {
    /// What the process exits with.
    pub code: u8,
    /// Printed to standard error after its causes. Empty: everything was said already.
    pub message: String,
}

impl Failure {
    /// What most commands exit with.
    pub const FAILED: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;

    /// `message` and exit code 1.
    pub fn said(message: impl Into<String>) -> Self {
        Self::with_code(Self::FAILED, message)
    }

    /// `message` and `code`.
    pub fn with_code(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// Exit code 1 without a word.
    pub fn silent() -> Self {
        Self::said("")
    }

    /// `message` and exit code 1, because of `cause`.
    pub fn because(cause: impl Into<anyhow::Error>, message: impl Into<String>) -> anyhow::Error {
        cause.into().context(Self::said(message))
    }
}

impl Failure {
    /// `code`, because of `cause` and without a line of its own.
    pub fn because_code(code: u8, cause: impl Into<anyhow::Error>) -> anyhow::Error {
        cause.into().context(Self::with_code(code, ""))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Turns a cause into a [`Failure`] with it.
pub trait OrFail<T> {
    /// The value, or a failure that says `message` after the cause.
    fn or_fail(self, message: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_fail(self, message: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|cause| Failure::because(cause, message))
    }
}

/// The exit code for an error and the lines to print: causes first, marked with `xl:`, then what scripts look for.
pub fn report(error: &anyhow::Error) -> (u8, Vec<String>) {
    let code = error
        .downcast_ref::<Failure>()
        .map_or(Failure::FAILED, |failure| failure.code);
    let mut messages: Vec<String> = error.chain().map(ToString::to_string).collect();
    let known = error.downcast_ref::<Failure>().map(|_| messages.remove(0));
    // Many messages end with their cause's.
    let mut before = String::new();
    messages.retain(|message| {
        let is_said = before.ends_with(message.as_str()) && !message.is_empty();
        before.clone_from(message);
        !is_said
    });
    let mut lines: Vec<String> = messages
        .iter()
        .map(|cause| format!("xl: {cause}"))
        .collect();
    lines.extend(known.filter(|line| !line.is_empty()));
    (code, lines)
}

/// What the system says of an error, without Rust's number behind it.
pub fn why(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_come_before_the_known_line() {
        let error = Failure::because(std::io::Error::other("why"), "libxl_list_vcpu failed.");
        assert_eq!(
            report(&error),
            (1, vec!["xl: why".into(), "libxl_list_vcpu failed.".into()])
        );
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = anyhow::anyhow!("domctl createdomain: EINVAL");
        let error = cause.context("cannot create the domain: domctl createdomain: EINVAL");
        let line = "xl: cannot create the domain: domctl createdomain: EINVAL";
        assert_eq!(report(&error), (1, vec![line.into()]));
    }

    #[test]
    fn an_error_without_a_known_line_exits_with_1() {
        assert_eq!(
            report(&anyhow::anyhow!("no store")),
            (1, vec!["xl: no store".into()])
        );
    }

    #[test]
    fn a_silent_failure_prints_nothing() {
        assert_eq!(report(&Failure::silent().into()), (1, vec![]));
    }
}
