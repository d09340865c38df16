//! Loop devices of Linux: block devices before files.

pub use crate::sys::{LoopControl, LoopDevice, LoopOptions, LoopStatus};
