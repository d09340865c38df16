//! `cpuid=["0x1:ecx=xxxx…,eax=…", "7,0:ebx=…"]`: leaves by number, registers bit by bit, as Xen's first toolstack took them.

use thiserror::Error;

use crate::problem::quoted;

use super::host::Register;
use super::policy::{CpuidPolicy, RegisterPolicy};

/// What is wrong with a leaf, and at which byte of its text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct LeafError {
    /// Byte of the text.
    pub offset: usize,
    /// What was expected and found.
    pub message: String,
}

/// Adds what a list element says to `policy`.
///
/// # Errors
/// No leaf number, an unknown register, or bits that are not 32 letters out of `01xks`.
pub fn apply_leaf(policy: &mut CpuidPolicy, text: &str) -> Result<(), LeafError> {
    let (input, registers) = text
        .split_once(':')
        .ok_or_else(|| wrong(0, "a leaf, \":\" and registers", text))?;
    let (leaf, subleaf) = match input.split_once(',') {
        Some((leaf, subleaf)) => (leaf, Some((leaf.len() + 1, subleaf))),
        None => (input, None),
    };
    let leaf = number(leaf).ok_or_else(|| wrong(0, "the number of a leaf", leaf))?;
    let subleaf = match subleaf {
        Some((offset, subleaf)) => {
            Some(number(subleaf).ok_or_else(|| wrong(offset, "the number of a subleaf", subleaf))?)
        }
        None => None,
    };
    let mut offset = input.len() + 1;
    for word in registers.split(',') {
        let trimmed = word.trim_start_matches([' ', '\n']);
        let start = offset + word.len() - trimmed.len();
        offset += word.len() + 1;
        if trimmed.is_empty() {
            continue;
        }
        let (register, bits) = register(trimmed, start)?;
        *policy.leaf(leaf, subleaf).register(register) = bits;
    }
    Ok(())
}

fn register(word: &str, offset: usize) -> Result<(Register, RegisterPolicy<32>), LeafError> {
    let (name, bits) = word
        .split_once('=')
        .ok_or_else(|| wrong(offset, "a register and its bits such as eax=xxxx...", word))?;
    let register = match name {
        "eax" => Register::Eax,
        "ebx" => Register::Ebx,
        "ecx" => Register::Ecx,
        "edx" => Register::Edx,
        _ => return Err(wrong(offset, "eax, ebx, ecx or edx", name)),
    };
    let policy = RegisterPolicy::from_text(bits);
    let policy = policy
        .ok_or_else(|| wrong(offset + name.len() + 1, "32 letters out of \"01xks\"", bits))?;
    Ok((register, policy))
}

fn number(text: &str) -> Option<u32> {
    crate::number::parse(text).and_then(|number| u32::try_from(number).ok())
}

fn wrong(offset: usize, expected: &str, found: &str) -> LeafError {
    LeafError {
        offset,
        message: format!("expected {expected} in \"cpuid\", found {}", quoted(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_read_with_and_without_subleaf() {
        let mut policy = CpuidPolicy::default();
        let bits = format!("1{}", "x".repeat(31));
        apply_leaf(&mut policy, &format!("0x7,0:ebx={bits}, edx={bits}")).unwrap();
        apply_leaf(&mut policy, &format!("7:eax={bits}")).unwrap();
        assert_eq!(policy.cpuid.len(), 2);
        assert_eq!(policy.cpuid[0].edx.unwrap().to_string(), bits);
        assert_eq!(
            (policy.cpuid[0].subleaf, policy.cpuid[1].subleaf),
            (Some(0), None)
        );
    }

    #[test]
    fn wrong_leaves_are_reported_with_their_place() {
        let wrong = |text: &str| {
            apply_leaf(&mut CpuidPolicy::default(), text).map_err(|error| error.offset)
        };
        assert_eq!(wrong("1"), Err(0));
        assert_eq!(wrong("y:eax=x"), Err(0));
        assert_eq!(wrong("1,y:eax=x"), Err(2));
        assert_eq!(wrong("1:efx=x"), Err(2));
        assert_eq!(wrong("1:eax=x"), Err(6));
    }
}
