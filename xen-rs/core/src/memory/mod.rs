//! Machine memory: who owns each frame, how often it is referenced, which frames are free, and what these may still hold.

pub mod allocator;
mod block;
pub mod frame;
pub mod frame_list;
mod free_lists;
pub mod heap_use;
pub mod remains;
