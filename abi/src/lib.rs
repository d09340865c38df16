//! The Xen 4.20 hypercall ABI: structures, numbers and error codes, as plain data.
#![no_std]
#![forbid(unsafe_code)]
