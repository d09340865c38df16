//! Features of processors by name: the leaf, register and bit of each, as Xen's public header arch-x86/cpufeatureset.h numbers them
//! for 4.20, and the wider fields and older names that libxl knows besides.

use super::host::Register::{self, Eax, Ebx, Ecx, Edx};

/// Where a feature or field is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A register of a leaf.
    Leaf {
        /// Input in EAX.
        leaf: u32,
        /// Input in ECX, for leaves that look at it.
        subleaf: Option<u32>,
        /// Output.
        register: Register,
    },
    /// 32 bits of an MSR.
    Msr {
        /// The MSR's number.
        index: u32,
        /// Number of the first of the 32 bits.
        first_bit: u8,
    },
}

const fn leaf(leaf: u32, subleaf: Option<u32>, register: Register) -> Target {
    Target::Leaf {
        leaf,
        subleaf,
        register,
    }
}

const ARCH_CAPS_LOW: Target = Target::Msr {
    index: 0x10a,
    first_bit: 0,
};
const ARCH_CAPS_HIGH: Target = Target::Msr {
    index: 0x10a,
    first_bit: 32,
};

/// A field of a register: its name, place, first bit and number of bits.
pub type Field = (&'static str, Target, u8, u8);

/// Fields and single bits under libxl's own names.
#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    ("maxleaf", leaf(0x0, None, Eax), 0, 32),
    ("stepping", leaf(0x1, None, Eax), 0, 4),
    ("brandid", leaf(0x1, None, Ebx), 0, 8),
    ("clflush", leaf(0x1, None, Ebx), 8, 8),
    ("proccount", leaf(0x1, None, Ebx), 16, 8),
    ("localapicid", leaf(0x1, None, Ebx), 24, 8),
    ("est", leaf(0x1, None, Ecx), 7, 1),
    ("cntxid", leaf(0x1, None, Ecx), 10, 1),
    ("cmpxchg16", leaf(0x1, None, Ecx), 13, 1),
    ("sse4_1", leaf(0x1, None, Ecx), 19, 1),
    ("sse4.1", leaf(0x1, None, Ecx), 19, 1),
    ("sse4_2", leaf(0x1, None, Ecx), 20, 1),
    ("sse4.2", leaf(0x1, None, Ecx), 20, 1),
    ("aes", leaf(0x1, None, Ecx), 25, 1),
    ("cmpxchg8", leaf(0x1, None, Edx), 8, 1),
    ("sysenter", leaf(0x1, None, Edx), 11, 1),
    ("psn", leaf(0x1, None, Edx), 18, 1),
    ("clfsh", leaf(0x1, None, Edx), 19, 1),
    ("tm", leaf(0x1, None, Edx), 29, 1),
    ("ia64", leaf(0x1, None, Edx), 30, 1),
    ("arat", leaf(0x6, None, Eax), 2, 1),
    ("tsc_adjust", leaf(0x7, Some(0), Ebx), 1, 1),
    ("cmt", leaf(0x7, Some(0), Ebx), 12, 1),
    ("lahfsahf", leaf(0x8000_0001, None, Ecx), 0, 1),
    ("cmplegacy", leaf(0x8000_0001, None, Ecx), 1, 1),
    ("altmovcr8", leaf(0x8000_0001, None, Ecx), 4, 1),
    ("nodeid", leaf(0x8000_0001, None, Ecx), 19, 1),
    ("perfctr_core", leaf(0x8000_0001, None, Ecx), 23, 1),
    ("perfctr_nb", leaf(0x8000_0001, None, Ecx), 24, 1),
    ("procpkg", leaf(0x4, Some(0), Eax), 26, 6),
    ("invtsc", leaf(0x8000_0007, None, Edx), 8, 1),
    ("ppin", leaf(0x8000_0008, None, Ebx), 23, 1),
    ("nc", leaf(0x8000_0008, None, Ecx), 0, 8),
    ("apicidsize", leaf(0x8000_0008, None, Ecx), 12, 4),
    ("svm_npt", leaf(0x8000_000a, None, Edx), 0, 1),
    ("svm_lbrv", leaf(0x8000_000a, None, Edx), 1, 1),
    ("svm_nrips", leaf(0x8000_000a, None, Edx), 3, 1),
    ("svm_tscrate", leaf(0x8000_000a, None, Edx), 4, 1),
    ("svm_vmcbclean", leaf(0x8000_000a, None, Edx), 5, 1),
    ("svm_decode", leaf(0x8000_000a, None, Edx), 7, 1),
    ("svm_pausefilt", leaf(0x8000_000a, None, Edx), 10, 1),
    ("lfence+", leaf(0x8000_0021, None, Eax), 2, 1),
    ("maxhvleaf", leaf(0x4000_0000, None, Eax), 0, 8),
];

/// Single bits under Xen's names, one group for each register.
#[rustfmt::skip]
pub const FEATURES: &[(Target, &[(&str, u8)])] = &[
    (leaf(0x1, None, Edx), &[
        ("fpu", 0), ("vme", 1), ("de", 2), ("pse", 3), ("tsc", 4), ("msr", 5), ("pae", 6), ("mce", 7), ("cx8", 8),
        ("apic", 9), ("sep", 11), ("mtrr", 12), ("pge", 13), ("mca", 14), ("cmov", 15), ("pat", 16), ("pse36", 17),
        ("clflush", 19), ("ds", 21), ("acpi", 22), ("mmx", 23), ("fxsr", 24), ("sse", 25), ("sse2", 26), ("ss", 27),
        ("htt", 28), ("tm1", 29), ("pbe", 31),
    ]),
    (leaf(0x1, None, Ecx), &[
        ("sse3", 0), ("pclmulqdq", 1), ("dtes64", 2), ("monitor", 3), ("dscpl", 4), ("vmx", 5), ("smx", 6),
        ("eist", 7), ("tm2", 8), ("ssse3", 9), ("sdbg", 11), ("fma", 12), ("cx16", 13), ("xtpr", 14), ("pdcm", 15),
        ("pcid", 17), ("dca", 18), ("sse4-1", 19), ("sse4-2", 20), ("x2apic", 21), ("movbe", 22), ("popcnt", 23),
        ("tsc-deadline", 24), ("aesni", 25), ("xsave", 26), ("osxsave", 27), ("avx", 28), ("f16c", 29),
        ("rdrand", 30), ("hypervisor", 31),
    ]),
    (leaf(0x8000_0001, None, Edx), &[
        ("syscall", 11), ("nx", 20), ("mmxext", 22), ("ffxsr", 25), ("page1gb", 26), ("rdtscp", 27), ("lm", 29),
        ("3dnowext", 30), ("3dnow", 31),
    ]),
    (leaf(0x8000_0001, None, Ecx), &[
        ("lahf-lm", 0), ("cmp-legacy", 1), ("svm", 2), ("extapic", 3), ("cr8-legacy", 4), ("abm", 5), ("sse4a", 6),
        ("misalignsse", 7), ("3dnowprefetch", 8), ("osvw", 9), ("ibs", 10), ("xop", 11), ("skinit", 12), ("wdt", 13),
        ("lwp", 15), ("fma4", 16), ("nodeid-msr", 19), ("tbm", 21), ("topoext", 22), ("dbext", 26), ("monitorx", 29),
        ("addr-msk-ext", 30),
    ]),
    (leaf(0xd, Some(1), Eax), &[
        ("xsaveopt", 0), ("xsavec", 1), ("xgetbv1", 2), ("xsaves", 3), ("xfd", 4),
    ]),
    (leaf(0x7, Some(0), Ebx), &[
        ("fsgsbase", 0), ("tsc-adjust", 1), ("sgx", 2), ("bmi1", 3), ("hle", 4), ("avx2", 5), ("fdp-excp-only", 6),
        ("smep", 7), ("bmi2", 8), ("erms", 9), ("invpcid", 10), ("rtm", 11), ("pqm", 12), ("no-fpu-sel", 13),
        ("mpx", 14), ("pqe", 15), ("avx512f", 16), ("avx512dq", 17), ("rdseed", 18), ("adx", 19), ("smap", 20),
        ("avx512-ifma", 21), ("clflushopt", 23), ("clwb", 24), ("proc-trace", 25), ("avx512pf", 26),
        ("avx512er", 27), ("avx512cd", 28), ("sha", 29), ("avx512bw", 30), ("avx512vl", 31),
    ]),
    (leaf(0x7, Some(0), Ecx), &[
        ("prefetchwt1", 0), ("avx512-vbmi", 1), ("umip", 2), ("pku", 3), ("ospke", 4), ("waitpkg", 5),
        ("avx512-vbmi2", 6), ("cet-ss", 7), ("gfni", 8), ("vaes", 9), ("vpclmulqdq", 10), ("avx512-vnni", 11),
        ("avx512-bitalg", 12), ("tme", 13), ("avx512-vpopcntdq", 14), ("la57", 16), ("rdpid", 22), ("bld", 24),
        ("cldemote", 25), ("movdiri", 27), ("movdir64b", 28), ("enqcmd", 29), ("sgx-lc", 30), ("pks", 31),
    ]),
    (leaf(0x8000_0007, None, Edx), &[
        ("hw-pstate", 7), ("itsc", 8), ("cpb", 9), ("efro", 10),
    ]),
    (leaf(0x8000_0008, None, Ebx), &[
        ("clzero", 0), ("rstr-fp-err-ptrs", 2), ("wbnoinvd", 9), ("ibpb", 12), ("ibrs", 14), ("amd-stibp", 15),
        ("ibrs-always", 16), ("stibp-always", 17), ("ibrs-fast", 18), ("ibrs-same-mode", 19), ("no-lmsl", 20),
        ("amd-ppin", 23), ("amd-ssbd", 24), ("virt-ssbd", 25), ("ssb-no", 26), ("psfd", 28), ("btc-no", 29),
        ("ibpb-ret", 30),
    ]),
    (leaf(0x7, Some(0), Edx), &[
        ("sgx-keys", 1), ("avx512-4vnniw", 2), ("avx512-4fmaps", 3), ("fsrm", 4), ("uintr", 5),
        ("avx512-vp2intersect", 8), ("srbds-ctrl", 9), ("md-clear", 10), ("rtm-always-abort", 11),
        ("tsx-force-abort", 13), ("serialize", 14), ("hybrid", 15), ("tsxldtrk", 16), ("pconfig", 18),
        ("arch-lbr", 19), ("cet-ibt", 20), ("amx-bf16", 22), ("avx512-fp16", 23), ("amx-tile", 24), ("amx-int8", 25),
        ("ibrsb", 26), ("stibp", 27), ("l1d-flush", 28), ("arch-caps", 29), ("core-caps", 30), ("ssbd", 31),
    ]),
    (leaf(0x7, Some(1), Eax), &[
        ("sha512", 0), ("sm3", 1), ("sm4", 2), ("avx-vnni", 4), ("avx512-bf16", 5), ("cmpccxadd", 7), ("fzrm", 10),
        ("fsrs", 11), ("fsrcs", 12), ("fred", 17), ("wrmsrns", 19), ("amx-fp16", 21), ("avx-ifma", 23),
    ]),
    (leaf(0x8000_0021, None, Eax), &[
        ("no-nest-bp", 0), ("fs-gs-ns", 1), ("lfence-dispatch", 2), ("verw-clear", 5), ("nscb", 6), ("auto-ibrs", 8),
        ("amd-fsrs", 10), ("amd-fsrc", 11), ("cpuid-user-dis", 17), ("epsf", 18), ("fsrsc", 19),
        ("amd-prefetchi", 20), ("sbpb", 27), ("ibpb-brtype", 28), ("srso-no", 29), ("srso-us-no", 30),
        ("srso-msr-fix", 31),
    ]),
    (leaf(0x7, Some(1), Ebx), &[
        ("intel-ppin", 0),
    ]),
    (leaf(0x7, Some(2), Edx), &[
        ("intel-psfd", 0), ("ipred-ctrl", 1), ("rrsba-ctrl", 2), ("ddp-ctrl", 3), ("bhi-ctrl", 4), ("mcdt-no", 5),
    ]),
    (leaf(0x7, Some(1), Edx), &[
        ("avx-vnni-int8", 4), ("avx-ne-convert", 5), ("amx-complex", 8), ("avx-vnni-int16", 10), ("prefetchi", 14),
        ("cet-sss", 18),
    ]),
    (ARCH_CAPS_LOW, &[
        ("rdcl-no", 0), ("eibrs", 1), ("rsba", 2), ("skip-l1dfl", 3), ("intel-ssb-no", 4), ("mds-no", 5),
        ("if-pschange-mc-no", 6), ("tsx-ctrl", 7), ("taa-no", 8), ("mcu-ctrl", 9), ("misc-pkg-ctrl", 10),
        ("energy-filtering", 11), ("doitm", 12), ("sbdr-ssdp-no", 13), ("fbsdp-no", 14), ("psdp-no", 15),
        ("fb-clear", 17), ("fb-clear-ctrl", 18), ("rrsba", 19), ("bhi-no", 20), ("xapic-status", 21),
        ("ovrclk-status", 23), ("pbrsb-no", 24), ("gds-ctrl", 25), ("gds-no", 26), ("rfds-no", 27),
        ("rfds-clear", 28),
    ]),
    (ARCH_CAPS_HIGH, &[
        ("pb-opt-ctrl", 0), ("its-no", 30),
    ]),
    (leaf(0x8000_0021, None, Ecx), &[
        ("tsa-sq-no", 1), ("tsa-l1-no", 2),
    ]),
];

/// The feature or field of that name.
pub fn find(name: &str) -> Option<Field> {
    let field = FIELDS.iter().find(|(known, ..)| *known == name).copied();
    field.or_else(|| {
        FEATURES.iter().find_map(|(target, bits)| {
            let (known, bit) = bits.iter().find(|(known, _)| *known == name)?;
            Some((*known, *target, *bit, 1))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[Field]) {
        for (index, (name, _, bit, length)) in fields.iter().enumerate() {
            assert!(bit + length <= 32, "{name}");
            assert!(
                !fields[..index].iter().any(|(other, ..)| other == name),
                "{name}"
            );
        }
    }

    #[test]
    fn names_are_unique_and_fields_fit_their_registers() {
        check(FIELDS);
        let bits = FEATURES
            .iter()
            .flat_map(|(target, bits)| bits.iter().map(|(name, bit)| (*name, *target, *bit, 1)));
        check(&bits.collect::<Vec<_>>());
    }

    #[test]
    fn fields_come_before_features_of_the_same_name() {
        assert_eq!(
            find("clflush"),
            Some(("clflush", leaf(0x1, None, Ebx), 8, 8))
        );
    }
}
