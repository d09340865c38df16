//! Xen's error numbers (`public/errno.h`). A hypercall returns them negated; the values are Linux's for x86.

use core::fmt;

/// An error number, positive.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($(#[$meta:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        impl Errno {
            $($(#[$meta])* #[doc = $text] pub const $name: Self = Self($value);)*

            /// Xen's name, if the number has one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }

        /// The error numbers, for the comparison with Xen's header.
        pub const NUMBERS: &[crate::Number] = &[$(crate::Number {
            name: concat!("XEN_", stringify!($name)),
            c_name: Some(concat!("XEN_", stringify!($name))),
            value: $value,
        },)*];
    };
}

errnos! {
    EPERM = 1, "Operation not permitted.";
    ENOENT = 2, "No such entry.";
    ESRCH = 3, "No such domain.";
    EINTR = 4, "Interrupted; only inside Xen.";
    EIO = 5, "I/O error.";
    ENXIO = 6, "No such device or address.";
    E2BIG = 7, "Argument list too long.";
    ENOEXEC = 8, "Executable format error.";
    EBADF = 9, "Bad file number.";
    ECHILD = 10, "No child processes.";
    EAGAIN = 11, "Try again.";
    ENOMEM = 12, "Out of memory.";
    EACCES = 13, "Access denied; also: the interface version does not match.";
    EFAULT = 14, "Bad guest address.";
    EBUSY = 16, "Resource in use.";
    EEXIST = 17, "Exists already.";
    EXDEV = 18, "Cross-device link; also: a foreign page of the wrong kind.";
    ENODEV = 19, "No such device.";
    ENOTDIR = 20, "Not a directory.";
    EISDIR = 21, "Is a directory.";
    EINVAL = 22, "Invalid argument.";
    ENFILE = 23, "Table overflow.";
    EMFILE = 24, "Too many open files.";
    ENOSPC = 28, "No space left.";
    EROFS = 30, "Read-only.";
    EMLINK = 31, "Too many links.";
    EDOM = 33, "Argument out of domain.";
    ERANGE = 34, "Result out of range.";
    EDEADLK = 35, "Would deadlock.";
    ENAMETOOLONG = 36, "Name too long.";
    ENOLCK = 37, "No locks available.";
    ENOSYS = 38, "No such hypercall or operation.";
    ENOTEMPTY = 39, "Not empty.";
    ENODATA = 61, "No data available.";
    ETIME = 62, "Timer expired.";
    EBADMSG = 74, "Bad message.";
    EOVERFLOW = 75, "Value too large for its type.";
    EILSEQ = 84, "Illegal sequence.";
    ERESTART = 85, "Restart the hypercall; only inside Xen, never seen by a guest.";
    ENOTSOCK = 88, "Not a socket.";
    EMSGSIZE = 90, "Message too long.";
    EOPNOTSUPP = 95, "Operation not supported here.";
    EADDRINUSE = 98, "Address in use.";
    EADDRNOTAVAIL = 99, "Address not available.";
    ENOBUFS = 105, "Buffer too small.";
    EISCONN = 106, "Connected already.";
    ENOTCONN = 107, "Not connected.";
    ETIMEDOUT = 110, "Timed out.";
    ECONNREFUSED = 111, "Connection refused.";
}

impl Errno {
    /// Other name of [`Errno::EAGAIN`].
    pub const EWOULDBLOCK: Self = Self::EAGAIN;
    /// Other name of [`Errno::EDEADLK`].
    pub const EDEADLOCK: Self = Self::EDEADLK;

    /// The value a hypercall returns: negative, sign-extended.
    pub const fn to_rc(self) -> i64 {
        (self.0 as i64).wrapping_neg()
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl core::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::Errno;

    extern crate std;
    use std::string::ToString;

    #[test]
    fn a_return_code_is_the_negated_number() {
        assert_eq!(Errno::ENOSYS.to_rc(), -38);
        assert_eq!(Errno(i32::MIN).to_rc(), 1 << 31);
    }

    #[test]
    fn known_numbers_print_their_name_and_others_the_number() {
        assert_eq!(Errno::EOPNOTSUPP.to_string(), "EOPNOTSUPP");
        assert_eq!(Errno(4095).to_string(), "errno 4095");
    }
}
