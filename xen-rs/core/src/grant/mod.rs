//! Grant tables.

use xen_abi::errno::Errno;

use crate::domain::DomainConfig;

/// What a domain grants to others, and what it has mapped of theirs.
pub struct GrantTable {}

impl GrantTable {
    /// An empty table within the limits of `config`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(_config: &DomainConfig) -> Result<Self, Errno> {
        Ok(Self {})
    }
}
