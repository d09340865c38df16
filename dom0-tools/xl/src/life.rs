//! The ways to everything that domains are made of, for the commands.

use domain::lifecycle::Toolstack;

use crate::context::Context;

/// All of them.
pub fn toolstack(context: &Context) -> anyhow::Result<Toolstack<'_>> {
    Ok(Toolstack {
        hypervisor: context.xen()?,
        store: context.store()?,
        host: context.kernel(),
        directories: context.directories(),
    })
}
