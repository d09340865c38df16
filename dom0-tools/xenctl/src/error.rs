//! What a refused request looks like.

use xen_abi::errno::Errno;

/// What a request to the hypervisor gives.
pub type Result<T> = std::result::Result<T, Error>;

/// A request that the hypervisor (or the kernel on the way to it) refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{call}: {errno}")]
pub struct Error {
    /// The request, for instance `domctl createdomain`.
    pub call: &'static str,
    /// Why: Xen's number, which is also Linux's.
    pub errno: Errno,
}

impl Error {
    /// `call` was refused because of `errno`.
    pub const fn new(call: &'static str, errno: Errno) -> Self {
        Self { call, errno }
    }
}
