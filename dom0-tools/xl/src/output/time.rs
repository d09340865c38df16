//! Times as xl prints them.

/// CPU seconds of nanoseconds, with the precision that xl's single-precision numbers leave.
pub fn cpu_seconds(nanoseconds: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "xl rounds here, and its output is what we print"
    )]
    let rounded = nanoseconds as f32;
    f64::from(rounded) / 1e9
}

/// `3 days, 14:07:09`, or without seconds when `short`.
pub fn uptime(seconds: u64, short: bool) -> String {
    let (days, hours) = (seconds / 86400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let prefix = match days {
        0 => String::new(),
        1 => "1 day, ".into(),
        more => format!("{more} days, "),
    };
    if short {
        format!("{prefix}{hours:2}:{minutes:02}")
    } else {
        format!("{prefix}{hours:2}:{minutes:02}:{rest:02}")
    }
}

/// The time of day where this host is, `14:07:09`.
pub fn of_day() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_count_days() {
        assert_eq!(uptime(59, false), " 0:00:59");
        assert_eq!(uptime(86399, false), "23:59:59");
        assert_eq!(uptime(86400, false), "1 day,  0:00:00");
        assert_eq!(uptime(10 * 86400 + 3661, false), "10 days,  1:01:01");
        assert_eq!(uptime(2 * 86400 + 3661, true), "2 days,  1:01");
    }

    #[test]
    fn cpu_time_is_in_seconds() {
        assert_eq!(format!("{:8.1}", cpu_seconds(12_345_678_901)), "    12.3");
    }
}
