//! Requests to device models (`public/hvm/ioreq.h`), in pages shared with them.

numbers! {
    /// Direction: the guest reads.
    pub const IOREQ_READ: u8 = 1;
    /// Direction: the guest writes.
    pub const IOREQ_WRITE: u8 = 0;
    /// State: free.
    pub const STATE_IOREQ_NONE: u8 = 0;
    /// State: request written.
    pub const STATE_IOREQ_READY: u8 = 1;
    /// State: being served.
    pub const STATE_IOREQ_INPROCESS: u8 = 2;
    /// State: answer written.
    pub const STATE_IORESP_READY: u8 = 3;
    /// I/O port.
    pub const IOREQ_TYPE_PIO: u8 = 0;
    /// Memory-mapped I/O.
    pub const IOREQ_TYPE_COPY: u8 = 1;
    /// PCI configuration space.
    pub const IOREQ_TYPE_PCI_CONFIG: u8 = 2;
    /// The guest set its clock.
    pub const IOREQ_TYPE_TIMEOFFSET: u8 = 7;
    /// Drop cached mappings.
    pub const IOREQ_TYPE_INVALIDATE: u8 = 8;
    /// Slots of a buffered page.
    pub const IOREQ_BUFFER_SLOT_NUM: u32 = 511;
    /// Ports of the ACPI event block.
    pub const ACPI_PM1A_EVT_BLK_ADDRESS_V1: u16 = 0xb000;
    /// Port of the ACPI timer.
    pub const ACPI_PM_TMR_BLK_ADDRESS_V1: u16 = 0xb008;
    /// Port of the general purpose events.
    pub const ACPI_GPE0_BLK_ADDRESS_V1: u16 = 0xafe0;
    /// As above, old place.
    pub const ACPI_PM1A_EVT_BLK_ADDRESS_V0: u16 = 0x1f40;
    /// As above, old place.
    pub const ACPI_PM_TMR_BLK_ADDRESS_V0: u16 = 0x1f48;
    /// As above, old place.
    pub const ACPI_GPE0_BLK_ADDRESS_V0: u16 = 0x1f68;
}

structures! {
    /// A synchronous request; one for each vCPU in the page.
    pub struct Ioreq("struct ioreq", 32) {
        /// Port, physical address, or PCI address.
        0 addr: u64,
        /// Data, or physical address of it.
        8 data: u64,
        /// Repetitions.
        16 count: u32,
        /// Bytes of one access.
        20 size: u32,
        /// Event channel of the vCPU.
        24 vp_eport: u32,
        28 _pad0: u16,
        /// State in 3:0, data is a pointer in 4, direction in 5, addresses fall in 6.
        30 state_and_flags: u8 => "",
        /// `IOREQ_TYPE_*`.
        31 kind: u8,
    }

    /// A buffered request; a 64-bit one takes a second slot for its data.
    pub struct BufIoreq("struct buf_ioreq", 8) {
        /// Type in 7:0, direction in 9, log2 of size in 11:10, address in 31:12.
        0 header: u32 => "",
        /// Data.
        4 data: u32,
    }

    /// The page of buffered requests.
    pub struct BufferedIopage("struct buffered_iopage", 4096) {
        /// Read by the device model.
        0 read_pointer: u32,
        /// Written by Xen.
        4 write_pointer: u32,
        /// Ring.
        8 buf_ioreq: [BufIoreq; 511],
    }
}
