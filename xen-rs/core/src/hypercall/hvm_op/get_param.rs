//! `HVMOP_get_param`: read a parameter of the caller or (with privilege) of another domain.

use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_op::HvmParam;
use xen_abi::hvm::params as abi;

use super::param_rules::{may_read, rule};
use crate::hypercall::{Call, Outcome};

/// See the module.
///
/// # Errors
/// `EFAULT`, `EINVAL` for an index out of range, `ESRCH`, `EPERM`, and those of [`may_read`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut arg: HvmParam = call.fetch(at)?;
    if arg.index >= abi::HVM_NR_PARAMS {
        return Err(Errno::EINVAL);
    }
    let domain = call.subject(arg.domid)?;
    may_read(rule(arg.index), domain.id == call.domain.id)?;
    arg.value = {
        let params = domain.params.lock();
        match arg.index {
            abi::HVM_PARAM_VM86_TSS => params[abi::HVM_PARAM_VM86_TSS_SIZED as usize] & 0xffff_ffff,
            index => params[index as usize],
        }
    };
    call.store(at, &arg)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::fake_hv::Fake;
    use alloc::sync::Arc;
    use xen_abi::hvm::hvm_op::HVMOP_GET_PARAM;
    use xen_abi::xen::HYPERVISOR_HVM_OP;

    fn get(fake: &Fake, caller: &Arc<Domain>, domid: u16, index: u32) -> Result<u64, Errno> {
        fake.put(
            caller,
            0,
            &HvmParam {
                domid,
                pad: 0,
                index,
                value: 99,
            },
        );
        fake.call(caller, HYPERVISOR_HVM_OP, &[HVMOP_GET_PARAM.into(), 0])?;
        Ok(fake.get::<HvmParam>(caller, 0).value)
    }

    #[test]
    fn guest_reads_what_concerns_it_and_tools_the_rest() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        guest.params.lock()[abi::HVM_PARAM_STORE_EVTCHN as usize] = 4;
        guest.params.lock()[abi::HVM_PARAM_VM86_TSS_SIZED as usize] = 128 << 32 | 5;
        assert_eq!(
            get(&fake, &guest, 0x7ff0, abi::HVM_PARAM_STORE_EVTCHN),
            Ok(4)
        );
        assert_eq!(get(&fake, &guest, 0x7ff0, abi::HVM_PARAM_VM86_TSS), Ok(5));
        assert_eq!(
            get(&fake, &guest, 0x7ff0, abi::HVM_PARAM_TRIPLE_FAULT_REASON),
            Err(Errno::EPERM)
        );
        assert_eq!(
            get(&fake, &dom0, 1, abi::HVM_PARAM_TRIPLE_FAULT_REASON),
            Ok(1)
        );
        assert_eq!(
            get(&fake, &dom0, 0x7ff0, abi::HVM_PARAM_STORE_EVTCHN),
            Ok(0)
        );
        assert_eq!(
            get(&fake, &guest, 0, abi::HVM_PARAM_STORE_EVTCHN),
            Err(Errno::EPERM)
        );
        assert_eq!(
            get(&fake, &dom0, 1, abi::HVM_PARAM_DM_DOMAIN),
            Err(Errno::EINVAL)
        );
        assert_eq!(get(&fake, &dom0, 1, 39), Err(Errno::EINVAL));
        assert_eq!(get(&fake, &dom0, 2, 1), Err(Errno::ESRCH));
    }
}
