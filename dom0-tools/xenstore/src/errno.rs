//! The errors of the protocol: sent by name, so that every system understands them.

use std::fmt;
use std::str::FromStr;

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An error as the store names it.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Errno { $($(#[$doc])* $name,)* }

        impl Errno {
            /// All there are, in the order of `xs_wire.h`.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What is sent.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

errnos! {
    /// The request is malformed, or the path is.
    EINVAL,
    /// The caller may not.
    EACCES,
    /// It is there already.
    EEXIST,
    /// Unused by this store.
    EISDIR,
    /// There is no such node, watch, domain or transaction.
    ENOENT,
    /// Out of memory, or the memory the caller may use.
    ENOMEM,
    /// Over the caller's quota.
    ENOSPC,
    /// The store could not do it.
    EIO,
    /// Unused by this store.
    ENOTEMPTY,
    /// There is no such request.
    ENOSYS,
    /// Unused by this store.
    EROFS,
    /// A transaction within a transaction.
    EBUSY,
    /// The transaction conflicts with another: start anew.
    EAGAIN,
    /// Unused by this store.
    EISCONN,
    /// The answer is too long, or there are too many watches.
    E2BIG,
    /// The owner of a node can not be changed by the caller.
    EPERM,
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is none of the protocol's.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an error of the store")]
pub struct UnknownErrno;

impl FromStr for Errno {
    type Err = UnknownErrno;

    fn from_str(name: &str) -> Result<Self, UnknownErrno> {
        let of_name = |errno: &&Self| errno.name() == name;
        Self::ALL.iter().find(of_name).copied().ok_or(UnknownErrno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for &errno in Errno::ALL {
            assert_eq!(errno.name().parse(), Ok(errno));
        }
        assert_eq!("EMFILE".parse::<Errno>(), Err(UnknownErrno));
        assert_eq!(Errno::ALL.len(), 16);
    }
}
