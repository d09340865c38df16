//! `HYPERVISOR_vm_assist`: switch behaviours on or off. Only one concerns guests that are not paravirtualised: marking run state areas
//! while they are updated.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::xen::{VMASST_CMD_DISABLE, VMASST_CMD_ENABLE, VMASST_TYPE_RUNSTATE_UPDATE_FLAG};

use super::{Call, Needs, Outcome, Row};

/// The hypercall.
pub const ROW: Row = Row {
    op: 0,
    name: "vm_assist",
    needs: Needs::Nothing,
    run,
};

/// See the module.
///
/// # Errors
/// `EINVAL` for a type that does not exist here, then `ENOSYS` for an unknown command.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let (command, kind) = (call.arg32(0), call.arg32(1));
    if kind != VMASST_TYPE_RUNSTATE_UPDATE_FLAG {
        return Err(Errno::EINVAL);
    }
    match command {
        VMASST_CMD_ENABLE => call.domain.vm_assist.fetch_or(1 << kind, SeqCst),
        VMASST_CMD_DISABLE => call.domain.vm_assist.fetch_and(!(1 << kind), SeqCst),
        _ => return Err(Errno::ENOSYS),
    };
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::xen::HYPERVISOR_VM_ASSIST;

    #[test]
    fn one_assist_exists_and_goes_on_and_off() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let assist = |command, kind| fake.call(&guest, HYPERVISOR_VM_ASSIST, &[command, kind]);
        assert_eq!(assist(0, 5), Ok(Outcome::OK));
        assert_eq!(guest.vm_assist.load(SeqCst), 1 << 5);
        assert_eq!(assist(1, 5), Ok(Outcome::OK));
        assert_eq!(guest.vm_assist.load(SeqCst), 0);
        for kind in [0, 4, 6, 32, 64, 0xffff_ffff] {
            assert_eq!(assist(0, kind), Err(Errno::EINVAL));
        }
        assert_eq!(assist(2, 5), Err(Errno::ENOSYS));
    }
}
