//! Virtual machine-check registers: two banks in which nothing ever happens.
//!
//! Guests find the architecture's registers and so start their machine-check code; errors of the hardware are not forwarded.
//!
//! Semantics: AMD APM vol. 2, "Machine Check Architecture"; which banks exist and that foreign ones read as 0: Xen 4.20, `vmce.c`.

use xen_abi::errno::Errno;
use xen_abi::hvm::save::HvmVmceVcpu;

use super::decision::{MsrRead, MsrWrite};
use super::numbers::machine_check as msr;
use crate::cpuid::Vendor;

/// Banks of a vCPU.
pub const BANKS: usize = 2;

const COUNT: u64 = 0xff;
/// Global control register present; it is all ones then.
const CTL_PRESENT: u64 = 1 << 8;
/// Corrected-error interrupts, threshold-based error status, software recovery.
const INTEL: u64 = 1 << 10 | 1 << 11 | 1 << 24;
/// Interrupt enable and threshold.
const CTL2_DEFINED: u64 = 1 << 30 | 0x7fff;

/// Machine-check state of one vCPU.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct MachineCheck {
    cap: u64,
    status: u64,
    ctl2: [u64; BANKS],
}

impl MachineCheck {
    /// The state after reset.
    #[must_use]
    pub const fn new(vendor: Vendor) -> Self {
        let flags = if matches!(vendor, Vendor::Intel) {
            INTEL
        } else {
            0
        };
        Self {
            cap: flags | BANKS as u64,
            status: 0,
            ctl2: [0; BANKS],
        }
    }

    pub(super) fn read(&self, number: u32) -> MsrRead {
        MsrRead::Value(match number {
            msr::CAP => self.cap,
            msr::STATUS => self.status,
            msr::CTL if self.cap & CTL_PRESENT != 0 => u64::MAX,
            msr::EXT_CTL => return MsrRead::Fault,
            msr::CTL2..=msr::CTL2_LAST => {
                let bank = (number - msr::CTL2) as usize;
                self.ctl2.get(bank).copied().unwrap_or(0)
            }
            // All error sources are enabled, no bank has anything logged.
            msr::BANKS..=msr::BANKS_LAST if number.is_multiple_of(4) && self.has_bank(number) => {
                u64::MAX
            }
            _ => 0,
        })
    }

    pub(super) fn write(&mut self, number: u32, value: u64) -> MsrWrite {
        match number {
            msr::STATUS => self.status = value,
            msr::EXT_CTL => return MsrWrite::Fault,
            msr::CTL2..=msr::CTL2_LAST if self.cap & INTEL != 0 => {
                if let Some(bank) = self.ctl2.get_mut((number - msr::CTL2) as usize) {
                    *bank = value & CTL2_DEFINED;
                }
            }
            // Status, address and miscellaneous may only be cleared.
            msr::BANKS..=msr::BANKS_LAST if !number.is_multiple_of(4) && self.has_bank(number) => {
                return MsrWrite::done_if(value == 0);
            }
            _ => {}
        }
        MsrWrite::Done
    }

    const fn has_bank(&self, number: u32) -> bool {
        (((number - msr::BANKS) / 4) as u64) < self.cap & COUNT
    }

    /// The VMCE record.
    #[must_use]
    pub const fn save(&self) -> HvmVmceVcpu {
        HvmVmceVcpu {
            caps: self.cap,
            mci_ctl2_bank0: self.ctl2[0],
            mci_ctl2_bank1: self.ctl2[1],
            mcg_ext_ctl: 0,
        }
    }

    /// Loads a VMCE record.
    ///
    /// # Errors
    /// `EINVAL`: capabilities this host cannot offer.
    pub const fn load(&mut self, vendor: Vendor, record: &HvmVmceVcpu) -> Result<(), Errno> {
        let possible = Self::new(vendor).cap | COUNT | CTL_PRESENT;
        if record.caps & !possible != 0 || record.mcg_ext_ctl != 0 {
            return Err(Errno::EINVAL);
        }
        self.cap = record.caps;
        self.ctl2 = [
            record.mci_ctl2_bank0 & CTL2_DEFINED,
            record.mci_ctl2_bank1 & CTL2_DEFINED,
        ];
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_quiet_banks() {
        let mce = MachineCheck::new(Vendor::Amd);
        assert_eq!(mce.read(msr::CAP), MsrRead::Value(2));
        assert_eq!(mce.read(0x404), MsrRead::Value(u64::MAX));
        assert_eq!(mce.read(0x405), MsrRead::Value(0));
        assert_eq!(mce.read(0x408), MsrRead::Value(0));
        assert_eq!(mce.read(0x47f), MsrRead::Value(0));
        assert_eq!(mce.read(msr::CTL), MsrRead::Value(0));
        assert_eq!(mce.read(msr::EXT_CTL), MsrRead::Fault);
    }

    #[test]
    fn logged_errors_can_only_be_cleared() {
        let mut mce = MachineCheck::new(Vendor::Amd);
        assert_eq!(mce.write(0x401, 0), MsrWrite::Done);
        assert_eq!(mce.write(0x401, 1), MsrWrite::Fault);
        assert_eq!(mce.write(0x40d, 1), MsrWrite::Done);
        assert_eq!(mce.write(0x400, 0), MsrWrite::Done);
        assert_eq!(mce.read(0x400), MsrRead::Value(u64::MAX));
        assert_eq!(mce.write(msr::STATUS, 5), MsrWrite::Done);
        assert_eq!(mce.read(msr::STATUS), MsrRead::Value(5));
    }

    #[test]
    fn the_record_is_checked() {
        let mut mce = MachineCheck::new(Vendor::Intel);
        assert_eq!(mce.write(0x281, 1 << 30 | 3), MsrWrite::Done);
        let record = mce.save();
        assert_eq!(record.mci_ctl2_bank1, 1 << 30 | 3);
        let mut other = MachineCheck::new(Vendor::Intel);
        assert_eq!(other.load(Vendor::Intel, &record), Ok(()));
        assert_eq!(other, mce);
        assert_eq!(other.load(Vendor::Amd, &record), Err(Errno::EINVAL));
    }

    #[test]
    fn a_record_without_banks_is_survived() {
        let mut mce = MachineCheck::new(Vendor::Amd);
        assert_eq!(mce.load(Vendor::Amd, &HvmVmceVcpu::default()), Ok(()));
        assert_eq!(mce.read(0x400), MsrRead::Value(0));
    }
}
