//! The table of keys and the readers agree: a value of the wrong kind is refused for every key, in the words of the table.

use domcfg::keys::{KEYS, Key, Kind, Scope};
use domcfg::{Context, parse};

const NO_OVERRIDES: [&str; 0] = [];

/// Keys that are known but that nothing reads: what they ask for has no effect, or only for guests that are refused.
const UNREAD: [&str; 4] = ["vif2", "vncviewer", "device_model", "e820_host"];

/// A value that is not of the key's kind.
fn wrong_value(key: &Key) -> &'static str {
    match key.kind {
        Kind::List(_) | Kind::Lists(_) => "\"text\"",
        Kind::TextOrList(_) => "[ [ \"x\" ] ]",
        Kind::Flag | Kind::Number(..) | Kind::Text(_) | Kind::Choice(_) => "[ \"x\" ]",
    }
}

fn refusal(key: &Key) -> Option<String> {
    let guest = if key.scope == Scope::Hvm {
        "hvm"
    } else {
        "pvh"
    };
    let others = [("type", guest), ("name", "x"), ("kernel", "/k")];
    let others: String = others
        .iter()
        .filter(|(name, _)| *name != key.name)
        .map(|(name, value)| format!("{name}=\"{value}\";"))
        .collect();
    let text = format!("{others}\n{} = {}\n", key.name, wrong_value(key));
    let parsed = parse(
        "demo.cfg",
        text.as_bytes(),
        &NO_OVERRIDES,
        &Context::with_cpus(4),
    );
    parsed.err().map(|problems| problems.to_string())
}

#[test]
fn values_of_the_wrong_kind_are_refused_for_every_key() {
    for key in KEYS.iter().filter(|key| !UNREAD.contains(&key.name)) {
        let refusal =
            refusal(key).unwrap_or_else(|| panic!("{} takes {}", key.name, wrong_value(key)));
        assert!(refusal.contains("demo.cfg:2:"), "{}: {refusal}", key.name);
        if !matches!(key.kind, Kind::TextOrList(_)) {
            let words = format!(
                "expected {} after \"{}\", found",
                key.kind.expectation(),
                key.name
            );
            assert!(refusal.contains(&words), "{}: {refusal}", key.name);
        }
    }
}

#[test]
fn nothing_is_said_of_values_that_ask_for_nothing() {
    let text = "type=\"pvh\";name=\"x\";kernel=\"/k\"\noos=1;altp2m=\"disabled\";pci_permissive=0;acpi=1;vtpm=[];pci=[]\n";
    let parsed = parse(
        "demo.cfg",
        text.as_bytes(),
        &NO_OVERRIDES,
        &Context::with_cpus(4),
    )
    .unwrap();
    assert_eq!(parsed.warnings, [""; 0]);
}

#[test]
fn each_kind_of_note_is_one_sentence() {
    let text = "type=\"pvh\";name=\"x\";kernel=\"/k\"\nfoo=1\nbar=2\nvkb=[\"backend-type=linux\"]\nvpmu=0;pae=1\nacpi=0\nvif=[\"brigde=b\"]\n";
    let parsed = parse(
        "demo.cfg",
        text.as_bytes(),
        &["baz=3"],
        &Context::with_cpus(4),
    )
    .unwrap();
    assert_eq!(
        parsed.warnings,
        [
            "demo.cfg: unknown words of network interfaces, ignored: \"brigde=b\" (line 7, column 7)",
            "demo.cfg: keys without effect: pae (line 5), acpi (line 6)",
            "demo.cfg: keys that are not supported yet, ignored: vkb (line 4)",
            "demo.cfg: unknown keys, ignored: foo (line 2), bar (line 3), baz",
        ]
    );
}

#[test]
fn old_ways_to_write_a_key_are_named_with_the_new_one() {
    let text =
        "builder=\"hvm\"\nname=\"x\"\ntsc_mode=2\nstdvga=1\naltp2mhvm=1\nvif=[\"netdev=eth0\"]\n";
    let parsed = parse(
        "demo.cfg",
        text.as_bytes(),
        &NO_OVERRIDES,
        &Context::with_cpus(4),
    )
    .unwrap();
    assert_eq!(
        parsed.warnings,
        [
            "demo.cfg:3:10: numbers for tsc_mode are deprecated, write tsc_mode=\"native\"",
            "demo.cfg:6:7: \"netdev\" of a network interface is deprecated, write \"gatewaydev\"",
            "demo.cfg:1:1: \"builder\" is deprecated, write \"type\"",
            "demo.cfg:4:1: \"stdvga\" is deprecated, write \"vga\"",
            "demo.cfg:5:1: \"altp2mhvm\" is deprecated, write \"altp2m\"",
        ]
    );
}

#[test]
fn firmware_names_a_kernel_that_comes_with_xen() {
    let text = "type=\"pvh\";name=\"x\";firmware=\"pvgrub64\"\n";
    let parsed = parse(
        "demo.cfg",
        text.as_bytes(),
        &NO_OVERRIDES,
        &Context::with_cpus(4),
    )
    .unwrap();
    let kernel = parsed.config.b_info.kernel.unwrap();
    assert!(kernel.ends_with("/boot/pvgrub64.bin"), "{kernel}");
    assert_eq!(parsed.warnings, [""; 0]);
}
