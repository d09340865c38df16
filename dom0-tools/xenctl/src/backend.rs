//! What a daemon in dom0 needs of the host besides hypercalls.

use crate::{DomId, Events, Result, SharedPage};

/// The ring between dom0's kernel and the store's daemon in dom0.
pub struct OwnRing {
    /// The ring.
    pub page: Box<dyn SharedPage>,
    /// The kernel's port, to be bound with [`Events::bind_interdomain`] and [`DomId::DOM0`].
    pub port: u32,
}

/// Event channels and pages of others. A mapping lasts as long as the value, even when its domain has died.
pub trait Backend: Send + Sync {
    /// A new handle, with no port bound.
    fn events(&self) -> Result<Box<dyn Events>>;
    /// Maps the page that `domain` granted to dom0, for writing.
    fn map_grant(&self, domain: DomId, reference: u32) -> Result<Box<dyn SharedPage>>;
    /// Maps a page of `domain`, for writing: what only a privileged dom0 may do.
    fn map_foreign(&self, domain: DomId, gfn: u64) -> Result<Box<dyn SharedPage>>;
    /// Dom0's own ring to the store.
    fn own_store_ring(&self) -> Result<OwnRing>;
}
