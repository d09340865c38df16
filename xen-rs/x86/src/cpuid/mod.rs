//! CPU policies: what a domain sees of the processor, and the CPUID instruction answered from it.
//!
//! What: [`SystemPolicies`] are derived from the host once at boot; each domain owns a [`CpuPolicy`] made from them, which a toolstack may
//! replace before the domain runs ([`CpuPolicy::updated`]); [`CpuPolicy::query`] answers every CPUID exit.
//!
//! Ownership: plain data, no locks, no hardware access: the host is behind [`HostCpuid`].
#![forbid(unsafe_code)]

mod control_registers;
mod dependencies;
mod feature;
mod featureset;
#[cfg(test)]
pub(crate) mod fixture;
mod host;
mod hypervisor;
mod leaf;
mod policy;
mod query;
mod recalculate;
mod serialise;
mod system;
mod update;
mod vendor;
pub mod xstate;

pub use control_registers::is_cr0_valid;
pub use feature::{FEATURE_WORDS, Feature, Offer};
pub use featureset::Featureset;
pub use host::Virtualisable;
pub use hypervisor::{HYPERCALL_PAGE_MSR, HypervisorInfo};
pub use leaf::{HostCpuid, Leaf};
pub use policy::CpuPolicy;
pub use query::Dynamic;
pub use recalculate::SHARED_1D;
pub use serialise::{
    MAX_SERIALISED_LEAVES, MAX_SERIALISED_MSRS, MSR_ARCH_CAPABILITIES, MSR_PLATFORM_INFO,
};
pub use system::SystemPolicies;
pub use update::PolicyError;
pub use vendor::Vendor;
