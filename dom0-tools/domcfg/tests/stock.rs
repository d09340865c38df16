//! Configurations and what stock xl 4.20 makes of them (`xl create -n` on a host with two CPUs), and the JSON it keeps of a domain that
//! runs: this crate must say the same, to the byte.

use domcfg::{Context, DomainConfig, Parsed, parse, pretty};

macro_rules! stock {
    ($name:literal) => {
        (
            concat!($name, ".cfg"),
            include_str!(concat!("stock/", $name, ".cfg")),
            include_str!(concat!("stock/", $name, ".json")),
        )
    };
}

const CONFIGURATIONS: [(&str, &str, &str); 6] = [
    stock!("minimal"),
    stock!("many"),
    stock!("hvm"),
    stock!("cpus"),
    stock!("escapes"),
    stock!("real"),
];

const NO_OVERRIDES: [&str; 0] = [];

fn read(name: &str, text: &str) -> Parsed {
    parse(name, text.as_bytes(), &NO_OVERRIDES, &Context::with_cpus(2))
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// Fails with the first line that differs.
fn assert_same_lines(name: &str, ours: &str, theirs: &str) {
    for (number, (our, their)) in ours.lines().zip(theirs.lines()).enumerate() {
        assert_eq!(our, their, "{name}, line {}", number + 1);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count(), "{name}");
}

#[test]
fn configurations_become_the_json_that_xl_prints() {
    for (name, text, json) in CONFIGURATIONS {
        let config = read(name, text).config;
        assert_same_lines(name, &pretty(&config.to_libxl_json()), json);
    }
}

#[test]
fn the_json_that_xl_prints_becomes_the_same_configuration() {
    for (name, text, json) in CONFIGURATIONS {
        let config = DomainConfig::from_libxl_json_text(json.as_bytes())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(config, read(name, text).config, "{name}");
    }
}

#[test]
fn the_json_of_a_running_domain_survives() {
    let stored = include_str!("stock/created-userdata.json");
    let with_nul = format!("{stored}\0");
    let config = DomainConfig::from_libxl_json_text(with_nul.as_bytes()).unwrap();
    assert_eq!(config.c_info.name.as_deref(), Some("real"));
    assert_eq!(config.nics[1].mac.to_string(), "00:16:3e:1d:59:2f");
    assert_same_lines("userdata", &pretty(&config.to_libxl_json()), stored);
}

#[test]
fn the_lists_of_stock_xl_survive() {
    for list in [
        include_str!("stock/created-list.json"),
        include_str!("stock/dom0-list.json"),
    ] {
        let mut value: serde_json::Value = serde_json::from_str(list).unwrap();
        for domain in value.as_array_mut().unwrap() {
            let config = DomainConfig::from_libxl_json(&domain["config"]).unwrap();
            domain["config"] = config.to_libxl_json();
        }
        assert_same_lines("list", &pretty(&value), list);
    }
}

#[test]
fn keys_without_effect_are_named_in_one_warning() {
    let (name, text, _) = CONFIGURATIONS[3];
    let warnings = read(name, text).warnings;
    assert_eq!(
        warnings,
        ["cpus.cfg: keys without effect: hpet (line 17), firmware_override (line 20)"]
    );
}
