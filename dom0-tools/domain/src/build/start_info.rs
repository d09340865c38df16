//! What the guest finds through `ebx` (`xen/include/public/arch-x86/hvm/start_info.h`): version 1, with the ramdisk as the only module, the
//! memory map and the command line behind it.

use std::ops::Range;

use xen_abi::hvm::start_info::{
    HvmMemmapTableEntry, HvmModlistEntry, HvmStartInfo, XEN_HVM_START_MAGIC_VALUE,
};
use zerocopy::IntoBytes;

use super::layout::MapEntry;

/// What the start info tells.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// Where the ramdisk lies.
    pub ramdisk: Option<Range<u64>>,
    /// Command line, without its NUL.
    pub command_line: &'a str,
    /// Address of the RSDP.
    pub rsdp: u64,
    /// Memory map.
    pub map: &'a [MapEntry],
}

/// Bytes it takes.
#[must_use]
pub fn len(content: &Content<'_>) -> u64 {
    bytes(content, 0).len() as u64
}

/// Its bytes for the address `at`.
#[must_use]
pub fn bytes(content: &Content<'_>, at: u64) -> Vec<u8> {
    let modules: Vec<HvmModlistEntry> = content.ramdisk.iter().map(module).collect();
    let modlist = at + size_of::<HvmStartInfo>() as u64;
    let memmap = modlist + size_of_val(modules.as_slice()) as u64;
    let entries: Vec<HvmMemmapTableEntry> = content.map.iter().map(map_entry).collect();
    let info = HvmStartInfo {
        magic: XEN_HVM_START_MAGIC_VALUE,
        version: 1,
        nr_modules: modules.len() as u32,
        modlist_paddr: if modules.is_empty() { 0 } else { modlist },
        cmdline_paddr: memmap + size_of_val(entries.as_slice()) as u64,
        rsdp_paddr: content.rsdp,
        memmap_paddr: memmap,
        memmap_entries: entries.len() as u32,
        ..HvmStartInfo::default()
    };
    [
        info.as_bytes(),
        modules.as_bytes(),
        entries.as_bytes(),
        content.command_line.as_bytes(),
        &[0],
    ]
    .concat()
}

fn module(ramdisk: &Range<u64>) -> HvmModlistEntry {
    HvmModlistEntry {
        paddr: ramdisk.start,
        size: ramdisk.end - ramdisk.start,
        ..HvmModlistEntry::default()
    }
}

fn map_entry(entry: &MapEntry) -> HvmMemmapTableEntry {
    HvmMemmapTableEntry {
        addr: entry.0,
        size: entry.1,
        kind: entry.2,
        reserved: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromBytes;

    #[test]
    fn everything_is_found_by_its_address() {
        let at = 0x10_0000;
        let content = Content {
            ramdisk: Some(0x500_0000..0x500_1234),
            command_line: "console=hvc0",
            rsdp: 0xfc00_0000,
            map: &[(0, 0x1000_0000, 1), (0xfc00_0000, 0x1000, 3)],
        };
        let bytes = bytes(&content, at);
        assert_eq!(bytes.len() as u64, len(&content));
        let from = |address: u64| &bytes[usize::try_from(address - at).unwrap()..];
        let (info, _) = HvmStartInfo::read_from_prefix(from(at)).unwrap();
        assert_eq!(
            (info.magic, info.version, info.nr_modules),
            (0x336e_c578, 1, 1)
        );
        let (module, _) = HvmModlistEntry::read_from_prefix(from(info.modlist_paddr)).unwrap();
        assert_eq!((module.paddr, module.size), (0x500_0000, 0x1234));
        let second = from(info.memmap_paddr + 24);
        let (second, _) = HvmMemmapTableEntry::read_from_prefix(second).unwrap();
        assert_eq!(
            (second.addr, second.size, second.kind),
            (0xfc00_0000, 0x1000, 3)
        );
        assert_eq!(from(info.cmdline_paddr), b"console=hvc0\0");
    }

    #[test]
    fn without_a_ramdisk_there_is_no_module() {
        let content = Content {
            ramdisk: None,
            command_line: "",
            rsdp: 0,
            map: &[],
        };
        let (info, _) = HvmStartInfo::read_from_prefix(&bytes(&content, 0x1000)).unwrap();
        assert_eq!((info.nr_modules, info.modlist_paddr), (0, 0));
    }
}
