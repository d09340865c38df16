//! The block a PVH kernel finds in `ebx` (`xen/include/public/arch-x86/hvm/start_info.h`, version 1): start info, module list, memory map,
//! command line.
//!
//! Linux identity-maps the first 1 GiB when it reads them, so the block must be below that.

use alloc::vec::Vec;

use super::PhysRange;
use super::e820::E820Entry;

const MAGIC: u32 = 0x336e_c578;
const VERSION: u32 = 1;
/// `SIF_PRIVILEGED | SIF_INITDOMAIN`.
const FLAGS: u32 = 0x3;
const INFO_LEN: usize = 56;
const MODULE_LEN: usize = 32;
const MAP_ENTRY_LEN: usize = 24;

/// What goes into the block.
#[derive(Copy, Clone, Debug)]
pub struct StartInfo<'a> {
    /// The initrd in dom0's memory.
    pub initrd: Option<PhysRange>,
    /// Address of the RSDP.
    pub rsdp: u64,
    /// dom0's memory map.
    pub memory_map: &'a [E820Entry],
    /// dom0's command line; a zero byte is added.
    pub cmdline: &'a str,
}

/// Length of the block in bytes for a map and command line of these lengths, with an initrd.
#[must_use]
pub const fn block_len(map_entries: usize, cmdline_len: usize) -> usize {
    INFO_LEN + MODULE_LEN + map_entries * MAP_ENTRY_LEN + cmdline_len + 1
}

/// The block's bytes, to be put at address `at`, which is a multiple of 8.
#[must_use]
pub fn build(info: &StartInfo<'_>, at: u64) -> Vec<u8> {
    let modules = u32::from(info.initrd.is_some());
    let module_at = at.wrapping_add(INFO_LEN as u64);
    let map_at = module_at.wrapping_add(MODULE_LEN as u64);
    let map_count = u32::try_from(info.memory_map.len()).unwrap_or(u32::MAX);
    let cmdline_at = map_at.wrapping_add(u64::from(map_count).wrapping_mul(MAP_ENTRY_LEN as u64));
    let initrd = info.initrd.unwrap_or_default();

    let mut block = Vec::with_capacity(block_len(info.memory_map.len(), info.cmdline.len()));
    put_u32(&mut block, [MAGIC, VERSION, FLAGS, modules]);
    put_u64(
        &mut block,
        [
            if info.initrd.is_some() { module_at } else { 0 },
            cmdline_at,
            info.rsdp,
            map_at,
        ],
    );
    put_u32(&mut block, [map_count, 0]);
    // Module entry: address, size, no command line, reserved.
    put_u64(&mut block, [initrd.start, initrd.len(), 0, 0]);
    for entry in info.memory_map {
        put_u64(&mut block, [entry.range.start, entry.range.len()]);
        put_u32(&mut block, [entry.kind.0, 0]);
    }
    block.extend_from_slice(info.cmdline.as_bytes());
    block.push(0);
    block
}

fn put_u32<const N: usize>(block: &mut Vec<u8>, values: [u32; N]) {
    values
        .iter()
        .for_each(|value| block.extend_from_slice(&value.to_le_bytes()));
}

fn put_u64<const N: usize>(block: &mut Vec<u8>, values: [u64; N]) {
    values
        .iter()
        .for_each(|value| block.extend_from_slice(&value.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dom0::e820::E820Kind;
    use kernel_image::little_endian::{u32_at, u64_at};

    #[test]
    fn block_holds_what_linux_reads() {
        let map = [
            E820Entry::new(0, 0x9f000, E820Kind::RAM),
            E820Entry::new(0x10_0000, 0x1000, E820Kind::ACPI),
        ];
        let initrd = Some(PhysRange {
            start: 0x400_0000,
            end: 0x400_1234,
        });
        let block = build(
            &StartInfo {
                initrd,
                rsdp: 0x7000,
                memory_map: &map,
                cmdline: "root=/dev/sda",
            },
            0x20_0000,
        );
        assert_eq!(block.len(), block_len(2, 13));
        let words = [0, 4, 8, 12, 48].map(|at| u32_at(&block, at).unwrap());
        assert_eq!(words, [MAGIC, 1, 3, 1, 2]);
        let addresses = [16, 24, 32, 40].map(|at| u64_at(&block, at).unwrap());
        assert_eq!(addresses, [0x20_0038, 0x20_0058 + 48, 0x7000, 0x20_0058]);
        assert_eq!(
            (u64_at(&block, 56), u64_at(&block, 64)),
            (Some(0x400_0000), Some(0x1234))
        );
        assert_eq!(
            (u64_at(&block, 88 + 24), u32_at(&block, 88 + 40)),
            (Some(0x10_0000), Some(3))
        );
        assert!(block.ends_with(b"root=/dev/sda\0"));
    }

    #[test]
    fn without_initrd_there_is_no_module() {
        let block = build(
            &StartInfo {
                initrd: None,
                rsdp: 0,
                memory_map: &[],
                cmdline: "",
            },
            0x1000,
        );
        assert_eq!((u32_at(&block, 12), u64_at(&block, 16)), (Some(0), Some(0)));
    }
}
