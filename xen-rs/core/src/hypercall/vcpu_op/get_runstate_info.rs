//! `VCPUOP_get_runstate_info`: where a vCPU's time went, up to now.

use xen_abi::compat::{self, U64};
use xen_abi::errno::Errno;
use xen_abi::vcpu::VcpuRunstateInfo;

use super::subject;
use crate::hypercall::{Call, Outcome, Width};

/// See the module.
///
/// # Errors
/// `ENOENT`, `EFAULT`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    let now = call.hv.scheduler.runstate(&vcpu, call.hv.now_ns());
    let at = call.pointer(2);
    match call.width {
        Width::Bits64 => {
            let info = VcpuRunstateInfo {
                state: now.state as u32,
                state_entry_time: now.state_entry_time,
                time: now.time,
                ..Default::default()
            };
            call.store(at, &info)?;
        }
        Width::Bits32 => {
            let info = compat::vcpu::VcpuRunstateInfo {
                state: now.state as u32,
                state_entry_time: now.state_entry_time.into(),
                time: now.time.map(U64::from),
            };
            call.store(at, &info)?;
        }
    }
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::vcpu::{RUNSTATE_RUNNABLE, VCPUOP_GET_RUNSTATE_INFO};
    use xen_abi::xen::HYPERVISOR_VCPU_OP;

    #[test]
    fn both_layouts_say_the_same() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        fake.machine.advance_ns(900);
        for width in [Width::Bits64, Width::Bits32] {
            let args = [VCPUOP_GET_RUNSTATE_INFO.into(), 0, 64];
            assert_eq!(
                fake.call_by(&guest, 0, width, HYPERVISOR_VCPU_OP, &args),
                Ok(Outcome::OK)
            );
        }
        let short: compat::vcpu::VcpuRunstateInfo = fake.get(&guest, 64);
        assert_eq!((short.state, short.time[1].get()), (RUNSTATE_RUNNABLE, 900));
        let missing = fake.call(
            &guest,
            HYPERVISOR_VCPU_OP,
            &[VCPUOP_GET_RUNSTATE_INFO.into(), 1, 64],
        );
        assert_eq!(missing, Err(Errno::ENOENT));
    }
}
