//! IA32_APIC_BASE: global enable, boot-processor flag and the transitions between disabled, xAPIC and x2APIC.
//!
//! Legal transitions: Intel SDM vol. 3, "x2APIC State Transitions". The MMIO window stays where it is after reset: the p2m is per domain
//! but this MSR is per vCPU, so, as in Xen 4.20, a guest that tries to move the window gets #GP instead of an APIC that no longer works.

use xen_core::ids::VcpuId;

use super::destination::x2apic_logical_id;
use super::{ApicFault, Effects, Vlapic};

/// Guest physical address of the 4 KiB xAPIC window.
pub const APIC_BASE_ADDRESS: u64 = 0xfee0_0000;

const BSP: u64 = 1 << 8;
const X2APIC: u64 = 1 << 10;
const ENABLE: u64 = 1 << 11;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

pub(super) const fn after_reset(vcpu: VcpuId) -> u64 {
    APIC_BASE_ADDRESS | ENABLE | if vcpu.0 == 0 { BSP } else { 0 }
}

/// Whether a record from a toolstack may set this value.
pub(super) const fn is_consistent(base: u64) -> bool {
    let known = base & !(ADDRESS | BSP | X2APIC | ENABLE) == 0;
    known
        && match base & (ENABLE | X2APIC) {
            0 => true,
            ENABLE => base & ADDRESS == APIC_BASE_ADDRESS,
            X2APIC => false,
            _ => true,
        }
}

impl Vlapic {
    /// IA32_APIC_BASE.
    #[must_use]
    pub const fn apic_base(&self) -> u64 {
        self.base
    }

    /// Whether x2APIC mode is on.
    #[must_use]
    pub const fn is_x2apic(&self) -> bool {
        self.base & X2APIC != 0
    }

    /// Whether IA32_APIC_BASE enables the APIC.
    #[must_use]
    pub const fn is_globally_enabled(&self) -> bool {
        self.base & ENABLE != 0
    }

    /// Guest physical address of the register page; `None` in x2APIC mode or when disabled.
    #[must_use]
    pub const fn mmio_window(&self) -> Option<u64> {
        if self.base & (ENABLE | X2APIC) == ENABLE {
            Some(self.base & ADDRESS)
        } else {
            None
        }
    }

    /// Write of IA32_APIC_BASE. `x2apic_offered`: the guest's CPUID policy has x2APIC.
    ///
    /// # Errors
    /// Reserved bits, an illegal transition, or an xAPIC window elsewhere than at [`APIC_BASE_ADDRESS`].
    pub fn write_apic_base(
        &mut self,
        value: u64,
        x2apic_offered: bool,
    ) -> Result<Effects, ApicFault> {
        if !is_consistent(value) || (value & X2APIC != 0 && !x2apic_offered) {
            return Err(ApicFault);
        }
        let from = self.base & (ENABLE | X2APIC);
        let to = value & (ENABLE | X2APIC);
        match (from, to) {
            (0, ENABLE) => self.reset(),
            (_, 0) => self.timer.halt(),
            _ if from == to => {}
            (ENABLE, _) => {
                self.id = self.initial_id();
                self.ldr = x2apic_logical_id(self.id);
            }
            // From disabled straight to x2APIC, or from x2APIC back to xAPIC.
            _ => return Err(ApicFault),
        }
        self.base = value;
        Ok(Effects {
            base_changed: true,
            timer_changed: from != to,
            destination_changed: from != to,
            ..Effects::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Trigger;
    use super::super::tests::{X2APIC_BASE, at, put, x2apic, xapic};
    use super::*;

    const XAPIC_BASE: u64 = APIC_BASE_ADDRESS | ENABLE;

    #[test]
    fn only_the_legal_transitions_are_taken() {
        let state = |which: u64| {
            let mut apic = Vlapic::new(VcpuId(1));
            if which == X2APIC_BASE {
                assert!(apic.write_apic_base(X2APIC_BASE, true).is_ok());
            } else if which == 0 {
                assert!(apic.write_apic_base(0, true).is_ok());
            }
            apic
        };
        let legal = |from, to| state(from).write_apic_base(to, true).is_ok();
        for from in [0, XAPIC_BASE, X2APIC_BASE] {
            assert!(legal(from, from) && legal(from, 0));
            assert!(!legal(from, X2APIC), "x2APIC without enable");
        }
        assert!(legal(0, XAPIC_BASE) && legal(XAPIC_BASE, X2APIC_BASE));
        assert!(!legal(0, X2APIC_BASE) && !legal(X2APIC_BASE, XAPIC_BASE));
    }

    #[test]
    fn refused_write_changes_nothing() {
        let mut apic = x2apic(2);
        let before = apic.save();
        for value in [
            XAPIC_BASE,
            X2APIC,
            X2APIC_BASE | 1,
            X2APIC_BASE | 1 << 9,
            X2APIC_BASE | 1 << 52,
            u64::MAX,
        ] {
            assert_eq!(apic.write_apic_base(value, true), Err(ApicFault));
        }
        assert_eq!(apic.save(), before);
    }

    #[test]
    fn relocation_of_the_window_is_refused() {
        let mut apic = xapic(0);
        assert_eq!(
            apic.write_apic_base(0xfed0_0000 | ENABLE, true),
            Err(ApicFault)
        );
        assert_eq!(
            apic.write_apic_base(0x1_fee0_0000 | ENABLE, true),
            Err(ApicFault)
        );
        assert!(apic.write_apic_base(XAPIC_BASE | BSP, true).is_ok());
        assert_eq!(apic.mmio_window(), Some(APIC_BASE_ADDRESS));
    }

    #[test]
    fn x2apic_needs_the_cpuid_policy() {
        assert_eq!(xapic(0).write_apic_base(X2APIC_BASE, false), Err(ApicFault));
    }

    #[test]
    fn x2apic_mode_derives_ids_and_has_no_window() {
        let mut apic = xapic(200);
        put(&mut apic, at::ID, 0x1100_0000, 0);
        let effects = apic.write_apic_base(X2APIC_BASE, true).expect("legal");
        assert!(effects.base_changed && effects.destination_changed);
        assert_eq!((apic.apic_id(), apic.mmio_window()), (400, None));
        assert_eq!(apic.read_msr(0x80d, 0), Ok(0x0019_0001));
        assert!(apic.is_enabled());
    }

    #[test]
    fn disabling_stops_the_timer_and_enabling_resets() {
        let mut apic = xapic(0);
        put(&mut apic, at::LVT_TIMER, 0x40, 0);
        put(&mut apic, at::INITIAL, 100, 0);
        apic.accept(0x50, Trigger::Edge);
        assert!(
            apic.write_apic_base(0, true)
                .is_ok_and(|effects| effects.timer_changed)
        );
        assert_eq!(
            (
                apic.next_deadline(),
                apic.highest_pending(),
                apic.accept(0x51, Trigger::Edge)
            ),
            (None, None, false)
        );
        assert!(!apic.tick(u64::MAX));
        assert!(apic.write_apic_base(XAPIC_BASE | BSP, true).is_ok());
        assert_eq!(apic.save(), Vlapic::new(VcpuId(0)).save());
    }

    #[test]
    fn ids_of_any_vcpu_number_do_not_overflow() {
        for vcpu in [0, 127, 128, u32::MAX / 2 + 1, u32::MAX] {
            assert!(x2apic(vcpu).matches(vcpu.wrapping_mul(2), super::super::DestMode::Physical));
        }
    }
}
