//! The domain of the previous operation of a batch.

use alloc::sync::Arc;

use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::Domid;

/// Finds domains by number and remembers the last one: batches name the same domain over and over.
pub struct Peers<'a> {
    hv: &'a Hypervisor,
    last: Option<Arc<Domain>>,
}

impl<'a> Peers<'a> {
    pub const fn new(hv: &'a Hypervisor) -> Self {
        Self { hv, last: None }
    }

    /// The domain with this number, dying ones included.
    pub fn find(&mut self, id: Domid) -> Option<&Arc<Domain>> {
        if self.last.as_ref().is_none_or(|last| last.id != id) {
            self.last = self.hv.domain(id);
        }
        self.last.as_ref()
    }
}
