//! Virtual disks, xl-disk-configuration(5).

use crate::json::{names, record};

names! {
    /// Format of a disk's image.
    DiskFormat, "a disk format" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// QEMU's first copy-on-write format.
        Qcow = "qcow",
        /// QEMU's second copy-on-write format.
        Qcow2 = "qcow2",
        /// Virtual hard disk.
        Vhd = "vhd",
        /// The disk's bytes as they are.
        Raw = "raw",
        /// No medium in the drive.
        Empty = "empty",
        /// QEMU's enhanced format.
        Qed = "qed",
    }
}

names! {
    /// Who serves a disk.
    DiskBackend, "a disk back end" {
        /// Not said: chosen by format and target.
        #[default]
        Unknown = "unknown",
        /// Linux's blkback on a block device.
        Phy = "phy",
        /// blktap.
        Tap = "tap",
        /// QEMU.
        Qdisk = "qdisk",
        /// Some other program that reads the store.
        Standalone = "standalone",
    }
}

names! {
    /// Protocol between the guest and the disk's back end.
    DiskSpecification, "a disk specification" {
        /// Not said: xen.
        #[default]
        Unknown = "unknown",
        /// Xen's block protocol.
        Xen = "xen",
        /// virtio-blk.
        Virtio = "virtio",
    }
}

names! {
    /// How a virtio disk is found.
    DiskTransport, "a virtio transport" {
        /// Not said.
        #[default]
        Unknown = "unknown",
        /// Memory-mapped registers.
        Mmio = "mmio",
    }
}

record! {
    /// libxl's `device_disk`.
    Disk {
        /// The back end's domain as a number.
        backend_domid: u32,
        /// `backend=`: the back end's domain by name or number.
        backend_domname: Option<String>,
        /// `target=`: file, device, or what the script makes of it.
        pdev_path: Option<String>,
        /// `vdev=`: the disk's name in the guest (see [`crate::disk::VirtualDisk`]).
        vdev: Option<String>,
        /// `backendtype=`
        backend: DiskBackend,
        /// `format=`
        format: DiskFormat,
        /// `script=`: program below /etc/xen/scripts that makes the device.
        script: Option<String>,
        /// 1 if the medium can be taken out.
        removable: i32,
        /// 1 unless `access=r`.
        readwrite: i32,
        /// 1 for `devtype=cdrom`.
        is_cdrom: i32,
        /// `direct-io-safe`: the back end may bypass the page cache.
        direct_io_safe: bool,
        /// `discard` or `no-discard`.
        discard_enable: Option<bool>,
        /// `specification=`
        specification: DiskSpecification,
        /// Transport of a virtio disk.
        transport: DiskTransport,
        /// Interrupt of a virtio disk, chosen by libxl.
        irq: u32,
        /// Registers of a virtio disk, chosen by libxl.
        base: u64,
        /// `colo` or `no-colo`.
        colo_enable: Option<bool>,
        /// Set by libxl on the receiving side.
        colo_restore_enable: Option<bool>,
        /// `colo-host=`
        colo_host: Option<String>,
        /// `colo-port=`
        colo_port: i32,
        /// `colo-export=`
        colo_export: Option<String>,
        /// `active-disk=`
        active_disk: Option<String>,
        /// `hidden-disk=`
        hidden_disk: Option<String>,
        /// `trusted` or `untrusted`: whether the guest trusts the back end.
        trusted: Option<bool>,
        /// `grant_usage=`: whether a virtio disk uses grants.
        grant_usage: Option<bool>,
    }
}

impl Disk {
    /// Whether the guest may write.
    pub fn is_writable(&self) -> bool {
        self.readwrite != 0
    }

    /// Whether the guest sees a CD drive.
    pub fn is_cdrom(&self) -> bool {
        self.is_cdrom != 0
    }
}
