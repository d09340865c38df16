//! `GNTTABOP_swap_grant_ref`: exchange two entries of the caller's table.

use super::{GrantTable, Status};
use crate::hypervisor::Hypervisor;

impl GrantTable {
    /// Exchanges two unused entries.
    ///
    /// # Errors
    /// `GNTST_bad_gntref` outside the table, `GNTST_eagain` if one is in use.
    pub fn swap(&self, hv: &Hypervisor, a: u32, b: u32) -> Result<(), Status> {
        self.table.lock().swap(hv.memory, a, b)
    }
}
