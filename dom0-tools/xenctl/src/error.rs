//! What a refused request looks like.

use xen_abi::errno::Errno;

/// What a request to the hypervisor gives.
pub type Result<T> = std::result::Result<T, Error>;

/// A request that the hypervisor (or the kernel on the way to it) refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The request, one of [`call::ALL`](crate::call::ALL), for instance `domctl createdomain`.
    pub call: &'static str,
    /// Why: Xen's number, which is also Linux's.
    pub errno: Errno,
    /// What it was about, where the number alone does not say it: a frame, a leaf, a file.
    pub detail: Option<String>,
}

impl Error {
    /// `call` was refused because of `errno`.
    pub const fn new(call: &'static str, errno: Errno) -> Self {
        Self {
            call,
            errno,
            detail: None,
        }
    }

    /// The same, saying what it was about.
    pub fn about(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.call)?;
        if let Some(detail) = &self.detail {
            write!(f, "{detail}: ")?;
        }
        match std::io::Error::from_raw_os_error(self.errno.0).to_string() {
            text if self.errno.name().is_none() => f.write_str(&text),
            _ => self.errno.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_request_subject_and_reason() {
        let error = Error::new(crate::call::MAP_FOREIGN, Errno::EINVAL);
        assert_eq!(error.to_string(), "map of guest memory: EINVAL");
        let error = error.about("frame 0x12 of domain 3");
        assert_eq!(
            error.to_string(),
            "map of guest memory: frame 0x12 of domain 3: EINVAL"
        );
    }

    #[test]
    fn a_number_of_linux_alone_is_told_in_words() {
        let text = Error::new(crate::call::OPEN_EVENTS, Errno(13)).to_string();
        assert_eq!(text, "open of event channels: EACCES");
        let text = Error::new(crate::call::OPEN_EVENTS, Errno(40)).to_string();
        assert!(text.contains("symbolic links"), "{text}");
    }
}
