//! Changes to the CPUID leaves and MSRs that a guest sees: `cpuid="host,avx=0"` and `cpuid=["0x1:ecx=xxxx…"]`.

mod features;
mod host;
mod policy;
mod xend;

pub use host::{Register, apply_features};
pub use policy::{BitPolicy, CpuidLeaf, CpuidPolicy, Leaf, MsrPolicy, RegisterPolicy};
pub use xend::{LeafError, apply_leaf};
