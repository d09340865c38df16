//! The hypervisor's image: entry, wiring, panic; nothing else.
#![no_std]
#![no_main]

extern crate alloc;

#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod heap;
