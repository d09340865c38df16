//! The machine's clock: TSC calibrated against HPET, PM timer or PIT, and the wall clock of the CMOS.

use core::sync::atomic::{AtomicI8, AtomicU32, AtomicU64, Ordering::Relaxed};

use xen_core::hal::Clock;
use xen_core::ids::Maddr;
use xen_core::{info, warning};

use crate::boot::acpi_tables::Firmware;
use crate::boot::address_space::map_mmio;
use crate::cpu::instructions::{port_in, port_out, rdtsc};
use crate::direct_map::Registers;

/// How often a counter is read to find the one reading that nothing interrupted.
const READINGS: u32 = 8;
const PM_TIMER_HZ: u64 = 3_579_545;
const PIT_HZ: u64 = 1_193_182;
const FEMTOSECONDS: u64 = 1_000_000_000_000_000;
/// Registers of the HPET: femtoseconds of a step, whether it runs, the counter.
const HPET_PERIOD: u64 = 4;
const HPET_CONFIGURATION: u64 = 0x10;
const HPET_COUNTER: u64 = 0xf0;
/// When a counter is given up: seconds, many times as long as any measurement takes.
const PATIENCE_TICKS: u64 = 1 << 33;

static START_TSC: AtomicU64 = AtomicU64::new(0);
static MUL: AtomicU32 = AtomicU32::new(0);
static SHIFT: AtomicI8 = AtomicI8::new(0);
static KHZ: AtomicU64 = AtomicU64::new(0);

/// A counter to measure against.
enum Reference {
    Hpet {
        registers: Registers,
        period_fs: u64,
    },
    PmTimer {
        port: u16,
        wide: bool,
    },
    Pit,
}

impl Reference {
    /// What the machine may have, the best first.
    fn candidates(firmware: &Firmware) -> impl Iterator<Item = Self> {
        let hpet = firmware.hpet.and_then(Self::hpet);
        let pm_timer = firmware.pm_timer;
        let pm_timer = pm_timer.map(|(port, wide)| Self::PmTimer { port, wide });
        hpet.into_iter().chain(pm_timer).chain([Self::Pit])
    }

    /// `None` if no HPET answers at this address (IA-PC HPET specification, "General Capabilities and ID Register").
    fn hpet(base: u64) -> Option<Self> {
        let registers = map_mmio(Maddr(base), 1024).ok()?;
        let period_fs = registers.read(HPET_PERIOD, 4);
        (1..=100_000_000)
            .contains(&period_fs)
            .then_some(Self::Hpet {
                registers,
                period_fs,
            })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Hpet { .. } => "HPET",
            Self::PmTimer { .. } => "ACPI PM Timer",
            Self::Pit => "PIT",
        }
    }

    /// Steps per second.
    const fn hz(&self) -> u64 {
        match self {
            Self::Hpet { period_fs, .. } => FEMTOSECONDS / *period_fs,
            Self::PmTimer { .. } => PM_TIMER_HZ,
            Self::Pit => PIT_HZ,
        }
    }

    /// The counter's highest value. Of the HPET's the lower half is read: not every bus reads 64 bits in one piece.
    const fn mask(&self) -> u64 {
        match self {
            Self::Hpet { .. } | Self::PmTimer { wide: true, .. } => 0xffff_ffff,
            Self::PmTimer { .. } => 0xff_ffff,
            Self::Pit => 0xffff,
        }
    }

    /// How long to measure: long against the time that one reading takes, and short enough for the counter not to come round.
    const fn interval_ms(&self) -> u64 {
        match self {
            Self::Pit => 20,
            Self::Hpet { .. } | Self::PmTimer { .. } => 50,
        }
    }

    fn start(&self) {
        match self {
            Self::Hpet { registers, .. } => {
                registers.write(
                    HPET_CONFIGURATION,
                    4,
                    registers.read(HPET_CONFIGURATION, 4) | 1,
                );
            }
            Self::PmTimer { .. } => {}
            Self::Pit => pit_start(),
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Hpet { registers, .. } => registers.read(HPET_COUNTER, 4),
            Self::PmTimer { port, .. } => u64::from(port_in(*port, 4)),
            Self::Pit => pit_count(),
        }
    }

    /// Kilohertz of the TSC by this counter, if it counts.
    fn tsc_khz(&self) -> Option<u64> {
        self.start();
        let steps = self.hz() * self.interval_ms() / 1000;
        measure(rdtsc, || self.count(), steps, self.mask(), self.hz())
    }
}

/// Values that two counters had at the same time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time stamp counter.
    pub tsc: u64,
    /// The other one.
    pub count: u64,
}

/// Reads `count` between two readings of `tsc`, several times, and takes the one with the least time in between: a firmware's or a host's
/// interruption in the middle of one reading then does no harm.
pub fn closest_reading(tsc: impl Fn() -> u64, count: impl Fn() -> u64) -> Moment {
    let mut best = Moment { tsc: 0, count: 0 };
    let mut least = u64::MAX;
    for _ in 0..READINGS {
        let before = tsc();
        let count = count();
        let taken = tsc().wrapping_sub(before);
        if taken < least {
            least = taken;
            best = Moment {
                tsc: before + taken / 2,
                count,
            };
        }
    }
    best
}

/// Starts channel 2 of the PIT, counting down from 0xffff again and again, gated by port 0x61 (Intel 8254 datasheet, mode 2).
fn pit_start() {
    port_out(0x61, 1, (port_in(0x61, 1) & !2) | 1);
    port_out(0x43, 1, 0xb4);
    port_out(0x42, 1, 0);
    port_out(0x42, 1, 0);
}

/// How far channel 2 has counted.
fn pit_count() -> u64 {
    port_out(0x43, 1, 0x80);
    let low = port_in(0x42, 1) & 0xff;
    let high = port_in(0x42, 1) & 0xff;
    u64::from(0xffff - (high << 8 | low))
}

/// Kilohertz of the TSC from two moments of a counter of `hz`.
fn khz_between(start: Moment, end: Moment, mask: u64, hz: u64) -> u64 {
    let steps = end.count.wrapping_sub(start.count) & mask;
    let ticks = u128::from(end.tsc.saturating_sub(start.tsc));
    (ticks * u128::from(hz) / (u128::from(steps.max(1)) * 1000)) as u64
}

/// Kilohertz of `tsc` while `count`, which has `hz`, makes so many steps; `None` if that takes too long: the counter stands still.
fn measure(
    tsc: impl Fn() -> u64,
    count: impl Fn() -> u64,
    steps: u64,
    mask: u64,
    hz: u64,
) -> Option<u64> {
    let start = closest_reading(&tsc, &count);
    while count().wrapping_sub(start.count) & mask < steps {
        if tsc().wrapping_sub(start.tsc) > PATIENCE_TICKS {
            return None;
        }
        core::hint::spin_loop();
    }
    let khz = khz_between(start, closest_reading(&tsc, &count), mask, hz);
    (khz != 0).then_some(khz)
}

/// Calibrates the TSC and starts system time at 0.
///
/// # Errors
/// A message if none of the machine's counters counts.
pub fn calibrate(firmware: &Firmware) -> Result<(), &'static str> {
    let measured = Reference::candidates(firmware).find_map(|reference| {
        let khz = reference.tsc_khz();
        if khz.is_none() {
            warning!("{} stands still", reference.name());
        }
        Some((khz?, reference.name()))
    });
    let (khz, name) = measured.ok_or("no timer to measure the processor's clock with")?;
    let (mul, shift) = scale(khz);
    KHZ.store(khz, Relaxed);
    MUL.store(mul, Relaxed);
    SHIFT.store(shift, Relaxed);
    info!("Platform timer is {name}");
    info!("Detected {}.{:03} MHz processor.", khz / 1000, khz % 1000);
    START_TSC.store(rdtsc(), Relaxed);
    Ok(())
}

/// Waits for at least `ms` by the calibrated TSC.
pub fn wait_ms(ms: u64) {
    let end = rdtsc().saturating_add(ticks_of_ns(ms * 1_000_000));
    while rdtsc() < end {
        core::hint::spin_loop();
    }
}

/// The factor and shift of `vcpu_time_info` for a counter of `khz`: ns = (ticks << shift) * mul >> 32, mul with its top bit set.
#[must_use]
pub fn scale(khz: u64) -> (u32, i8) {
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

    #[test]
    fn an_interrupted_reading_is_not_the_one_that_counts() {
        let time = core::cell::Cell::new(1000u64);
        let readings = core::cell::Cell::new(0);
        let tsc = || {
            time.set(time.get() + 10);
            time.get()
        };
        let count = || {
            readings.set(readings.get() + 1);
            // All but the fifth are interrupted for long after the counter was read.
            let now = time.get();
            time.set(now + if readings.get() == 5 { 0 } else { 1_000_000 });
            now
        };
        let moment = closest_reading(tsc, count);
        assert!(moment.tsc.abs_diff(moment.count) <= 10, "{moment:?}");
    }

    #[test]
    fn frequency_comes_from_two_moments_even_if_the_counter_comes_round() {
        let start = Moment {
            tsc: 5_000,
            count: 0xff_0000,
        };
        let end = Moment {
            tsc: 5_000 + 100_000_000,
            count: (0xff_0000 + PM_TIMER_HZ / 20) & 0xff_ffff,
        };
        let khz = khz_between(start, end, 0xff_ffff, PM_TIMER_HZ);
        assert!(khz.abs_diff(2_000_000) < 100, "{khz}");
    }
    /// A TSC that goes on by 1000 with every look at it.
    fn busy_tsc() -> impl Fn() -> u64 {
        let time = core::cell::Cell::new(0u64);
        move || {
            time.set(time.get() + 1000);
            time.get()
        }
    }

    #[test]
    fn a_counter_that_stands_still_is_given_up() {
        assert_eq!(
            measure(busy_tsc(), || u64::MAX, 50_000, 0xffff_ffff, 1_000_000),
            None
        );
    }

    #[test]
    fn a_counter_that_counts_tells_the_frequency() {
        let tsc = busy_tsc();
        // A thousandth of the TSC, at 2 MHz: 2 GHz.
        let count = || tsc() / 1000;
        let khz = measure(&tsc, count, 100_000, 0xff_ffff, 2_000_000).unwrap();
        assert!(khz.abs_diff(2_000_000) < 200, "{khz}");
    }
}
