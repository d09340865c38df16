//! `HVMOP_xentrace`: a record for the trace buffers. There are none, as on Xen while tracing is off, so the record is checked and dropped.

use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_op::HvmXentrace;

use crate::hypercall::{Call, Outcome};

/// Bits of an event number (`TRC_SUBCLS_SHIFT` of xen/include/public/trace.h).
const EVENT_BITS: u32 = 12;

/// See the module.
///
/// # Errors
/// `EFAULT`, `EINVAL` for a record that is too long or not of whole words, or an event number that is too large.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: HvmXentrace = call.fetch(call.pointer(1))?;
    let len = usize::from(arg.extra_bytes);
    if !len.is_multiple_of(4) || len > arg.extra.len() || arg.event >> EVENT_BITS != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::hvm::hvm_op::HVMOP_XENTRACE;
    use xen_abi::xen::HYPERVISOR_HVM_OP;

    #[test]
    fn record_is_checked() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let trace = |event, extra_bytes| {
            fake.put(
                &guest,
                0,
                &HvmXentrace {
                    event,
                    extra_bytes,
                    extra: [0; 28],
                },
            );
            fake.call(&guest, HYPERVISOR_HVM_OP, &[HVMOP_XENTRACE.into(), 0])
        };
        assert_eq!(trace(0xfff, 28), Ok(Outcome::OK));
        for (event, extra_bytes) in [(0x1000, 0), (1, 3), (1, 32)] {
            assert_eq!(trace(event, extra_bytes), Err(Errno::EINVAL));
        }
    }
}
