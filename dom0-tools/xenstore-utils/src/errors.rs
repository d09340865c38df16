//! Why a command fails, and how that is said.

use std::fmt::Display;
use std::io;

use xenstore::{Errno, Error};

/// A command failed.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// With this to say.
    Said(String),
    /// With nothing to say but its exit code.
    Silent,
}

impl Failure {
    /// With this to say.
    pub fn said(text: impl Display) -> Self {
        Self::Said(text.to_string())
    }
}

/// An error in the words of the C library, without its number.
pub fn reason(error: &Error) -> String {
    match error {
        Error::Errno { name, .. } => {
            let text = io::Error::from_raw_os_error(number(*name)).to_string();
            match text.split_once(" (os error") {
                Some((words, _)) => words.to_owned(),
                None => text,
            }
        }
        other => other.to_string(),
    }
}

/// Linux's number.
const fn number(errno: Errno) -> i32 {
    match errno {
        Errno::EPERM => 1,
        Errno::ENOENT => 2,
        Errno::EIO => 5,
        Errno::E2BIG => 7,
        Errno::EAGAIN => 11,
        Errno::ENOMEM => 12,
        Errno::EACCES => 13,
        Errno::EBUSY => 16,
        Errno::EEXIST => 17,
        Errno::EISDIR => 21,
        Errno::EINVAL => 22,
        Errno::ENOSPC => 28,
        Errno::EROFS => 30,
        Errno::ENOSYS => 38,
        Errno::ENOTEMPTY => 39,
        Errno::EISCONN => 106,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_c_librarys() {
        let words = |name| reason(&Error::refused("read", "/a", name));
        assert_eq!(words(Errno::ENOENT), "No such file or directory");
        assert_eq!(words(Errno::EACCES), "Permission denied");
        assert_eq!(words(Errno::ENOSPC), "No space left on device");
        for &errno in Errno::ALL {
            assert!(!words(errno).starts_with("Unknown"), "{errno}");
        }
    }
}
