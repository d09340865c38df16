//! x2APIC access: the registers as MSRs 0x800-0x83f, with #GP for everything that is not there or reserved.
//!
//! Readability and reserved bits: Intel SDM vol. 3, "x2APIC Register Address Space" and "Reserved Bit Checking".

use super::regs::{Lvt, Reg, TIMER_DIVIDE_DEFINED, icr, spiv};
use super::{ApicFault, Effects, Vlapic};

const FIRST_MSR: u32 = 0x800;
const LAST_MSR: u32 = 0x83f;

impl Vlapic {
    /// RDMSR of 0x800-0x83f.
    ///
    /// # Errors
    /// Not in x2APIC mode, no such register, or a write-only one.
    pub fn read_msr(&self, msr: u32, now_ns: u64) -> Result<u64, ApicFault> {
        let reg = self.register_of(msr)?;
        let low = u64::from(self.read_register(reg, now_ns));
        match reg {
            Reg::ICR => Ok(u64::from(self.icr2) << 32 | low),
            _ if is_readable(reg) => Ok(low),
            _ => Err(ApicFault),
        }
    }

    /// WRMSR to 0x800-0x83f.
    ///
    /// # Errors
    /// Not in x2APIC mode, no such register, a read-only one, or reserved bits set.
    pub fn write_msr(&mut self, msr: u32, value: u64, now_ns: u64) -> Result<Effects, ApicFault> {
        let reg = self.register_of(msr)?;
        if value & !writable_bits(reg).ok_or(ApicFault)? != 0 {
            return Err(ApicFault);
        }
        let low = value as u32;
        match reg {
            Reg::ICR => self.icr2 = (value >> 32) as u32,
            Reg::SELF_IPI => {
                return Ok(self.write_register(Reg::ICR, low | icr::SHORTHAND_SELF, now_ns));
            }
            _ => {}
        }
        Ok(self.write_register(reg, low, now_ns))
    }

    fn register_of(&self, msr: u32) -> Result<Reg, ApicFault> {
        if !self.is_x2apic() || !(FIRST_MSR..=LAST_MSR).contains(&msr) {
            return Err(ApicFault);
        }
        // At most 0x3f0.
        Ok(Reg(((msr - FIRST_MSR) << 4) as u16))
    }
}

fn is_readable(reg: Reg) -> bool {
    match reg {
        Reg::ID
        | Reg::VERSION
        | Reg::TPR
        | Reg::PPR
        | Reg::LDR
        | Reg::SPIV
        | Reg::ESR
        | Reg::ICR => true,
        Reg::TIMER_INITIAL | Reg::TIMER_CURRENT | Reg::TIMER_DIVIDE => true,
        // There is no CMCI entry (the version register counts six), but as in Xen it reads as 0.
        Reg::CMCI => true,
        _ => reg.is_vectors() || reg.lvt().is_some(),
    }
}

/// Bits that may be set in a write; `None` for a register that cannot be written.
fn writable_bits(reg: Reg) -> Option<u64> {
    let low = match reg {
        Reg::TPR | Reg::SELF_IPI => 0xff,
        Reg::EOI | Reg::ESR => 0,
        Reg::SPIV => spiv::DEFINED,
        Reg::ICR => return Some(0xffff_ffff_0000_0000 | u64::from(icr::DEFINED)),
        Reg::CMCI => Lvt::Thermal.defined(),
        Reg::TIMER_INITIAL => u32::MAX,
        Reg::TIMER_DIVIDE => TIMER_DIVIDE_DEFINED,
        _ => reg.lvt()?.defined(),
    };
    Some(u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{x2apic, xapic};
    use super::super::{DestMode, Trigger};
    use super::*;

    #[test]
    fn msrs_fault_outside_x2apic_mode() {
        let mut apic = xapic(0);
        for msr in 0x800..0x840 {
            assert_eq!(
                (apic.read_msr(msr, 0), apic.write_msr(msr, 0, 0)),
                (Err(ApicFault), Err(ApicFault))
            );
        }
    }

    #[test]
    fn exactly_the_architectural_registers_can_be_read() {
        let apic = x2apic(0);
        let readable = |msr: u32| {
            let plain = matches!(
                msr,
                0x802 | 0x803 | 0x808 | 0x80a | 0x80d | 0x80f | 0x82f | 0x830 | 0x83e
            );
            plain || matches!(msr, 0x810..=0x828 | 0x832..=0x839)
        };
        for msr in 0x7f0..0x910 {
            assert_eq!(apic.read_msr(msr, 0).is_ok(), readable(msr), "{msr:#x}");
        }
    }

    #[test]
    fn exactly_the_architectural_registers_can_be_written() {
        let mut apic = x2apic(0);
        let writable = |msr: u32| {
            matches!(
                msr,
                0x808 | 0x80b | 0x80f | 0x828 | 0x82f | 0x830 | 0x832..=0x838 | 0x83e | 0x83f
            )
        };
        for msr in 0x7f0..0x910 {
            assert_eq!(apic.write_msr(msr, 0, 0).is_ok(), writable(msr), "{msr:#x}");
        }
    }

    #[test]
    fn reserved_bits_fault_and_change_nothing() {
        let mut apic = x2apic(0);
        let before = apic.save();
        let cases = [
            (0x808, 0x100),
            (0x80b, 1),
            (0x80f, 1 << 12),
            (0x828, 1),
            (0x830, 1 << 13),
            (0x830, 1 << 12),
            (0x832, 1 << 19),
            (0x833, 1 << 15),
            (0x835, 1 << 11),
            (0x837, 1 << 8),
            (0x838, 1 << 32),
            (0x83e, 4),
            (0x83f, 0x100),
        ];
        for (msr, value) in cases {
            assert_eq!(apic.write_msr(msr, value, 0), Err(ApicFault), "{msr:#x}");
        }
        assert_eq!(apic.save(), before);
    }

    #[test]
    fn icr_is_one_64_bit_register() {
        let mut apic = x2apic(0);
        let ipi = apic
            .write_msr(0x830, 0x0001_0004_0000_0840, 0)
            .ok()
            .and_then(|effects| effects.ipi)
            .expect("sent");
        assert_eq!(
            (
                ipi.delivery.dest,
                ipi.delivery.dest_mode,
                ipi.delivery.vector
            ),
            (0x0001_0004, DestMode::Logical, 0x40)
        );
        assert_eq!(apic.read_msr(0x830, 0), Ok(0x0001_0004_0000_0840));
    }

    #[test]
    fn self_ipi_is_taken_here() {
        let mut apic = x2apic(0);
        assert_eq!(apic.write_msr(0x83f, 0x77, 0), Ok(Effects::default()));
        assert_eq!(apic.highest_pending(), Some(0x77));
    }

    #[test]
    fn eoi_and_timer_work_as_in_xapic_mode() {
        let mut apic = x2apic(0);
        apic.accept(0x51, Trigger::Level);
        apic.acknowledge(0x51);
        let ended = apic
            .write_msr(0x80b, 0, 0)
            .ok()
            .and_then(|effects| effects.eoi);
        assert_eq!(
            ended.map(|eoi| (eoi.vector, eoi.trigger)),
            Some((0x51, Trigger::Level))
        );
        for (msr, value) in [(0x83e, 0b1011), (0x832, 0x40), (0x838, 100)] {
            assert!(apic.write_msr(msr, value, 0).is_ok());
        }
        assert_eq!(
            (apic.next_deadline(), apic.read_msr(0x839, 400)),
            (Some(1_000), Ok(60))
        );
    }
}
