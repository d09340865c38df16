//! Changes to the CPUID leaves and MSRs that a guest sees: `cpuid="host,avx=0"` and `cpuid=["0x1:ecx=xxxx…"]`.

mod policy;

pub use policy::{BitPolicy, CpuidLeaf, CpuidPolicy, MsrPolicy, Register};
