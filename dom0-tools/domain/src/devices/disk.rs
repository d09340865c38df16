//! A disk as a configuration asks for it.

use std::path::{Path, PathBuf};

use super::VirtualDisk;

/// How an image is encoded.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Sector by sector; also a block device.
    #[default]
    Raw,
    /// QEMU's first format.
    Qcow,
    /// QEMU's second format.
    Qcow2,
    /// QEMU's enhanced format.
    Qed,
    /// Virtual PC's.
    Vhd,
    /// A drive without a medium.
    Empty,
}

impl Format {
    /// Its name in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow => "qcow",
            Self::Qcow2 => "qcow2",
            Self::Qed => "qed",
            Self::Vhd => "vhd",
            Self::Empty => "empty",
        }
    }
}

/// What the guest may do with the disk, and whether others may use it too.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The node `mode` is `r`: shared with other readers.
    ReadOnly,
    /// `w`: alone.
    ReadWrite,
    /// `w!`: whoever else uses it.
    ReadWriteShared,
}

impl Mode {
    /// What the store says; the back end looks for a `w`, the check of sharing for a `!`.
    pub const fn node(self) -> &'static str {
        match self {
            Self::ReadOnly => "r",
            Self::ReadWrite => "w",
            Self::ReadWriteShared => "w!",
        }
    }

    /// The meaning of a store's text, whoever wrote it.
    pub fn of_node(text: &str) -> Self {
        match (text.contains('w'), text.contains('!')) {
            (false, _) => Self::ReadOnly,
            (true, false) => Self::ReadWrite,
            (true, true) => Self::ReadWriteShared,
        }
    }

    /// Whether the guest may write.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::ReadOnly)
    }
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// A file, a block device, or with `script` whatever that understands.
    pub target: String,
    /// How the target is encoded.
    pub format: Format,
    /// Which device the guest sees.
    pub vdev: VirtualDisk,
    /// What the configuration calls it, for instance `hda`: recorded in the store.
    pub vdev_name: String,
    /// What the guest may do.
    pub mode: Mode,
    /// A CD drive: refused, for it needs an emulator.
    pub is_cdrom: bool,
    /// The guest may take the medium out.
    pub is_removable: bool,
    /// Whether discards reach the storage; by default if the guest may write.
    pub discard: Option<bool>,
    /// Promise of the administrator that direct I/O does not endanger the data.
    pub direct_io_safe: bool,
    /// Whether the guest may trust the back end; by default yes.
    pub is_trusted: bool,
    /// A hotplug script in place of what is done here, absolute or below `/etc/xen/scripts`.
    pub script: Option<PathBuf>,
    /// The domain that serves the disk.
    pub backend: u16,
}

impl Disk {
    /// A raw disk served by dom0.
    pub fn raw(target: impl Into<String>, vdev: VirtualDisk, mode: Mode) -> Self {
        Self {
            target: target.into(),
            format: Format::Raw,
            vdev,
            vdev_name: vdev.xvd_name(),
            mode,
            is_cdrom: false,
            is_removable: false,
            discard: None,
            direct_io_safe: false,
            is_trusted: true,
            script: None,
            backend: 0,
        }
    }

    /// The target as a file's name.
    pub fn path(&self) -> &Path {
        Path::new(&self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_other_tools_are_understood() {
        for (text, mode) in [
            ("r", Mode::ReadOnly),
            ("ro", Mode::ReadOnly),
            ("w", Mode::ReadWrite),
            ("rw", Mode::ReadWrite),
            ("w!", Mode::ReadWriteShared),
            ("rw!", Mode::ReadWriteShared),
            ("", Mode::ReadOnly),
        ] {
            assert_eq!(Mode::of_node(text), mode, "{text}");
        }
        for mode in [Mode::ReadOnly, Mode::ReadWrite, Mode::ReadWriteShared] {
            assert_eq!(Mode::of_node(mode.node()), mode);
        }
    }
}
