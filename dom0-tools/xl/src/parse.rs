//! Reading arguments the way xl reads them.

pub mod cpus;
pub mod number;
