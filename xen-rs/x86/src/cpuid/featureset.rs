//! A set of CPUID features, as the words of `XEN_SYSCTL_get_cpu_featureset`.

use super::dependencies::NEEDED_BY;
use super::feature::{FEATURE_WORDS, Feature, KNOWN};

/// Words that show MSR_ARCH_CAPABILITIES.
const ARCH_CAPS_WORDS: core::ops::RangeInclusive<usize> = 16..=17;

/// Features present in a policy. Word order is Xen's.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Featureset(pub [u32; FEATURE_WORDS]);

impl Featureset {
    /// Whether `feature` is in it.
    #[must_use]
    pub const fn has(&self, feature: Feature) -> bool {
        self.0[feature.word()] & feature.mask() != 0
    }

    /// Adds `feature`.
    pub const fn insert(&mut self, feature: Feature) {
        self.0[feature.word()] |= feature.mask();
    }

    /// Takes `feature` away, but not what depends on it: see [`Self::drop_unsupported`].
    pub const fn remove(&mut self, feature: Feature) {
        self.0[feature.word()] &= !feature.mask();
    }

    /// Adds or takes away `feature`.
    pub const fn set(&mut self, feature: Feature, present: bool) {
        if present {
            self.insert(feature);
        } else {
            self.remove(feature);
        }
    }

    /// Keeps only what `allowed` also has.
    pub fn intersect(&mut self, allowed: &[u32; FEATURE_WORDS]) {
        for (word, mask) in self.0.iter_mut().zip(allowed) {
            *word &= mask;
        }
    }

    /// Takes away unknown bits and every feature that lacks a prerequisite.
    pub fn drop_unsupported(&mut self) {
        self.intersect(&KNOWN);
        loop {
            let before = *self;
            for &(needed, dependents) in NEEDED_BY {
                if !self.has(needed) {
                    dependents.iter().for_each(|&feature| self.remove(feature));
                }
            }
            if !self.has(Feature::ARCH_CAPS) {
                self.0[ARCH_CAPS_WORDS].fill(0);
            }
            // Each round takes at least one bit away, so this ends.
            if *self == before {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hiding_a_feature_hides_all_that_is_built_on_it() {
        let mut set = Featureset(KNOWN);
        set.remove(Feature::XSAVE);
        set.drop_unsupported();
        for gone in [
            Feature::AVX,
            Feature::AVX2,
            Feature::AVX512_VBMI,
            Feature::PKU,
            Feature::VAES,
        ] {
            assert!(!set.has(gone), "{gone:?}");
        }
        assert!(set.has(Feature::SSE4_2) && set.has(Feature::LM));
    }

    #[test]
    fn without_arch_caps_its_words_are_empty() {
        let mut set = Featureset([u32::MAX; FEATURE_WORDS]);
        set.remove(Feature::ARCH_CAPS);
        set.drop_unsupported();
        assert_eq!(set.0[16..18], [0, 0]);
    }

    #[test]
    fn unknown_bits_are_dropped() {
        let mut set = Featureset([u32::MAX; FEATURE_WORDS]);
        set.drop_unsupported();
        assert_eq!(set, Featureset(KNOWN));
    }
}
