//! Small kernels for tests.

use alloc::vec;
use alloc::vec::Vec;

use crate::bzimage::{
    BOOT_FLAG, HEADER, PAYLOAD_LENGTH, PAYLOAD_OFFSET, SECTOR, SETUP_SECTS, VERSION,
};

/// A bzImage with one setup sector and the payload 0x40 bytes into the protected-mode part.
#[must_use]
pub fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 2 * SECTOR + 0x40];
    image[SETUP_SECTS] = 1;
    image[BOOT_FLAG..][..2].copy_from_slice(&[0x55, 0xaa]);
    image[HEADER..][..4].copy_from_slice(b"HdrS");
    image[VERSION..][..2].copy_from_slice(&0x20f_u16.to_le_bytes());
    image[PAYLOAD_OFFSET..][..4].copy_from_slice(&0x40_u32.to_le_bytes());
    image[PAYLOAD_LENGTH..][..4]
        .copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    image.extend_from_slice(payload);
    image
}

/// One note, padded to 4 bytes.
#[must_use]
pub fn note(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&u32::try_from(name.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(desc.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(&kind.to_le_bytes());
    for part in [name, desc] {
        bytes.extend_from_slice(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// An ELF64 file with the loadable segments (paddr, bytes, memory size) and notes given.
#[must_use]
pub fn elf64(loads: &[(u64, &[u8], u64)], notes: &[u8]) -> Vec<u8> {
    let count = loads.len() + 1;
    let mut image = vec![0; 64 + 56 * count];
    image[..6].copy_from_slice(b"\x7fELF\x02\x01");
    image[18] = 62;
    image[32] = 64;
    image[54] = 56;
    image[56] = u8::try_from(count).unwrap();
    let note = (0, notes, notes.len() as u64);
    for (index, (paddr, bytes, memory)) in loads.iter().chain([&note]).enumerate() {
        let fields = [
            (8, image.len() as u64),
            (24, *paddr),
            (32, bytes.len() as u64),
            (40, *memory),
            (48, 0x1000),
        ];
        for (at, value) in fields {
            image[64 + 56 * index + at..][..8].copy_from_slice(&value.to_le_bytes());
        }
        image[64 + 56 * index] = if index < loads.len() { 1 } else { 4 };
        image.extend_from_slice(bytes);
    }
    image
}

/// A small kernel like Linux: two segments from 16 MiB, relocatable.
#[must_use]
pub fn kernel() -> Vec<u8> {
    let mut notes = note(b"GNU\0", 3, b"odd");
    notes.extend(note(b"Xen\0", 6, b"linux\0"));
    notes.extend(note(b"Xen\0", 18, &0x100_0010_u64.to_le_bytes()));
    notes.extend(note(b"Xen\0", 17, &0x8801_u32.to_le_bytes()));
    let reloc: Vec<u8> = [0x20_0000_u32, 0x100_0000, 0x3fff_ffff]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    notes.extend(note(b"Xen\0", 19, &reloc));
    elf64(
        &[
            (0x100_0000, &[1; 0x40], 0x40),
            (0x120_0000, &[2; 0x20], 0x5000),
        ],
        &notes,
    )
}
