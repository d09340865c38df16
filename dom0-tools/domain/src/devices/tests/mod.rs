//! The life of devices with a store within the process and a kernel that is played.

mod attach;
mod death;
mod listing;
mod planning;
mod removal;
mod scripts;
mod sharing;
mod short_lived;

use xenstore::local::LocalStore;
use xenstore::{Access, Permission, Tx};

use super::fake::FakeHost;
use super::{Device, DeviceId, Devices, Disk, Mode, Vif, VirtualDisk};

/// A dom0 with some files and a running domain 1.
struct Dom0 {
    store: LocalStore,
    host: FakeHost,
}

impl Dom0 {
    fn new() -> Self {
        let store = LocalStore::default();
        let host = FakeHost::new(&store);
        let this = Self { store, host };
        for file in ["/disk.img", "/other.img"] {
            this.host.add_file(file, true);
        }
        this.add_domain(1);
        this
    }

    /// As the tools make it: the guest reads its home and `device`, dom0 owns it.
    fn add_domain(&self, domain: u16) {
        let home = format!("/local/domain/{domain}");
        self.write(&format!("{home}/vm"), &format!("/vm/{domain}"));
        self.write(&format!("{home}/name"), &format!("guest{domain}"));
        let permissions = [Permission::none(0), Permission::read(domain)];
        self.store
            .mkdir(Tx::NONE, &format!("{home}/device"))
            .expect("a directory");
        for path in [home.clone(), format!("{home}/device")] {
            self.store
                .set_permissions(Tx::NONE, &path, &permissions)
                .expect("permissions");
        }
    }

    fn devices(&self) -> Devices<'_> {
        Devices {
            store: &self.store,
            host: &self.host,
        }
    }

    fn write(&self, path: &str, value: &str) {
        self.store
            .write(Tx::NONE, path, value.as_bytes())
            .expect("written");
    }

    fn read(&self, path: &str) -> Option<String> {
        xenstore::read_optional(&self.store, Tx::NONE, path).expect("an answer")
    }

    /// All nodes below a path as `path = "value" (permissions)`, sorted.
    fn tree(&self, path: &str) -> Vec<String> {
        let mut nodes = Vec::new();
        self.walk(path, &mut nodes);
        nodes.sort();
        nodes
    }

    fn walk(&self, path: &str, nodes: &mut Vec<String>) {
        for name in self.store.list(Tx::NONE, path).unwrap_or_default() {
            let path = format!("{path}/{name}");
            let value = self.read(&path).expect("a value");
            let permissions = self
                .store
                .permissions(Tx::NONE, &path)
                .expect("permissions");
            let permissions: Vec<_> = permissions.iter().map(ToString::to_string).collect();
            nodes.push(format!("{path} = \"{value}\" ({})", permissions.join(",")));
            self.walk(&path, nodes);
        }
    }

    /// Nothing of any device is left: neither in the store nor in the kernel.
    fn assert_nothing_left(&self, when: &str) {
        self.host.settle();
        assert_eq!(self.tree("/libxl"), [""; 0], "records, {when}");
        assert_eq!(
            self.tree("/local/domain/0/backend"),
            [""; 0],
            "back ends, {when}"
        );
        assert_eq!(
            self.tree("/local/domain/1/device"),
            [""; 0],
            "front ends, {when}"
        );
        assert_eq!(super::Host::loops(&self.host).expect("loops"), [], "{when}");
        assert_eq!(self.host.back_ends(), [""; 0], "drivers, {when}");
        let links = super::Host::links(&self.host).expect("links");
        assert!(links.iter().all(|link| link.is_bridge), "{links:?} {when}");
        assert!(!self.host.is_disks_locked(), "{when}");
    }
}

fn xvd(name: &str) -> VirtualDisk {
    name.parse().expect(name)
}

fn disk(name: &str, target: &str, mode: Mode) -> Device {
    Device::Disk(Disk::raw(target, xvd(name), mode))
}

fn vif() -> Device {
    Device::Vif(Vif::default())
}

fn disk_id(name: &str) -> DeviceId {
    DeviceId::Disk(xvd(name))
}
