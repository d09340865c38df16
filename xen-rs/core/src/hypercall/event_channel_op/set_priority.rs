//! `EVTCHNOP_set_priority`: choose a port's FIFO queue.

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnSetPriority;

use crate::hypercall::{Call, Outcome};
use crate::ids::Port;

/// See the module.
///
/// # Errors
/// `EFAULT`, and those of [`crate::evtchn::EventChannels::set_priority`].
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: EvtchnSetPriority = call.fetch(call.pointer(1))?;
    call.domain
        .events
        .lock()
        .set_priority(Port(arg.port), arg.priority)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::event_channel::EVTCHNOP_SET_PRIORITY;
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    #[test]
    fn two_level_format_has_no_priorities() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let port = guest
            .events
            .lock()
            .alloc_unbound(fake.memory, guest.id)
            .unwrap()
            .0;
        fake.put(&guest, 0, &EvtchnSetPriority { port, priority: 3 });
        let done = fake.call(
            &guest,
            HYPERVISOR_EVENT_CHANNEL_OP,
            &[EVTCHNOP_SET_PRIORITY.into(), 0],
        );
        assert_eq!(done, Err(Errno::ENOSYS));
    }
}
