//! `EVTCHNOP_reset`: close all ports of the caller, or of a domain that the toolstack has paused, and return to the two-level format.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::event_channel::EvtchnReset;

use super::EVTCHNOP_RESET_CONT;
use super::close::tell_peer;
use crate::domain::Domain;
use crate::evtchn::{Peer, Step};
use crate::hypercall::{Call, Outcome};

/// Steps (of up to 64 ports) between two looks at the outside world.
const STEPS: usize = 16;

/// Begins.
///
/// # Errors
/// `EFAULT`, `ESRCH`, `EPERM`; `EINVAL` for another domain that is not paused by the toolstack; `EBUSY` while another reset goes on, and
/// `EAGAIN` if new ports were bound meanwhile.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let domain = domain_of(call)?;
    domain.events.lock().begin_reset()?;
    go_on(call, &domain)
}

/// Goes on after [`Outcome::Continue`].
///
/// # Errors
/// Those of [`run`]; `EBUSY` also if no reset has begun.
pub fn run_on(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let domain = domain_of(call)?;
    go_on(call, &domain)
}

fn domain_of(call: &mut Call<'_>) -> Result<Arc<Domain>, Errno> {
    let arg: EvtchnReset = call.fetch(call.pointer(1))?;
    let domain = call.subject(arg.dom)?;
    if domain.id != call.domain.id && domain.tool_pauses.load(SeqCst) == 0 {
        return Err(Errno::EINVAL);
    }
    Ok(domain)
}

fn go_on(call: &Call<'_>, domain: &Arc<Domain>) -> Result<Outcome, Errno> {
    for _ in 0..STEPS {
        let step = domain.events.lock().step_reset(call.hv.memory)?;
        match step {
            Step::Closed { port, peer } => tell_peer(
                call.hv,
                peer,
                Peer {
                    domid: domain.id,
                    port,
                },
            ),
            Step::More => {}
            Step::Done(frames) => {
                frames.for_each(|frame| call.hv.put_page(frame));
                return Ok(Outcome::OK);
            }
        }
    }
    Ok(Outcome::Continue([
        u64::from(EVTCHNOP_RESET_CONT),
        call.args[1],
        0,
        0,
        0,
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::ids::{Gfn, VcpuId};
    use xen_abi::event_channel::EVTCHNOP_RESET;
    use xen_abi::xen::HYPERVISOR_EVENT_CHANNEL_OP;

    #[test]
    fn reset_closes_ports_in_several_goes_and_returns_the_frames() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        let frame = fake.mfn(&guest, Gfn(9));
        assert!(fake.hv.table.get(frame, guest.id));
        guest
            .events
            .lock()
            .init_control(fake.memory, VcpuId(0), frame, 0)
            .unwrap();
        for _ in 0..40 {
            let theirs = dom0
                .events
                .lock()
                .alloc_unbound(fake.memory, guest.id)
                .unwrap();
            let bound = super::super::pair::with_both(&guest, &dom0, |own, other| {
                own.bind_interdomain(other, fake.memory, theirs)
            });
            fake.hv.wake(&guest, bound.unwrap().1);
        }
        fake.put(&guest, 0, &EvtchnReset { dom: 0x7ff0 });
        let first = fake.call(
            &guest,
            HYPERVISOR_EVENT_CHANNEL_OP,
            &[EVTCHNOP_RESET.into(), 0],
        );
        assert_eq!(first, Ok(Outcome::Continue([14, 0, 0, 0, 0])));
        assert_eq!(
            fake.call(
                &guest,
                HYPERVISOR_EVENT_CHANNEL_OP,
                &[EVTCHNOP_RESET.into(), 0]
            ),
            Err(Errno::EBUSY)
        );
        assert_eq!(
            fake.call_to_end(&guest, HYPERVISOR_EVENT_CHANNEL_OP, &[14, 0]),
            Ok(Outcome::OK)
        );
        assert!(!guest.events.lock().is_fifo());
        assert_eq!(fake.hv.table.count(frame), 1);
        assert_eq!(dom0.events.lock().peer(crate::ids::Port(40)), None);
    }

    #[test]
    fn running_domain_is_reset_by_nobody_else() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        fake.put(&dom0, 0, &EvtchnReset { dom: guest.id.0 });
        let args = [EVTCHNOP_RESET.into(), 0];
        assert_eq!(
            fake.call(&dom0, HYPERVISOR_EVENT_CHANNEL_OP, &args),
            Err(Errno::EINVAL)
        );
        guest.tool_pauses.store(1, SeqCst);
        assert_eq!(
            fake.call_to_end(&dom0, HYPERVISOR_EVENT_CHANNEL_OP, &args),
            Ok(Outcome::OK)
        );
        fake.put(&guest, 0, &EvtchnReset { dom: 0 });
        assert_eq!(
            fake.call(&guest, HYPERVISOR_EVENT_CHANNEL_OP, &args),
            Err(Errno::EPERM)
        );
        assert_eq!(
            fake.call(&guest, HYPERVISOR_EVENT_CHANNEL_OP, &[14, 0]),
            Err(Errno::EPERM)
        );
    }
}
