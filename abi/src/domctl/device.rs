//! Payloads that give devices, interrupts, ports and I/O memory to a domain.

numbers! {
    /// Take the right away.
    pub const XEN_DOMCTL_GSI_REVOKE: u32 = 0;
    /// Give the right.
    pub const XEN_DOMCTL_GSI_GRANT: u32 = 1;
    /// Known bits.
    pub const XEN_DOMCTL_GSI_ACTION_MASK: u32 = 1;
    /// A PCI device.
    pub const XEN_DOMCTL_DEV_PCI: u32 = 0;
    /// Arm only.
    pub const XEN_DOMCTL_DEV_DT: u32 = 1;
    /// Conflicts of reserved memory only warn.
    pub const XEN_DOMCTL_DEV_RDM_RELAXED: u32 = 1;

    /// Guest interrupt: PCI pin.
    pub const PT_IRQ_TYPE_PCI: u32 = 0 => "PT_IRQ_TYPE_PCI";
    /// Guest interrupt: ISA.
    pub const PT_IRQ_TYPE_ISA: u32 = 1 => "PT_IRQ_TYPE_ISA";
    /// Guest interrupt: message.
    pub const PT_IRQ_TYPE_MSI: u32 = 2 => "PT_IRQ_TYPE_MSI";
    /// Guest interrupt: pin made from a message.
    pub const PT_IRQ_TYPE_MSI_TRANSLATE: u32 = 3 => "PT_IRQ_TYPE_MSI_TRANSLATE";
    /// Arm only.
    pub const PT_IRQ_TYPE_SPI: u32 = 4 => "PT_IRQ_TYPE_SPI";

    /// Message flags: destination.
    pub const XEN_DOMCTL_VMSI_X86_DEST_ID_MASK: u32 = 0xff;
    /// Message flags: redirection hint.
    pub const XEN_DOMCTL_VMSI_X86_RH_MASK: u32 = 0x100;
    /// Message flags: logical destination.
    pub const XEN_DOMCTL_VMSI_X86_DM_MASK: u32 = 0x200;
    /// Message flags: delivery mode.
    pub const XEN_DOMCTL_VMSI_X86_DELIV_MASK: u32 = 0x7000;
    /// Message flags: trigger mode.
    pub const XEN_DOMCTL_VMSI_X86_TRIG_MASK: u32 = 0x8000;
    /// Message flags: not masked.
    pub const XEN_DOMCTL_VMSI_X86_UNMASKED: u32 = 0x1_0000;

    /// Map.
    pub const DPCI_ADD_MAPPING: u32 = 1;
    /// Unmap.
    pub const DPCI_REMOVE_MAPPING: u32 = 0;
}

structures! {
    /// Right to a PIRQ.
    pub struct DomctlIrqPermission("struct xen_domctl_irq_permission", 8) {
        /// In: PIRQ of the caller.
        0 pirq: u32,
        /// In: nonzero to give it.
        4 allow_access: u8,
        5 pad: [u8; 3],
    }

    /// Right to a GSI.
    pub struct DomctlGsiPermission("struct xen_domctl_gsi_permission", 8) {
        /// In: GSI.
        0 gsi: u32,
        /// In: `XEN_DOMCTL_GSI_*`.
        4 flags: u32,
    }

    /// Right to I/O memory.
    pub struct DomctlIomemPermission("struct xen_domctl_iomem_permission", 24) {
        /// In: first frame.
        0 first_mfn: u64,
        /// In: frames.
        8 nr_mfns: u64,
        /// In: nonzero to give it.
        16 allow_access: u8,
        17 _pad: [u8; 7],
    }

    /// Right to I/O ports.
    pub struct DomctlIoportPermission("struct xen_domctl_ioport_permission", 12) {
        /// In: first port.
        0 first_port: u32,
        /// In: ports.
        4 nr_ports: u32,
        /// In: nonzero to give it.
        8 allow_access: u8,
        9 _pad: [u8; 3],
    }

    /// Assign, test or take a device.
    pub struct DomctlAssignDevice("struct xen_domctl_assign_device", 24) {
        /// In: `XEN_DOMCTL_DEV_PCI`.
        0 dev: u32,
        /// In: [`XEN_DOMCTL_DEV_RDM_RELAXED`] or 0.
        4 flags: u32,
        /// In: segment, bus, device, function.
        8 machine_sbdf: u32 => "u.pci.machine_sbdf",
        12 _pad: [u8; 12],
    }

    /// Devices that can only be assigned together.
    pub struct DomctlGetDeviceGroup("struct xen_domctl_get_device_group", 24) {
        /// In: segment, bus, device, function.
        0 machine_sbdf: u32,
        /// In: entries.
        4 max_sdevs: u32,
        /// Out: entries written.
        8 num_sdevs: u32,
        12 _pad: [u8; 4],
        /// In: handle of `u32` devices.
        16 sdev_array: u64,
    }

    /// Bind a PIRQ to a guest interrupt. `gflags` and `gtable` are for messages; `source` holds bus, device and pin, the ISA interrupt or
    /// the message's vector in its first bytes.
    pub struct DomctlBindPtIrq("struct xen_domctl_bind_pt_irq", 24) {
        /// In: PIRQ.
        0 machine_irq: u32,
        /// In: `PT_IRQ_TYPE_*`.
        4 irq_type: u32,
        /// In: by type, see above.
        8 source: [u8; 4] => "u.pci.bus",
        /// In: `XEN_DOMCTL_VMSI_X86_*`.
        12 gflags: u32 => "u.msi.gflags",
        /// In: guest-physical address of the MSI-X table.
        16 gtable: u64 => "u.msi.gtable",
    }

    /// Map I/O memory.
    pub struct DomctlMemoryMapping("struct xen_domctl_memory_mapping", 32) {
        /// In: first guest frame.
        0 first_gfn: u64,
        /// In: first machine frame.
        8 first_mfn: u64,
        /// In: frames.
        16 nr_mfns: u64,
        /// In: `DPCI_*_MAPPING`.
        24 add_mapping: u32,
        28 padding: u32,
    }

    /// Map I/O ports.
    pub struct DomctlIoportMapping("struct xen_domctl_ioport_mapping", 16) {
        /// In: first guest port.
        0 first_gport: u32,
        /// In: first machine port.
        4 first_mport: u32,
        /// In: ports.
        8 nr_ports: u32,
        /// In: `DPCI_*_MAPPING`.
        12 add_mapping: u32,
    }
}
