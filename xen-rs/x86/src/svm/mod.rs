//! AMD-V: the control block, entering and leaving the guest, permission maps.

pub mod enter;
pub mod permission;
pub mod vmcb;
