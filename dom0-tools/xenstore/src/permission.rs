//! One entry of a node's permissions, written as a letter and a domain: `n0`, `r5`, `w5`, `b5`.

use std::fmt;
use std::str::FromStr;

/// What a domain may do with a node.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PermissionKind {
    /// `n`
    None,
    /// `r`
    Read,
    /// `w`
    Write,
    /// `b`
    Both,
}

impl PermissionKind {
    /// Whether reading is allowed.
    pub const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Both)
    }

    /// Whether writing is allowed.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Both)
    }

    const fn letter(self) -> char {
        match self {
            Self::None => 'n',
            Self::Read => 'r',
            Self::Write => 'w',
            Self::Both => 'b',
        }
    }
}

/// An entry of a node's permissions. The first names the owner, who may do everything, and what domains without an entry may do.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// Whom it is about.
    pub domain: u16,
    /// What is allowed.
    pub access: PermissionKind,
}

impl Permission {
    /// `n`
    pub const fn none(domain: u16) -> Self {
        let access = PermissionKind::None;
        Self { domain, access }
    }

    /// `r`
    pub const fn read(domain: u16) -> Self {
        let access = PermissionKind::Read;
        Self { domain, access }
    }

    /// `w`
    pub const fn write(domain: u16) -> Self {
        let access = PermissionKind::Write;
        Self { domain, access }
    }

    /// `b`
    pub const fn both(domain: u16) -> Self {
        let access = PermissionKind::Both;
        Self { domain, access }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.access.letter(), self.domain)
    }
}

/// A text that is no permission.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a permission is one of n, r, w, b and the number of a domain, for instance r5")]
pub struct ParsePermissionError;

impl FromStr for Permission {
    type Err = ParsePermissionError;

    fn from_str(text: &str) -> Result<Self, ParsePermissionError> {
        let (letter, number) = text.split_at_checked(1).ok_or(ParsePermissionError)?;
        let access = match letter {
            "n" => PermissionKind::None,
            "r" => PermissionKind::Read,
            "w" => PermissionKind::Write,
            "b" => PermissionKind::Both,
            _ => return Err(ParsePermissionError),
        };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParsePermissionError);
        }
        let domain = number.parse().map_err(|_| ParsePermissionError)?;
        Ok(Self { domain, access })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_numbers_are_read_and_written() {
        for text in ["n0", "r1", "w32751", "b65535"] {
            let permission: Permission = text.parse().expect(text);
            assert_eq!(permission.to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "n", "x5", "r65536", "r-1", "r+1", "r 1", "é1", "r1x"] {
            assert_eq!(text.parse::<Permission>(), Err(ParsePermissionError));
        }
    }
}
