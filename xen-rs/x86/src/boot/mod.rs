//! From the loader's hand-over to a machine with memory, tables, clocks and all CPUs.

pub mod acpi_tables;
pub mod address_space;
pub mod lent;
pub mod loader;
pub mod memory;
pub mod screen;
pub mod smp;
