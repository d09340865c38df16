//! The words of an interface: `bridge=xenbr0`, `mac=…`, `untrusted`.

use thiserror::Error;

use crate::model::{COLO_KEYS, Nic, NicType};
use crate::problem::quoted;

use super::Rate;

/// What is wrong with a word.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NicError {
    /// The word stands for nothing; xl says so and goes on when it reads a file.
    #[error("unknown word {} of a network interface", quoted(.0))]
    Unknown(String),
    /// The word's value is wrong; the number is its byte in the word.
    #[error("{1}")]
    Value(usize, String),
    /// The word is understood but no longer has an effect.
    #[error("{0:?} of a network interface is deprecated, write {1:?}")]
    Deprecated(String, &'static str),
}

/// Smallest and largest sizes of packets that a Xen network interface can have.
const MTU: std::ops::RangeInclusive<i32> = 68..=65521;

/// Applies one word. With [`NicError::Deprecated`] it has been applied; with the others it has not.
///
/// # Errors
/// The word is unknown or deprecated, or its value is wrong.
pub fn apply_word(nic: &mut Nic, word: &str) -> Result<(), NicError> {
    match word {
        "trusted" => nic.trusted = Some(true),
        "untrusted" => nic.trusted = Some(false),
        _ => {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| NicError::Unknown(word.to_owned()))?;
            return apply_pair(nic, key, value, word);
        }
    }
    Ok(())
}

fn apply_pair(nic: &mut Nic, key: &str, value: &str, word: &str) -> Result<(), NicError> {
    let text = Some(value.to_owned());
    match key {
        "bridge" => nic.bridge = text,
        "gatewaydev" => nic.gatewaydev = text,
        "netdev" => {
            nic.gatewaydev = text;
            return Err(NicError::Deprecated("netdev".to_owned(), "gatewaydev"));
        }
        "ip" => nic.ip = text,
        "script" => nic.script = text,
        "backend" => nic.backend_domname = text,
        "model" => nic.model = text,
        "vlan" => nic.vlan = text,
        // Long gone, and ignored by every version of xl.
        "accel" => {}
        "forwarddev" => _ = nic.colo.0.insert(0, value.to_owned()),
        _ if apply_checked(nic, key, value)? => {}
        _ => {
            let index = COLO_KEYS.iter().skip(1).position(|known| *known == key);
            let index = index.ok_or_else(|| NicError::Unknown(word.to_owned()))?;
            nic.colo.0.insert(index + 1, value.to_owned());
        }
    }
    Ok(())
}

/// The keys whose values are more than text; `false` for other keys.
fn apply_checked(nic: &mut Nic, key: &str, value: &str) -> Result<bool, NicError> {
    let wrong = |expected: &str| {
        let message = format!(
            "expected {expected} after \"{key}=\", found {}",
            quoted(value)
        );
        NicError::Value(key.len() + 1, message)
    };
    match key {
        "type" => {
            nic.nictype = match value {
                "vif" => NicType::Vif,
                "ioemu" => NicType::VifIoemu,
                _ => return Err(wrong("vif or ioemu")),
            }
        }
        "mac" => {
            nic.mac = value
                .parse()
                .map_err(|_| wrong("an address such as 00:16:3e:01:02:03"))?
        }
        "vifname" if !is_interface_name(value) => {
            return Err(wrong("an interface name of 1 to 15 characters"));
        }
        "vifname" => nic.ifname = Some(value.to_owned()),
        "rate" => {
            let wrong =
                |error| NicError::Value(key.len() + 1, format!("{error}, found {}", quoted(value)));
            let rate = Rate::parse(value).map_err(wrong)?;
            nic.rate_bytes_per_interval = rate.bytes_per_interval;
            nic.rate_interval_usecs = rate.interval_usecs;
        }
        "devid" => {
            let devid = value
                .parse()
                .ok()
                .filter(|devid: &u32| *devid < u32::from(u16::MAX));
            nic.devid = Some(devid.ok_or_else(|| wrong("a number below 65535"))?);
        }
        "mtu" => {
            let mtu = value.parse().ok().filter(|mtu| MTU.contains(mtu));
            nic.mtu = mtu.ok_or_else(|| wrong("a number of bytes from 68 to 65521"))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Linux's rules: IFNAMSIZ with the terminating zero, no blank and no slash.
fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && !name.contains(|character: char| character == '/' || character.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(words: &[&str]) -> Nic {
        let mut nic = Nic::default();
        words
            .iter()
            .for_each(|word| apply_word(&mut nic, word).unwrap());
        nic
    }

    #[test]
    fn every_word_finds_its_member() {
        let nic = nic(&[
            "bridge=b0",
            "mac=00:16:3e:1:2:3",
            "rate=10Mb/s@20ms",
            "type=vif",
            "untrusted",
            "mtu=9000",
            "devid=7",
            "forwarddev=eth1",
            "colo_checkpoint_port=9",
        ]);
        assert_eq!(
            (nic.bridge.as_deref(), nic.mac.to_string().as_str()),
            (Some("b0"), "00:16:3e:01:02:03")
        );
        assert_eq!(
            (nic.rate_bytes_per_interval, nic.rate_interval_usecs),
            (25_000, 20_000)
        );
        assert_eq!(
            (nic.nictype, nic.trusted, nic.mtu, nic.devid),
            (NicType::Vif, Some(false), 9000, Some(7))
        );
        assert_eq!(
            (
                nic.colo.0[&0].as_str(),
                nic.colo.0[&(COLO_KEYS.len() - 1)].as_str()
            ),
            ("eth1", "9")
        );
    }

    #[test]
    fn every_colo_key_is_a_word() {
        for key in &COLO_KEYS[1..] {
            assert_eq!(nic(&[&format!("{key}=v")]).colo.0.len(), 1, "{key}");
        }
    }

    #[test]
    fn deprecated_words_are_applied_and_reported() {
        let mut nic = Nic::default();
        let error = apply_word(&mut nic, "netdev=eth0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"netdev\" of a network interface is deprecated, write \"gatewaydev\""
        );
        assert_eq!(nic.gatewaydev.as_deref(), Some("eth0"));
    }

    #[test]
    fn wrong_values_say_where() {
        let wrong = |word: &str| apply_word(&mut Nic::default(), word).unwrap_err();
        let expected = "expected an address such as 00:16:3e:01:02:03 after \"mac=\", found \"zz\"";
        assert_eq!(wrong("mac=zz"), NicError::Value(4, expected.to_owned()));
        for word in [
            "type=foo",
            "rate=10",
            "mtu=-1",
            "mtu=5",
            "devid=x",
            "vifname=",
            "vifname=a/b",
            "vifname=much-too-long-name",
        ] {
            assert!(matches!(wrong(word), NicError::Value(..)), "{word}");
        }
        for word in ["", "foo", "foo=1", "bridge = b", "coloft_forwarddev=x"] {
            assert!(matches!(wrong(word), NicError::Unknown(_)), "{word}");
        }
    }
}
