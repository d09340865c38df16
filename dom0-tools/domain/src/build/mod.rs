//! Building a PVH domain: kernel, memory, tables and the first vCPU.
//!
//! [`create`](fn@create) makes an empty domain, [`Files`] reads and unpacks its kernel (which takes longest and needs no domain), and [`load`]
//! puts everything into its memory. [`build`] does all three. The steps and their order are those of libxl 4.20 for PVH guests
//! (`libxl_create.c`, `libxl_dom.c`, `libxl_x86.c` and `tools/libs/guest`); the numbers come from there.

mod acpi;
mod create;
mod error;
mod files;
mod kernel_cache;
mod layout;
mod limits;
mod load;
mod plan;
mod policy;
mod populate;
mod resources;
mod start_info;
mod vcpu;

use xenctl::{DomId, Hypervisor};

pub use create::{create, discard};
pub use error::{BuildError, Result};
pub use files::{Files, Unpacked};
pub use kernel_cache::KernelCache;
pub use load::{Built, Ring, load};
pub use plan::{CpuidRule, IoMemory, MsrRule, Plan, Resources, VCPUS_MAX};

/// Ranges of guest-physical addresses that are RAM in a domain of this size; the second may be empty.
#[must_use]
pub fn ram_of(max_memory_kib: u64) -> [std::ops::Range<u64>; 2] {
    layout::Layout::of(max_memory_kib).ram()
}

/// Creates and loads a domain, which is paused then. On an error nothing is left of it.
///
/// # Errors
/// Every [`BuildError`].
pub fn build(hypervisor: &dyn Hypervisor, plan: &Plan) -> Result<(DomId, Built)> {
    let files = Files::read(plan, None)?.unpack()?;
    let domain = create(hypervisor, plan)?;
    match load(hypervisor, domain, plan, &files) {
        Ok(built) => Ok((domain, built)),
        Err(error) => {
            discard(hypervisor, domain);
            Err(error)
        }
    }
}
