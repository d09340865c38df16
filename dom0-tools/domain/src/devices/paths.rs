//! Where devices are in the store.
//!
//! A device of a domain has three directories: the front end's, which belongs to the guest; the back end's, which the guest may read; and
//! the tools' own record, which neither may touch.

use std::fmt;

use super::VirtualDisk;

/// What kind of device a directory is about, by its name in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A disk served by the kernel.
    Vbd,
    /// A network interface.
    Vif,
    /// Any other, made by other tools: console, qdisk, vkbd, …
    Other(String),
}

impl Kind {
    /// Its name in the store.
    pub fn name(&self) -> &str {
        match self {
            Self::Vbd => "vbd",
            Self::Vif => "vif",
            Self::Other(name) => name,
        }
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Self {
        match name {
            "vbd" => Self::Vbd,
            "vif" => Self::Vif,
            _ => Self::Other(name.to_owned()),
        }
    }

    /// Whether QEMU is the back end. It serves nobody once the domain is on its way out.
    pub fn is_served_by_qemu(&self) -> bool {
        matches!(self.name(), "qdisk" | "vfb" | "qusb" | "9pfs" | "vkbd")
    }

    /// Whether it has no handshake to end: its nodes can be removed at once.
    pub fn is_console(&self) -> bool {
        matches!(self.name(), "console" | "vuart")
    }
}

/// Which device of a domain.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceId {
    /// A disk.
    Disk(VirtualDisk),
    /// A network interface.
    Vif(u32),
    /// Any other.
    Other(u32),
}

impl DeviceId {
    /// The device of a kind with this number.
    pub fn new(kind: &Kind, number: u32) -> Self {
        match kind {
            Kind::Vbd => Self::Disk(VirtualDisk(number)),
            Kind::Vif => Self::Vif(number),
            Kind::Other(_) => Self::Other(number),
        }
    }

    /// Its number in the store.
    pub const fn number(self) -> u32 {
        match self {
            Self::Disk(disk) => disk.0,
            Self::Vif(number) | Self::Other(number) => number,
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(disk) => write!(f, "disk {}", disk.xvd_name()),
            Self::Vif(number) => write!(f, "network interface {number}"),
            Self::Other(number) => write!(f, "device {number}"),
        }
    }
}

/// The directories of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `/local/domain/<domain>/device/<kind>/<number>`.
    pub front: String,
    /// `/local/domain/<back end's domain>/backend/<kind>/<domain>/<number>`.
    pub back: String,
    /// `/libxl/<domain>/device/<kind>/<number>`.
    pub record: String,
}

impl Paths {
    /// Those of a disk or network interface.
    pub fn new(backend: u16, domain: u16, kind: &Kind, id: DeviceId) -> Self {
        let (name, number) = (kind.name(), id.number());
        Self {
            front: front_path(domain, kind, number),
            back: format!("/local/domain/{backend}/backend/{name}/{domain}/{number}"),
            record: format!("{}/{number}", record_directory(domain, kind)),
        }
    }
}

/// The front end's directory: the first console's is not below `device`.
pub fn front_path(domain: u16, kind: &Kind, number: u32) -> String {
    let name = kind.name();
    match (name, number) {
        ("console", 0) => format!("/local/domain/{domain}/console"),
        ("vuart", _) => format!("/local/domain/{domain}/vuart/{number}"),
        _ => format!("/local/domain/{domain}/device/{name}/{number}"),
    }
}

/// Where the tools record a domain's devices of a kind.
pub fn record_directory(domain: u16, kind: &Kind) -> String {
    format!("/libxl/{domain}/device/{}", kind.name())
}

/// A back end's path taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackPath {
    /// The domain that serves the device.
    pub backend: u16,
    /// The kind of its back end: for a disk served by QEMU `qdisk`.
    pub kind: Kind,
    /// Whose device it is.
    pub domain: u16,
    /// Its number.
    pub number: u32,
}

impl BackPath {
    /// Reads `/local/domain/<back end's domain>/backend/<kind>/<domain>/<number>`.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("/local/domain/")?.split('/');
        let backend = parts.next()?.parse().ok()?;
        let (directory, kind) = (parts.next()?, parts.next()?);
        let (domain, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let complete = directory == "backend" && !kind.is_empty() && parts.next().is_none();
        complete.then(|| Self {
            backend,
            kind: Kind::of_name(kind),
            domain,
            number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_directories_of_a_disk() {
        let id = DeviceId::Disk(VirtualDisk(51712));
        let paths = Paths::new(0, 7, &Kind::Vbd, id);
        assert_eq!(paths.front, "/local/domain/7/device/vbd/51712");
        assert_eq!(paths.back, "/local/domain/0/backend/vbd/7/51712");
        assert_eq!(paths.record, "/libxl/7/device/vbd/51712");
        let parsed = BackPath::parse(&paths.back).expect("a back end's path");
        assert_eq!(
            (parsed.backend, parsed.domain, parsed.number),
            (0, 7, 51712)
        );
        assert_eq!(parsed.kind, Kind::Vbd);
    }

    #[test]
    fn the_first_console_is_elsewhere() {
        let console = Kind::of_name("console");
        assert_eq!(front_path(3, &console, 0), "/local/domain/3/console");
        assert_eq!(
            front_path(3, &console, 1),
            "/local/domain/3/device/console/1"
        );
    }

    #[test]
    fn paths_that_are_no_back_end_are_refused() {
        for path in [
            "",
            "/local/domain/0/backend/vbd/1",
            "/local/domain/0/device/vbd/1/2",
            "/local/domain/x/backend/vbd/1/2",
            "/local/domain/0/backend/vbd/1/2/state",
            "/local/domain/0/backend/vbd/1/-2",
            "/local/domain/0/backend//1/2",
        ] {
            assert_eq!(BackPath::parse(path), None, "{path}");
        }
    }
}
