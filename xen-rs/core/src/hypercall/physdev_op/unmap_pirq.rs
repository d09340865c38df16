//! `PHYSDEVOP_unmap_pirq`: undoes [`super::map_pirq`].

use xen_abi::errno::Errno;
use xen_abi::physdev::PhysdevUnmapPirq;

use crate::hypercall::{Call, Outcome};

/// Nothing is ever mapped: `EINVAL`, as for any number without an interrupt.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let request: PhysdevUnmapPirq = call.fetch(call.pointer(1))?;
    call.target(request.domid)?;
    Err(if call.domain.privileged {
        Errno::EINVAL
    } else {
        Errno::EPERM
    })
}

#[cfg(test)]
mod tests {
    use xen_abi::physdev::PHYSDEVOP_UNMAP_PIRQ;

    use super::super::testing::run;
    use super::*;
    use crate::fake_hv::Fake;

    #[test]
    fn nothing_can_be_unmapped() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        let own = PhysdevUnmapPirq {
            domid: 0x7ff0,
            pirq: 16,
            ..PhysdevUnmapPirq::default()
        };
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_UNMAP_PIRQ, &own),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            run(&fake, &guest, PHYSDEVOP_UNMAP_PIRQ, &own),
            Err(Errno::EPERM)
        );
    }
}
