//! `XENPF_get_dom0_console`: the screen that dom0 may use.

use xen_abi::errno::Errno;
use xen_abi::xen::Dom0VgaConsoleInfo;

use super::{Payload, reply};
use crate::hypercall::{Call, Outcome};

/// Result: bytes of the description. `ENODEV` if the hypervisor knows of no screen.
pub fn run(call: &mut Call<'_>, _payload: &Payload) -> Result<Outcome, Errno> {
    let screen = call.hv.arch.dom0_screen().ok_or(Errno::ENODEV)?;
    reply(call, &screen)?;
    Ok(Outcome::Done(size_of::<Dom0VgaConsoleInfo>() as i64))
}

#[cfg(test)]
mod tests {
    use xen_abi::platform::XENPF_GET_DOM0_CONSOLE as OP;

    use super::*;
    use crate::fake_hv::Fake;
    use crate::hypercall::platform_op::testing;

    #[test]
    fn machine_without_a_screen_is_enodev() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        assert_eq!(testing::run(&fake, &dom0, OP, &0u64), Err(Errno::ENODEV));
    }

    #[test]
    fn description_and_its_length_come_back() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        fake.arch.set_screen(Dom0VgaConsoleInfo {
            video_type: 3,
            bits_per_pixel: 25,
            ..Dom0VgaConsoleInfo::default()
        });
        assert_eq!(testing::run(&fake, &dom0, OP, &0u64), Ok(Outcome::Done(40)));
        let screen: Dom0VgaConsoleInfo = testing::reply(&fake, &dom0);
        assert_eq!((screen.video_type, screen.bits_per_pixel), (3, 25));
    }
}
