//! Migration records of the vLAPIC in Xen's layout: LAPIC (hidden state, 32 bytes) and LAPIC_REGS (register page, 1024 bytes).
//!
//! Layout: xen/include/public/arch-x86/hvm/save.h, types 5 and 6. The two may be loaded in either order. A running timer starts its full
//! count again when the registers are loaded; a TSC deadline waits for [`super::Vlapic::rearm_tsc_deadline`].

use super::regs::{DFR_FIXED_ONES, Lvt, Reg, esr, icr, lvt, spiv};
use super::vectors::VectorSet;
use super::{Vlapic, base};

/// The record is not one that a vLAPIC can be in: EINVAL for the toolstack.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RecordError;

/// Offsets in the LAPIC record. Bytes 28-31 are padding.
mod hidden {
    pub const BASE: usize = 0;
    pub const DISABLED: usize = 8;
    pub const DIVISOR: usize = 12;
    pub const TSC_DEADLINE: usize = 16;
    pub const PENDING_ESR: usize = 24;
    pub const GLOBALLY_DISABLED: u32 = 1;
    pub const SOFTWARE_DISABLED: u32 = 2;
}

impl Vlapic {
    /// Both records: LAPIC, LAPIC_REGS. Drain the mailbox first.
    #[must_use]
    pub fn save(&self) -> ([u8; 32], [u8; 1024]) {
        (self.save_hidden(), self.save_registers())
    }

    /// The LAPIC record.
    #[must_use]
    pub fn save_hidden(&self) -> [u8; 32] {
        let globally = if self.is_globally_enabled() {
            0
        } else {
            hidden::GLOBALLY_DISABLED
        };
        let software = if self.spiv & spiv::ENABLED != 0 {
            0
        } else {
            hidden::SOFTWARE_DISABLED
        };
        let mut record = [0; 32];
        put(&mut record, hidden::BASE, &self.base.to_le_bytes());
        put(
            &mut record,
            hidden::DISABLED,
            &(globally | software).to_le_bytes(),
        );
        put(
            &mut record,
            hidden::DIVISOR,
            &self.timer.divisor().to_le_bytes(),
        );
        put(
            &mut record,
            hidden::TSC_DEADLINE,
            &self.timer.armed_tsc_deadline().to_le_bytes(),
        );
        put(
            &mut record,
            hidden::PENDING_ESR,
            &self.pending_esr.to_le_bytes(),
        );
        record
    }

    /// The LAPIC_REGS record. The current count is not part of it.
    #[must_use]
    pub fn save_registers(&self) -> [u8; 1024] {
        let mut page = [0; 1024];
        for offset in (0..1024u16).step_by(16) {
            let value = match Reg(offset) {
                Reg::TIMER_CURRENT => 0,
                reg => self.read_register(reg, 0),
            };
            put(&mut page, usize::from(offset), &value.to_le_bytes());
        }
        page
    }

    /// Loads both records; see [`Self::load_hidden`] and [`Self::load_registers`].
    ///
    /// # Errors
    /// [`RecordError`] as from [`Self::load_hidden`]; nothing is loaded then.
    pub fn load(
        &mut self,
        hidden: &[u8; 32],
        registers: &[u8; 1024],
        now_ns: u64,
    ) -> Result<(), RecordError> {
        self.load_hidden(hidden)?;
        self.load_registers(registers, now_ns);
        Ok(())
    }

    /// Loads a LAPIC record. The destination changes.
    ///
    /// Enablement and divisor are taken from APIC_BASE and from the register page, which say the same.
    ///
    /// # Errors
    /// [`RecordError`] if APIC_BASE has reserved bits, x2APIC without enable, or an xAPIC window elsewhere than at the default address.
    pub fn load_hidden(&mut self, record: &[u8; 32]) -> Result<(), RecordError> {
        let base = get_u64(record, hidden::BASE);
        if !base::is_consistent(base) {
            return Err(RecordError);
        }
        self.base = base;
        self.timer
            .restore_tsc_deadline(get_u64(record, hidden::TSC_DEADLINE));
        self.pending_esr = get_u32(record, hidden::PENDING_ESR) & esr::DEFINED;
        Ok(())
    }

    /// Loads a LAPIC_REGS record. Destination and timer change. Bits that no guest could have set are dropped.
    pub fn load_registers(&mut self, page: &[u8; 1024], now_ns: u64) {
        let register = |reg: Reg| get_u32(page, usize::from(reg.0));
        self.id = register(Reg::ID);
        self.ldr = register(Reg::LDR);
        self.dfr = register(Reg::DFR) | DFR_FIXED_ONES;
        self.tpr = register(Reg::TPR) as u8;
        self.spiv = register(Reg::SPIV) & spiv::DEFINED;
        self.esr = register(Reg::ESR) & esr::DEFINED;
        self.icr = register(Reg::ICR) & icr::DEFINED;
        self.icr2 = register(Reg::ICR2);
        self.isr = vectors_at(page, Reg::ISR);
        self.tmr = vectors_at(page, Reg::TMR);
        self.irr = vectors_at(page, Reg::IRR);
        let forced = if self.spiv & spiv::ENABLED == 0 {
            lvt::MASKED
        } else {
            0
        };
        for (entry, offset) in Lvt::ALL.into_iter().zip((Reg::LVT_TIMER.0..).step_by(16)) {
            self.lvt[entry.index()] = (register(Reg(offset)) & entry.writable()) | forced;
        }
        let mode = self.timer_mode();
        self.timer.restore(
            register(Reg::TIMER_INITIAL),
            register(Reg::TIMER_DIVIDE),
            mode,
            now_ns,
        );
    }
}

fn vectors_at(page: &[u8; 1024], first: Reg) -> VectorSet {
    let mut set = VectorSet::EMPTY;
    for word in 0..8 {
        set.merge_word(
            word,
            get_u32(page, usize::from(first.0) + word * 16),
            u32::MAX,
        );
    }
    set.without_reserved()
}

fn put(record: &mut [u8], offset: usize, bytes: &[u8]) {
    for (to, from) in record.iter_mut().skip(offset).zip(bytes) {
        *to = *from;
    }
}

fn get_u32(record: &[u8], offset: usize) -> u32 {
    record
        .get(offset..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn get_u64(record: &[u8], offset: usize) -> u64 {
    record
        .get(offset..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use xen_core::ids::VcpuId;

    use super::super::tests::{Noise, at, put as write, x2apic, xapic};
    use super::super::{DestMode, Trigger};
    use super::*;

    #[test]
    fn records_restore_the_state() {
        let mut source = xapic(3);
        for (offset, value) in [
            (at::TPR, 0x20),
            (at::LDR, 0x0800_0000),
            (at::LVT_TIMER, 0x2_0040),
            (at::DIVIDE, 0b1011),
            (at::ICR2, 0x0500_0000),
        ] {
            write(&mut source, offset, value, 0);
        }
        write(&mut source, at::INITIAL, 100_000, 0);
        source.accept(0x51, Trigger::Level);
        source.acknowledge(0x51);
        source.accept(0x61, Trigger::Edge);
        source.accept(1, Trigger::Edge);
        let (hidden, registers) = source.save();
        let mut target = Vlapic::new(VcpuId(3));
        assert_eq!(target.load(&hidden, &registers, 7_000), Ok(()));
        assert_eq!(target.save(), (hidden, registers));
        assert_eq!((target.highest_pending(), target.ppr()), (Some(0x61), 0x50));
        assert_eq!(
            (target.next_deadline(), target.destination()),
            (Some(1_007_000), source.destination())
        );
    }

    #[test]
    fn hidden_record_has_the_published_layout() {
        let mut apic = Vlapic::new(VcpuId(0));
        write(&mut apic, at::DIVIDE, 3, 0);
        let record = apic.save_hidden();
        assert_eq!(
            record[..16],
            [0, 9, 0xe0, 0xfe, 0, 0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0]
        );
        assert_eq!(record[16..], [0; 16]);
        assert!(apic.write_apic_base(0, true).is_ok());
        assert_eq!(apic.save_hidden()[8], 3);
    }

    #[test]
    fn records_load_in_either_order() {
        let (hidden, registers) = x2apic(5).save();
        let mut target = Vlapic::new(VcpuId(5));
        target.load_registers(&registers, 0);
        assert_eq!(target.load_hidden(&hidden), Ok(()));
        assert_eq!(target.save(), (hidden, registers));
        assert_eq!(target.destination(), x2apic(5).destination());
    }

    #[test]
    fn impossible_base_is_refused_and_nothing_is_loaded() {
        let mut apic = xapic(0);
        let before = apic.save();
        for base in [0x400u64, 0xfed0_0800, 0xfee0_0801, u64::MAX] {
            let mut hidden = before.0;
            put(&mut hidden, 0, &base.to_le_bytes());
            assert_eq!(apic.load(&hidden, &[0; 1024], 0), Err(RecordError));
        }
        assert_eq!(apic.save(), before);
    }

    #[test]
    fn logical_id_from_older_xen_is_kept_and_a_broken_one_repaired() {
        let load = |ldr: u32| {
            let (hidden, mut registers) = x2apic(9).save();
            put(&mut registers, 0xd0, &ldr.to_le_bytes());
            let mut apic = Vlapic::new(VcpuId(9));
            assert_eq!(apic.load(&hidden, &registers, 0), Ok(()));
            apic
        };
        assert_eq!(load(0x200).read_msr(0x80d, 0), Ok(0x200));
        assert!(load(0x200).matches(0x200, DestMode::Logical));
        assert_eq!(load(1).read_msr(0x80d, 0), Ok(0x0001_0004));
        assert!(load(1).matches(0x0001_0004, DestMode::Logical));
    }

    #[test]
    fn any_bytes_are_loaded_or_refused() {
        let mut noise = Noise(0x1234_5678_9abc_def1);
        for round in 0..200 {
            let mut hidden = [0; 32];
            let mut registers = [0; 1024];
            hidden
                .iter_mut()
                .chain(&mut registers)
                .for_each(|byte| *byte = noise.next() as u8);
            if round % 2 == 0 {
                put(
                    &mut hidden,
                    0,
                    &(super::super::APIC_BASE_ADDRESS | 0x800).to_le_bytes(),
                );
            }
            let mut apic = xapic(1);
            let loaded = apic.load(&hidden, &registers, noise.next());
            assert!(loaded.is_ok() || round % 2 == 1);
            let _ = apic.tick(u64::MAX);
            let _ = apic.read_mmio(at::CURRENT, 4, noise.next());
            assert!(apic.highest_requested().is_none_or(|vector| vector >= 16));
            let (hidden, registers) = apic.save();
            assert_eq!(apic.load(&hidden, &registers, 0), Ok(()));
        }
    }
}
