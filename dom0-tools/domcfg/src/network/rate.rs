//! Limits on what an interface sends: `rate=10Mb/s@20ms`.

use thiserror::Error;

/// A limit in the form the back end takes: bytes in each interval.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes let through in each interval.
    pub bytes_per_interval: u64,
    /// Length of the interval in microseconds.
    pub interval_usecs: u32,
}

/// What is wrong with a rate.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Error)]
pub enum RateError {
    /// No number, or no unit.
    #[error("expected a rate such as 10Mb/s, 500KB/s or 1GB/s@20ms")]
    Rate,
    /// The part after the `@`.
    #[error("expected an interval such as 50ms, 100us or 1s after \"@\"")]
    Interval,
    /// Zero, or more than 32 bits.
    #[error("expected a rate from 1 to 4294967295 of its unit")]
    RateOutOfRange,
    /// Zero, or more than 32 bits of microseconds.
    #[error("expected an interval from 1us to 4294s")]
    IntervalOutOfRange,
}

/// libxl's interval when none is given: 50 ms.
const DEFAULT_INTERVAL_USECS: u32 = 50_000;

impl Rate {
    /// Reads a rate; units count in thousands, `b` are bits and `B` bytes. An interval without a unit is in seconds.
    ///
    /// # Errors
    /// Any other text, a zero, or numbers beyond 32 bits.
    pub fn parse(text: &str) -> Result<Rate, RateError> {
        let (rate, interval) = match text.split_once('@') {
            Some((rate, interval)) => (rate, Some(interval)),
            None => (text, None),
        };
        let bytes_per_second = parse_bytes_per_second(rate)?;
        let interval_usecs = interval.map_or(Ok(DEFAULT_INTERVAL_USECS), parse_interval)?;
        let product = bytes_per_second
            .checked_mul(u64::from(interval_usecs))
            .ok_or(RateError::RateOutOfRange)?;
        Ok(Rate {
            bytes_per_interval: product / 1_000_000,
            interval_usecs,
        })
    }
}

fn parse_bytes_per_second(text: &str) -> Result<u64, RateError> {
    let (number, unit) = split_number(text).ok_or(RateError::Rate)?;
    let (factor, divisor) = match unit {
        "B/s" => (1, 1),
        "KB/s" => (1_000, 1),
        "MB/s" => (1_000_000, 1),
        "GB/s" => (1_000_000_000, 1),
        "b/s" => (1, 8),
        "Kb/s" => (1_000, 8),
        "Mb/s" => (1_000_000, 8),
        "Gb/s" => (1_000_000_000, 8),
        _ => return Err(RateError::Rate),
    };
    let number = number
        .filter(|number| *number != 0)
        .ok_or(RateError::RateOutOfRange)?;
    Ok(u64::from(number) * factor / divisor)
}

fn parse_interval(text: &str) -> Result<u32, RateError> {
    let (number, unit) = split_number(text).ok_or(RateError::Interval)?;
    let factor = match unit {
        "" | "s" => 1_000_000,
        "m" | "ms" => 1_000,
        "u" | "us" => 1,
        _ => return Err(RateError::Interval),
    };
    let number = number
        .filter(|number| *number != 0)
        .ok_or(RateError::IntervalOutOfRange)?;
    u32::try_from(u64::from(number) * factor).map_err(|_| RateError::IntervalOutOfRange)
}

/// The digits at the start as a number, if it has at most 32 bits, and what follows them; `None` without a digit. As everywhere in
/// configurations, a zero in front makes it octal.
fn split_number(text: &str) -> Option<(Option<u32>, &str)> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number = crate::number::parse(digits).and_then(|number| u32::try_from(number).ok());
    (!digits.is_empty()).then_some((number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes_per_interval: u64, interval_usecs: u32) -> Result<Rate, RateError> {
        Ok(Rate {
            bytes_per_interval,
            interval_usecs,
        })
    }

    #[test]
    fn rates_become_bytes_and_microseconds() {
        assert_eq!(Rate::parse("10Mb/s"), rate(62_500, 50_000));
        assert_eq!(Rate::parse("250KB/s"), rate(12_500, 50_000));
        assert_eq!(Rate::parse("1MB/s@20ms"), rate(20_000, 20_000));
        assert_eq!(Rate::parse("100b/s@1s"), rate(12, 1_000_000));
        assert_eq!(Rate::parse("1GB/s@10"), rate(10_000_000_000, 10_000_000));
        assert_eq!(Rate::parse("010Mb/s@010ms"), rate(8_000, 8_000));
        assert_eq!(
            Rate::parse("4294967295GB/s@1us"),
            rate(4_294_967_295_000, 1)
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "", "Mb/s", "10", "10M", "10mb/s", "10Mb", "10Mb/s ", "-1Mb/s", "1.5Mb/s",
        ] {
            assert_eq!(Rate::parse(text), Err(RateError::Rate), "{text}");
        }
        assert_eq!(Rate::parse("0Mb/s"), Err(RateError::RateOutOfRange));
        assert_eq!(Rate::parse("08Mb/s"), Err(RateError::RateOutOfRange));
        assert_eq!(Rate::parse("4294967296b/s"), Err(RateError::RateOutOfRange));
        assert_eq!(
            Rate::parse("4294967295GB/s@4294s"),
            Err(RateError::RateOutOfRange)
        );
        assert_eq!(Rate::parse("1Mb/s@"), Err(RateError::Interval));
        assert_eq!(Rate::parse("1Mb/s@5h"), Err(RateError::Interval));
        assert_eq!(Rate::parse("1Mb/s@0"), Err(RateError::IntervalOutOfRange));
        assert_eq!(
            Rate::parse("1Mb/s@4295s"),
            Err(RateError::IntervalOutOfRange)
        );
    }
}
