//! xAPIC access: a page of 32-bit registers, 16 bytes apart.
//!
//! Aligned 32-bit accesses are the architecture's; as on some processors, and in Xen, any access that lies within one register works.
//! All others read 0 and are ignored when written.

use super::regs::Reg;
use super::{Effects, Vlapic};

impl Vlapic {
    /// Read of `width` bytes at `offset` in the register page. Outside xAPIC mode there is no page: 0.
    #[must_use]
    pub fn read_mmio(&self, offset: u16, width: u8, now_ns: u64) -> u32 {
        match self.field_at(offset, width) {
            Some(field) => (self.read_register(field.reg, now_ns) >> field.shift) & field.mask,
            None => 0,
        }
    }

    /// Write of the low `width` bytes of `value` at `offset` in the register page.
    pub fn write_mmio(&mut self, offset: u16, width: u8, value: u32, now_ns: u64) -> Effects {
        let Some(field) = self.field_at(offset, width) else {
            return Effects::default();
        };
        let kept = match field.mask {
            u32::MAX => 0,
            mask => self.read_register(field.reg, now_ns) & !(mask << field.shift),
        };
        self.write_register(
            field.reg,
            kept | (value & field.mask) << field.shift,
            now_ns,
        )
    }

    fn field_at(&self, offset: u16, width: u8) -> Option<Field> {
        let mask = match width {
            1 => 0xff,
            2 => 0xffff,
            4 => u32::MAX,
            _ => return None,
        };
        let (reg, byte) = (Reg(offset & !0xf), offset & 0xf);
        let inside = byte + u16::from(width) <= 4
            && reg <= Reg::TIMER_DIVIDE
            && self.mmio_window().is_some();
        inside.then_some(Field {
            reg,
            shift: u32::from(byte) * 8,
            mask,
        })
    }
}

/// Part of a register.
struct Field {
    reg: Reg,
    shift: u32,
    mask: u32,
}

#[cfg(test)]
mod tests {
    use super::super::Trigger;
    use super::super::tests::{Noise, X2APIC_BASE, at, put, x2apic, xapic};
    use super::*;

    #[test]
    fn narrow_accesses_inside_a_register_work() {
        let mut apic = xapic(0);
        put(&mut apic, at::INITIAL, 0x1122_3344, 0);
        assert_eq!(apic.read_mmio(at::INITIAL + 1, 1, 0), 0x33);
        assert_eq!(apic.read_mmio(at::INITIAL + 2, 2, 0), 0x1122);
        let _ = apic.write_mmio(at::INITIAL + 3, 1, 0xffff_ffaa, 0);
        let _ = apic.write_mmio(at::INITIAL, 2, 0xffff_bbcc, 0);
        assert_eq!(apic.read_mmio(at::INITIAL, 4, 0), 0xaa22_bbcc);
    }

    #[test]
    fn accesses_across_registers_or_of_odd_width_do_nothing() {
        let mut apic = xapic(0);
        put(&mut apic, at::TPR, 0x55, 0);
        for (offset, width) in [
            (at::TPR, 8),
            (at::TPR, 3),
            (at::TPR, 0),
            (at::TPR + 1, 4),
            (at::TPR + 3, 2),
            (at::TPR + 4, 1),
            (at::TPR, 255),
        ] {
            assert_eq!(apic.read_mmio(offset, width, 0), 0);
            assert_eq!(apic.write_mmio(offset, width, 0xff, 0), Effects::default());
        }
        assert_eq!(apic.tpr(), 0x55);
    }

    #[test]
    fn read_only_and_missing_registers_ignore_writes() {
        let mut apic = xapic(0);
        let before = apic.save();
        for offset in [
            0x00, 0x30, 0x90, 0xa0, 0xc0, 0x100, 0x180, 0x270, 0x2f0, 0x390, 0x3a0, 0x3f0, 0x400,
            0xff0, 0xfff0,
        ] {
            assert_eq!(apic.write_mmio(offset, 4, u32::MAX, 0), Effects::default());
        }
        assert_eq!(apic.save(), before);
    }

    #[test]
    fn vector_registers_show_request_service_and_trigger() {
        let mut apic = xapic(0);
        apic.accept(0x51, Trigger::Level);
        assert_eq!(
            [0x120, 0x1a0, 0x220].map(|offset| apic.read_mmio(offset, 4, 0)),
            [0, 1 << 17, 1 << 17]
        );
        apic.acknowledge(0x51);
        assert_eq!(
            [0x120, 0x1a0, 0x220].map(|offset| apic.read_mmio(offset, 4, 0)),
            [1 << 17, 1 << 17, 0]
        );
    }

    #[test]
    fn there_is_no_page_in_x2apic_mode() {
        let mut apic = x2apic(0);
        assert_eq!(apic.read_mmio(0x30, 4, 0), 0);
        assert_eq!(apic.write_mmio(at::TPR, 4, 0x50, 0), Effects::default());
        assert_eq!(apic.tpr(), 0);
    }

    fn any_operation(apic: &mut Vlapic, noise: &mut Noise, value: u64, now_ns: u64) {
        let narrow = noise.next();
        let bases = [value, X2APIC_BASE, X2APIC_BASE & !0x400, 0];
        match noise.next() % 12 {
            0 => _ = apic.write_apic_base(bases[(narrow % 4) as usize], value & 1 != 0),
            1..4 => _ = apic.write_msr(0x7f0 + (narrow % 0x60) as u32, value, now_ns),
            4 => _ = apic.read_msr(0x7f0 + (narrow % 0x60) as u32, now_ns),
            5 => _ = apic.write_tsc_deadline(value, narrow, now_ns, |ticks| ticks),
            6 => _ = apic.accept(value as u8, Trigger::from_bit(narrow & 1 != 0)),
            7 => apic
                .highest_pending()
                .into_iter()
                .for_each(|vector| apic.acknowledge(vector)),
            8 => _ = apic.tick(now_ns),
            9 => _ = apic.read_mmio(value as u16, (narrow % 9) as u8, now_ns),
            10 => _ = apic.write_mmio(value as u16, (narrow % 9) as u8, narrow as u32, now_ns),
            _ => _ = apic.write_mmio((narrow % 0x420) as u16 & 0xfff0, 4, value as u32, now_ns),
        }
    }

    #[test]
    fn any_sequence_of_accesses_is_survived() {
        let mut noise = Noise(0x2545_f491_4f6c_dd1d);
        for mut apic in [xapic(1), x2apic(77)] {
            let mut now_ns = 0u64;
            for _ in 0..60_000 {
                let value = noise.next() >> (noise.next() % 64);
                now_ns = if noise.next().is_multiple_of(1000) {
                    value
                } else {
                    now_ns.wrapping_add(noise.next() % 100_000)
                };
                any_operation(&mut apic, &mut noise, value, now_ns);
                assert!(apic.highest_requested().is_none_or(|vector| vector >= 16));
                assert!(apic.next_deadline().is_none() || apic.is_enabled());
            }
        }
    }
}
