//! Domains seen from dom0: building, devices and life cycle.
//!
//! [`build`] makes a PVH domain's memory and machine state, [`devices`] connects its disks and network interfaces, and [`lifecycle`] puts
//! both together with the store: creating, watching, restarting and destroying domains. Everything goes through
//! [`xenctl::Hypervisor`] and the store's access trait, so that all of it runs against fakes in tests.

pub mod build;
pub mod devices;
pub mod lifecycle;
