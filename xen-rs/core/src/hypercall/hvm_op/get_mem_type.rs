//! `HVMOP_get_mem_type`: what a guest page is, for a crash kernel that wants to read only memory.

use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_op::{HVMMEM_MMIO_DM, HVMMEM_RAM_RO, HVMMEM_RAM_RW, HvmGetMemType};

use crate::hypercall::{Call, Outcome};
use crate::ids::Gfn;
use crate::p2m::{Behind, PageType};

/// See the module. What is not mapped counts as a device's.
///
/// # Errors
/// `EFAULT`, `ESRCH`, `EPERM`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut arg: HvmGetMemType = call.fetch(at)?;
    let domain = call.subject(arg.domid)?;
    arg.mem_type = match call.hv.find(&domain, Gfn(arg.pfn)) {
        Behind::Page(found) => match found.kind {
            PageType::Ram | PageType::Shared | PageType::GrantRw => HVMMEM_RAM_RW,
            PageType::GrantRo => HVMMEM_RAM_RO,
            PageType::Mmio | PageType::Foreign => HVMMEM_MMIO_DM,
        },
        Behind::OnDemand(_) => HVMMEM_RAM_RW,
        Behind::Nothing => HVMMEM_MMIO_DM,
    };
    call.store(at, &arg)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::hvm::hvm_op::HVMOP_GET_MEM_TYPE;
    use xen_abi::xen::HYPERVISOR_HVM_OP;

    #[test]
    fn ram_is_told_from_holes() {
        let fake = Fake::new();
        let (_dom0, guest) = (fake.dom0(1), fake.domain(1));
        let ask = |domid, pfn| {
            fake.put(
                &guest,
                0,
                &HvmGetMemType {
                    domid,
                    pfn,
                    ..Default::default()
                },
            );
            fake.call(&guest, HYPERVISOR_HVM_OP, &[HVMOP_GET_MEM_TYPE.into(), 0])?;
            Ok(fake.get::<HvmGetMemType>(&guest, 0).mem_type)
        };
        assert_eq!(ask(0x7ff0, 3), Ok(HVMMEM_RAM_RW));
        assert_eq!(ask(0x7ff0, u64::MAX), Ok(HVMMEM_MMIO_DM));
        assert_eq!(ask(0, 3), Err(Errno::EPERM));
    }
}
