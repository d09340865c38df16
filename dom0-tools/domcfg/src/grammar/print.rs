//! Settings as text again: one assignment a line, every value in quotes.

use std::fmt;

use super::value::{Settings, Value, ValueKind};

impl fmt::Display for Settings {
    /// Text that reads as the same settings.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for setting in self.iter() {
            write!(formatter, "{} = ", setting.name)?;
            write_value(formatter, &setting.value)?;
            formatter.write_str("\n")?;
        }
        Ok(())
    }
}

fn write_value(formatter: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match &value.kind {
        ValueKind::Text(text) => write_string(formatter, &text.text),
        ValueKind::List(items) => {
            formatter.write_str("[")?;
            for (index, item) in items.iter().enumerate() {
                formatter.write_str(if index == 0 { " " } else { ", " })?;
                write_value(formatter, item)?;
            }
            formatter.write_str(" ]")
        }
    }
}

fn write_string(formatter: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    formatter.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(formatter, "\\{character}")?,
            '\n' => formatter.write_str("\\n")?,
            '\r' => formatter.write_str("\\r")?,
            '\t' => formatter.write_str("\\t")?,
            control if u32::from(control) < 0x20 => {
                write!(formatter, "\\x{:02x}", u32::from(control))?
            }
            other => write!(formatter, "{other}")?,
        }
    }
    formatter.write_str("\"")
}

#[cfg(test)]
mod tests {
    use crate::grammar::parse_settings;

    #[test]
    fn printed_settings_read_the_same() {
        let text = "a = \"x\\\"\\\\\\n\\x01é\"\nb = [ \"1\", [ ], [ \"y\" ] ]\n";
        let none: [&str; 0] = [];
        let settings = parse_settings("f", text.as_bytes(), &none).unwrap();
        assert_eq!(settings.to_string(), text);
    }
}
