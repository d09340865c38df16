//! One call for fuzzers and property tests: whatever the bytes are, everything that reads text takes them without a panic, and what
//! was read is the same after it has been written and read again.

use crate::grammar::{Settings, parse_settings};
use crate::{
    Context, DomainConfig, parse_cpu_list, parse_disk_words, parse_memory_size, parse_nic_words,
    pretty, read,
};

/// Reads `bytes` as a configuration, as libxl's JSON, and as the words of a command line.
///
/// # Panics
/// If something that was read does not survive being written; that is an error of this crate, whatever the bytes.
pub fn exercise(bytes: &[u8]) {
    let context = Context::with_cpus(6);
    let none: [&str; 0] = [];
    if let Ok(settings) = parse_settings("fuzz", bytes, &none) {
        check_settings(&settings);
        if let Ok(parsed) = read::read("fuzz", &settings, &context) {
            check_config(&parsed.config);
        }
    }
    if let Ok(config) = DomainConfig::from_libxl_json_text(bytes) {
        check_config(&config);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        exercise_words(text, &context);
    }
}

/// Words of commands; what they mean is of no interest here.
fn exercise_words(text: &str, context: &Context) {
    let words: Vec<&str> = text.split(' ').take(100).collect();
    _ = parse_cpu_list(text, &context.host);
    _ = parse_memory_size(text);
    _ = parse_disk_words(&[text]);
    _ = parse_disk_words(&words);
    _ = parse_nic_words(&context.defaults.nic, &words);
}

fn check_settings(settings: &Settings) {
    let none: [&str; 0] = [];
    let printed = settings.to_string();
    // Escapes can make the text longer than a configuration may be.
    if printed.len() <= crate::grammar::MAX_TEXT {
        let again =
            parse_settings("again", printed.as_bytes(), &none).map(|again| again.to_string());
        assert_eq!(
            again.as_ref(),
            Ok(&printed),
            "printed settings read otherwise"
        );
    }
}

fn check_config(config: &DomainConfig) {
    let json = config.to_libxl_json();
    assert_eq!(
        DomainConfig::from_libxl_json(&json).as_ref(),
        Ok(config),
        "JSON reads otherwise"
    );
    assert_eq!(
        DomainConfig::from_libxl_json_text(pretty(&json).as_bytes()).as_ref(),
        Ok(config),
        "JSON text reads otherwise"
    );
}
