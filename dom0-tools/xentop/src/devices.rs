//! Counters of the back ends in dom0's kernel: `/proc/net/dev` and `/sys/bus/xen-backend/devices`.

use std::fs;
use std::io;
use std::path::PathBuf;

use xenctl::DomId;

use crate::sample::{Disk, DiskKind, DiskUse, Network, Traffic};

/// Numbers of a line of `/proc/net/dev`: eight received, eight sent.
const LINE_NUMBERS: usize = 16;
const SENT: usize = 8;

/// Where the counters are.
pub struct Devices {
    root: PathBuf,
}

impl Devices {
    /// Below `root`, which is `/` but in tests.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Network interfaces of domains, in the kernel's order.
    pub fn networks(&self) -> io::Result<Vec<(DomId, Network)>> {
        let text = fs::read_to_string(self.root.join("proc/net/dev"))?;
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Ok(lines
            .filter_map(|(name, numbers)| {
                let (domain, id) = self.owner(name.trim())?;
                let (received, sent) = traffic(numbers)?;
                Some((domain, Network { id, received, sent }))
            })
            .collect())
    }

    /// Disks of domains, by the name of their back end. A kernel without back ends has none.
    pub fn disks(&self) -> io::Result<Vec<(DomId, Disk)>> {
        let path = self.root.join("sys/bus/xen-backend/devices");
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names.iter().filter_map(|name| self.disk(name)).collect())
    }

    /// Whose an interface is: its back end's path tells, or its name `vif<domain>.<number>`.
    fn owner(&self, interface: &str) -> Option<(DomId, u32)> {
        if interface.contains('/') || interface.starts_with('.') {
            return None;
        }
        let nodename = format!("sys/class/net/{interface}/device/nodename");
        let path = fs::read_to_string(self.root.join(nodename)).unwrap_or_default();
        let of_path = path.trim_end().strip_prefix("backend/vif/");
        let of_path = of_path.and_then(|rest| rest.split_once('/'));
        let (domain, id) = of_path.or_else(|| interface.strip_prefix("vif")?.split_once('.'))?;
        Some((DomId(domain.parse().ok()?), leading_number(id)?))
    }

    /// The disk behind `<kind>-<domain>-<device>`.
    fn disk(&self, name: &str) -> Option<(DomId, Disk)> {
        let mut parts = name.splitn(3, '-');
        let kind = match parts.next()? {
            "vbd" => DiskKind::BlkBack,
            "tap" => DiskKind::BlkTap,
            "vbd3" => DiskKind::Tapdisk3,
            other if other.contains("vbd") || other.contains("tap") => DiskKind::Unidentified,
            _ => return None,
        };
        let domain = DomId(parts.next()?.parse().ok()?);
        let device = parts.next()?.parse().ok()?;
        let has_counters = matches!(kind, DiskKind::BlkBack | DiskKind::BlkTap);
        let used = has_counters.then(|| self.disk_use(name)).flatten();
        Some((domain, Disk { kind, device, used }))
    }

    fn disk_use(&self, name: &str) -> Option<DiskUse> {
        let directory = self.root.join("sys/bus/xen-backend/devices").join(name);
        let counter = |what: &str| -> Option<u64> {
            let text = fs::read_to_string(directory.join("statistics").join(what)).ok()?;
            text.trim().parse().ok()
        };
        Some(DiskUse {
            out_of_requests: counter("oo_req")?,
            reads: counter("rd_req")?,
            writes: counter("wr_req")?,
            sectors_read: counter("rd_sect")?,
            sectors_written: counter("wr_sect")?,
        })
    }
}

/// The number that text begins with: `0-emu` is interface 0.
fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().ok()
}

fn traffic(text: &str) -> Option<(Traffic, Traffic)> {
    let numbers = text.split_ascii_whitespace().map(str::parse);
    let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
    let one_way = |from: usize| {
        Some(Traffic {
            bytes: *numbers.get(from)?,
            packets: *numbers.get(from + 1)?,
            errors: *numbers.get(from + 2)?,
            drops: *numbers.get(from + 3)?,
        })
    };
    (numbers.len() == LINE_NUMBERS).then_some((one_way(0)?, one_way(SENT)?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const NET_DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
xenbr0:     336       6    0    0    0     0          0         6      446       5    0    0    0     0       0          0
vif1.0:     448       8    1    2    0     0          0         0      376       4    3    5    0     0       0          0
  guest:     10       1    0    0    0     0          0         0       20       2    0    0    0     0       0          0
vif2.1-emu: 7 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0
vif3.0: nonsense
";

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn interfaces_belong_to_whom_their_back_end_or_their_name_says() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "proc/net/dev", NET_DEV);
        put(
            root.path(),
            "sys/class/net/guest/device/nodename",
            "backend/vif/4/2\n",
        );
        let networks = Devices::below(root.path()).networks().unwrap();
        let owners: Vec<_> = networks
            .iter()
            .map(|(domain, net)| (domain.0, net.id))
            .collect();
        assert_eq!(owners, [(1, 0), (4, 2), (2, 1)]);
        let Network { received, sent, .. } = networks[0].1;
        assert_eq!(
            (
                received.bytes,
                received.packets,
                received.errors,
                received.drops
            ),
            (448, 8, 1, 2)
        );
        assert_eq!(
            (sent.bytes, sent.packets, sent.errors, sent.drops),
            (376, 4, 3, 5)
        );
    }

    #[test]
    fn disks_are_found_by_the_names_of_their_back_ends() {
        let root = tempfile::tempdir().unwrap();
        let devices = "sys/bus/xen-backend/devices";
        for (file, number) in [
            ("oo_req", 1),
            ("rd_req", 2),
            ("wr_req", 3),
            ("rd_sect", 4),
            ("wr_sect", 5),
        ] {
            put(
                root.path(),
                &format!("{devices}/vbd-7-51712/statistics/{file}"),
                &format!("{number}\n"),
            );
        }
        put(
            root.path(),
            &format!("{devices}/vbd-7-51728/statistics/oo_req"),
            "1\n",
        );
        put(root.path(), &format!("{devices}/vif-7-0/uevent"), "");
        put(root.path(), &format!("{devices}/vbd-x-1/uevent"), "");
        let disks = Devices::below(root.path()).disks().unwrap();
        let used = DiskUse {
            out_of_requests: 1,
            reads: 2,
            writes: 3,
            sectors_read: 4,
            sectors_written: 5,
        };
        let disk = |device, used| {
            (
                DomId(7),
                Disk {
                    kind: DiskKind::BlkBack,
                    device,
                    used,
                },
            )
        };
        assert_eq!(disks, [disk(51712, Some(used)), disk(51728, None)]);
    }

    #[test]
    fn a_kernel_without_back_ends_has_no_disks() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Devices::below(root.path()).disks().unwrap(), []);
        assert!(Devices::below(root.path()).networks().is_err());
    }
}
