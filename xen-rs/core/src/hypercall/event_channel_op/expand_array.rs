//! `EVTCHNOP_expand_array`: add a page of event words to the FIFO event array.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnExpandArray;

use crate::hypercall::{Call, Outcome};
use crate::ids::Gfn;

/// See the module. The frame stays referenced until the domain leaves the FIFO format.
///
/// # Errors
/// `EFAULT`, those of [`crate::evtchn::EventChannels::expand_array`], and `EINVAL` if the page is not RAM of the caller's.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: EvtchnExpandArray = call.fetch(call.pointer(1))?;
    call.domain.events.lock().check_expand_array()?;
    let page = call.hv.get_guest_page(call.domain, Gfn(arg.array_gfn))?;
    let done = call
        .domain
        .events
        .lock()
        .expand_array(call.hv.memory, page.mfn);
    match done {
        Ok(wake) => call.hv.wake(call.domain, wake),
        Err(errno) => {
            call.hv.put_page(page.mfn);
            return Err(errno);
        }
    }
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::ids::VcpuId;
    use xen_abi::event_channel::EVTCHNOP_EXPAND_ARRAY;
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    #[test]
    fn page_is_taken_only_in_fifo_format_and_only_if_it_is_ram() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let expand = |array_gfn| {
            fake.put(&guest, 0, &EvtchnExpandArray { array_gfn });
            fake.call(
                &guest,
                HYPERVISOR_EVENT_CHANNEL_OP,
                &[EVTCHNOP_EXPAND_ARRAY.into(), 0],
            )
        };
        let frame = fake.mfn(&guest, Gfn(5));
        assert_eq!(expand(5), Err(Errno::EOPNOTSUPP));
        let control = fake.mfn(&guest, Gfn(4));
        guest
            .events
            .lock()
            .init_control(fake.memory, VcpuId(0), control, 0)
            .unwrap();
        assert_eq!(expand(u64::MAX), Err(Errno::EINVAL));
        assert_eq!(fake.hv.table.count(frame), 1);
        assert_eq!(expand(5), Ok(Outcome::OK));
        assert_eq!(fake.hv.table.count(frame), 2);
    }
}
