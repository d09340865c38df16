//! Physical interrupts and PCI devices (`public/physdev.h`): arguments of `HYPERVISOR_physdev_op`.

numbers! {
    /// State of an interrupt: [`PhysdevIrqStatusQuery`].
    pub const PHYSDEVOP_IRQ_STATUS_QUERY: u32 = 5 => "PHYSDEVOP_irq_status_query";
    /// End of interrupt: [`PhysdevEoi`].
    pub const PHYSDEVOP_EOI: u32 = 12;
    /// Number an interrupt for a domain: [`PhysdevMapPirq`].
    pub const PHYSDEVOP_MAP_PIRQ: u32 = 13;
    /// Undo it: [`PhysdevUnmapPirq`].
    pub const PHYSDEVOP_UNMAP_PIRQ: u32 = 14;
    /// Old form of [`PHYSDEVOP_PCI_DEVICE_ADD`]: [`PhysdevManagePci`].
    pub const PHYSDEVOP_MANAGE_PCI_ADD: u32 = 15;
    /// Old form of [`PHYSDEVOP_PCI_DEVICE_REMOVE`]: [`PhysdevManagePci`].
    pub const PHYSDEVOP_MANAGE_PCI_REMOVE: u32 = 16;
    /// PV only.
    pub const PHYSDEVOP_PIRQ_EOI_GMFN_V1: u32 = 17;
    /// Write MSI state back after suspend: [`PhysdevManagePci`].
    pub const PHYSDEVOP_RESTORE_MSI: u32 = 19;
    /// Old form of [`PHYSDEVOP_PCI_DEVICE_ADD`]: [`PhysdevManagePciExt`].
    pub const PHYSDEVOP_MANAGE_PCI_ADD_EXT: u32 = 20;
    /// Trigger and polarity of a GSI: [`PhysdevSetupGsi`].
    pub const PHYSDEVOP_SETUP_GSI: u32 = 21;
    /// A free interrupt number: [`PhysdevGetFreePirq`].
    pub const PHYSDEVOP_GET_FREE_PIRQ: u32 = 23;
    /// Whether firmware reserves a configuration window: [`PhysdevPciMmcfgReserved`].
    pub const PHYSDEVOP_PCI_MMCFG_RESERVED: u32 = 24;
    /// Dom0 found a device: [`PhysdevPciDeviceAdd`].
    pub const PHYSDEVOP_PCI_DEVICE_ADD: u32 = 25;
    /// A device is gone: [`PhysdevPciDevice`].
    pub const PHYSDEVOP_PCI_DEVICE_REMOVE: u32 = 26;
    /// As 19 with a segment: [`PhysdevPciDevice`].
    pub const PHYSDEVOP_RESTORE_MSI_EXT: u32 = 27;
    /// PV only.
    pub const PHYSDEVOP_PIRQ_EOI_GMFN_V2: u32 = 28;
    /// Debug port handover: [`PhysdevDbgpOp`].
    pub const PHYSDEVOP_DBGP_OP: u32 = 29;
    /// Xen takes a device's MSI-X: [`PhysdevPciDevice`].
    pub const PHYSDEVOP_PREPARE_MSIX: u32 = 30;
    /// Xen gives it back: [`PhysdevPciDevice`].
    pub const PHYSDEVOP_RELEASE_MSIX: u32 = 31;
    /// Dom0 reset a device: [`PciDeviceReset`].
    pub const PHYSDEVOP_PCI_DEVICE_RESET: u32 = 32;

    /// The interrupt needs [`PHYSDEVOP_EOI`].
    pub const XENIRQSTAT_NEEDS_EOI: u32 = 1 << 0;
    /// The interrupt is shared.
    pub const XENIRQSTAT_SHARED: u32 = 1 << 1;

    /// Message-signalled interrupt, segment 0.
    pub const MAP_PIRQ_TYPE_MSI: i32 = 0;
    /// I/O APIC pin.
    pub const MAP_PIRQ_TYPE_GSI: i32 = 1;
    /// Unknown.
    pub const MAP_PIRQ_TYPE_UNKNOWN: i32 = 2;
    /// Message-signalled interrupt, segment in the high half of `bus`.
    pub const MAP_PIRQ_TYPE_MSI_SEG: i32 = 3;
    /// Several message-signalled interrupts.
    pub const MAP_PIRQ_TYPE_MULTI_MSI: i32 = 4;

    /// The window is reserved.
    pub const XEN_PCI_MMCFG_RESERVED: u32 = 1;
    /// Device added: extended function.
    pub const XEN_PCI_DEV_EXTFN: u32 = 1;
    /// Device added: virtual function.
    pub const XEN_PCI_DEV_VIRTFN: u32 = 2;
    /// Device added: a proximity domain follows.
    pub const XEN_PCI_DEV_PXM: u32 = 4;

    /// Kind of reset.
    pub const PCI_DEVICE_RESET_COLD: u32 = 0;
    /// Kind of reset.
    pub const PCI_DEVICE_RESET_WARM: u32 = 1;
    /// Kind of reset.
    pub const PCI_DEVICE_RESET_HOT: u32 = 2;
    /// Kind of reset: function level.
    pub const PCI_DEVICE_RESET_FLR: u32 = 3;
    /// Bits with the kind.
    pub const PCI_DEVICE_RESET_MASK: u32 = 3;

    /// Debug port: reset follows.
    pub const PHYSDEVOP_DBGP_RESET_PREPARE: u8 = 1;
    /// Debug port: reset done.
    pub const PHYSDEVOP_DBGP_RESET_DONE: u8 = 2;
    /// Debug port: any bus.
    pub const PHYSDEVOP_DBGP_BUS_UNKNOWN: u8 = 0;
    /// Debug port: PCI.
    pub const PHYSDEVOP_DBGP_BUS_PCI: u8 = 1;
}

structures! {
    /// [`PHYSDEVOP_EOI`].
    pub struct PhysdevEoi("struct physdev_eoi", 4) {
        /// In: PIRQ.
        0 irq: u32,
    }

    /// [`PHYSDEVOP_IRQ_STATUS_QUERY`].
    pub struct PhysdevIrqStatusQuery("struct physdev_irq_status_query", 8) {
        /// In: PIRQ.
        0 irq: u32,
        /// Out: `XENIRQSTAT_*`.
        4 flags: u32,
    }

    /// [`PHYSDEVOP_MAP_PIRQ`].
    pub struct PhysdevMapPirq("struct physdev_map_pirq", 40) {
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
        28 _pad1: [u8; 4],
        /// In: physical address of the MSI-X table, 0 for MSI.
        32 table_base: u64,
    }

    /// [`PHYSDEVOP_UNMAP_PIRQ`].
    pub struct PhysdevUnmapPirq("struct physdev_unmap_pirq", 8) {
        /// In: domain that has the PIRQ.
        0 domid: u16,
        2 _pad: [u8; 2],
        /// In: PIRQ.
        4 pirq: i32,
    }

    /// [`PHYSDEVOP_MANAGE_PCI_ADD`], [`PHYSDEVOP_MANAGE_PCI_REMOVE`] and [`PHYSDEVOP_RESTORE_MSI`].
    pub struct PhysdevManagePci("struct physdev_manage_pci", 2) {
        /// In: bus.
        0 bus: u8,
        /// In: device and function.
        1 devfn: u8,
    }

    /// [`PHYSDEVOP_MANAGE_PCI_ADD_EXT`].
    pub struct PhysdevManagePciExt("struct physdev_manage_pci_ext", 16) {
        /// In: bus.
        0 bus: u8,
        /// In: device and function.
        1 devfn: u8,
        2 _pad0: [u8; 2],
        /// In: nonzero for an extended function.
        4 is_extfn: u32,
        /// In: nonzero for a virtual function.
        8 is_virtfn: u32,
        /// In: bus of the physical function.
        12 physfn_bus: u8 => "physfn.bus",
        /// In: device and function of the physical function.
        13 physfn_devfn: u8 => "physfn.devfn",
        14 _pad1: [u8; 2],
    }

    /// [`PHYSDEVOP_SETUP_GSI`].
    pub struct PhysdevSetupGsi("struct physdev_setup_gsi", 8) {
        /// In: GSI.
        0 gsi: i32,
        /// In: 0 edge, 1 level.
        4 triggering: u8,
        /// In: 0 active high, 1 active low.
        5 polarity: u8,
        6 _pad: [u8; 2],
    }

    /// [`PHYSDEVOP_GET_FREE_PIRQ`].
    pub struct PhysdevGetFreePirq("struct physdev_get_free_pirq", 8) {
        /// In: `MAP_PIRQ_TYPE_*`.
        0 kind: i32,
        /// Out: PIRQ.
        4 pirq: u32,
    }

    /// [`PHYSDEVOP_PCI_MMCFG_RESERVED`].
    pub struct PhysdevPciMmcfgReserved("struct physdev_pci_mmcfg_reserved", 16) {
        /// In: physical address of bus 0's window.
        0 address: u64,
        /// In: PCI segment.
        8 segment: u16,
        /// In: first bus.
        10 start_bus: u8,
        /// In: last bus.
        11 end_bus: u8,
        /// In: [`XEN_PCI_MMCFG_RESERVED`] or 0.
        12 flags: u32,
    }

    /// [`PHYSDEVOP_PCI_DEVICE_ADD`]; with [`XEN_PCI_DEV_PXM`] a `u32` proximity domain follows.
    pub struct PhysdevPciDeviceAdd("struct physdev_pci_device_add", 12) {
        /// In: PCI segment.
        0 seg: u16,
        /// In: bus.
        2 bus: u8,
        /// In: device and function.
        3 devfn: u8,
        /// In: `XEN_PCI_DEV_*`.
        4 flags: u32,
        /// In: bus of the physical function.
        8 physfn_bus: u8 => "physfn.bus",
        /// In: device and function of the physical function.
        9 physfn_devfn: u8 => "physfn.devfn",
        10 _pad: [u8; 2],
    }

    /// A PCI function.
    pub struct PhysdevPciDevice("struct physdev_pci_device", 4) {
        /// PCI segment.
        0 seg: u16,
        /// Bus.
        2 bus: u8,
        /// Device and function.
        3 devfn: u8,
    }

    /// [`PHYSDEVOP_PCI_DEVICE_RESET`].
    pub struct PciDeviceReset("struct pci_device_reset", 8) {
        /// In: the function.
        0 dev: PhysdevPciDevice,
        /// In: `PCI_DEVICE_RESET_*`.
        4 flags: u32,
    }

    /// [`PHYSDEVOP_DBGP_OP`].
    pub struct PhysdevDbgpOp("struct physdev_dbgp_op", 6) {
        /// In: `PHYSDEVOP_DBGP_RESET_*`.
        0 op: u8,
        /// In: `PHYSDEVOP_DBGP_BUS_*`.
        1 bus: u8,
        /// In: the debug device.
        2 pci: PhysdevPciDevice => "u.pci",
    }
}
