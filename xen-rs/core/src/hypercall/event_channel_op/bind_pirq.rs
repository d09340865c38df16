//! `EVTCHNOP_bind_pirq`: not offered, see [`crate::evtchn`].

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnBindPirq;

use crate::hypercall::{Call, Outcome};

/// Refuses.
///
/// # Errors
/// `EFAULT`, then `EOPNOTSUPP`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let at = call.pointer(1);
    let mut arg: EvtchnBindPirq = call.fetch(at)?;
    let port = call.domain.events.lock().bind_pirq(arg.pirq)?;
    arg.port = port.0;
    call.store(at, &arg)?;
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    #[test]
    fn physical_interrupts_are_not_offered() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let done = fake.call(&dom0, HYPERVISOR_EVENT_CHANNEL_OP, &[2, 0]);
        assert_eq!(done, Err(Errno::EOPNOTSUPP));
    }
}
