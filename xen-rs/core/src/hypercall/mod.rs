//! Hypercalls: a table of rows, one file per operation.
//!
//! A row carries the right that its caller needs; [`dispatch`] checks it before the handler runs, so that no handler can forget. The same
//! rows print `docs/hypercalls.md`.

pub mod bitmap;
pub mod call;
pub mod console_io;
pub mod document;
pub mod domctl;
pub mod event_channel_op;
pub mod framed;
pub mod grant_table_op;
pub mod hvm_op;
pub mod memory_op;
pub mod multicall;
pub mod physdev_op;
pub mod platform_op;
pub mod policy;
pub mod rows;
pub mod sched_op;
pub mod set_timer_op;
pub mod sysctl;
pub mod vcpu_op;
pub mod vm_assist;
pub mod xen_version;

pub use call::{Call, LinearMemory, Outcome, Width};
pub use document::document;
#[cfg(test)]
pub(crate) use memory_op::remove_own_pages;
use xen_abi::errno::Errno;

/// Who may use a row.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Any domain; handlers check rights on other domains they name.
    Nothing,
    /// A privileged domain (dom0). Others get `EPERM`.
    Control,
    /// The domain that owns the hardware. Others get `EPERM`.
    Hardware,
    /// The domain that owns the hardware; for others the operation does not exist (`ENOSYS`).
    HardwareOrAbsent,
}

/// A handler.
pub type Handler = fn(&mut Call<'_>) -> Result<Outcome, Errno>;

/// One operation.
pub struct Row {
    /// Sub-operation, where the hypercall has them.
    pub op: u32,
    /// Xen's name.
    pub name: &'static str,
    /// Right.
    pub needs: Needs,
    /// Code.
    pub run: Handler,
}

/// How a hypercall selects its operation.
pub enum Kind {
    /// It is one operation.
    Single(Row),
    /// By the low bits of the first argument.
    SubOp {
        /// Bits that select; the others carry restart state.
        mask: u32,
        /// Operations.
        rows: &'static [Row],
    },
    /// By the first word of a structure in memory; the handler looks up its own table with [`find`].
    Framed(Row, &'static [&'static dyn FramedRow]),
}

/// A row of a framed table, as the documentation sees it.
pub trait FramedRow: Sync {
    /// Sub-operation.
    fn op(&self) -> u32;
    /// Xen's name.
    fn name(&self) -> &'static str;
}

/// One hypercall number.
pub struct Hypercall {
    /// Number.
    pub number: u32,
    /// Xen's name.
    pub name: &'static str,
    /// Operations.
    pub kind: Kind,
}

/// The row with this sub-operation.
#[must_use]
pub fn find(rows: &'static [Row], op: u32) -> Option<&'static Row> {
    rows.iter().find(|row| row.op == op)
}

/// Whether the caller has the right.
///
/// # Errors
/// See [`Needs`].
pub fn permit(call: &Call<'_>, needs: Needs) -> Result<(), Errno> {
    let allowed = match needs {
        Needs::Nothing => true,
        Needs::Control => call.domain.privileged,
        Needs::Hardware | Needs::HardwareOrAbsent => call.domain.hardware,
    };
    match (allowed, needs) {
        (true, _) => Ok(()),
        (false, Needs::HardwareOrAbsent) => Err(Errno::ENOSYS),
        (false, _) => Err(Errno::EPERM),
    }
}

/// Runs hypercall `number`.
///
/// # Errors
/// `ENOSYS` for what does not exist, `EPERM` for what the caller may not, else the handler's.
pub fn dispatch(call: &mut Call<'_>, number: u32) -> Result<Outcome, Errno> {
    let hypercall = rows::hypercall(number).ok_or(Errno::ENOSYS)?;
    let row = match &hypercall.kind {
        Kind::Single(row) | Kind::Framed(row, _) => row,
        Kind::SubOp { mask, rows } => find(rows, call.arg32(0) & mask).ok_or(Errno::ENOSYS)?,
    };
    permit(call, row.needs)?;
    (row.run)(call)
}
