//! 32-bit layouts of [`crate::physdev`].

use super::U64;

structures! {
    /// `PHYSDEVOP_MAP_PIRQ`.
    pub struct PhysdevMapPirq("struct physdev_map_pirq", 36) {
        /// In: domain that gets the PIRQ.
        0 domid: u16,
        2 _pad0: [u8; 2],
        /// In: `MAP_PIRQ_TYPE_*`.
        4 kind: i32,
        /// In: GSI; for MSI ignored or -1.
        8 index: i32,
        /// In: wanted PIRQ or -1; out: PIRQ.
        12 pirq: i32,
        /// In: bus, and segment in the high half.
        16 bus: i32,
        /// In: device and function.
        20 devfn: i32,
        /// In: MSI-X entry, or number of MSI vectors; out: vectors possible.
        24 entry_nr: i32,
        /// In: physical address of the MSI-X table, 0 for MSI.
        28 table_base: U64,
    }
}
