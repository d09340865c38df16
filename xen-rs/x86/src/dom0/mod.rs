//! Building dom0: from the boot modules and firmware's tables to the bytes and addresses of a PVH guest.
//!
//! Everything here is a pure function of its input. The caller owns all memory and does the copying. Without an IOMMU dom0's RAM is
//! identity-mapped, so the addresses below are machine and guest addresses at once. The intended order of work:
//!
//! 1. [`kernel_image::locate`] finds the payload in the kernel module; [`kernel::unpack`] unpacks and checks it.
//! 2. [`e820::Dom0Map::new`] makes dom0's memory map, [`e820::Dom0Map::steal_acpi`] takes room for the ACPI tables out of it.
//! 3. [`layout::choose`] places kernel, initrd and start info.
//! 4. The initrd is copied first (its source may lie where the kernel goes), then the kernel, then the tables of
//!    [`acpi::build`] and the block of [`start_info::build`].
//!
//! The kernel module and all firmware tables are untrusted: malformed input gives a [`BuildError`], never a panic.

pub mod acpi;
pub mod e820;
mod error;
pub mod kernel;
pub mod layout;
mod range;
pub mod start_info;

pub use error::BuildError;
pub use range::PhysRange;
