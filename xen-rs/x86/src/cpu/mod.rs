//! The processor itself: registers, instructions, per-CPU data, descriptor tables.

pub mod emulated;
pub mod instructions;
pub mod machine_check;
pub mod percpu;
pub mod store_bypass;
pub mod tables;

pub use percpu::stack_frame;
