//! ACPI tables of a PVH guest: RSDP, XSDT, FADT, FACS, MADT and a DSDT with the processors.
//!
//! What they say is what Xen 4.20 tells a PVH guest (`tools/libacpi`, `libxl_x86_acpi.c`): there are local APICs with the identifiers 2n and no
//! other legacy device, and the power management registers have the addresses of HVM guests though nothing answers there. Layout: ACPI 6.4,
//! chapter 5. The tables lie at [`ACPI_START`]; the RSDP is the first, or lies in the BIOS area for old systems.

mod aml;

use super::layout::{ACPI_START, BIOS_RSDP, PAGE};

const HEADER_LEN: usize = 36;
const RSDP_LEN: usize = 36;
/// Bytes the first checksum of the RSDP covers.
const RSDP_V1_LEN: usize = 20;
const LOCAL_APIC: u32 = 0xfee0_0000;

/// The tables and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Bytes at [`ACPI_START`].
    pub bytes: Vec<u8>,
    /// The RSDP's bytes.
    pub rsdp: Vec<u8>,
    /// Its address.
    pub rsdp_address: u64,
}

impl Tables {
    /// Pages that [`Self::bytes`] take.
    #[must_use]
    pub fn pages(&self) -> u64 {
        (self.bytes.len() as u64).div_ceil(PAGE)
    }

    /// Whether the RSDP lies in the BIOS area instead of among the tables.
    #[must_use]
    pub fn is_rsdp_in_bios_area(&self) -> bool {
        self.rsdp_address == BIOS_RSDP
    }
}

/// Makes the tables for vCPUs that are each up (`true`) or not, at most 128.
#[must_use]
pub fn build(vcpus: &[bool], rsdp_anywhere: bool) -> Tables {
    // The RSDP's place at the start is kept even if it goes elsewhere.
    let mut bytes = vec![0; RSDP_LEN];
    let facs_at = append(&mut bytes, &facs(), 64);
    let dsdt_at = append(&mut bytes, &dsdt(vcpus), 16);
    let fadt_at = append(&mut bytes, &fadt(facs_at, dsdt_at), 16);
    let madt_at = append(&mut bytes, &madt(vcpus), 16);
    let xsdt_at = append(&mut bytes, &xsdt(&[fadt_at, madt_at]), 16);
    let rsdp = rsdp(xsdt_at);
    if rsdp_anywhere && let Some(place) = bytes.first_chunk_mut::<RSDP_LEN>() {
        *place = rsdp;
    }
    Tables {
        bytes,
        rsdp: rsdp.to_vec(),
        rsdp_address: if rsdp_anywhere { ACPI_START } else { BIOS_RSDP },
    }
}

/// Appends at the next multiple of `align` and gives the address.
fn append(bytes: &mut Vec<u8>, table: &[u8], align: usize) -> u64 {
    bytes.resize(bytes.len().next_multiple_of(align), 0);
    let at = ACPI_START + bytes.len() as u64;
    bytes.extend_from_slice(table);
    at
}

/// A table: header of Xen's OEM fields, body, checksum.
fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let length = (HEADER_LEN + body.len()) as u32;
    let mut table = Vec::with_capacity(HEADER_LEN + body.len());
    table.extend_from_slice(signature);
    table.extend_from_slice(&length.to_le_bytes());
    table.extend_from_slice(&[revision, 0]);
    table.extend_from_slice(b"Xen\0\0\0");
    table.extend_from_slice(b"HVM\0\0\0\0\0");
    table.extend_from_slice(&0_u32.to_le_bytes());
    table.extend_from_slice(b"HVML");
    table.extend_from_slice(&0_u32.to_le_bytes());
    table.extend_from_slice(body);
    table[9] = checksum(&table);
    table
}

/// The byte that makes the sum 0.
fn checksum(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |sum: u8, byte| sum.wrapping_sub(*byte))
}

fn rsdp(xsdt: u64) -> [u8; RSDP_LEN] {
    let mut rsdp = [0; RSDP_LEN];
    rsdp[..8].copy_from_slice(b"RSD PTR ");
    rsdp[9..12].copy_from_slice(b"Xen");
    rsdp[15] = 2;
    rsdp[20] = RSDP_LEN as u8;
    rsdp[24..32].copy_from_slice(&xsdt.to_le_bytes());
    rsdp[8] = checksum(&rsdp[..RSDP_V1_LEN]);
    rsdp[32] = checksum(&rsdp);
    rsdp
}

fn xsdt(tables: &[u64]) -> Vec<u8> {
    let entries: Vec<u8> = tables.iter().flat_map(|at| at.to_le_bytes()).collect();
    table(b"XSDT", 1, &entries)
}

fn facs() -> [u8; 64] {
    let mut facs = [0; 64];
    facs[..4].copy_from_slice(b"FACS");
    facs[4] = 64;
    facs[32] = 1;
    facs
}

/// "Fixed ACPI Description Table", revision 5. Offsets are those of the specification.
fn fadt(facs: u64, dsdt: u64) -> Vec<u8> {
    const LEN: usize = 268;
    /// Processors stop with HLT, WBINVD works, the real-time clock is no wake-up event, the timer has 32 bits and is the clock to use.
    const FLAGS: u32 = 1 << 2 | 1 << 0 | 1 << 6 | 1 << 8 | 1 << 15;
    /// Buttons are no fixed hardware.
    const NO_BUTTONS: u32 = 1 << 4 | 1 << 5;
    /// No VGA, no real-time clock.
    const BOOT_ARCHITECTURE: u16 = 1 << 2 | 1 << 5;
    const EVENT_BLOCK: u32 = 0xb000;
    const CONTROL_BLOCK: u32 = 0xb004;
    const GENERAL_EVENT_BLOCK: u32 = 0xafe0;
    const NO_C2: u16 = 0xfff;
    let mut body = vec![0; LEN - HEADER_LEN];
    let mut put = |offset: usize, bytes: &[u8]| {
        body[offset - HEADER_LEN..][..bytes.len()].copy_from_slice(bytes);
    };
    // Both the old and the wide field hold the address: tables lie below 4 GiB.
    put(36, &facs.to_le_bytes()[..4]);
    put(40, &dsdt.to_le_bytes()[..4]);
    put(46, &9_u16.to_le_bytes());
    put(56, &EVENT_BLOCK.to_le_bytes());
    put(64, &CONTROL_BLOCK.to_le_bytes());
    put(80, &GENERAL_EVENT_BLOCK.to_le_bytes());
    put(88, &[4, 2]);
    put(92, &[4]);
    put(96, &NO_C2.to_le_bytes());
    put(98, &NO_C2.to_le_bytes());
    put(109, &BOOT_ARCHITECTURE.to_le_bytes());
    put(112, &(FLAGS | NO_BUTTONS).to_le_bytes());
    put(116, &io_register(8, 0xcf9));
    put(128, &[6]);
    put(132, &facs.to_le_bytes());
    put(140, &dsdt.to_le_bytes());
    put(148, &io_register(32, EVENT_BLOCK));
    put(172, &io_register(16, CONTROL_BLOCK));
    table(b"FACP", 5, &body)
}

/// "Generic Address Structure" of an I/O port.
fn io_register(bits: u8, port: u32) -> [u8; 12] {
    let mut register = [0; 12];
    register[0] = 1;
    register[1] = bits;
    register[4..8].copy_from_slice(&port.to_le_bytes());
    register
}

/// "Multiple APIC Description Table".
fn madt(vcpus: &[bool]) -> Vec<u8> {
    const PCAT_COMPATIBLE: u32 = 1;
    let mut body = Vec::new();
    body.extend_from_slice(&LOCAL_APIC.to_le_bytes());
    body.extend_from_slice(&PCAT_COMPATIBLE.to_le_bytes());
    for (number, online) in vcpus.iter().enumerate() {
        body.extend_from_slice(&local_apic(number as u8, *online));
    }
    table(b"APIC", 2, &body)
}

/// "Processor Local APIC Structure": processor, APIC identifier 2n, enabled.
fn local_apic(vcpu: u8, online: bool) -> [u8; 8] {
    [0, 8, vcpu, vcpu.wrapping_mul(2), u8::from(online), 0, 0, 0]
}

/// Processor devices for the vCPUs there can be.
fn dsdt(vcpus: &[bool]) -> Vec<u8> {
    let processors: Vec<u8> = vcpus
        .iter()
        .enumerate()
        .flat_map(|(number, online)| processor(number as u8, *online))
        .collect();
    table(b"DSDT", 5, &aml::scope(b"_SB_", &processors))
}

fn processor(vcpu: u8, online: bool) -> Vec<u8> {
    /// Present, enabled, shown and working.
    const STATUS_PRESENT: u8 = 0xf;
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS[usize::from(value & 0xf)];
    let name = [b'P', b'R', digit(vcpu >> 4), digit(vcpu)];
    let status = if online { STATUS_PRESENT } else { 0 };
    let body = [
        aml::name(b"_HID", &aml::string("ACPI0007")),
        aml::name(b"_UID", &aml::byte(vcpu)),
        aml::name(b"_MAT", &aml::buffer(&local_apic(vcpu, online))),
        aml::name(b"_STA", &aml::byte(status)),
    ];
    aml::device(&name, &body.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..][..4].try_into().unwrap())
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..][..8].try_into().unwrap())
    }

    /// The table at a guest address; its sum is 0.
    fn table_at(tables: &Tables, address: u64) -> &[u8] {
        let at = usize::try_from(address - ACPI_START).unwrap();
        let table = &tables.bytes[at..][..u32_at(&tables.bytes, at + 4) as usize];
        assert_eq!(checksum(table), 0, "{:?}", &table[..4]);
        table
    }

    #[test]
    fn tables_lead_from_the_rsdp_to_processors() {
        let tables = build(&[true, true, false], true);
        assert_eq!(tables.rsdp_address, ACPI_START);
        assert_eq!(checksum(&tables.rsdp), 0);
        assert_eq!(checksum(&tables.rsdp[..RSDP_V1_LEN]), 0);
        let xsdt = table_at(&tables, u64_at(&tables.rsdp, 24));
        let fadt = table_at(&tables, u64_at(xsdt, 36));
        let madt = table_at(&tables, u64_at(xsdt, 44));
        assert_eq!((&fadt[..4], fadt.len(), fadt[8]), (&b"FACP"[..], 268, 5));
        let dsdt = table_at(&tables, u64_at(fadt, 140));
        assert_eq!(&dsdt[..4], b"DSDT");
        assert_eq!(
            dsdt.windows(8).filter(|text| text == b"ACPI0007").count(),
            3
        );
        assert_eq!(&madt[44..52], [0, 8, 0, 0, 1, 0, 0, 0]);
        assert_eq!(&madt[60..], [0, 8, 2, 4, 0, 0, 0, 0]);
    }

    #[test]
    fn old_linux_finds_its_rsdp_in_the_bios_area() {
        let tables = build(&[true], false);
        assert!(tables.is_rsdp_in_bios_area());
        assert_eq!(tables.bytes[..RSDP_LEN], [0; RSDP_LEN]);
        assert_eq!(&tables.rsdp[..8], b"RSD PTR ");
    }

    #[test]
    fn tables_of_128_vcpus_fit_their_pages() {
        let tables = build(&[true; 128], true);
        assert!(tables.pages() <= 16);
        assert_eq!(
            tables
                .bytes
                .windows(4)
                .filter(|text| text == b"PR7F")
                .count(),
            1
        );
    }
}
