//! dom0's view of ACPI: a new RSDP, XSDT and MADT; the host's other tables stay where firmware put them.
//!
//! dom0 must see its virtual CPUs and the virtual I/O APICs, and must not see tables about hardware the hypervisor keeps (HPET, IOMMU,
//! NUMA, error records, consoles). Tables in memory that is dom0's RAM to use are left out as well. Layout: ACPI 6.4, "Root System
//! Description Pointer" and "Multiple APIC Description Table". Filter: Xen 4.20's PVH dom0.

use alloc::vec::Vec;

use super::e820::{E820Entry, E820Kind};
use super::{BuildError, PhysRange};

/// Most vCPUs: APIC identifiers are 32 bits wide, but 4.20 has room for 128 vCPUs of a PVH domain.
pub const VCPUS_MAX: u32 = 128;

/// Bytes of the header that all tables start with.
pub const HEADER_LEN: usize = 36;
const RSDP_LEN: usize = 36;
/// Bytes the first checksum of the RSDP covers.
const RSDP_V1_LEN: usize = 20;
const LOCAL_APIC: u32 = 0xfee0_0000;
const MADT_REVISION_MAX: u8 = 4;
const MADT_IO_APIC: u8 = 1;
const MADT_OVERRIDE: u8 = 2;
const MADT_X2APIC: u8 = 9;

/// Tables dom0 may see; `OEM` tables come on top.
const ALLOWED: [&[u8; 4]; 13] = [
    b"FACP", b"PSDT", b"SSDT", b"SBST", b"MCFG", b"SLIC", b"MSDM", b"WDAT", b"FPDT", b"S3PT",
    b"TCPA", b"TPM2", b"VFCT",
];

/// A table listed in the host's XSDT or RSDT.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct HostTable {
    /// Its signature.
    pub signature: [u8; 4],
    /// Its physical address.
    pub address: u64,
    /// Its length in bytes, as its header says.
    pub length: u32,
}

/// An I/O APIC that dom0 sees.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Identifier.
    pub id: u8,
    /// Physical address of its registers.
    pub address: u32,
    /// First global system interrupt.
    pub gsi_base: u32,
}

/// An interrupt source override.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct InterruptOverride {
    /// Bus; 0 is ISA.
    pub bus: u8,
    /// Interrupt on that bus.
    pub source: u8,
    /// Global system interrupt it arrives at.
    pub gsi: u32,
    /// Polarity and trigger mode as in the MADT.
    pub flags: u16,
}

/// What the tables are made of.
#[derive(Copy, Clone, Debug)]
pub struct Request<'a> {
    /// OEM identification of the host's RSDP.
    pub rsdp_oem: [u8; 6],
    /// Header of the host's XSDT or RSDT, for its OEM fields.
    pub root_header: [u8; HEADER_LEN],
    /// Header of the host's MADT, for its OEM fields and revision.
    pub madt_header: [u8; HEADER_LEN],
    /// Tables of the host.
    pub tables: &'a [HostTable],
    /// The host's memory map, sanitized; tables outside reserved and ACPI memory are left out.
    pub host_map: &'a [E820Entry],
    /// I/O APICs.
    pub io_apics: &'a [IoApic],
    /// Interrupt source overrides.
    pub overrides: &'a [InterruptOverride],
    /// vCPUs of dom0; vCPU n has APIC identifier 2n.
    pub vcpus: u32,
}

/// The new tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Their bytes, to be put at the address given to [`build`].
    pub bytes: Vec<u8>,
    /// Address of the RSDP, for the start info.
    pub rsdp: u64,
}

/// Bytes that [`build`] produces at most.
#[must_use]
pub fn max_len(request: &Request<'_>) -> u64 {
    let xsdt = HEADER_LEN + 8 * (1 + request.tables.len());
    let madt = HEADER_LEN + 8 + 12 * request.io_apics.len() + 10 * request.overrides.len();
    // Every part may need padding to 16 bytes.
    (RSDP_LEN + xsdt + madt + 3 * 16) as u64 + 16 * u64::from(request.vcpus)
}

/// Makes the tables for address `at`, which is a multiple of 16.
///
/// # Errors
/// [`BuildError::TooManyVcpus`].
pub fn build(request: &Request<'_>, at: u64) -> Result<Tables, BuildError> {
    if request.vcpus > VCPUS_MAX {
        return Err(BuildError::TooManyVcpus);
    }
    let mut bytes = alloc::vec![0; RSDP_LEN];
    let madt_at = append(&mut bytes, at, &madt(request));
    let xsdt_at = append(&mut bytes, at, &xsdt(request, madt_at));
    let rsdp = rsdp(request.rsdp_oem, xsdt_at);
    if let Some(place) = bytes.get_mut(..RSDP_LEN) {
        place.copy_from_slice(&rsdp);
    }
    Ok(Tables { bytes, rsdp: at })
}

/// Whether dom0's XSDT lists this table.
#[must_use]
pub fn is_visible(table: &HostTable, host_map: &[E820Entry]) -> bool {
    let allowed = ALLOWED.contains(&&table.signature) || table.signature.starts_with(b"OEM");
    allowed
        && is_firmware_memory(
            PhysRange::from_len(table.address, u64::from(table.length)).pages_touched(),
            host_map,
        )
}

/// Whether all of `range` is reserved or ACPI memory in the sorted map.
fn is_firmware_memory(range: PhysRange, map: &[E820Entry]) -> bool {
    let firmware = |kind| matches!(kind, E820Kind::RESERVED | E820Kind::ACPI | E820Kind::NVS);
    let mut covered = range.start;
    for entry in map.iter().filter(|entry| firmware(entry.kind)) {
        if entry.range.start <= covered && covered < entry.range.end {
            covered = entry.range.end;
        }
    }
    !range.is_empty() && covered >= range.end
}

/// Appends a table at the next multiple of 16 and returns its address.
fn append(bytes: &mut Vec<u8>, at: u64, table: &[u8]) -> u64 {
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    let address = at.wrapping_add(bytes.len() as u64);
    bytes.extend_from_slice(table);
    address
}

fn rsdp(oem: [u8; 6], xsdt: u64) -> [u8; RSDP_LEN] {
    let mut rsdp = [0; RSDP_LEN];
    rsdp[..8].copy_from_slice(b"RSD PTR ");
    rsdp[9..15].copy_from_slice(&oem);
    rsdp[15] = 2;
    rsdp[20..24].copy_from_slice(&(RSDP_LEN as u32).to_le_bytes());
    rsdp[24..32].copy_from_slice(&xsdt.to_le_bytes());
    rsdp[8] = checksum(&rsdp[..RSDP_V1_LEN]);
    rsdp[32] = checksum(&rsdp);
    rsdp
}

fn xsdt(request: &Request<'_>, madt: u64) -> Vec<u8> {
    let visible = request
        .tables
        .iter()
        .filter(|table| is_visible(table, request.host_map));
    let mut table = Vec::from(request.root_header);
    table.extend_from_slice(&madt.to_le_bytes());
    visible.for_each(|visible| table.extend_from_slice(&visible.address.to_le_bytes()));
    finished(table, *b"XSDT", 1)
}

fn madt(request: &Request<'_>) -> Vec<u8> {
    let mut table = Vec::from(request.madt_header);
    table.extend_from_slice(&LOCAL_APIC.to_le_bytes());
    // No flags: there are no 8259 controllers for dom0.
    table.extend_from_slice(&[0; 4]);
    for io_apic in request.io_apics {
        table.extend_from_slice(&[MADT_IO_APIC, 12, io_apic.id, 0]);
        table.extend_from_slice(&io_apic.address.to_le_bytes());
        table.extend_from_slice(&io_apic.gsi_base.to_le_bytes());
    }
    for vcpu in 0..request.vcpus {
        table.extend_from_slice(&[MADT_X2APIC, 16, 0, 0]);
        table.extend_from_slice(&vcpu.wrapping_mul(2).to_le_bytes());
        table.extend_from_slice(&1_u32.to_le_bytes());
        table.extend_from_slice(&vcpu.to_le_bytes());
    }
    for source in request.overrides {
        table.extend_from_slice(&[MADT_OVERRIDE, 10, source.bus, source.source]);
        table.extend_from_slice(&source.gsi.to_le_bytes());
        table.extend_from_slice(&source.flags.to_le_bytes());
    }
    let revision = request.madt_header[8];
    finished(table, *b"APIC", revision.min(MADT_REVISION_MAX))
}

/// Fills in signature, length, revision and checksum of a table that has a header.
fn finished(mut table: Vec<u8>, signature: [u8; 4], revision: u8) -> Vec<u8> {
    let length = u32::try_from(table.len()).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(header) = table.first_chunk_mut::<HEADER_LEN>() {
        header[..4].copy_from_slice(&signature);
        header[4..8].copy_from_slice(&length);
        header[8] = revision;
        header[9] = 0;
    }
    let sum = checksum(&table);
    if let Some(place) = table.get_mut(9) {
        *place = sum;
    }
    table
}

/// The byte that makes the sum of all bytes zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel_image::little_endian::{u32_at, u64_at};

    const MAP: [E820Entry; 4] = [
        E820Entry::new(0, 0x1000_0000, E820Kind::RAM),
        E820Entry::new(0x1000_0000, 0x1_0000, E820Kind::ACPI),
        E820Entry::new(0x1001_0000, 0x1_0000, E820Kind::NVS),
        E820Entry::new(0x2000_0000, 0x1_0000, E820Kind::RESERVED),
    ];

    fn table(signature: &[u8; 4], address: u64) -> HostTable {
        HostTable {
            signature: *signature,
            address,
            length: 0x100,
        }
    }

    fn request<'a>(
        tables: &'a [HostTable],
        io_apics: &'a [IoApic],
        overrides: &'a [InterruptOverride],
        vcpus: u32,
    ) -> Request<'a> {
        let mut header = [0x20; HEADER_LEN];
        header[8] = 5;
        header[10..16].copy_from_slice(b"VENDOR");
        Request {
            rsdp_oem: *b"VENDOR",
            root_header: header,
            madt_header: header,
            tables,
            host_map: &MAP,
            io_apics,
            overrides,
            vcpus,
        }
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes
            .iter()
            .fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
    }

    /// The table at `address` inside the block.
    fn at(tables: &Tables, address: u64) -> &[u8] {
        let bytes = &tables.bytes[usize::try_from(address - tables.rsdp).unwrap()..];
        &bytes[..u32_at(bytes, 4).unwrap() as usize]
    }

    #[test]
    fn chain_from_rsdp_to_madt_has_valid_checksums() {
        let host = [
            table(b"FACP", 0x1000_0000),
            table(b"APIC", 0x1000_1000),
            table(b"HPET", 0x1000_2000),
            table(b"OEMx", 0x2000_0000),
        ];
        let io_apics = [IoApic {
            id: 3,
            address: 0xfec0_0000,
            gsi_base: 0,
        }];
        let overrides = [InterruptOverride {
            bus: 0,
            source: 9,
            gsi: 9,
            flags: 0xd,
        }];
        let request = request(&host, &io_apics, &overrides, 2);
        let tables = build(&request, 0x7f00_0000).unwrap();
        assert!(tables.bytes.len() as u64 <= max_len(&request));
        let rsdp = &tables.bytes[..36];
        assert!(
            rsdp.starts_with(b"RSD PTR ")
                && rsdp[15] == 2
                && sum(&rsdp[..20]) == 0
                && sum(rsdp) == 0
        );
        let xsdt = at(&tables, u64_at(rsdp, 24).unwrap());
        assert!(
            xsdt.starts_with(b"XSDT")
                && xsdt[8] == 1
                && sum(xsdt) == 0
                && &xsdt[10..16] == b"VENDOR"
        );
        assert_eq!(
            (xsdt.len(), u64_at(xsdt, 44), u64_at(xsdt, 52)),
            (36 + 3 * 8, Some(0x1000_0000), Some(0x2000_0000))
        );
        let madt = at(&tables, u64_at(xsdt, 36).unwrap());
        assert!(madt.starts_with(b"APIC") && madt[8] == 4 && sum(madt) == 0);
        assert_eq!(
            (u32_at(madt, 36), u32_at(madt, 40)),
            (Some(0xfee0_0000), Some(0))
        );
        assert_eq!(madt[44..56], [1, 12, 3, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
        assert_eq!(
            madt[56..72],
            [9, 16, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            madt[72..88],
            [9, 16, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
        );
        assert_eq!(madt[88..], [2, 10, 0, 9, 9, 0, 0, 0, 13, 0]);
    }

    #[test]
    fn tables_are_visible_by_name_and_only_in_firmware_memory() {
        for hidden in [
            b"APIC", b"HPET", b"DMAR", b"IVRS", b"SRAT", b"SLIT", b"BGRT", b"HEST", b"SPCR",
            b"DBG2", b"DSDT", b"FACS",
        ] {
            assert!(!is_visible(&table(hidden, 0x1000_0000), &MAP), "{hidden:?}");
        }
        assert!(
            is_visible(&table(b"SSDT", 0x1000_ff80), &MAP),
            "spans ACPI and NVS"
        );
        assert!(
            !is_visible(&table(b"SSDT", 0x0fff_ff80), &MAP),
            "begins in RAM"
        );
        assert!(
            !is_visible(&table(b"SSDT", 0x2000_ff80), &MAP),
            "ends in a hole"
        );
        assert!(!is_visible(&table(b"SSDT", u64::MAX), &MAP));
    }

    #[test]
    fn sizes_stay_within_the_bound_and_vcpus_within_the_limit() {
        let host = [table(b"MCFG", 0x2000_0000); 40];
        let request = request(&host, &[], &[], VCPUS_MAX);
        assert!(build(&request, 0x1000).unwrap().bytes.len() as u64 <= max_len(&request));
        let too_many = Request {
            vcpus: VCPUS_MAX + 1,
            ..request
        };
        assert_eq!(build(&too_many, 0x1000), Err(BuildError::TooManyVcpus));
    }
}
