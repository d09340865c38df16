//! JSON text as libxl prints it (yajl's "beautified" form): four spaces a level, `"key": value`, empty records and lists on lines of
//! their own.

use std::fmt::Write as _;

use serde_json::Value;

/// The text of `value`, ended by a newline.
pub fn pretty(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value, 0);
    text.push('\n');
    text
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(items) => write_block(
            text,
            ('[', ']'),
            items.iter().map(|item| (None, item)),
            depth,
        ),
        Value::Object(members) => {
            write_block(
                text,
                ('{', '}'),
                members.iter().map(|(key, member)| (Some(key), member)),
                depth,
            );
        }
        Value::String(string) => write_string(text, string),
        plain => text.push_str(&plain.to_string()),
    }
}

fn write_block<'a>(
    text: &mut String,
    (open, close): (char, char),
    items: impl Iterator<Item = (Option<&'a String>, &'a Value)>,
    depth: usize,
) {
    text.push(open);
    text.push('\n');
    for (index, (key, item)) in items.enumerate() {
        text.push_str(if index == 0 { "" } else { ",\n" });
        indent(text, depth + 1);
        if let Some(key) = key {
            write_string(text, key);
            text.push_str(": ");
        }
        write_value(text, item, depth + 1);
    }
    text.push('\n');
    indent(text, depth);
    text.push(close);
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("    ", depth));
}

/// yajl escapes quotes, backslashes and control characters, and leaves everything else as it is.
fn write_string(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            control if u32::from(control) < 0x20 => {
                let _ = write!(text, "\\u{:04X}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_records_take_a_line_of_their_own() {
        let value: Value = serde_json::from_str(r#"{"a": {}, "b": [1, "x\u0001\"/"]}"#).unwrap();
        assert_eq!(
            pretty(&value),
            "{\n    \"a\": {\n\n    },\n    \"b\": [\n        1,\n        \"x\\u0001\\\"/\"\n    ]\n}\n"
        );
    }
}
