//! Why a console could not be attached, or was lost.

use std::io;

use rustix::io::Errno;
use xenctl::DomId;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Dom0's console is the machine's.
    #[error("Can't specify Domain-0")]
    Domain0,
    /// Somebody else is attached, or the lock file can not be made.
    #[error("Could not {action} {path}: {}{}", words(*.errno), other_client(*.domain, *.errno))]
    Lock {
        /// `open` or `lock`.
        action: &'static str,
        /// The lock file.
        path: String,
        /// Why.
        errno: Errno,
        /// Whose console.
        domain: DomId,
    },
    /// The daemon did not make a terminal for the guest.
    #[error(
        "Could not read tty from store: {path} names no terminal after {seconds} s (does xenconsoled run?)"
    )]
    NoTerminal {
        /// Where it should be.
        path: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The terminal is named but can not be opened.
    #[error("Could not open tty `{path}': {errno}")]
    Open {
        /// The terminal.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// The one who waits for the console could not be told.
    #[error("Could not notify the parent: {0}")]
    Notify(Errno),
    /// The console ended unexpectedly.
    #[error("cannot {action}: {errno}")]
    Relay {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        errno: Errno,
    },
    /// Signals or threads.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] xenstore::Error),
}

impl Error {
    /// The exit code of a program that ends because of it, as `xenconsole` has them: the number of the error.
    pub fn exit_code(&self) -> u8 {
        let errno = match self {
            Self::Domain0 => Errno::INVAL,
            Self::Lock { errno, .. } | Self::Open { errno, .. } | Self::Notify(errno) => *errno,
            Self::Relay { errno, .. } => *errno,
            Self::NoTerminal { .. } => Errno::NOENT,
            Self::Store(xenstore::Error::Io(error)) | Self::Io(error) => {
                Errno::from_io_error(error).unwrap_or(Errno::IO)
            }
            Self::Store(error) if error.is_not_found() => Errno::NOENT,
            Self::Store(_) => Errno::IO,
        };
        errno.raw_os_error().try_into().unwrap_or(1)
    }
}

/// The C library's words, as they are known from the original: without the number.
fn words(errno: Errno) -> String {
    let text = io::Error::from(errno).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

fn other_client(domain: DomId, errno: Errno) -> String {
    match errno {
        Errno::AGAIN => format!(" (another client is attached to domain {domain})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_client_is_told_why_it_can_not_attach() {
        let errno = Errno::AGAIN;
        let error = Error::Lock {
            action: "lock",
            path: "/var/lock/xenconsole.7".into(),
            errno,
            domain: DomId(7),
        };
        let text = error.to_string();
        let original = "Could not lock /var/lock/xenconsole.7: Resource temporarily unavailable";
        let more = " (another client is attached to domain 7)";
        assert_eq!(text.strip_prefix(original), Some(more));
        assert_eq!(error.exit_code(), 11);
    }

    #[test]
    fn dom0_is_an_invalid_argument() {
        assert_eq!(Error::Domain0.exit_code(), 22);
    }
}
