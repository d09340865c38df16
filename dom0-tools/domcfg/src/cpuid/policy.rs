//! What a configuration changes in CPUID leaves and MSRs, bit by bit.

use serde_json::{Map, Value};

use crate::json::{Json, JsonError, record};

/// What a guest sees in one bit.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum BitPolicy {
    /// `0`
    Zero,
    /// `1`
    One,
    /// `x`: what the hypervisor's default policy says.
    #[default]
    Default,
    /// `k`: what the host has.
    Host,
    /// `s`: what the host has; an old name of `k` that files keep.
    HostStable,
}

impl BitPolicy {
    /// The policy of that letter.
    pub fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'0' => Some(BitPolicy::Zero),
            b'1' => Some(BitPolicy::One),
            b'x' => Some(BitPolicy::Default),
            b'k' => Some(BitPolicy::Host),
            b's' => Some(BitPolicy::HostStable),
            _ => None,
        }
    }

    /// Its letter.
    pub fn letter(self) -> char {
        match self {
            BitPolicy::Zero => '0',
            BitPolicy::One => '1',
            BitPolicy::Default => 'x',
            BitPolicy::Host => 'k',
            BitPolicy::HostStable => 's',
        }
    }

    /// The bit a guest sees, given the bit of the default policy and the bit of the host.
    pub fn resolve(self, default: bool, host: bool) -> bool {
        match self {
            BitPolicy::Zero => false,
            BitPolicy::One => true,
            BitPolicy::Default => default,
            BitPolicy::Host | BitPolicy::HostStable => host,
        }
    }
}

/// Policies of a register's bits; the index is the bit's number. In text the highest bit stands first.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RegisterPolicy<const BITS: usize>(pub [BitPolicy; BITS]);

impl<const BITS: usize> Default for RegisterPolicy<BITS> {
    fn default() -> Self {
        RegisterPolicy([BitPolicy::Default; BITS])
    }
}

impl<const BITS: usize> RegisterPolicy<BITS> {
    /// Reads the text form: exactly one letter for each bit.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut bits = [BitPolicy::Default; BITS];
        if text.len() != BITS {
            return None;
        }
        for (bit, letter) in bits.iter_mut().zip(text.bytes().rev()) {
            *bit = BitPolicy::from_letter(letter)?;
        }
        Some(RegisterPolicy(bits))
    }

    /// The value a guest sees, given the default policy's and the host's.
    pub fn resolve(&self, default: u64, host: u64) -> u64 {
        let bit = |(index, policy): (usize, &BitPolicy)| {
            let seen = policy.resolve(default >> index & 1 != 0, host >> index & 1 != 0);
            u64::from(seen) << index
        };
        self.0
            .iter()
            .take(64)
            .enumerate()
            .map(bit)
            .fold(0, |value, bit| value | bit)
    }
}

impl<const BITS: usize> std::fmt::Display for RegisterPolicy<BITS> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .iter()
            .rev()
            .try_for_each(|bit| write!(formatter, "{}", bit.letter()))
    }
}

impl<const BITS: usize> Json for RegisterPolicy<BITS> {
    fn to_json(&self) -> Value {
        Value::from(self.to_string())
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        let register = value.as_str().and_then(Self::from_text);
        register.ok_or_else(|| JsonError::new(format!("{BITS} letters out of \"01xks\""), value))
    }

    fn is_initial(&self) -> bool {
        false
    }
}

impl Json for Option<RegisterPolicy<32>> {
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Json::to_json)
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        RegisterPolicy::from_json(value).map(Some)
    }

    fn is_initial(&self) -> bool {
        self.is_none()
    }
}

record! {
    /// Changes to one leaf.
    CpuidLeaf {
        /// Input in EAX.
        leaf: Leaf,
        /// Input in ECX, for leaves that look at it.
        subleaf: Option<u32>,
        /// Output in EAX.
        eax: Option<RegisterPolicy<32>>,
        /// Output in EBX.
        ebx: Option<RegisterPolicy<32>>,
        /// Output in ECX.
        ecx: Option<RegisterPolicy<32>>,
        /// Output in EDX.
        edx: Option<RegisterPolicy<32>>,
    }
}

/// Number of a leaf; unlike other numbers it is written even when it is zero.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf(pub u32);

impl Json for Leaf {
    fn to_json(&self) -> Value {
        Value::from(self.0)
    }

    fn from_json(value: &Value) -> Result<Self, JsonError> {
        u32::from_json(value).map(Leaf)
    }

    fn is_initial(&self) -> bool {
        false
    }
}

record! {
    /// Changes to one MSR.
    MsrPolicy {
        /// Its number.
        index: Leaf,
        /// Its bits.
        policy: RegisterPolicy<64>,
    }
}

/// libxl's `cpuid_policy_list`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuidPolicy {
    /// Leaves, in the order of their first mention.
    pub cpuid: Vec<CpuidLeaf>,
    /// MSRs, in the order of their first mention.
    pub msr: Vec<MsrPolicy>,
}

impl CpuidPolicy {
    /// The entry of a leaf, made if there is none.
    pub fn leaf(&mut self, leaf: u32, subleaf: Option<u32>) -> &mut CpuidLeaf {
        let found = self
            .cpuid
            .iter()
            .position(|entry| entry.leaf.0 == leaf && entry.subleaf == subleaf);
        let index = found.unwrap_or_else(|| {
            self.cpuid.push(CpuidLeaf {
                leaf: Leaf(leaf),
                subleaf,
                ..CpuidLeaf::default()
            });
            self.cpuid.len() - 1
        });
        &mut self.cpuid[index]
    }

    /// The entry of an MSR, made if there is none.
    pub fn msr(&mut self, index: u32) -> &mut MsrPolicy {
        let found = self.msr.iter().position(|entry| entry.index.0 == index);
        let place = found.unwrap_or_else(|| {
            self.msr.push(MsrPolicy {
                index: Leaf(index),
                ..MsrPolicy::default()
            });
            self.msr.len() - 1
        });
        &mut self.msr[place]
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.cpuid.is_empty() && self.msr.is_empty()
    }
}

impl Json for CpuidPolicy {
    fn to_json(&self) -> Value {
        let mut record = Map::new();
        record.insert("cpuid".to_owned(), self.cpuid.to_json());
        record.insert("msr".to_owned(), self.msr.to_json());
        Value::Object(record)
    }

    /// Versions before 4.18 wrote only the list of leaves.
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        if value.is_array() {
            return Ok(CpuidPolicy {
                cpuid: Vec::from_json(value)?,
                msr: Vec::new(),
            });
        }
        let record = value
            .as_object()
            .ok_or_else(|| JsonError::new("an object", value))?;
        Ok(CpuidPolicy {
            cpuid: Json::read_member("cpuid", record)?,
            msr: Json::read_member("msr", record)?,
        })
    }

    fn is_initial(&self) -> bool {
        self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_highest_bit_first() {
        let text = "1xxxxxxxxxxxxxxxxxxxxxxxxxxxxk0s";
        let register = RegisterPolicy::<32>::from_text(text).unwrap();
        assert_eq!(register.to_string(), text);
        assert_eq!(
            (register.0[31], register.0[1], register.0[0]),
            (BitPolicy::One, BitPolicy::Zero, BitPolicy::HostStable)
        );
        assert_eq!(RegisterPolicy::<32>::from_text(&text[1..]), None);
        assert_eq!(
            RegisterPolicy::<32>::from_text(&text.replace('k', "y")),
            None
        );
    }

    #[test]
    fn bits_resolve_to_fixed_default_or_host() {
        let register = RegisterPolicy::<32>::from_text("xxxxxxxxxxxxxxxxxxxxxxxxxxxxk10x").unwrap();
        assert_eq!(register.resolve(0b0011, 0b1110), 0b1101);
    }

    #[test]
    fn entries_are_found_again() {
        let mut policy = CpuidPolicy::default();
        policy.leaf(7, Some(0)).ebx = Some(RegisterPolicy::default());
        policy.leaf(7, None);
        policy.leaf(7, Some(0)).ecx = Some(RegisterPolicy::default());
        policy.msr(0x10a).policy.0[3] = BitPolicy::One;
        policy.msr(0x10a).policy.0[4] = BitPolicy::Zero;
        assert_eq!((policy.cpuid.len(), policy.msr.len()), (2, 1));
        assert_eq!(CpuidPolicy::from_json(&policy.to_json()), Ok(policy));
    }
}
