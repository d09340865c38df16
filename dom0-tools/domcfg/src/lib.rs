//! Configuration files of domains, xl.cfg(5): grammar, keys and their types, and the JSON form in which toolstacks keep them.
//!
//! [`parse`] turns the text of a file into a [`DomainConfig`], whose shape is that of libxl's `domain_config`;
//! [`DomainConfig::to_libxl_json`] and [`DomainConfig::from_libxl_json`] exchange it with other toolstacks. Nothing here touches the
//! host: what a configuration depends on (CPUs, NUMA nodes) is handed in as a [`Host`].
//!
//! The semantics are those of xl 4.20 (xl.cfg(5), xl-disk-configuration(5), xl-network-configuration(5)), with these differences:
//!
//! - A value of the wrong type or out of range is an error with its place; xl warns, ignores it and goes on for most keys, for words of
//!   `vif` and for `cpuid`. All errors of a file are reported at once.
//! - Refused: classic PV guests, with a hint to `type="pvh"`; CD drives and emulated network cards in PVH guests; the same virtual disk
//!   or address twice; CPU lists without a CPU of the host; nodes that the host does not have; names with a `/`.
//! - Unknown keys are named, and keys that the tools do not act on yet or that do not concern the guest's type; xl is silent.
//! - Taken: a comment on a last line without a newline, Windows line ends, escapes `\x41` and `\101` in strings, and `policy=` in `rdm`,
//!   which xl refuses or drops.
//! - `type` is read as a whole word; xl takes any beginning of one.
#![forbid(unsafe_code)]

pub mod cpuid;
pub mod cpus;
pub mod disk;
mod exercise;
pub mod grammar;
pub mod identity;
mod json;
pub mod keys;
pub mod model;
pub mod network;
mod number;
mod problem;
pub mod read;

pub use cpus::{CpuSet, Host, parse_cpu_list};
pub use exercise::exercise;
pub use json::{JsonError, pretty};
pub use model::DomainConfig;
pub use number::{MemorySizeError, parse_memory_size};
pub use problem::{Place, Problem, Problems};
pub use read::{Context, Defaults, Parsed, parse, parse_disk_words, parse_nic_words, read};
