//! Memory type range registers and the page attribute table of one vCPU.
//!
//! They are remembered and checked, no more: with AMD's nested paging the guest's MTRRs have no effect, and the PAT is the guest's own.
//!
//! Semantics: AMD APM vol. 2, "Memory-Type Range Registers" and "Page-Attribute Table Mechanism"; record: `public/arch-x86/hvm/save.h`.

use xen_abi::errno::Errno;
use xen_abi::hvm::save::HvmHwMtrr;

use super::decision::{MsrRead, MsrWrite};
use super::numbers::mtrr as msr;

/// Most variable ranges a vCPU can have; only dom0, which copies the host's, may have more than [`GUEST_RANGES`].
pub const MAX_RANGES: usize = 10;
/// Variable ranges of a guest, and of the migration record.
pub const GUEST_RANGES: usize = 8;
/// Fixed-range registers.
pub const FIXED: usize = 11;

const CAP_FIXED: u64 = 1 << 8;
const CAP_WRITE_COMBINING: u64 = 1 << 10;
const CAP_COUNT: u64 = 0xff;
const ENABLE: u64 = 1 << 11;
const ENABLE_FIXED: u64 = 1 << 10;
const DEF_TYPE_DEFINED: u64 = ENABLE | ENABLE_FIXED | 0xff;
const BASE_RESERVED: u64 = 0xf00;
const MASK_RESERVED: u64 = 0x7ff;
const RESET_PAT: u64 = 0x0007_0406_0007_0406;

/// Uncached, write-combining, write-through, write-protected, write-back.
const fn is_memory_type(byte: u8) -> bool {
    matches!(byte, 0 | 1 | 4 | 5 | 6)
}

/// A PAT may also have 7, uncached unless the MTRRs say write-combining.
fn is_pat(value: u64) -> bool {
    value
        .to_le_bytes()
        .into_iter()
        .all(|byte| byte == 7 || is_memory_type(byte))
}

/// The host's registers, for dom0's copy.
#[derive(Clone, Debug, Default)]
pub struct HostMtrr<'a> {
    /// Base and mask of each variable range.
    pub ranges: &'a [[u64; 2]],
    /// Fixed ranges, lowest addresses first.
    pub fixed: [u64; FIXED],
    /// MTRR_DEF_TYPE.
    pub def_type: u64,
}

/// Memory types of a vCPU. Every register holds a value its vCPU could have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mtrr {
    pat: u64,
    def_type: u64,
    fixed: [u64; FIXED],
    ranges: [[u64; 2]; MAX_RANGES],
    count: u8,
}

impl Default for Mtrr {
    fn default() -> Self {
        Self {
            pat: RESET_PAT,
            def_type: 0,
            fixed: [0; FIXED],
            ranges: [[0; 2]; MAX_RANGES],
            count: GUEST_RANGES as u8,
        }
    }
}

impl Mtrr {
    /// A copy of the host's, for dom0. Ranges beyond [`MAX_RANGES`] and values that make no sense are left out.
    #[must_use]
    pub fn from_host(host: &HostMtrr<'_>, address_bits: u32) -> Self {
        let count = host.ranges.len().min(MAX_RANGES);
        let mut mtrr = Self {
            count: count as u8,
            ..Self::default()
        };
        // A mask covers the host's address bits, of which the vCPU may have fewer.
        let present = !u64::MAX.checked_shl(address_bits).unwrap_or(0);
        for (number, [base, mask]) in (msr::VARIABLE..).step_by(2).zip(&host.ranges[..count]) {
            mtrr.write(number, *base, address_bits);
            mtrr.write(number + 1, *mask & present, address_bits);
        }
        for (slot, &value) in mtrr.fixed.iter_mut().zip(&host.fixed) {
            if value.to_le_bytes().into_iter().all(is_memory_type) {
                *slot = value;
            }
        }
        mtrr.write(msr::DEF_TYPE, host.def_type, address_bits);
        mtrr
    }

    /// Page attribute table.
    #[must_use]
    pub const fn pat(&self) -> u64 {
        self.pat
    }

    /// MTRR_DEF_TYPE.
    #[must_use]
    pub const fn def_type(&self) -> u64 {
        self.def_type
    }

    /// MTRR_DEF_TYPE of a domain that starts without firmware: everything write-back.
    pub const fn enable_write_back(&mut self) {
        self.def_type = ENABLE | 6;
    }

    const fn cap(&self) -> u64 {
        CAP_WRITE_COMBINING | CAP_FIXED | self.count as u64
    }

    pub(super) fn write_pat(&mut self, value: u64) -> MsrWrite {
        if !is_pat(value) {
            return MsrWrite::Fault;
        }
        self.pat = value;
        MsrWrite::Pat(value)
    }

    pub(super) fn read(&self, number: u32) -> MsrRead {
        let value = match number {
            msr::CAP => Some(self.cap()),
            msr::DEF_TYPE => Some(self.def_type),
            _ => fixed_index(number)
                .map(|index| self.fixed[index])
                .or_else(|| {
                    self.range_place(number)
                        .map(|(at, half)| self.ranges[at][half])
                }),
        };
        value.map_or(MsrRead::Fault, MsrRead::Value)
    }

    /// `address_bits`: width of the guest's physical addresses, 32 to 52.
    pub(super) fn write(&mut self, number: u32, value: u64, address_bits: u32) -> MsrWrite {
        let (slot, valid, in_force) = if number == msr::DEF_TYPE {
            let valid = value & !DEF_TYPE_DEFINED == 0 && is_memory_type(value as u8);
            (&mut self.def_type, valid, true)
        } else if let Some(index) = fixed_index(number) {
            let valid = value.to_le_bytes().into_iter().all(is_memory_type);
            let both = ENABLE | ENABLE_FIXED;
            (&mut self.fixed[index], valid, self.def_type & both == both)
        } else if let Some((at, half)) = self.range_place(number) {
            let low = if half == 0 {
                BASE_RESERVED
            } else {
                MASK_RESERVED
            };
            let high = u64::MAX.checked_shl(address_bits).unwrap_or(0);
            let valid = value & (low | high) == 0 && is_memory_type(value as u8);
            (
                &mut self.ranges[at][half],
                valid,
                self.def_type & ENABLE != 0,
            )
        } else {
            return MsrWrite::Fault;
        };
        if !valid {
            return MsrWrite::Fault;
        }
        let changed = core::mem::replace(slot, value) != value;
        if changed && in_force {
            MsrWrite::MemoryTypes
        } else {
            MsrWrite::Done
        }
    }

    /// Index and half (base, mask) of a variable-range register.
    fn range_place(&self, number: u32) -> Option<(usize, usize)> {
        let offset = number.checked_sub(msr::VARIABLE)? as usize;
        (offset / 2 < usize::from(self.count)).then_some((offset / 2, offset % 2))
    }

    /// The MTRR record.
    ///
    /// # Errors
    /// `EINVAL`: more ranges than fit, which only dom0 can have.
    pub fn save(&self) -> Result<HvmHwMtrr, Errno> {
        if usize::from(self.count) > GUEST_RANGES {
            return Err(Errno::EINVAL);
        }
        let mut record = HvmHwMtrr {
            msr_pat_cr: self.pat,
            msr_mtrr_fixed: self.fixed,
            msr_mtrr_cap: self.cap(),
            msr_mtrr_def_type: self.def_type,
            ..HvmHwMtrr::default()
        };
        let ranges = self.ranges[..GUEST_RANGES].as_flattened();
        record.msr_mtrr_var.copy_from_slice(ranges);
        Ok(record)
    }

    /// What a record describes. The host's address width does not matter: a domain may have been saved on a wider one.
    ///
    /// # Errors
    /// `EINVAL`: too many ranges, or a value no vCPU can have.
    pub fn load(record: &HvmHwMtrr) -> Result<Self, Errno> {
        const WIDEST: u32 = 52;
        let count = record.msr_mtrr_cap & CAP_COUNT;
        if count > GUEST_RANGES as u64 {
            return Err(Errno::EINVAL);
        }
        let mut mtrr = Self {
            count: count as u8,
            ..Self::default()
        };
        let used = 2 * count as usize;
        let variable = (msr::VARIABLE..).zip(&record.msr_mtrr_var[..used]);
        let fixed = FIXED_NUMBERS.into_iter().zip(&record.msr_mtrr_fixed);
        let def_type = [(msr::DEF_TYPE, &record.msr_mtrr_def_type)];
        for (number, &value) in variable.chain(fixed).chain(def_type) {
            if mtrr.write(number, value, WIDEST) == MsrWrite::Fault {
                return Err(Errno::EINVAL);
            }
        }
        match mtrr.write_pat(record.msr_pat_cr) {
            MsrWrite::Fault => Err(Errno::EINVAL),
            _ => Ok(mtrr),
        }
    }
}

/// The fixed-range registers, lowest addresses first, as in the record.
pub const FIXED_NUMBERS: [u32; FIXED] = {
    let mut numbers = [msr::FIXED_64K; FIXED];
    (numbers[1], numbers[2]) = (msr::FIXED_16K, msr::FIXED_16K + 1);
    let mut i = 3;
    while i < FIXED {
        numbers[i] = msr::FIXED_4K + i as u32 - 3;
        i += 1;
    }
    numbers
};

fn fixed_index(number: u32) -> Option<usize> {
    FIXED_NUMBERS.iter().position(|&fixed| fixed == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_state_is_disabled_with_eight_ranges() {
        let mtrr = Mtrr::default();
        assert_eq!(mtrr.read(msr::CAP), MsrRead::Value(0x508));
        assert_eq!(mtrr.read(msr::DEF_TYPE), MsrRead::Value(0));
        assert_eq!(mtrr.pat(), 0x0007_0406_0007_0406);
    }

    #[test]
    fn values_with_reserved_bits_or_types_fault_and_change_nothing() {
        let mut mtrr = Mtrr::default();
        let before = mtrr.clone();
        for (number, value) in [
            (msr::CAP, 0x508),
            (msr::DEF_TYPE, 0x1000),
            (msr::DEF_TYPE, 2),
            (msr::DEF_TYPE, 7),
            (msr::FIXED_64K, 0x0600_0000_0000_0302),
            (msr::VARIABLE, 0x100),
            (msr::VARIABLE, 3),
            (msr::VARIABLE, 1 << 40),
            (msr::VARIABLE + 1, 0x400),
            (msr::VARIABLE + 16, 0),
            (0x251, 0),
            (0x270, 0),
        ] {
            assert_eq!(
                mtrr.write(number, value, 40),
                MsrWrite::Fault,
                "{number:#x} {value:#x}"
            );
        }
        assert_eq!(mtrr.write_pat(0x0700_0006_0200_0406), MsrWrite::Fault);
        assert_eq!(mtrr, before);
    }

    #[test]
    fn registers_read_back_and_only_effective_changes_are_reported() {
        let mut mtrr = Mtrr::default();
        assert_eq!(
            mtrr.write(msr::VARIABLE + 3, 0xff_8000_0800, 40),
            MsrWrite::Done
        );
        assert_eq!(mtrr.read(msr::VARIABLE + 3), MsrRead::Value(0xff_8000_0800));
        assert_eq!(mtrr.write(msr::DEF_TYPE, 0x806, 40), MsrWrite::MemoryTypes);
        assert_eq!(mtrr.write(msr::DEF_TYPE, 0x806, 40), MsrWrite::Done);
        assert_eq!(
            mtrr.write(msr::VARIABLE, 0x8000_0000, 40),
            MsrWrite::MemoryTypes
        );
        assert_eq!(mtrr.write(0x26f, 0x0505_0505_0505_0505, 40), MsrWrite::Done);
        assert_eq!(mtrr.read(0x26f), MsrRead::Value(0x0505_0505_0505_0505));
    }

    #[test]
    fn the_record_holds_all_of_it() {
        let mut mtrr = Mtrr::default();
        for (number, value) in [
            (0x201, 0xff_8000_0800),
            (0x20e, 6),
            (0x259, 1),
            (0x2ff, 0xc06),
        ] {
            assert_ne!(mtrr.write(number, value, 40), MsrWrite::Fault);
        }
        let record = mtrr.save().unwrap();
        assert_eq!(record.msr_mtrr_var[1], 0xff_8000_0800);
        assert_eq!(record.msr_mtrr_var[14], 6);
        assert_eq!(record.msr_mtrr_fixed[2], 1);
        assert_eq!(Mtrr::load(&record), Ok(mtrr));
    }

    #[test]
    fn what_the_domain_builder_sends_is_accepted() {
        let mut record = Mtrr::default().save().unwrap();
        record.msr_mtrr_def_type = 0x806;
        let mut expected = Mtrr::default();
        expected.enable_write_back();
        assert_eq!(Mtrr::load(&record), Ok(expected));
    }

    #[test]
    fn impossible_records_are_einval() {
        let good = Mtrr::default().save().unwrap();
        let too_many = HvmHwMtrr {
            msr_mtrr_cap: 0x509,
            ..good
        };
        let bad_pat = HvmHwMtrr {
            msr_pat_cr: 2,
            ..good
        };
        let bad_type = HvmHwMtrr {
            msr_mtrr_def_type: u64::MAX,
            ..good
        };
        for record in [too_many, bad_pat, bad_type] {
            assert_eq!(Mtrr::load(&record), Err(Errno::EINVAL));
        }
    }

    #[test]
    fn dom0_sees_the_hosts_registers() {
        let ranges = [[0x8000_0000, 0xffff_8000_0800]; 12];
        let host = HostMtrr {
            ranges: &ranges,
            fixed: [0x0606_0606_0606_0606; FIXED],
            def_type: 0xc06,
        };
        let mtrr = Mtrr::from_host(&host, 40);
        assert_eq!(mtrr.read(msr::CAP), MsrRead::Value(0x50a));
        assert_eq!(
            mtrr.read(msr::VARIABLE + 19),
            MsrRead::Value(0xff_8000_0800)
        );
        assert_eq!(mtrr.read(msr::VARIABLE + 20), MsrRead::Fault);
        assert_eq!(mtrr.read(0x26f), MsrRead::Value(0x0606_0606_0606_0606));
        assert_eq!(mtrr.read(msr::DEF_TYPE), MsrRead::Value(0xc06));
        assert_eq!(mtrr.save().err(), Some(Errno::EINVAL));
    }
}
