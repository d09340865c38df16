//! `cpuid="host,avx=0,family=6"`: features and fields by name, each with a value: 0 or 1 (or a number, for fields), `x` for the
//! default, `k` or `s` for the host's.

use crate::problem::quoted;

use super::features::{self, Target};
use super::policy::{BitPolicy, CpuidLeaf, CpuidPolicy, RegisterPolicy};

/// An output register of CPUID.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Register {
    /// EAX
    Eax,
    /// EBX
    Ebx,
    /// ECX
    Ecx,
    /// EDX
    Edx,
}

impl CpuidLeaf {
    /// The policy of a register, made if there is none.
    pub fn register(&mut self, register: Register) -> &mut RegisterPolicy<32> {
        let slot = match register {
            Register::Eax => &mut self.eax,
            Register::Ebx => &mut self.ebx,
            Register::Ecx => &mut self.ecx,
            Register::Edx => &mut self.edx,
        };
        slot.get_or_insert_default()
    }
}

/// Adds what `text` says to `policy`; what is wrong goes to `report`, with its byte in the text.
pub fn apply_features(policy: &mut CpuidPolicy, text: &str, report: &mut dyn FnMut(usize, String)) {
    let mut offset = 0;
    let mut is_first = true;
    for word in text.split(',') {
        let start = offset;
        offset += word.len() + 1;
        if word.is_empty() {
            continue;
        }
        if std::mem::take(&mut is_first) {
            if word != "host" {
                return report(
                    start,
                    format!(
                        "expected \"host\" as the first word of \"cpuid\", found {}",
                        quoted(word)
                    ),
                );
            }
            continue;
        }
        if let Err(message) = apply_feature(policy, word) {
            report(start, message);
        }
    }
}

fn apply_feature(policy: &mut CpuidPolicy, word: &str) -> Result<(), String> {
    let (name, text) = word.split_once('=').ok_or_else(|| {
        format!(
            "expected a feature and its value such as avx=0, found {}",
            quoted(word)
        )
    })?;
    let value = Value::parse(text);
    match name {
        "family" => {
            return apply_family(policy, value).ok_or_else(|| wrong_number(name, 270, text));
        }
        "model" => return apply_model(policy, value).ok_or_else(|| wrong_number(name, 255, text)),
        _ => {}
    }
    let (_, target, bit, length) =
        features::find(name).ok_or_else(|| format!("unknown CPU feature {}", quoted(name)))?;
    let value = value
        .filter(|value| value.fits(length))
        .ok_or_else(|| wrong_value(name, length, text))?;
    match target {
        Target::Leaf {
            leaf,
            subleaf,
            register,
        } => {
            let register = policy.leaf(leaf, subleaf).register(register);
            set(&mut register.0, bit, length, value);
        }
        Target::Msr { index, first_bit } => set(
            &mut policy.msr(index).policy.0,
            first_bit + bit,
            length,
            value.without_stable(),
        ),
    }
    Ok(())
}

fn wrong_value(name: &str, length: u8, text: &str) -> String {
    let numbers = match length {
        1 => "0, 1".to_owned(),
        bits => format!("a number of {bits} bits"),
    };
    format!(
        "expected {numbers}, x, k or s after \"{name}=\", found {}",
        quoted(text)
    )
}

fn wrong_number(name: &str, most: u16, text: &str) -> String {
    format!(
        "expected a number from 0 to {most}, x, k or s after \"{name}=\", found {}",
        quoted(text)
    )
}

/// The value of a feature or field.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Value {
    Number(u64),
    /// The same policy for every bit.
    Policy(BitPolicy),
}

impl Value {
    fn parse(text: &str) -> Option<Value> {
        match text {
            "x" => Some(Value::Policy(BitPolicy::Default)),
            "k" => Some(Value::Policy(BitPolicy::Host)),
            "s" => Some(Value::Policy(BitPolicy::HostStable)),
            _ => crate::number::parse(text)
                .and_then(|number| u64::try_from(number).ok())
                .map(Value::Number),
        }
    }

    fn fits(self, length: u8) -> bool {
        match self {
            Value::Number(number) => number >> length == 0,
            Value::Policy(_) => true,
        }
    }

    /// MSRs know `k` alone.
    fn without_stable(self) -> Value {
        match self {
            Value::Policy(BitPolicy::HostStable) => Value::Policy(BitPolicy::Host),
            value => value,
        }
    }

    fn bit(self, index: u8) -> BitPolicy {
        match self {
            Value::Number(number) if number >> index & 1 != 0 => BitPolicy::One,
            Value::Number(_) => BitPolicy::Zero,
            Value::Policy(policy) => policy,
        }
    }
}

fn set(bits: &mut [BitPolicy], first: u8, length: u8, value: Value) {
    let field = bits
        .iter_mut()
        .skip(usize::from(first))
        .take(usize::from(length));
    for (index, bit) in (0..length).zip(field) {
        *bit = value.bit(index);
    }
}

/// The family is the sum of a base of 4 bits and, if that is 15, an extension of 8.
fn apply_family(policy: &mut CpuidPolicy, value: Option<Value>) -> Option<()> {
    let (base, extension) = match value {
        Some(Value::Number(family @ 0..=15)) => (Value::Number(family), Value::Number(0)),
        Some(Value::Number(family @ 16..=270)) => (Value::Number(15), Value::Number(family - 15)),
        Some(same @ Value::Policy(_)) => (same, same),
        _ => return None,
    };
    let bits = &mut policy.leaf(1, None).register(Register::Eax).0;
    set(bits, 8, 4, base);
    set(bits, 20, 8, extension);
    Some(())
}

/// The model's low and high 4 bits stand apart.
fn apply_model(policy: &mut CpuidPolicy, value: Option<Value>) -> Option<()> {
    let (low, high) = match value {
        Some(Value::Number(model @ 0..=255)) => {
            (Value::Number(model & 15), Value::Number(model >> 4))
        }
        Some(same @ Value::Policy(_)) => (same, same),
        _ => return None,
    };
    let bits = &mut policy.leaf(1, None).register(Register::Eax).0;
    set(bits, 4, 4, low);
    set(bits, 16, 4, high);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<CpuidPolicy, Vec<(usize, String)>> {
        let mut problems = Vec::new();
        let mut policy = CpuidPolicy::default();
        apply_features(&mut policy, text, &mut |offset, message| {
            problems.push((offset, message))
        });
        if problems.is_empty() {
            Ok(policy)
        } else {
            Err(problems)
        }
    }

    #[test]
    fn features_are_found_in_leaves_and_msrs() {
        let mut policy = policy("host,avx=0,rdcl-no=s,htt=x,its-no=1,lfence+=k").unwrap();
        assert_eq!(
            policy.leaf(1, None).register(Register::Ecx).0[28],
            BitPolicy::Zero
        );
        assert_eq!(
            policy.leaf(0x8000_0021, None).register(Register::Eax).0[2],
            BitPolicy::Host
        );
        let msr = &policy.msr(0x10a).policy.0;
        assert_eq!((msr[0], msr[62]), (BitPolicy::Host, BitPolicy::One));
    }

    #[test]
    fn family_and_model_are_split() {
        let policy = policy("host,family=21,model=0x2a,stepping=3").unwrap();
        assert_eq!(
            policy.cpuid[0].eax.unwrap().to_string(),
            "xxxx000001100010xxxx111110100011"
        );
    }

    #[test]
    fn wrong_words_are_reported_with_their_place() {
        assert_eq!(
            policy("avx=0").unwrap_err(),
            [(
                0,
                "expected \"host\" as the first word of \"cpuid\", found \"avx=0\"".to_owned()
            )]
        );
        let problems = policy("host,foo=1,avx,avx=2,family=300,maxleaf=y").unwrap_err();
        let offsets: Vec<_> = problems.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, [5, 11, 15, 21, 32]);
        assert_eq!(
            problems[2].1,
            "expected 0, 1, x, k or s after \"avx=\", found \"2\""
        );
    }
}
