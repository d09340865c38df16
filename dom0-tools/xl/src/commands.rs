//! The commands, one file each: its options and arguments, what it does, and what it prints.

pub mod block;
pub mod claims;
pub mod config_update;
pub mod console;
pub mod cpupool;
pub mod cpupool_create;
pub mod cpupool_list;
pub mod cpupool_numa_split;
pub mod create;
pub mod debug_keys;
pub mod destroy;
pub mod dmesg;
pub mod info;
pub mod list;
pub mod memory;
pub mod monitor;
pub mod names;
pub mod network;
pub mod pause;
pub mod rename;
pub mod sched_credit;
pub mod sched_credit2;
pub mod scheduling;
pub mod sharing;
pub mod shutdown;
pub mod sysrq;
pub mod top;
pub mod trigger;
pub mod uptime;
pub mod vcpu_list;
pub mod vcpu_pin;
pub mod vcpu_set;
pub mod vm_list;

/// Arguments that xl ignores, and so do we.
#[derive(clap::Args, Debug, Default)]
pub struct Ignored {
    /// Ignored.
    #[arg(hide = true)]
    ignored: Vec<String>,
}

#[cfg(test)]
mod tests;
