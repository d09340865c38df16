//! `EVTCHNOP_init_control`: give a vCPU its FIFO control block.

use xen_abi::errno::Errno;
use xen_abi::event_channel::{EVTCHN_FIFO_LINK_BITS, EvtchnInitControl};

use crate::hypercall::{Call, Outcome};
use crate::ids::{Gfn, VcpuId};

/// See the module. The frame stays referenced until the domain leaves the FIFO format.
///
/// # Errors
/// `EFAULT`, those of [`crate::evtchn::EventChannels::init_control`], and `EINVAL` if the page is not RAM of the caller's.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut arg: EvtchnInitControl = call.fetch(at)?;
    let vcpu = VcpuId(arg.vcpu);
    call.domain
        .events
        .lock()
        .check_init_control(vcpu, arg.offset)?;
    let page = call.hv.get_guest_page(call.domain, Gfn(arg.control_gfn))?;
    let done = call
        .domain
        .events
        .lock()
        .init_control(call.hv.memory, vcpu, page.mfn, arg.offset);
    if let Err(errno) = done {
        call.hv.put_page(page.mfn);
        return Err(errno);
    }
    arg.link_bits = EVTCHN_FIFO_LINK_BITS as u8;
    call.store(at, &arg)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::event_channel::EVTCHNOP_INIT_CONTROL;
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    #[test]
    fn control_block_holds_a_reference_and_a_second_one_is_refused() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let init = |control_gfn, offset, vcpu| {
            fake.put(
                &guest,
                0,
                &EvtchnInitControl {
                    control_gfn,
                    offset,
                    vcpu,
                    ..Default::default()
                },
            );
            fake.call(
                &guest,
                HYPERVISOR_EVENT_CHANNEL_OP,
                &[EVTCHNOP_INIT_CONTROL.into(), 0],
            )
        };
        let frame = fake.mfn(&guest, Gfn(4));
        assert_eq!(init(4, 4, 0), Err(Errno::EINVAL));
        assert_eq!(init(4, 0, 1), Err(Errno::ENOENT));
        assert_eq!(init(1 << 30, 0, 0), Err(Errno::EINVAL));
        assert_eq!(fake.hv.table.count(frame), 1);
        assert_eq!(init(4, 64, 0), Ok(Outcome::OK));
        assert_eq!(fake.get::<EvtchnInitControl>(&guest, 0).link_bits, 17);
        assert_eq!(init(4, 128, 0), Err(Errno::EINVAL));
        assert_eq!(fake.hv.table.count(frame), 2);
    }
}
