//! `XEN_SYSCTL_debug_keys`: presses keys of the hypervisor's console.

use xen_abi::errno::Errno;
use xen_abi::sysctl::SysctlDebugKeys;

use super::SysctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::ids::GuestAddr;

/// Keys in one call at most; Xen has no limit, tools send a handful.
const MAX_KEYS: usize = 32;

/// Presses the keys one after the other; what they print goes to the console.
///
/// # Errors
/// `E2BIG` for more than 32 keys, `EFAULT`.
pub fn run(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let op: SysctlDebugKeys = frame.payload.get();
    let keys = call.fetch_bytes(GuestAddr(op.keys), op.nr_keys as usize, MAX_KEYS)?;
    keys.iter().for_each(|&key| call.hv.press_debug_key(key));
    Ok(Copyback::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;
    use xen_abi::sysctl::XEN_SYSCTL_DEBUG_KEYS;

    #[test]
    fn keys_are_pressed_in_order_and_unknown_ones_do_no_harm() {
        let (fake, dom0) = machine();
        let _guest = fake.domain(2);
        fake.put(&dom0, BUFFER, b"hqregm*d\x00\xff!");
        let op = |nr_keys, keys| SysctlDebugKeys {
            keys,
            nr_keys,
            ..SysctlDebugKeys::default()
        };
        done(&fake, &dom0, XEN_SYSCTL_DEBUG_KEYS, &op(11, BUFFER));
        assert_eq!(fake.arch.debug_keys(), b"d\x00\xff!");
        done(&fake, &dom0, XEN_SYSCTL_DEBUG_KEYS, &op(0, 0));
        assert_eq!(
            fails(&fake, &dom0, XEN_SYSCTL_DEBUG_KEYS, &op(u32::MAX, BUFFER)),
            Errno::E2BIG
        );
        assert_eq!(
            fails(&fake, &dom0, XEN_SYSCTL_DEBUG_KEYS, &op(1, NOWHERE)),
            Errno::EFAULT
        );
    }
}
