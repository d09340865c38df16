//! Who runs on which physical CPU, and for how long.
//!
//! A fair scheduler in the manner of Xen's credit2: each vCPU accumulates virtual time while it runs, more slowly the higher its domain's
//! weight, and the CPU goes to the least virtual time. Every CPU has its own run queue and lock. CPUs are kept busy by three rules: a
//! vCPU that wakes goes to an idle CPU if it may; a CPU that runs dry takes from the others; a vCPU whose turn is over moves where it is
//! served sooner. The policy of a cpupool may instead be null: one vCPU per CPU, nothing to decide.
//!
//! [`mod@unit`] explains the states and why no wake is lost. Nothing here knows a vCPU's type, a clock or an interrupt: the per-CPU loop
//! passes the time in, and gets back whom to run, until when, and which CPUs to kick.

mod affinity;
#[cfg(test)]
mod behaviour;
mod cpupools;
mod dispatch;
mod dump;
pub mod mask;
mod placement;
pub mod pools;
mod queue;
#[cfg(test)]
mod race;
pub mod runstate;
mod scheduler;
pub mod share;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod stress;
pub mod unit;
pub mod vtime;
mod wake;

pub use mask::CpuMask;
pub use pools::{Policy, PoolId, PoolInfo};
pub use runstate::{Runstate, RunstateKind, RunstateSnapshot};
pub use scheduler::{Decision, Scheduler};
pub use share::DomainShare;
pub use unit::{Schedulable, Unit};
