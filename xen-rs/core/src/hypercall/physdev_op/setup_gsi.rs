//! `PHYSDEVOP_setup_gsi`: trigger and polarity of a machine interrupt.

use xen_abi::errno::Errno;
use xen_abi::physdev::PhysdevSetupGsi;

use crate::hypercall::{Call, Outcome};

/// More interrupt inputs than the I/O APICs of any machine have.
const MAX_GSI: i32 = 4096;

/// The owner of the hardware programs trigger and polarity in its I/O APIC, where they take effect; hearing of them twice changes nothing.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let setup: PhysdevSetupGsi = call.fetch(call.pointer(1))?;
    if (0..MAX_GSI).contains(&setup.gsi) {
        Ok(Outcome::OK)
    } else {
        Err(Errno::EINVAL)
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::physdev::PHYSDEVOP_SETUP_GSI;

    use super::super::testing::run;
    use super::*;
    use crate::fake_hv::Fake;

    #[test]
    fn negative_number_is_einval() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let setup = |gsi| PhysdevSetupGsi {
            gsi,
            triggering: 1,
            polarity: 1,
            ..PhysdevSetupGsi::default()
        };
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_SETUP_GSI, &setup(16)),
            Ok(Outcome::OK)
        );
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_SETUP_GSI, &setup(-1)),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            run(&fake, &dom0, PHYSDEVOP_SETUP_GSI, &setup(i32::MAX)),
            Err(Errno::EINVAL)
        );
    }
}
