//! Whatever a file says, reading it ends without a panic, and what was read survives being written and read again.

use domcfg::exercise;
use proptest::prelude::*;

const CONFIGURATIONS: [&str; 6] = [
    include_str!("stock/minimal.cfg"),
    include_str!("stock/many.cfg"),
    include_str!("stock/hvm.cfg"),
    include_str!("stock/cpus.cfg"),
    include_str!("stock/escapes.cfg"),
    include_str!("stock/real.cfg"),
];
const JSON: [&str; 3] = [
    include_str!("stock/created-userdata.json"),
    include_str!("stock/many.json"),
    include_str!("stock/hvm.json"),
];

/// Values that are right for some key, or nearly.
const VALUES: &str = r#"("[ -~é]{0,30}"|'[ -!#-&(-~]{0,20}'|[0-9]{1,12}|0x[0-9a-f]{1,9}|\["[a-z0-9=,:/.@x-]{0,40}"(, "[a-z0-9=,:/.@-]{0,30}")*\])"#;

/// A line `key = value` with a key that exists.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<&str> = domcfg::keys::KEYS.iter().map(|key| key.name).collect();
    (prop::sample::select(names), "( = | \\+= )", VALUES)
        .prop_map(|(name, mark, value)| format!("{name}{mark}{value}\n"))
}

/// A text with a part replaced by other characters.
fn changed(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    (
        prop::sample::select(texts),
        any::<prop::sample::Index>(),
        0usize..8,
        "[ -~\n\"'\\[\\],=0]{0,6}",
    )
        .prop_map(|(text, place, length, inserted)| {
            let characters: Vec<char> = text.chars().collect();
            let start = place.index(characters.len());
            let end = (start + length).min(characters.len());
            let (before, after) = (characters[..start].iter(), characters[end..].iter());
            before
                .copied()
                .chain(inserted.chars())
                .chain(after.copied())
                .collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        exercise(&bytes);
    }

    #[test]
    fn arbitrary_tokens_are_taken(text in "([a-z]{1,3}|[0-9]{1,3}|[\\[\\],;=+#\n \\\\]|\"[ -~]{0,4}\"|'[ -~]{0,4}'){0,60}") {
        exercise(text.as_bytes());
    }

    #[test]
    fn lines_with_known_keys_are_taken(lines in prop::collection::vec(line(), 0..12), kind in "(pvh|hvm)") {
        exercise(format!("name='x'\nkernel='/k'\ntype='{kind}'\n{}", lines.concat()).as_bytes());
    }

    #[test]
    fn changed_configurations_are_taken(text in changed(&CONFIGURATIONS)) {
        exercise(text.as_bytes());
    }

    #[test]
    fn changed_json_is_taken(text in changed(&JSON)) {
        exercise(text.as_bytes());
    }
}
