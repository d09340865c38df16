//! Everything that knows x86.
#![no_std]
