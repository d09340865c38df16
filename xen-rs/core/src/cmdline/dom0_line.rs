//! dom0's own command line ("create_dom0" semantics: module string, tail of the hypervisor's line, passed-on options, additions).

use alloc::string::String;

use super::{Options, cut};

/// Longest command line given to dom0, in bytes without the terminating zero (`MAX_GUEST_CMDLINE` is 1024 with it).
pub const DOM0_LINE_MAX: usize = 1023;

/// Puts dom0's command line together: the module's string, what followed ` -- ` on the hypervisor's line, `noapic` and `acpi=` unless dom0
/// has its own, then the words of `extra` that are not there yet.
///
/// The result has at most [`DOM0_LINE_MAX`] bytes. When it does not all fit, the user's part is cut at the end so that `extra`, which the
/// hypervisor needs for a working dom0, stays whole. A zero byte ends the module's string.
#[must_use]
pub fn dom0_cmdline(module_cmdline: &str, options: &Options, extra: &str) -> String {
    let module = module_cmdline
        .split('\0')
        .next()
        .unwrap_or("")
        .trim_matches(' ');
    let mut line = String::from(module);
    append(&mut line, &options.dom0_tail);
    if options.noapic && !line.contains("noapic") {
        append(&mut line, "noapic");
    }
    if let Some(acpi) = options.acpi.as_deref().filter(|_| !line.contains("acpi=")) {
        append(&mut line, "acpi=");
        line.push_str(acpi);
    }
    let mut additions = String::new();
    for word in extra.split_ascii_whitespace() {
        if !line.split_ascii_whitespace().any(|present| present == word) {
            append(&mut additions, word);
        }
    }
    let additions = cut(&additions, DOM0_LINE_MAX);
    let separator = usize::from(!additions.is_empty());
    let room = DOM0_LINE_MAX
        .saturating_sub(additions.len())
        .saturating_sub(separator);
    line.truncate(cut(&line, room).len());
    append(&mut line, additions);
    line
}

/// Adds `text` after a blank, if there is any text.
fn append(line: &mut String, text: &str) {
    if !text.is_empty() && !line.is_empty() {
        line.push(' ');
    }
    line.push_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_order() {
        let options = Options::parse("noapic acpi=noirq -- quiet");
        let line = dom0_cmdline("  placeholder root=/dev/sda1 ro", &options, "swiotlb=force");
        assert_eq!(
            line,
            "placeholder root=/dev/sda1 ro quiet noapic acpi=noirq swiotlb=force"
        );
    }

    #[test]
    fn what_dom0_has_is_not_repeated() {
        let options = Options::parse("noapic acpi=noirq");
        assert_eq!(
            dom0_cmdline("noapic acpi=off swiotlb=force", &options, "swiotlb=force"),
            "noapic acpi=off swiotlb=force"
        );
    }

    #[test]
    fn additions_survive_a_line_that_is_too_long() {
        let line = dom0_cmdline(&"é".repeat(2000), &Options::default(), "swiotlb=force");
        assert!(line.len() <= DOM0_LINE_MAX && line.ends_with(" swiotlb=force"));
        assert!(dom0_cmdline("a", &Options::default(), &"b".repeat(5000)).len() <= DOM0_LINE_MAX);
    }

    #[test]
    fn zero_byte_ends_the_module_string() {
        assert_eq!(dom0_cmdline("a b\0c", &Options::default(), ""), "a b");
        assert_eq!(dom0_cmdline("", &Options::default(), ""), "");
    }
}
