//! The configuration of a domain as types: what xl.cfg(5) can say, in the shape of libxl's `domain_config`, so that domains made by
//! either toolstack are understood by the other. `None` means "not said": the default of libxl or of the hypervisor holds.

mod build;
mod create;
mod device;
mod disk;
mod display;
mod guest;
mod nic;
mod sound;

pub use build::{
    Altp2mMode, ArchArm, ArchX86, BuildInfo, DeviceModelVersion, GicVersion, IoMemRange,
    IoPortRange, SchedParams, Scheduler, SveType, TeeType, TimerMode, TscMode, VnodeInfo,
    VuartType,
};
pub use create::{CreateInfo, DomainType, Passthrough};
pub use device::{
    Channel, ChannelConnection, DeviceTreeDevice, HostUsbDevice, P9, P9Type, PciDevice, PvCalls,
    RdmRange, RdmReservePolicy, UsbController, UsbControllerType, UsbDevice, UsbDeviceKind, Virtio,
    VirtioTransport, Vtpm,
};
pub use disk::{Disk, DiskBackend, DiskFormat, DiskSpecification, DiskTransport};
pub use display::{
    DisplayConnector, SdlInfo, SpiceInfo, Vdispl, Vfb, VgaInfo, VgaKind, Vkb, VkbBackend, VncInfo,
};
pub use guest::{
    BiosType, GfxPassthruKind, GuestInfo, HdType, HvmInfo, PvInfo, PvhInfo, RdmReserve,
    RdmReserveStrategy, Smbios, SmbiosType, VIRIDIAN_NAMES, VendorDevice, ViridianSet,
    VmGenerationId,
};
pub use nic::{COLO_KEYS, Colo, Nic, NicType};
pub use sound::{PcmFormat, Sound, SoundParams, SoundPcm, SoundStream, SoundStreamType};

use crate::json::{names, record};

names! {
    /// What becomes of a domain that has shut down.
    ShutdownAction, "an action on shutdown" {
        /// Remove the domain.
        #[default]
        Destroy = "destroy",
        /// Remove it and make it again from the same configuration.
        Restart = "restart",
        /// Rename it, keep it, and make a new one from the same configuration.
        RestartRename = "restart_rename",
        /// Keep it as it is.
        Preserve = "preserve",
        /// Write its memory to /var/lib/xen/dump, then remove it.
        CoredumpDestroy = "coredump_destroy",
        /// Write its memory to /var/lib/xen/dump, then make it again.
        CoredumpRestart = "coredump_restart",
        /// Reset it in place, keeping its memory.
        SoftReset = "soft_reset",
    }
}

impl ShutdownAction {
    /// The actions by the names xl.cfg(5) has for them.
    pub const WORDS: [(ShutdownAction, &'static str); 7] = [
        (ShutdownAction::Destroy, "destroy"),
        (ShutdownAction::Restart, "restart"),
        (ShutdownAction::RestartRename, "rename-restart"),
        (ShutdownAction::Preserve, "preserve"),
        (ShutdownAction::CoredumpDestroy, "coredump-destroy"),
        (ShutdownAction::CoredumpRestart, "coredump-restart"),
        (ShutdownAction::SoftReset, "soft-reset"),
    ];

    /// The action's name in xl.cfg(5) and in xl's messages.
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(action, _)| *action == self)
            .map_or("", |(_, word)| word)
    }
}

record! {
    /// Everything a configuration file says about a domain.
    DomainConfig {
        /// What the domain is.
        c_info: CreateInfo,
        /// What it is built from and what it gets.
        b_info: BuildInfo,
        /// Virtual disks.
        disks: Vec<Disk>,
        /// Virtual network interfaces.
        nics: Vec<Nic>,
        /// PCI devices of the host passed through.
        pcidevs: Vec<PciDevice>,
        /// Reserved device memory to keep free.
        rdms: Vec<RdmRange>,
        /// Device-tree nodes passed through.
        dtdevs: Vec<DeviceTreeDevice>,
        /// Virtual frame buffers.
        vfbs: Vec<Vfb>,
        /// Virtual keyboards.
        vkbs: Vec<Vkb>,
        /// Virtio devices.
        virtios: Vec<Virtio>,
        /// Virtual TPMs.
        vtpms: Vec<Vtpm>,
        /// Plan 9 file systems.
        p9s: Vec<P9>,
        /// Socket calls carried out by another domain.
        pvcallsifs: Vec<PvCalls>,
        /// Virtual displays.
        vdispls: Vec<Vdispl>,
        /// Virtual sound cards.
        vsnds: Vec<Sound>,
        /// Named consoles.
        channels: Vec<Channel>,
        /// Virtual USB controllers.
        usbctrls: Vec<UsbController>,
        /// USB devices of the host passed through.
        usbdevs: Vec<UsbDevice>,
        /// The domain powered itself off.
        on_poweroff: ShutdownAction,
        /// The domain asked for a restart.
        on_reboot: ShutdownAction,
        /// The domain's watchdog ran out.
        on_watchdog: ShutdownAction,
        /// The domain crashed.
        on_crash: ShutdownAction,
        /// The domain asked for a soft reset.
        on_soft_reset: ShutdownAction,
    }
}
