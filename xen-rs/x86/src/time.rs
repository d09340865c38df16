//! The machine's clock: TSC calibrated against HPET, PM timer or PIT, and the wall clock of the CMOS.

use core::sync::atomic::{AtomicI8, AtomicU32, AtomicU64, Ordering::Relaxed};

use xen_core::hal::Clock;
use xen_core::ids::Maddr;
use xen_core::info;

use crate::boot::acpi_tables::Firmware;
use crate::boot::address_space::map_mmio;
use crate::cpu::instructions::{port_in, port_out, rdtsc};

/// How long the calibration takes.
pub const CALIBRATION_MS: u32 = 50;
const PM_TIMER_HZ: u64 = 3_579_545;
const PIT_HZ: u64 = 1_193_182;
const FEMTOSECONDS: u64 = 1_000_000_000_000_000;

static START_TSC: AtomicU64 = AtomicU64::new(0);
static MUL: AtomicU32 = AtomicU32::new(0);
static SHIFT: AtomicI8 = AtomicI8::new(0);
static KHZ: AtomicU64 = AtomicU64::new(0);

/// A counter to measure against.
enum Reference {
    Hpet {
        registers: crate::direct_map::Registers,
        period_fs: u64,
        wide: bool,
    },
    PmTimer {
        port: u16,
        wide: bool,
    },
    Pit,
}

impl Reference {
    fn choose(firmware: &Firmware) -> Self {
        if let Some(base) = firmware.hpet
            && let Ok(registers) = map_mmio(Maddr(base), 1024)
        {
            let capabilities = registers.read(0, 8);
            let period_fs = capabilities >> 32;
            if (1..=100_000_000).contains(&period_fs) {
                registers.write(0x10, 8, registers.read(0x10, 8) | 1);
                return Self::Hpet {
                    registers,
                    period_fs,
                    wide: capabilities & 1 << 13 != 0,
                };
            }
        }
        match firmware.pm_timer {
            Some((port, wide)) => Self::PmTimer { port, wide },
            None => Self::Pit,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Hpet { .. } => "HPET",
            Self::PmTimer { .. } => "ACPI PM Timer",
            Self::Pit => "PIT",
        }
    }

    /// Waits for about `ms` and returns the time that really passed in ns.
    fn wait(&self, ms: u32) -> u64 {
        let (hz_numerator, mask): (u64, u64) = match self {
            Self::Hpet {
                period_fs, wide, ..
            } => (
                FEMTOSECONDS / period_fs,
                if *wide { u64::MAX } else { 0xffff_ffff },
            ),
            Self::PmTimer { wide, .. } => {
                (PM_TIMER_HZ, if *wide { 0xffff_ffff } else { 0xff_ffff })
            }
            Self::Pit => return pit_wait(ms),
        };
        let start = self.count();
        let goal = hz_numerator * u64::from(ms) / 1000;
        loop {
            let passed = self.count().wrapping_sub(start) & mask;
            if passed >= goal {
                return (u128::from(passed) * 1_000_000_000 / u128::from(hz_numerator)) as u64;
            }
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Hpet {
                registers, wide, ..
            } => registers.read(0xf0, if *wide { 8 } else { 4 }),
            Self::PmTimer { port, .. } => u64::from(port_in(*port, 4)),
            Self::Pit => 0,
        }
    }
}

/// Channel 2 of the PIT, one shot, gated by port 0x61 (Intel 8254 datasheet, mode 0).
fn pit_wait(ms: u32) -> u64 {
    let count = (PIT_HZ * u64::from(ms) / 1000).min(0xffff) as u32;
    port_out(0x61, 1, (port_in(0x61, 1) & !2) | 1);
    port_out(0x43, 1, 0xb0);
    port_out(0x42, 1, count & 0xff);
    port_out(0x42, 1, count >> 8);
    while port_in(0x61, 1) & 0x20 == 0 {
        core::hint::spin_loop();
    }
    u64::from(count) * 1_000_000_000 / PIT_HZ
}

/// Calibrates the TSC and starts system time at 0. `alongside` runs its own measurement over the same interval.
pub fn calibrate(firmware: &Firmware, alongside: impl FnOnce(&dyn Fn())) {
    let reference = Reference::choose(firmware);
    let before = rdtsc();
    let ns = reference.wait(CALIBRATION_MS);
    let ticks = rdtsc() - before;
    let khz = (u128::from(ticks) * 1_000_000 / u128::from(ns.max(1))) as u64;
    let (mul, shift) = scale(khz);
    KHZ.store(khz, Relaxed);
    MUL.store(mul, Relaxed);
    SHIFT.store(shift, Relaxed);
    info!("Platform timer is {}", reference.name());
    info!("Detected {}.{:03} MHz processor.", khz / 1000, khz % 1000);
    alongside(&|| {
        reference.wait(CALIBRATION_MS);
    });
    START_TSC.store(rdtsc(), Relaxed);
}

/// The factor and shift of `vcpu_time_info` for a counter of `khz`: ns = (ticks << shift) * mul >> 32, mul with its top bit set.
fn scale(khz: u64) -> (u32, i8) {
    let mut hz = u128::from(khz.max(1)) * 1000;
    let mut shift = 0i8;
    while hz > 2_000_000_000 {
        hz >>= 1;
        shift -= 1;
    }
    while hz <= 1_000_000_000 {
        hz <<= 1;
        shift += 1;
    }
    (
        ((1_000_000_000u128 << 32) / hz).min(u128::from(u32::MAX)) as u32,
        shift,
    )
}

/// System time of a TSC value.
#[must_use]
pub fn system_time_of(tsc: u64) -> u64 {
    let ticks = tsc.saturating_sub(START_TSC.load(Relaxed));
    let shift = SHIFT.load(Relaxed);
    let shifted = if shift < 0 {
        u128::from(ticks) >> -shift
    } else {
        u128::from(ticks) << shift
    };
    ((shifted * u128::from(MUL.load(Relaxed))) >> 32) as u64
}

/// System time now, in ns since calibration.
#[must_use]
pub fn now_ns() -> u64 {
    system_time_of(rdtsc())
}

/// TSC ticks in `ns`.
#[must_use]
pub fn ticks_of_ns(ns: u64) -> u64 {
    (u128::from(ns) * u128::from(KHZ.load(Relaxed)) / 1_000_000) as u64
}

/// Nanoseconds in TSC ticks.
#[must_use]
pub fn ns_of_ticks(ticks: u64) -> u64 {
    let ns = u128::from(ticks) * 1_000_000 / u128::from(KHZ.load(Relaxed).max(1));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// TSC frequency.
#[must_use]
pub fn tsc_khz() -> u32 {
    KHZ.load(Relaxed) as u32
}

/// The constants of system time.
#[must_use]
pub fn clock() -> Clock {
    Clock {
        tsc_timestamp: START_TSC.load(Relaxed),
        system_time_ns: 0,
        tsc_to_system_mul: MUL.load(Relaxed),
        tsc_shift: SHIFT.load(Relaxed),
    }
}

/// UTC in seconds since 1970, from the CMOS clock (Motorola MC146818 datasheet).
#[must_use]
pub fn cmos_utc_s() -> u64 {
    let read = |register: u32| {
        port_out(0x70, 1, register);
        port_in(0x71, 1)
    };
    let snapshot = || [0, 2, 4, 7, 8, 9].map(read);
    let mut now = snapshot();
    for _ in 0..1000 {
        let again = snapshot();
        if read(10) & 0x80 == 0 && again == now {
            break;
        }
        now = again;
    }
    let status = read(11);
    let pm = now[2] & 0x80 != 0;
    now[2] &= 0x7f;
    if status & 4 == 0 {
        now = now.map(|bcd| (bcd >> 4) * 10 + (bcd & 15));
    }
    if status & 2 == 0 {
        now[2] = now[2] % 12 + if pm { 12 } else { 0 };
    }
    let [s, min, h, day, month, year] = now.map(u64::from);
    days_since_1970(2000 + year, month, day) * 86400 + h * 3600 + min * 60 + s
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (y, m) = if month <= 2 {
        (year - 1, month + 12)
    } else {
        (year, month)
    };
    (365 * y + y / 4 - y / 100 + y / 400 + (153 * (m.max(3) - 3) + 2) / 5 + day)
        .saturating_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_days_from_the_epoch() {
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(days_since_1970(2000, 3, 1), 11017);
        assert_eq!(days_since_1970(2026, 11, 22), 20779);
    }

    #[test]
    fn scale_turns_ticks_into_nanoseconds() {
        for khz in [100_000, 1_000_000, 2_596_144, 5_000_000] {
            let (mul, shift) = scale(khz);
            let ticks = u128::from(khz) * 1000;
            let shifted = if shift < 0 {
                ticks >> -shift
            } else {
                ticks << shift
            };
            let ns = (shifted * u128::from(mul)) >> 32;
            assert!((999_999_000..=1_000_000_000).contains(&ns), "{khz}: {ns}");
        }
    }
}
