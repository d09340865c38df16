//! The CPUID and MSR policy of a PVH guest: Xen's default for such domains, a topology without threads, and the configuration's changes
//! (`xc_cpuid_apply_policy` of Xen 4.20's `tools/libs/guest/xg_cpuid_x86.c`).

use xen_abi::sysctl::{XEN_SYSCTL_CPU_POLICY_HOST, XEN_SYSCTL_CPU_POLICY_HVM_DEFAULT};
use xenctl::{CpuPolicy, DomId, Hypervisor};

use super::error::{BuildError, Result, Step};
use super::plan::{CpuidRule, MsrRule, Plan};

/// Subleaf of leaves that have none.
const NO_SUBLEAF: u32 = u32::MAX;
const EAX: usize = 2;
const EBX: usize = 3;
const ECX: usize = 4;
const EDX: usize = 5;

/// Sets a new domain's policy.
///
/// # Errors
/// [`BuildError::Hypervisor`], whose message names the leaf or MSR that was refused; [`BuildError::NoLeaf`], [`BuildError::NoMsr`].
pub fn apply(hypervisor: &dyn Hypervisor, domain: DomId, plan: &Plan) -> Result<()> {
    let read = |index, step| hypervisor.host_cpu_policy(index).step(step);
    let default = read(
        XEN_SYSCTL_CPU_POLICY_HVM_DEFAULT,
        "read the default CPU policy",
    )?;
    let mut policy = CpuPolicy {
        leaves: default.leaves.clone(),
        msrs: Vec::new(),
    };
    set_features(&mut policy, plan);
    hide_threads(&mut policy);
    if !plan.cpuid.is_empty() || !plan.msrs.is_empty() {
        let host = read(XEN_SYSCTL_CPU_POLICY_HOST, "read the host's CPU policy")?;
        for rule in &plan.cpuid {
            change_leaf(&mut policy, &default, &host, rule)?;
        }
        for rule in &plan.msrs {
            policy.msrs.push(changed_msr(&default, &host, rule)?);
        }
    }
    let step = "set the domain's CPU policy";
    hypervisor.set_cpu_policy(domain, &policy).step(step)
}

/// A leaf of a policy.
fn leaf(policy: &mut CpuPolicy, leaf: u32, subleaf: u32) -> Option<&mut [u32; 6]> {
    let mut leaves = policy.leaves.iter_mut();
    leaves.find(|entry| entry[0] == leaf && entry[1] == subleaf)
}

fn set_bit(word: &mut u32, bit: u32, value: bool) {
    *word = *word & !(1 << bit) | u32::from(value) << bit;
}

/// What the configuration decides: invariant TSC, PAE (always there for PVH), nested virtualisation.
fn set_features(policy: &mut CpuPolicy, plan: &Plan) {
    const PAE: u32 = 6;
    const VMX: u32 = 5;
    const SVM: u32 = 2;
    const INVARIANT_TSC: u32 = 8;
    if let Some(basic) = leaf(policy, 1, NO_SUBLEAF) {
        set_bit(&mut basic[EDX], PAE, true);
        set_bit(&mut basic[ECX], VMX, plan.nested);
    }
    if let Some(extended) = leaf(policy, 0x8000_0001, NO_SUBLEAF) {
        set_bit(&mut extended[ECX], SVM, plan.nested);
    }
    if let Some(power) = leaf(policy, 0x8000_0007, NO_SUBLEAF) {
        set_bit(&mut power[EDX], INVARIANT_TSC, plan.invariant_tsc);
    }
}

/// vCPU n has the APIC identifier 2n, as if each were a core whose second thread is off.
fn hide_threads(policy: &mut CpuPolicy) {
    const HYPER_THREADING: u32 = 28;
    const CMP_LEGACY: u32 = 1;
    let vendor =
        leaf(policy, 0, NO_SUBLEAF).map_or([0; 3], |leaf| [leaf[EBX], leaf[EDX], leaf[ECX]]);
    if let Some(basic) = leaf(policy, 1, NO_SUBLEAF) {
        set_bit(&mut basic[EDX], HYPER_THREADING, true);
        let logical = match basic[EBX] >> 16 & 0xff {
            0 => 2,
            many @ 0x80.. => many,
            few => few * 2,
        };
        basic[EBX] = basic[EBX] & !(0xff << 16) | logical << 16;
    }
    if let Some(extended) = leaf(policy, 0x8000_0001, NO_SUBLEAF) {
        set_bit(&mut extended[ECX], CMP_LEGACY, false);
    }
    match &vendor_name(vendor) {
        b"GenuineIntel" => widen_intel_caches(policy),
        b"AuthenticAMD" | b"HygonGenuine" => widen_amd_cores(policy),
        _ => {}
    }
}

fn vendor_name(words: [u32; 3]) -> [u8; 12] {
    let mut name = [0; 12];
    for (place, word) in name.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    name
}

/// Leaf 4: cores of the package minus one in `eax` 31:26, threads sharing the cache minus one in 25:14.
fn widen_intel_caches(policy: &mut CpuPolicy) {
    let caches = policy.leaves.iter_mut().filter(|entry| entry[0] == 4);
    for cache in caches.take_while(|entry| entry[EAX] & 0x1f != 0) {
        let cores = (cache[EAX] >> 26) << 1 | 1;
        cache[EAX] = cache[EAX] & 0x3fff | (cores & 0x3f) << 26;
    }
}

/// Leaf 0x80000008: cores minus one in `ecx` 7:0, bits of the APIC identifier for them in 15:12. More than 7 bits trouble some systems, and
/// 0 bits have another meaning.
fn widen_amd_cores(policy: &mut CpuPolicy) {
    let Some(sizes) = leaf(policy, 0x8000_0008, NO_SUBLEAF) else {
        return;
    };
    let cores = sizes[ECX] & 0xff;
    let mut bits = sizes[ECX] >> 12 & 0xf;
    if cores >= 0x7f {
        return;
    }
    if (1..7).contains(&bits) {
        bits += 1;
    }
    sizes[ECX] = sizes[ECX] & !0xf0ff | bits << 12 | cores << 1 | 1;
}

fn change_leaf(
    policy: &mut CpuPolicy,
    default: &CpuPolicy,
    host: &CpuPolicy,
    rule: &CpuidRule,
) -> Result<()> {
    let missing = BuildError::NoLeaf {
        leaf: rule.leaf,
        subleaf: rule.subleaf,
    };
    let same = |entry: &&[u32; 6]| entry[0] == rule.leaf && entry[1] == rule.subleaf;
    let (Some(default), Some(host), Some(current)) = (
        default.leaves.iter().find(same),
        host.leaves.iter().find(same),
        leaf(policy, rule.leaf, rule.subleaf),
    ) else {
        return Err(missing);
    };
    for (register, bits) in rule.registers.iter().enumerate() {
        if let Some(bits) = bits {
            let at = EAX + register;
            let old = [current[at], default[at], host[at]].map(u64::from);
            current[at] = changed(bits, 32, old) as u32;
        }
    }
    Ok(())
}

fn changed_msr(default: &CpuPolicy, host: &CpuPolicy, rule: &MsrRule) -> Result<(u32, u32, u64)> {
    let find = |policy: &CpuPolicy| {
        let found = policy.msrs.iter().find(|(index, ..)| *index == rule.index);
        found
            .copied()
            .ok_or(BuildError::NoMsr { index: rule.index })
    };
    let ((_, flags, default), (_, _, host)) = (find(default)?, find(host)?);
    let value = changed(&rule.bits, 64, [default, default, host]);
    Ok((rule.index, flags, value))
}

/// A register's value by the rule: each bit, the most significant first, is set, clear, or the default's or host's. Bits without a rule
/// stay as they are.
fn changed(bits: &str, width: u32, [current, default, host]: [u64; 3]) -> u64 {
    let places = (0..width).rev().map(|bit| 1 << bit);
    bits.bytes()
        .zip(places)
        .fold(current, |value, (rule, bit)| {
            let source = match rule {
                b'1' => u64::MAX,
                b'0' => 0,
                b'x' => default,
                b'k' | b's' => host,
                _ => value,
            };
            value & !bit | source & bit
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amd() -> CpuPolicy {
        CpuPolicy {
            leaves: vec![
                // "AuthenticAMD" in ebx, edx, ecx.
                [0, NO_SUBLEAF, 0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65],
                [1, NO_SUBLEAF, 0, 4 << 16, 0, 0],
                [0x8000_0001, NO_SUBLEAF, 0, 0, 2, 0],
                [0x8000_0008, NO_SUBLEAF, 0, 0, 0x2003, 0],
            ],
            msrs: vec![(0xce, 0, 1 << 31)],
        }
    }

    #[test]
    fn amd_topology_has_no_threads_and_twice_the_identifiers() {
        let mut policy = amd();
        hide_threads(&mut policy);
        assert_eq!(policy.leaves[1][EBX], 8 << 16);
        assert_eq!(policy.leaves[1][EDX], 1 << 28);
        assert_eq!(policy.leaves[2][ECX], 0);
        assert_eq!(policy.leaves[3][ECX], 0x3007);
    }

    #[test]
    fn intel_caches_belong_to_one_thread_of_twice_the_cores() {
        let mut policy = amd();
        // "GenuineIntel".
        policy.leaves[0] = [0, NO_SUBLEAF, 0xd, 0x756e_6547, 0x6c65_746e, 0x4965_6e69];
        let cache = 3 << 26 | 1 << 14 | 0x121;
        policy.leaves.push([4, 0, cache, 0, 0, 0]);
        policy.leaves.push([4, 1, 0, 0, 0, 0]);
        hide_threads(&mut policy);
        assert_eq!(policy.leaves[4][EAX], 7 << 26 | 0x121);
        assert_eq!(policy.leaves[5][EAX], 0);
    }

    #[test]
    fn many_logical_processors_do_not_overflow() {
        let mut policy = amd();
        policy.leaves[1][EBX] = 0x80 << 16;
        policy.leaves[3][ECX] = 0x70ff;
        hide_threads(&mut policy);
        assert_eq!(policy.leaves[1][EBX], 0x80 << 16);
        assert_eq!(policy.leaves[3][ECX], 0x70ff);
    }

    #[test]
    fn rules_take_bits_from_default_and_host() {
        assert_eq!(changed("10xk", 32, [0, 1 << 29, 1 << 28]), 0xb << 28);
        assert_eq!(changed("....", 32, [5, 0, 0]), 5);
        let rule = MsrRule {
            index: 0xce,
            bits: "x".repeat(63) + "1",
        };
        let msr = changed_msr(&amd(), &amd(), &rule).unwrap();
        assert_eq!(msr, (0xce, 0, 1 << 31 | 1));
    }

    #[test]
    fn rule_for_a_leaf_that_does_not_exist_is_an_error() {
        let rule = CpuidRule {
            leaf: 0x1234,
            subleaf: NO_SUBLEAF,
            registers: [None, None, None, None],
        };
        let result = change_leaf(&mut amd(), &amd(), &amd(), &rule);
        assert!(matches!(
            result,
            Err(BuildError::NoLeaf { leaf: 0x1234, .. })
        ));
    }
}
