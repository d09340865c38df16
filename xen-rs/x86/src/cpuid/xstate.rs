//! Sizes of XSAVE areas.
//!
//! Semantics: Intel SDM vol. 1, "Managing State Using the XSAVE Feature Set"; CPUID leaf 0xd.

use super::leaf::Leaf;
use super::policy::XSTATE_LEAVES;

/// Legacy area and header, in bytes.
pub const XSAVE_AREA_MIN: u32 = 576;

/// x87 and SSE, which lie in the legacy area.
pub const X87_SSE: u64 = 0b11;
/// AVX.
pub const AVX: u64 = 1 << 2;
/// AVX-512: masks, upper halves, upper registers.
pub const AVX512: u64 = 0b111 << 5;
/// Protection keys.
pub const PKRU: u64 = 1 << 9;
/// AMX.
pub const AMX: u64 = 0b11 << 17;

fn components(components: u64, table: &[Leaf; XSTATE_LEAVES]) -> impl Iterator<Item = &Leaf> {
    let mut rest = components & !X87_SSE & (u64::MAX >> 1);
    core::iter::from_fn(move || {
        let index = rest.trailing_zeros() as usize;
        rest &= rest.wrapping_sub(1);
        table.get(index)
    })
}

/// Bytes of an XSAVE area in the standard format with all components of `xcr0`; 0 for none.
#[must_use]
pub fn standard_size(xcr0: u64, table: &[Leaf; XSTATE_LEAVES]) -> u32 {
    if xcr0 == 0 {
        return 0;
    }
    components(xcr0, table).fold(XSAVE_AREA_MIN, |size, leaf| {
        size.max(leaf.a.saturating_add(leaf.b))
    })
}

/// Bytes of an XSAVE area in the compacted format with all components of `xstates`; 0 for none.
#[must_use]
pub fn compacted_size(xstates: u64, table: &[Leaf; XSTATE_LEAVES]) -> u32 {
    if xstates == 0 {
        return 0;
    }
    components(xstates, table).fold(XSAVE_AREA_MIN, |size, leaf| {
        let aligned = if leaf.c & 2 != 0 {
            size.saturating_add(63) & !63
        } else {
            size
        };
        aligned.saturating_add(leaf.a)
    })
}

/// Whether XCR0 may have this value on a processor with all those components: x87 always, AVX only with SSE, AVX-512 complete and only
/// with AVX, AMX complete.
#[must_use]
pub fn is_consistent(xcr0: u64) -> bool {
    let all_or_none = |mask| xcr0 & mask == 0 || xcr0 & mask == mask;
    xcr0 & 1 != 0
        && (xcr0 & AVX == 0 || xcr0 & X87_SSE == X87_SSE)
        && (xcr0 & AVX512 == 0 || xcr0 & AVX != 0)
        && all_or_none(AVX512)
        && all_or_none(AMX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> [Leaf; XSTATE_LEAVES] {
        let mut table = [Leaf::EMPTY; XSTATE_LEAVES];
        table[2] = Leaf {
            a: 256,
            b: 576,
            c: 0,
            d: 0,
        };
        table[9] = Leaf {
            a: 8,
            b: 2432,
            c: 0,
            d: 0,
        };
        table[11] = Leaf {
            a: 16,
            b: 0,
            c: 3,
            d: 0,
        };
        table
    }

    #[test]
    fn standard_format_reaches_to_the_end_of_the_last_component() {
        assert_eq!(standard_size(0, &table()), 0);
        assert_eq!(standard_size(0b11, &table()), 576);
        assert_eq!(standard_size(0b111, &table()), 832);
        assert_eq!(standard_size(0x207, &table()), 2440);
    }

    #[test]
    fn compacted_format_packs_and_aligns() {
        assert_eq!(compacted_size(0x207, &table()), 840);
        assert_eq!(compacted_size(0xa07, &table()), 896 + 16);
    }

    #[test]
    fn xcr0_values_that_fault_on_hardware_are_inconsistent() {
        for good in [1, 3, 7, 0xe7, 0x207] {
            assert!(is_consistent(good), "{good:#x}");
        }
        for bad in [0, 2, 5, 0x23, 0x67, 0xe3, 0x2_0007] {
            assert!(!is_consistent(bad), "{bad:#x}");
        }
    }

    #[test]
    fn absent_components_and_the_top_bit_do_no_harm() {
        assert_eq!(standard_size(u64::MAX, &table()), 2440);
    }
}
