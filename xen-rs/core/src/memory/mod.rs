//! Machine memory: who owns each frame, how often it is referenced, and which frames are free.

pub mod allocator;
pub mod frame;
