//! What stands before each line of the hypervisor's (`console_timestamps=`, docs of Xen 4.20).

use core::fmt::{self, Display, Formatter};

use spin::Once;

use crate::cmdline::Timestamps;

const NS_PER_S: u64 = 1_000_000_000;

/// The clocks, read at one moment.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// System time in ns.
    pub system_ns: u64,
    /// UTC in ns since 1970; 0 when not known yet.
    pub utc_ns: u64,
    /// The processor's counter.
    pub ticks: u64,
}

static CLOCKS: Once<fn() -> Now> = Once::new();

/// Tells how to read the clocks, once they run.
pub fn set_clocks(read: fn() -> Now) {
    CLOCKS.call_once(|| read);
}

/// The time now; all zeroes before the clocks run.
pub(super) fn now() -> Now {
    CLOCKS.get().map_or(Now::default(), |read| read())
}

/// A point in time in the form that was asked for, with a blank after it.
pub struct Stamp {
    /// The form.
    pub form: Timestamps,
    /// The time.
    pub now: Now,
}

impl Display for Stamp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.form {
            Timestamps::None => Ok(()),
            Timestamps::Date | Timestamps::DateMs if self.now.utc_ns != 0 => self.date(f),
            Timestamps::Date | Timestamps::DateMs | Timestamps::Boot if self.now.system_ns != 0 => {
                let (seconds, rest) =
                    (self.now.system_ns / NS_PER_S, self.now.system_ns % NS_PER_S);
                write!(f, "[{seconds:5}.{:06}] ", rest / 1000)
            }
            _ => write!(f, "[{:016x}] ", self.now.ticks),
        }
    }
}

impl Stamp {
    fn date(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.now.utc_ns / NS_PER_S;
        let (year, month, day) = date_of(seconds / 86400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "[{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        )?;
        if self.form == Timestamps::DateMs {
            write!(f, ".{:03}", self.now.utc_ns % NS_PER_S / 1_000_000)?;
        }
        write!(f, "] ")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted from March, so that the leap day is
/// the last.
fn date_of(day: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    const FIRST_OF_MARCH_0000: u64 = 719_468;
    let day = day + FIRST_OF_MARCH_0000;
    let (era, day) = (day / DAYS_IN_400_YEARS, day % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + carry, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn stamp(form: Timestamps, now: Now) -> std::string::String {
        Stamp { form, now }.to_string()
    }

    #[test]
    fn forms_are_the_documented_ones() {
        let now = Now {
            system_ns: 12_345_678_901,
            utc_ns: 1_795_391_999_987_654_321,
            ticks: 0xabc,
        };
        assert_eq!(stamp(Timestamps::None, now), "");
        assert_eq!(stamp(Timestamps::Date, now), "[2026-11-22 23:59:59] ");
        assert_eq!(stamp(Timestamps::DateMs, now), "[2026-11-22 23:59:59.987] ");
        assert_eq!(stamp(Timestamps::Boot, now), "[   12.345678] ");
        assert_eq!(stamp(Timestamps::Raw, now), "[0000000000000abc] ");
    }

    #[test]
    fn before_there_is_a_clock_the_next_best_is_shown() {
        let early = Now {
            ticks: 5,
            ..Now::default()
        };
        assert_eq!(stamp(Timestamps::Date, early), "[0000000000000005] ");
        let no_date = Now {
            system_ns: 1_000_000,
            ..early
        };
        assert_eq!(stamp(Timestamps::DateMs, no_date), "[    0.001000] ");
        assert_eq!(stamp(Timestamps::Boot, early), "[0000000000000005] ");
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        for (day, date) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
            (20_088, (2024, 12, 31)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date_of(day), date, "{day}");
        }
    }
}
